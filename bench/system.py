"""One system that answers notes in this process, timed whenever it is told to.

    python bench/system.py SYSTEM ROWS.jsonl NOTES.jsonl

SYSTEM is ``ours-PRECISION-EXIT``, as ``ours-int8-on``, or one of ``training/rules.py``,
in whose environment this starts itself again. The files hold entities, one a line, with
``text``, ``start`` and ``end``. Prints the labels of ROWS as JSON; then answers each
line of standard input with the seconds that NOTES took.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import chain, groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT), str(ROOT / "training")]


def ours(precision: str, early_exit: str) -> Callable[[list[dict]], list[str]]:
    """Load the embedded model: from rows to their labels, axes answered too."""
    from dataclasses import replace

    from negation_api.library.local import NO_LIMIT, Model
    from negation_api.model.classifier import make_classifier
    from negation_api.settings import Settings

    given = {"PRECISION": precision, "EARLY_EXIT": early_exit, "CPUS": "1"}
    settings = replace(Settings.from_env(given), **NO_LIMIT)
    return partial(answer, Model(make_classifier(settings), settings))


def answer(model, rows: list[dict]) -> list[str]:
    """Ask *model* for rows, those of one text together."""
    documents = (
        (text, [(row["start"], row["end"]) for row in same])
        for text, same in groupby(rows, key=lambda row: row["text"])
    )
    return [each.label for each in chain(*model.predict_many(documents))]


def rule_based(system: str) -> Callable[[list[dict]], list[str]]:
    """Load a rule system: the same; PRESENT where it gives nothing."""
    import rules

    rules.enter_venv(system)
    find = rules.load_system(system)

    def answer(rows: list[dict]) -> list[str]:
        labels = ["PRESENT"] * len(rows)
        for index, verdict in find(rows):
            labels[index] = verdict["rule_label"]
        return labels

    return answer


def main(system: str, *paths: str) -> None:
    """Load, label, and time on demand."""
    kind, *options = system.split("-")
    answer = ours(*options) if kind == "ours" else rule_based(system)
    rows, notes = (
        [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]
        for path in paths
    )
    print(json.dumps(answer(rows)), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        answer(notes)
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
