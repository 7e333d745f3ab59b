"""Draw how often the model is right against how sure it is.

    python training/calibration.py --set NAME=FILE.jsonl,PREDICTIONS.jsonl ... OUT.png

PREDICTIONS is what ``negation_api evaluate --predictions`` wrote. Ten bins of equal
mass for each set, of the score of the top label; a set without POSSIBLE is taken
as negated or not. Needs matplotlib (``training/requirements.txt``).
"""

import argparse
import json
import sys
from pathlib import Path

import matplotlib
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from negation_api.commands.evaluate import TWO_CLASSES  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

NUM_BINS = 10
COLOURS = ("#0b6e99", "#b3541e", "#4a7c2c")


def read(path: str) -> list[dict]:
    """Read JSON lines."""
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def sure_and_right(rows, predictions) -> tuple[np.ndarray, np.ndarray]:
    """Give for each row the top label's score, and whether the label is right."""
    gold = [TWO_CLASSES.get(row["label"], row["label"]) for row in rows]
    if "POSSIBLE" in gold:
        sure = [max(p["scores"].values()) for p in predictions]
        right = [p["label"] == label for p, label in zip(predictions, gold)]
    else:
        negated = np.array([p["scores"]["ABSENT"] for p in predictions])
        sure = np.maximum(negated, 1 - negated)
        right = (negated > 0.5) == np.array([label == "ABSENT" for label in gold])
    return np.asarray(sure), np.asarray(right, dtype=float)


def draw(sets: dict[str, tuple[np.ndarray, np.ndarray]], output: Path) -> None:
    """Draw one line a set, and the diagonal on which scores are true."""
    figure, axes = pyplot.subplots(figsize=(5.2, 5), layout="constrained")
    axes.plot((0.5, 1), (0.5, 1), color="#999999", linestyle=":", label="calibrated")
    for colour, marker, (name, (sure, right)) in zip(COLOURS, "os^", sets.items()):
        bins = np.array_split(np.argsort(sure), NUM_BINS)
        x = [sure[rows].mean() for rows in bins]
        y = [right[rows].mean() for rows in bins]
        gaps = [abs(a - b) * len(rows) for a, b, rows in zip(x, y, bins)]
        name = f"{name}, ECE {sum(gaps) / len(sure):.3f}"
        axes.plot(x, y, color=colour, marker=marker, label=name)
    axes.set(xlabel="score of the label", ylabel="share that is right")
    axes.set(xlim=(0.5, 1.01), ylim=(0.5, 1.02))
    axes.legend(loc="upper left", frameon=False)
    figure.savefig(output, dpi=130, metadata={"Software": None})


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", action="append", required=True, dest="sets")
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    sets = {}
    for given in args.sets:
        name, _, files = given.partition("=")
        sets[name] = sure_and_right(*map(read, files.split(",")))
    draw(sets, args.output)


if __name__ == "__main__":
    main()
