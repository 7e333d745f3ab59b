"""Compare the model with the rule systems on one labelled file.

    python -m negation_api evaluate FILE.jsonl --predictions predictions.jsonl
    python training/compare.py FILE.jsonl --model ours=predictions.jsonl

prints two Markdown tables: the scores of every system with 95 % bootstrap
intervals, and the p-values of each model against each rule system. A file that
says whose and when gets two more, of ``holds`` and the axes, beside the rule systems
that answer them. A file
without POSSIBLE is scored as negated or not: there a POSSIBLE answer counts as
PRESENT, and macro-F1 is the mean of the classes that the file has.

The bootstrap resamples whole documents, because the entities of one document
are not independent (``--by row`` resamples rows). Every figure is a function of
the confusion table, so a resample is a weighted sum of the documents' tables.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from rules import SYSTEMS, WITH_AXES, run_system

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from negation_api.commands.evaluate.rows import TWO_CLASSES, holds  # noqa: E402
from negation_api.contract.labels import AXES, LABELS  # noqa: E402

NEGATED = LABELS.index("ABSENT")


def read_rows(path):
    """Return the rows of a JSON lines file."""
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def read_predictions(path, count):
    """Return what ``negation_api evaluate`` wrote, ``{question: value}`` a row."""
    predictions = [
        {"label": row["label"]} | {a: row[a]["label"] for a in AXES if a in row}
        for row in read_rows(path)
    ]
    if len(predictions) != count:
        sys.exit(f"{path}: {len(predictions)} predictions for {count} rows")
    return predictions


def classes_of(gold):
    """Return the labels to score: two where *gold* has no POSSIBLE."""
    return LABELS if "POSSIBLE" in gold else LABELS[:2]


# confusion tables -----------------------------------------------------------


def confusions(gold, predicted, groups, num_classes):
    """Count one confusion table a group.

    Returns an array ``(groups, gold class, predicted class)``.
    """
    tables = np.zeros((groups.max() + 1, num_classes, num_classes))
    np.add.at(
        tables, (groups, _codes(gold, num_classes), _codes(predicted, num_classes)), 1
    )
    return tables


def _codes(labels, num_classes):
    codes = np.array([LABELS.index(label) for label in labels])
    return np.where(codes < num_classes, codes, LABELS.index("PRESENT"))


def group_numbers(rows, by):
    """Number the resampling units: ``(rows,)`` integers from 0."""
    keys = range(len(rows)) if by == "row" else [row["doc"] for row in rows]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys])


def draw_weights(num_groups, resamples, seed):
    """Draw how often each group is taken: ``(1 + resamples, groups)``.

    The first row is all ones, the sample itself.
    """
    share = np.full(num_groups, 1 / num_groups)
    drawn = np.random.default_rng(seed).multinomial(num_groups, share, resamples)
    return np.vstack([np.ones(num_groups, dtype=int), drawn])


# metrics --------------------------------------------------------------------


def metrics(tables):
    """Return ``{name: values}`` of *tables* ``(samples, gold, predicted)``."""
    total = tables.sum(axis=(1, 2))
    wrong = tables[:, NEGATED].sum(axis=1) + tables[:, :, NEGATED].sum(axis=1)
    wrong = wrong - 2 * tables[:, NEGATED, NEGATED]
    f1 = f1_scores(tables)
    named = {"negated or not": 1 - wrong / total, "macro-F1": f1.mean(axis=1)}
    for index, label in enumerate(LABELS[: tables.shape[1]]):
        named[f"F1 {label}"] = f1[:, index]
    return named


def f1_scores(tables):
    """Return F1 by class, ``(samples, classes)``; 0 where a class never occurs.

    >>> f1_scores(np.array([[[3, 1], [0, 2]]])).round(3)
    array([[0.857, 0.8  ]])
    """
    hits = np.diagonal(tables, axis1=1, axis2=2)
    either = tables.sum(axis=1) + tables.sum(axis=2)
    return 2 * hits / np.maximum(either, 1)


def interval(values):
    """Return the 2.5th and 97.5th percentile of the resamples in *values*."""
    return np.percentile(values[1:], (2.5, 97.5))


def p_value(ours, theirs):
    """Return the share of resamples in which *ours* is not above *theirs*.

    One-sided, paired: both are ``(1 + resamples,)`` over the same weights. One
    is added to both counts, so that it is never 0.

    >>> p_value(np.array([0.9, 0.9, 0.8]), np.array([0.8, 0.8, 0.8]))
    0.6666666666666666
    """
    not_better = np.count_nonzero(ours[1:] <= theirs[1:])
    return float((not_better + 1) / len(ours))


def yes_or_no(pairs, groups, weights):
    """Return precision, recall and F1 of "yes", ``(1 + resamples,)`` each.

    :param pairs: (right, guessed) a row; rows without a right answer do not count.
    """
    counts = np.zeros((weights.shape[1], 3))  # both, guessed, right
    for group, (right, guessed) in zip(groups, pairs, strict=True):
        if right is not None:
            counts[group] += right and guessed, guessed, right
    both, guessed, right = (weights @ counts).T
    sums = guessed, right, (guessed + right) / 2
    return [both / np.maximum(each, 1) for each in sums]


def axes_metrics(rows, predicted, groups, weights):
    """Return ``{name: values}`` of ``holds``, whose and when."""

    def measure(of, wanted):
        pairs = [(wanted(of(r)), wanted(of(p))) for r, p in zip(rows, predicted)]
        return yes_or_no(pairs, groups, weights)

    precision, recall, _ = measure(holds, lambda value: value)
    whose, when = AXES
    named = {"holds, precision": precision, "holds, recall": recall}
    named["F1 not the patient"] = measure(
        lambda row: row.get(whose), lambda value: value and value != "PATIENT"
    )[2]
    times = [name for name in AXES[when] if any(r.get(when) == name for r in rows)]
    for name in times:
        named[f"F1 {name}"] = measure(
            lambda row: row.get(when), lambda value: value and value == name
        )[2]
    if times:
        f1 = [named[f"F1 {name}"] for name in times]
        named["macro-F1 of time"] = np.mean(f1, axis=0)
    return named


# tables ---------------------------------------------------------------------


def markdown(header, rows):
    """Return a Markdown table; the first column is text, the others numbers."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def score_table(results):
    """Render ``{system: {metric: values}}``, a system a line."""
    names = list(next(iter(results.values())))
    lines = []
    for system, by_metric in results.items():
        cells = [score_cell(by_metric[name]) for name in names]
        lines.append([system, *cells])
    return markdown(["system", *names], lines)


def score_cell(values):
    """Render the value of the sample with its interval."""
    low, high = interval(values)
    return f"{values[0]:.3f} ({low:.3f} to {high:.3f})"


def p_table(results, models, systems):
    """Render difference and p-value of each of *models* to each of *systems*."""
    names = list(next(iter(results.values())))
    lines = []
    for model in models:
        for system in systems:
            pairs = [(results[model][name], results[system][name]) for name in names]
            cells = [f"{a[0] - b[0]:+.3f}, p = {p_value(a, b):.3f}" for a, b in pairs]
            lines.append([f"{model} - {system}", *cells])
    return markdown(["difference", *names], lines)


# command line ---------------------------------------------------------------


def predict_all(args, rows):
    """Return ``{system: predictions}``: the models first, then the rule systems."""
    predicted = {}
    for model in args.model:
        name, _, path = model.partition("=")
        predicted[name] = read_predictions(path, len(rows))
    slim = [{key: row[key] for key in ("text", "start", "end")} for row in rows]
    for system in args.systems:
        predicted[system] = [
            {q: row[f"rule_{q}"] for q in ("label", *AXES) if f"rule_{q}" in row}
            for row in run_system(system, slim)
        ]
    return predicted


def evaluate(rows, predicted, args):
    """Return ``{system: {metric: (1 + resamples,) values}}`` of the labels."""
    chosen = [i for i, row in enumerate(rows) if row.get("label")]
    rows = [rows[i] for i in chosen]
    gold = [TWO_CLASSES.get(row["label"], row["label"]) for row in rows]
    groups, weights = resampling(rows, args)
    results = {}
    for system, answers in predicted.items():
        labels = [answers[i]["label"] for i in chosen]
        tables = confusions(gold, labels, groups, len(classes_of(gold)))
        results[system] = metrics(np.einsum("sg,gij->sij", weights, tables))
    return results


def evaluate_axes(rows, predicted, args):
    """Return the same of whose and when, for the systems that answer them."""
    groups, weights = resampling(rows, args)
    return {
        system: axes_metrics(rows, answers, groups, weights)
        for system, answers in predicted.items()
        if all(axis in answers[0] for axis in AXES)
    }


def resampling(rows, args):
    """Return each row's group, and how often each group is drawn."""
    groups = group_numbers(rows, args.by)
    return groups, draw_weights(groups.max() + 1, args.resamples, args.seed)


def parse_args():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="labelled rows, JSON lines")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="predictions of `negation_api evaluate`; may be given again",
    )
    parser.add_argument("--systems", nargs="*", choices=SYSTEMS, default=SYSTEMS)
    parser.add_argument("--by", choices=("doc", "row"), default="doc")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=13)
    return parser.parse_args()


def show(title, results, models, systems):
    """Print the scores, and the p-values of the models against the systems."""
    print(f"{title}\n")
    print(score_table(results))
    models, systems = (
        [n for n in names if n in results] for names in (models, systems)
    )
    if models and systems:
        print("\np: one-sided, paired; the share of resamples not better\n")
        print(p_table(results, models, systems))


def main():
    """Print the tables."""
    args = parse_args()
    rows = read_rows(args.file)
    predicted = predict_all(args, rows)
    counted = [i for i, row in enumerate(rows) if not row.get("debatable")]
    rows = [rows[i] for i in counted]
    predicted = {n: [given[i] for i in counted] for n, given in predicted.items()}
    models = [model.partition("=")[0] for model in args.model]
    title = f"{args.file.stem}: {len(rows)} entities; 95 % intervals over {args.by}s"
    if any(row.get("label") for row in rows):
        show(title, evaluate(rows, predicted, args), models, args.systems)
    if any(row.get(axis) for row in rows for axis in AXES):
        results = evaluate_axes(rows, predicted, args)
        if results:
            show("\nwhose and when", results, models, WITH_AXES)


if __name__ == "__main__":
    main()
