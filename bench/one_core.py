"""Whole notes on one core: ours beside the rule systems, and how right each is.

    python bench/one_core.py [ROWS.jsonl] [--rounds 5] [--notes 50] [--systems ...]

One process for each system, all on the same core and one at a time, in interleaved
rounds; reading notes and splitting sentences included, HTTP not. ROWS.jsonl has the
labelled entities to be right about, ``tests/behaviour/cases.jsonl`` unless given. The
environments of rule systems are made by ``training/rules.sh``.

``bench/report.py`` puts ``bench/results/notes.json`` into ``docs/performance.md``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from sentences import ROOT, notes  # noqa: I001  (it finds compare and rules)
from compare import evaluate, interval, read_rows
from report import notes_table
from run import RESULTS, machine, say

OURS = [f"ours-{p}-{early}" for p in ("fp32", "int8") for early in ("off", "on")]
RULES = ["medspacy", "medspacy-naive", "negspacy"]
CASES = ROOT / "tests" / "behaviour" / "cases.jsonl"
SPAN = ("text", "start", "end")
WARM_UP = 1  # rounds that do not count


class System:
    """A process of ``bench/system.py``; a context manager.

    :ivar labels: of the labelled rows.
    """

    def __init__(self, name: str, *files: Path):
        command = [sys.executable, str(ROOT / "bench" / "system.py"), name]
        self._process = subprocess.Popen(
            [*command, *map(str, files)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "System":
        self.labels: list[str] = self._read()
        return self

    def __exit__(self, *exception) -> None:
        self._process.communicate()

    def seconds(self) -> float:
        """Have it answer all notes once."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self):
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"bench/system.py ended: {self._process.wait()}")
        return json.loads(line)


def labelled(path: Path) -> list[dict]:
    """Read the rows of *path* that say where an entity is and which label is right."""
    return [
        row
        for row in read_rows(path)
        if row.get("start") is not None
        and row.get("label")
        and not row.get("debatable")
    ]


def write_rows(path: Path, rows) -> Path:
    """Write of each of *rows* what a system is told."""
    lines = (json.dumps({key: row[key] for key in SPAN}) for row in rows)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def measure(args) -> dict:
    """Time all systems, and score what they say of the labelled rows."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows = labelled(args.rows)
    asked = [e | {"text": n["text"]} for n in notes(args.notes) for e in n["entities"]]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        files = (
            write_rows(Path(folder) / "rows.jsonl", rows),
            write_rows(Path(folder) / "notes.jsonl", asked),
        )
        systems = {}
        for name in args.systems:
            say(name)
            systems[name] = stack.enter_context(System(name, *files))
        seconds = time_rounds(systems, args.rounds)
        labels = {name: system.labels for name, system in systems.items()}
    told = {name: [{"label": each} for each in ls] for name, ls in labels.items()}
    by = "doc" if all("doc" in row for row in rows) else "row"
    scores = evaluate(rows, told, argparse.Namespace(by=by, resamples=1000, seed=13))
    return {
        "notes": args.notes,
        "entities": len(asked),
        "rows": f"{args.rows.name}, {len(rows)} rows",
        "systems": {
            name: {
                "rates": [len(asked) / each for each in seconds[name]],
                "scores": {
                    metric: [values[0], *interval(values)]
                    for metric, values in scores[name].items()
                },
            }
            for name in systems
        },
    }


def time_rounds(systems: dict[str, System], rounds: int) -> dict[str, list[float]]:
    """Give the seconds of each system in each round, every other one backwards."""
    found: dict[str, list[float]] = {name: [] for name in systems}
    for number in range(WARM_UP + rounds):
        for name in list(systems)[:: -1 if number % 2 else 1]:
            found[name].append(systems[name].seconds())
        say(f"round {number} of {rounds}")
    return {name: each[WARM_UP:] for name, each in found.items()}


def main(argv: list[str] | None = None) -> None:
    """Measure, write, and print the table."""
    from negation_api.model.quantize import why_not

    systems = [n for n in OURS if "int8" not in n or not why_not()] + RULES
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=Path, nargs="?", default=CASES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--notes", type=int, default=50)
    parser.add_argument("--systems", nargs="+", default=systems)
    parser.add_argument("--output", type=Path, default=RESULTS / "notes.json")
    args = parser.parse_args(argv)
    found = {"machine": machine()} | measure(args)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(found, indent=1) + "\n")
    print(notes_table(found))


if __name__ == "__main__":
    main()
