"""What gzip takes of the time of a large answer, and what it saves of its bytes.

    python bench/answers.py

Asks the application itself, with a model that costs nothing. Prints for notes of more
and more entities, and for pages, the bytes of the answer, plain and as gzip at several
levels; the milliseconds of a CPU that each takes, the median of ``ROUNDS``; and those
of the whole answer, plain and as gzip.
"""

import gzip
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from sentences import note  # noqa: E402
from stub import Stub  # noqa: E402

from negation_api import create_app  # noqa: E402
from negation_api.contract.labels import AXES, Choice, Prediction  # noqa: E402
from negation_api.http.response_compression import LEVEL, MIN_BYTES  # noqa: E402
from negation_api.http.service import service_of  # noqa: E402
from negation_api.settings import Settings  # noqa: E402

ROUNDS = 15
SIZES = 1, 2, 10, 100, 1000
LEVELS = 1, 6, 9
PAGES = "/docs", "/openapi.json", "/playground/playground.js", "/metrics"


class Three(Stub):
    """Answers whose and when too, with as many digits."""

    headed, axes = True, AXES

    def classify(self, rows) -> list[Prediction]:
        return [self._whole(label.scores) for label in super().classify(rows)]

    def _whole(self, scores) -> Prediction:
        axes = {}
        for more, (axis, values) in enumerate(AXES.items(), 1):
            numbers = [(score + more) / (1 + 3 * more) for score in scores.values()]
            axes[axis] = Choice(dict(zip(values, numbers)))
        return Prediction(scores, **axes)


def main() -> None:
    """Print the table."""
    app = create_app(Settings(), Three())
    service_of(app).batcher.start()
    client = app.test_client()
    print(f"Level {LEVEL}, from {MIN_BYTES} bytes.\n")
    levels = " | ".join(f"level {level}: bytes | ms" for level in LEVELS)
    print(f"| answer | plain bytes | {levels} | answer, ms | with gzip, ms |")
    print("| --- " + "| ---: " * (2 * len(LEVELS) + 4) + "|", flush=True)
    for size in SIZES:
        body = note(size, seed=1)
        ask = lambda accept: client.post(  # noqa: E731
            "/predict", json=body, headers={"Accept-Encoding": accept}
        )
        row(f"entities: {size:,}", ask)
    for path in PAGES:
        ask = lambda accept: client.get(  # noqa: E731
            path, headers={"Accept-Encoding": accept}, buffered=True
        )
        row(f"`{path}`", ask)
    service_of(app).batcher.stop()


def row(what: str, ask) -> None:
    """Print what gzip makes of the answer to *ask*."""
    plain = ask("identity").data
    cells = [what, f"{len(plain):,}"]
    for level in LEVELS:
        packed = gzip.compress(plain, level, mtime=0)
        took = milliseconds(lambda: gzip.compress(plain, level, mtime=0))
        cells += [f"{len(packed):,}", f"{took:.2f}"]
    cells += [f"{milliseconds(lambda: ask(a)):.1f}" for a in ("identity", "gzip")]
    print("|", " | ".join(cells), "|", flush=True)


def milliseconds(call) -> float:
    """Give the median time of a CPU that *call* takes."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        call()
        times.append(1000 * (time.process_time() - began))
    return statistics.median(times)


if __name__ == "__main__":
    main()
