"""Predictions against the labels of a file: every figure, and a table of them."""

import numpy as np

from negation_api.commands.evaluate.figures import (
    bootstrap_f1,
    calibration_error,
    confusion,
    f1_scores,
    macro_f1,
    reliability,
    share,
)
from negation_api.commands.evaluate.rows import (
    NOT_PATIENT,
    QUESTIONS,
    TWO_CLASSES,
    EvaluationError,
    holds,
)
from negation_api.contract.labels import AXES, LABELS

NUM_WORST = 20


# --- figures ------------------------------------------------------------------


def evaluate(rows: list[dict], predictions: list) -> dict:
    """Give every figure of *predictions* against what *rows* say.

    :raises EvaluationError: when there is nothing that could be compared.
    """
    pairs = [
        (row, prediction)
        for row, prediction in zip(rows, predictions, strict=True)
        if not row.get("debatable")
    ]
    report = _label([(r["label"], p) for r, p in pairs if r.get("label")])
    for axis in AXES:
        answered = [(r.get(axis), getattr(p, axis)) for r, p in pairs]
        report |= _axis(axis, [pair for pair in answered if None not in pair])
    known = [(holds(row), p.holds) for row, p in pairs]
    report |= _yes_or_no("holds", [pair for pair in known if None not in pair])
    if not report:
        raise EvaluationError("no row says what this model answers")
    return {"rows": len(pairs)} | report


def _label(pairs: list[tuple]) -> dict:
    """Give the figures of (label, prediction); two classes without POSSIBLE."""
    if not pairs:
        return {}
    labels = [TWO_CLASSES.get(label, label) for label, _ in pairs]
    gold, scores = _arrays(LABELS, labels, [answer for _, answer in pairs])
    report = _negated_or_not(gold, scores)
    if "POSSIBLE" in labels:
        report |= _classes(LABELS, gold, scores)
    return report


def _axis(axis: str, pairs: list[tuple]) -> dict:
    """Give the figures of (value, choice); two classes if the file tells two only."""
    if not pairs:
        return {}
    values, choices = zip(*pairs)
    report = {"rows": len(pairs)}
    if NOT_PATIENT not in values:
        report |= _classes(AXES[axis], *_arrays(AXES[axis], values, choices))
    if axis == "experiencer":
        other = [(v != "PATIENT", c.label != "PATIENT") for v, c in pairs]
        report |= _yes_or_no("not_the_patient", other)
    return {axis: report}


def _arrays(names, gold, answers) -> tuple[np.ndarray, np.ndarray]:
    """Give indices of *names* (rows,) and probabilities (rows, names)."""
    scores = [[answer.scores[name] for name in names] for answer in answers]
    return np.array([names.index(name) for name in gold]), np.array(scores)


def _yes_or_no(name: str, pairs: list[tuple[bool, bool]]) -> dict:
    """Give precision, recall and F1 of "yes", of (right, guessed)."""
    if not pairs:
        return {}
    gold, guessed = np.array(pairs, int).T
    table = confusion(gold, guessed, size=2)
    figures = _figures(table, bootstrap_f1(gold, guessed, size=2), 1)
    return {name: {"rows": len(pairs)} | figures}


def _figures(table: np.ndarray, intervals: np.ndarray, index: int) -> dict:
    hits, (low, high) = int(table[index, index]), intervals[index].tolist()
    f1 = float(np.nan_to_num(f1_scores(table)[index]))
    return {
        "precision": share(hits, int(table[:, index].sum())),
        "recall": share(hits, int(table[index].sum())),
        "f1": {"value": f1, "low": low, "high": high},
    }


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


def _classes(names: tuple[str, ...], gold: np.ndarray, scores: np.ndarray) -> dict:
    guessed, size = scores.argmax(1), len(names)
    table = confusion(gold, guessed, size)
    intervals = bootstrap_f1(gold, guessed, size)
    bins = reliability(scores.max(1), guessed == gold)
    low, high = intervals[-1].tolist()
    return {
        "accuracy": share(int(np.trace(table)), len(gold)),
        "labels": {n: _figures(table, intervals, i) for i, n in enumerate(names)},
        "macro_f1": {"value": macro_f1(table), "low": low, "high": high},
        "confusion": table.tolist(),
        "ece": calibration_error(bins),
        "bins": bins,
    }


# --- errors -------------------------------------------------------------------


def worst(rows: list[dict], predictions: list, number: int = NUM_WORST) -> list[dict]:
    """Give the errors that were made with the highest scores, text included."""
    errors = []
    for line, (row, prediction) in enumerate(zip(rows, predictions), start=1):
        for question in QUESTIONS:
            answer = prediction.choice(question)
            given = None if row.get("debatable") else row.get(question)
            if not given or not answer or _agrees(given, answer.label):
                continue
            found = {"row": line, "question": question, "predicted": answer.label}
            errors.append(row | found | {"score": round(answer.score, 4)})
    return sorted(errors, key=lambda error: -error["score"])[:number]


def _agrees(given: str, guessed: str) -> bool:
    if given in TWO_CLASSES:
        return (TWO_CLASSES[given] == "ABSENT") == (guessed == "ABSENT")
    return given == guessed or given == NOT_PATIENT and guessed != "PATIENT"


def error_line(error: dict) -> str:
    """Lay out one of :func:`worst` for reading, its entity in brackets."""
    text, start, end = error["text"], error["start"], error["end"]
    if start is not None:
        first, last = max(0, start - 100), end + 100
        text = f"{text[first:start]}[{text[start:end]}]{text[end:last]}"
    given = error[error["question"]]
    said = f"row {error['row']}: {given}, predicted {error['predicted']}"
    return f"{said} {error['score']:.2f}: {' '.join(text.split())}"


# --- table --------------------------------------------------------------------


def table(report: dict) -> str:
    """Lay out *report* for reading."""
    lines = [f"{report['rows']} entities; 95 % intervals in brackets"]
    lines += _lines(report)
    for axis in AXES:
        if axis in report:
            lines += ["", "", f"{axis}: {report[axis]['rows']} entities"]
            lines += _lines(report[axis])
    if "holds" in report:
        lines += ["", "", f"holds: {report['holds']['rows']} entities"]
        lines += ["", _heading(10), _figures_line("true", report["holds"], 10)]
    notes = "shares: Wilson; F1: bootstrap, 1,000 rounds; ECE: 10 bins of equal mass"
    return "\n".join([*lines, "", notes])


def _lines(report: dict) -> list[str]:
    """Lay out the figures of the label or of an axis."""
    lines = [""]
    if "labels" in report:
        lines += _class_lines(report["labels"])
    if "not_the_patient" in report:
        lines += [] if "labels" in report else [_heading(15)]
        lines.append(_figures_line("not the patient", report["not_the_patient"], 15))
    if "labels" in report:
        lines += ["", f"macro-F1        {_cell(report['macro_f1'])}"]
        lines.append(f"accuracy        {_cell(report['accuracy'])}")
    if "negated_or_not" in report:
        lines.append(f"negated or not  {_cell(report['negated_or_not'])}")
    if "ece" in report:
        lines.append(f"ECE             {report['ece']:.3f}")
    if "negated_or_not" in report:
        lines.append(f"ECE negated     {report['negated_or_not_ece']:.3f}")
    return lines + _confusion_lines(report)


def _class_lines(labels: dict) -> list[str]:
    width = 15 if max(map(len, labels)) > 10 else 10
    lines = [_figures_line(label, labels[label], width) for label in labels]
    return [_heading(width), *lines]


def _heading(width: int) -> str:
    return f"{'':<{width}}{'precision':>22}{'recall':>22}{'F1':>22}"


def _figures_line(name: str, figures: dict, width: int) -> str:
    cells = (figures[key] for key in ("precision", "recall", "f1"))
    return f"{name:<{width}}" + "".join(f"{_cell(each):>22}" for each in cells)


def _confusion_lines(report: dict) -> list[str]:
    if "confusion" not in report:
        return []
    names = list(report["labels"])
    width = max(10, *(len(name) + 1 for name in names))
    rows = zip(names, report["confusion"])
    return [
        "",
        "rows: labelled, columns: predicted",
        f"{'':<{width}}" + _row_of(names, width),
        *(f"{name:<{width}}" + _row_of(counts, width) for name, counts in rows),
    ]


def _cell(figure: dict) -> str:
    if figure["value"] is None:
        return "-"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _row_of(cells, width: int) -> str:
    return "".join(f"{cell:>{width}}" for cell in cells)
