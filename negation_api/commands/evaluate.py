"""Measure any model on any labelled file: ``python -m negation_api evaluate``.

The file has one JSON object a line: ``text``, ``start``, ``end`` (code points; null
for an unmarked sentence) and ``label``; other members are ignored. "NEGATED" and
"AFFIRMED" are taken as labels too. A file without POSSIBLE is scored as negated or
not only: there a predicted POSSIBLE counts as not negated.

The metrics are pure functions of labels and scores; nothing here imports torch.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from negation_api.contract.labels import LABELS
from negation_api.model.artefact import ModelError
from negation_api.text.markers import EntityTooLong, SentenceTooLong
from negation_api.text.sentences import Note
from negation_api.text.spans import Span

TWO_CLASSES = {"NEGATED": "ABSENT", "AFFIRMED": "PRESENT"}
BATCH_TOKENS = 1024  # padded tokens of a batch
NUM_BINS = 10
NUM_WORST = 20


class EvaluationError(ValueError):
    """The file cannot be evaluated; the message is one line without clinical text."""


# --- metrics ------------------------------------------------------------------


def wilson(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Give the 95 % interval of a share (Wilson 1927); (0, 1) of nothing.

    >>> [round(x, 3) for x in wilson(8, 10)]
    [0.49, 0.943]
    """
    if not total:
        return 0.0, 1.0
    share, spread = hits / total, z * z / total
    centre = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(share * (1 - share) / total + spread / total / 4) / (1 + spread)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def share(hits: int, total: int) -> dict:
    """Give a share with its Wilson interval, and what it is of."""
    low, high = wilson(hits, total)
    value = hits / total if total else None
    return {"value": value, "low": low, "high": high, "hits": hits, "of": total}


def confusion(gold, guessed) -> np.ndarray:
    """Count the rows of each pair: (gold label, guessed label), indices of LABELS."""
    table = np.zeros((len(LABELS), len(LABELS)), dtype=int)
    np.add.at(table, (np.asarray(gold, int), np.asarray(guessed, int)), 1)
    return table


def f1_scores(table: np.ndarray) -> np.ndarray:
    """Give each label's F1; 0 where it was guessed but never right, or missed.

    NaN for a label that neither occurs nor was guessed.
    """
    hits, total = np.diag(table), table.sum(0) + table.sum(1)
    return np.divide(2 * hits, total, out=np.full(len(hits), np.nan), where=total > 0)


def macro_f1(table: np.ndarray) -> float:
    """Give the mean F1 of the labels that occur or were guessed."""
    scores = f1_scores(table)
    return float(np.nanmean(scores)) if np.isfinite(scores).any() else 0.0


def bootstrap_f1(gold, guessed, rounds: int = 1000, seed: int = 13) -> np.ndarray:
    """Give 95 % percentile intervals, (labels + macro) x (low, high).

    Rows are drawn with replacement, as many as there are; the seed is fixed, so
    the same predictions give the same intervals.
    """
    pairs = np.asarray(gold, int) * len(LABELS) + np.asarray(guessed, int)
    counts = np.bincount(pairs, minlength=len(LABELS) ** 2)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(counts.sum(), counts / counts.sum(), size=rounds)
    tables = drawn.reshape(rounds, len(LABELS), len(LABELS))
    scores = np.array([[*f1_scores(table), macro_f1(table)] for table in tables])
    scores = np.nan_to_num(scores)
    return np.percentile(scores, [2.5, 97.5], axis=0).T


def reliability(confidence, correct, num_bins: int = NUM_BINS) -> list[dict]:
    """Give mean confidence and share correct in bins of equal mass, ascending."""
    confidence, correct = np.asarray(confidence, float), np.asarray(correct, float)
    order = np.argsort(confidence, kind="stable")
    return [
        {
            "rows": len(chosen),
            "confidence": float(confidence[chosen].mean()),
            "correct": float(correct[chosen].mean()),
        }
        for chosen in np.array_split(order, num_bins)
        if len(chosen)
    ]


def calibration_error(bins: list[dict]) -> float:
    """Give the expected calibration error: the mean gap, weighted by rows."""
    rows = sum(one["rows"] for one in bins)
    gaps = (one["rows"] * abs(one["confidence"] - one["correct"]) for one in bins)
    return sum(gaps) / rows if rows else 0.0


# --- reading ------------------------------------------------------------------


def read_rows(path: Path) -> list[dict]:
    """Read and check the labelled rows of *path*.

    :raises EvaluationError: names the first line that is wrong, without its text.
    """
    rows = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    rows.append(_row(line, f"{path}:{number}"))
    except OSError as error:
        raise EvaluationError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise EvaluationError(f"{path}: not UTF-8") from None
    if not rows:
        raise EvaluationError(f"{path}: no rows")
    return rows


def _row(line: str, place: str) -> dict:
    try:
        row = json.loads(line)
    except ValueError:
        raise EvaluationError(f"{place}: not JSON") from None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise EvaluationError(f"{place}: needs an object with a string text")
    label = str(row.get("label", "")).upper()
    if label not in LABELS and label not in TWO_CLASSES:
        raise EvaluationError(f"{place}: label must be one of {', '.join(LABELS)}")
    start, end = row.get("start"), row.get("end")
    if not (start is None and end is None or _is_span(row["text"], start, end)):
        raise EvaluationError(
            f"{place}: start and end must be a span of the text's"
            f" {len(row['text'])} code points, or both null"
        )
    return {"text": row["text"], "start": start, "end": end, "label": label}


def _is_span(text: str, start, end) -> bool:
    if type(start) is not int or type(end) is not int:
        return False
    return 0 <= start < end <= len(text) and bool(text[start:end].strip())


# --- prediction ---------------------------------------------------------------


def encode_rows(classifier, rows: list[dict]) -> list[list[int]]:
    """Give the token ids of every row, through the same context as the service."""
    notes, encoded = {}, []
    for number, row in enumerate(rows, start=1):
        text, start = row["text"], row["start"]
        try:
            if start is None:
                encoded.append(classifier.encode(" ".join(text.split()), marked=False))
                continue
            if text not in notes:
                notes = {text: Note(text)}  # rows of one note follow each other
            marked = notes[text].mark(Span(start, row["end"]))
            encoded.append(classifier.encode(marked))
        except (EntityTooLong, SentenceTooLong) as error:
            raise EvaluationError(f"row {number}: {error}") from None
    return encoded


def batch_indices(lengths: list[int], limit: int = BATCH_TOKENS) -> list[list[int]]:
    """Group rows of like length within *limit* padded tokens.

    >>> batch_indices([9, 2, 3, 2], limit=6)
    [[1, 3], [2], [0]]
    """
    groups = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if groups and (len(groups[-1]) + 1) * lengths[index] <= limit:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def predict(classifier, rows: list[dict]) -> list:
    """Classify every row; a progress bar on a terminal."""
    encoded = encode_rows(classifier, rows)
    predictions = [None] * len(rows)
    with _progress(len(rows)) as bar:
        for group in batch_indices([len(ids) for ids in encoded]):
            for index, prediction in zip(
                group, classifier.classify([encoded[index] for index in group])
            ):
                predictions[index] = prediction
            bar.update(len(group))
    return predictions


def _progress(total: int):
    from tqdm import tqdm

    return tqdm(total=total, unit=" entities", disable=None, file=sys.stderr)


# --- report -------------------------------------------------------------------


def evaluate(rows: list[dict], predictions: list) -> dict:
    """Give every figure of *predictions* against the labels of *rows*."""
    labels = [TWO_CLASSES.get(row["label"], row["label"]) for row in rows]
    gold = np.array([LABELS.index(label) for label in labels])
    scores = np.array([[p.scores[label] for label in LABELS] for p in predictions])
    report = {"rows": len(rows)} | _negated_or_not(gold, scores)
    if "POSSIBLE" not in labels:
        return report  # the file knows two classes only
    return report | _three_classes(gold, scores)


def _negated_or_not(gold: np.ndarray, scores: np.ndarray) -> dict:
    absent = LABELS.index("ABSENT")
    right = (gold == absent) == (scores.argmax(1) == absent)
    # The answer's confidence: of ABSENT, or of all that is not ABSENT.
    negated = scores[:, absent]
    bins = reliability(
        np.maximum(negated, 1 - negated), (gold == absent) == (negated > 0.5)
    )
    return {
        "negated_or_not": share(int(right.sum()), len(gold)),
        "negated_or_not_ece": calibration_error(bins),
        "negated_or_not_bins": bins,
    }


def _three_classes(gold: np.ndarray, scores: np.ndarray) -> dict:
    guessed = scores.argmax(1)
    table = confusion(gold, guessed)
    intervals = bootstrap_f1(gold, guessed).tolist()
    per_label = {}
    for index, label in enumerate(LABELS):
        hits = int(table[index, index])
        low, high = intervals[index]
        f1 = float(np.nan_to_num(f1_scores(table)[index]))
        per_label[label] = {
            "precision": share(hits, int(table[:, index].sum())),
            "recall": share(hits, int(table[index].sum())),
            "f1": {"value": f1, "low": low, "high": high},
        }
    bins = reliability(scores.max(1), guessed == gold)
    low, high = intervals[-1]
    return {
        "accuracy": share(int(np.trace(table)), len(gold)),
        "labels": per_label,
        "macro_f1": {"value": macro_f1(table), "low": low, "high": high},
        "confusion": table.tolist(),
        "ece": calibration_error(bins),
        "bins": bins,
    }


def worst(rows: list[dict], predictions: list, number: int = NUM_WORST) -> list[dict]:
    """Give the errors that were made with the highest scores, text included."""
    errors = []
    for line, (row, prediction) in enumerate(zip(rows, predictions), start=1):
        if not _agrees(row["label"], prediction.label):
            found = {"row": line, "predicted": prediction.label}
            errors.append(row | found | {"score": round(prediction.score, 4)})
    return sorted(errors, key=lambda error: -error["score"])[:number]


def _agrees(label: str, guessed: str) -> bool:
    if label in TWO_CLASSES:
        return (TWO_CLASSES[label] == "ABSENT") == (guessed == "ABSENT")
    return label == guessed


def table(report: dict) -> str:
    """Lay out *report* for reading."""
    lines = [f"{report['rows']} entities; 95 % intervals in brackets", ""]
    if "labels" in report:
        lines.append(f"{'':<10}{'precision':>22}{'recall':>22}{'F1':>22}")
        for label, figures in report["labels"].items():
            cells = (figures[name] for name in ("precision", "recall", "f1"))
            lines.append(f"{label:<10}" + "".join(f"{_cell(c):>22}" for c in cells))
        lines += ["", f"macro-F1        {_cell(report['macro_f1'])}"]
        lines.append(f"accuracy        {_cell(report['accuracy'])}")
    lines.append(f"negated or not  {_cell(report['negated_or_not'])}")
    if "ece" in report:
        lines.append(f"ECE             {report['ece']:.3f}")
    lines.append(f"ECE negated     {report['negated_or_not_ece']:.3f}")
    if "confusion" in report:
        lines += [
            "",
            "rows: labelled, columns: predicted",
            f"{'':<10}" + _row_of(LABELS),
        ]
        lines += [
            f"{label:<10}" + _row_of(counts)
            for label, counts in zip(LABELS, report["confusion"])
        ]
    notes = "shares: Wilson; F1: bootstrap, 1,000 rounds; ECE: 10 bins of equal mass"
    return "\n".join([*lines, "", notes])


def _cell(figure: dict) -> str:
    if figure["value"] is None:
        return "-"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _row_of(cells) -> str:
    return "".join(f"{cell:>10}" for cell in cells)


def _error_line(error: dict) -> str:
    text, start, end = error["text"], error["start"], error["end"]
    if start is not None:
        first, last = max(0, start - 100), end + 100
        text = f"{text[first:start]}[{text[start:end]}]{text[end:last]}"
    said = f"row {error['row']}: {error['label']}, predicted {error['predicted']}"
    return f"{said} {error['score']:.2f}: {' '.join(text.split())}"


# --- command line -------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``evaluate`` takes; the model comes from the settings."""
    parser.add_argument("file", type=Path, help="labelled rows, JSON lines")
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")
    parser.add_argument(
        "--show-text",
        action="store_true",
        help=f"print the {NUM_WORST} worst errors with their clinical text",
    )
    parser.add_argument(
        "--predictions", type=Path, help="write label and scores of every row here"
    )


def main(args: argparse.Namespace, settings) -> int:
    """Evaluate; 0 when done, 1 when the file or the model cannot be used."""
    try:
        return _run(args, settings)
    except (EvaluationError, ModelError) as error:
        print(f"negation_api evaluate: {error}", file=sys.stderr)
        return 1


def _run(args: argparse.Namespace, settings) -> int:
    from negation_api.model.classifier import (
        load_classifier,
    )  # torch, seconds: after the file

    rows = read_rows(args.file)
    classifier = load_classifier(settings)
    predictions = predict(classifier, rows)
    if args.predictions:
        write_predictions(args.predictions, predictions)
    artefact = classifier.artefact
    model = {"name": artefact.name, "sha256": artefact.sha256}
    report = {"model": model} | evaluate(rows, predictions)
    errors = worst(rows, predictions) if args.show_text else []
    if args.json:
        print(json.dumps(report | ({"worst": errors} if args.show_text else {})))
        return 0
    print(f"{artefact.name}, weights {artefact.sha256[:12]}")
    print(table(report))
    print("".join(f"\n{_error_line(error)}" for error in errors), end="")
    return 0


def write_predictions(path: Path, predictions: list) -> None:
    """Write one JSON object a line, in the order of the rows.

    :raises EvaluationError: when *path* cannot be written.
    """
    lines = [json.dumps({"label": p.label, "scores": p.scores}) for p in predictions]
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"{path}: {error.strerror}") from None
