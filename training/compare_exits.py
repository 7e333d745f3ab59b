"""What early exit changes: ``python training/compare_exits.py FILE.jsonl ...``.

The same model (MODEL and PRECISION of the environment) answers each entity of labelled
files with early exit and without; printed are the answers that differ, the labels that
are right, the expected calibration error, and after how many layers rows left.
"""

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from negation_api.commands.evaluate import answer_rows, evaluate  # noqa: E402
from negation_api.commands.evaluate import read_rows  # noqa: E402
from negation_api.contract.labels import AXES  # noqa: E402
from negation_api.model.classifier import make_classifier  # noqa: E402
from negation_api.settings import Settings  # noqa: E402


def answers(prediction) -> tuple[str, ...]:
    """Give the answer to each question."""
    axes = (getattr(prediction, axis).label for axis in AXES)
    return prediction.label, *axes


def compare(path: str, classifiers: dict) -> tuple[Counter, Counter]:
    """Print the lines of one file; give what it adds to the totals."""
    rows = [row for row in read_rows(Path(path)) if not row.get("debatable")]
    found = {mode: answer_rows(model, rows) for mode, model in classifiers.items()}
    changed = Counter({"entities": len(rows)})
    for pair in zip(*found.values(), strict=True):
        one, other = map(answers, pair)
        changed["any"] += one != other
        for question, a, b in zip(("label", *AXES), one, other):
            changed[question] += a != b
    print(f"{path}: answered otherwise {dict(changed)}")
    for mode, predictions in found.items():
        report = evaluate(rows, predictions)
        right = report.get("accuracy", report["negated_or_not"])
        ece = report.get("ece", report["negated_or_not_ece"])
        print(f"  {mode}: label {right}, ECE {ece:.4f}")
    return changed, Counter(each.layers for each in found["on"])


def main(paths: list[str]) -> None:
    """Compare over all files."""
    settings = Settings.from_env()
    classifiers = {
        mode: make_classifier(replace(settings, early_exit=mode == "on"))
        for mode in ("on", "off")
    }
    totals = [compare(path, classifiers) for path in paths]
    changed, layers = (sum(each, Counter()) for each in zip(*totals))
    print(f"in all: answered otherwise {dict(changed)}")
    print(f"after how many layers: {dict(sorted(layers.items()))}")


if __name__ == "__main__":
    main(sys.argv[1:])
