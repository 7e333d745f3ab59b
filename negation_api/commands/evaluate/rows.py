"""The labelled rows of a file.

One JSON object a line: ``text``, ``start``, ``end`` (code points; null for an
unmarked sentence), and what is known of ``label``, ``experiencer``, ``temporality``
and ``holds``; null is left out of the figures, as is all of a ``debatable`` row. An
``id`` names the row in reports; other members are ignored.

A source that tells two classes only says "NEGATED" or "AFFIRMED" for the label,
"NOT_PATIENT" for another's.
"""

import json
from pathlib import Path

from negation_api.contract.labels import AXES, LABELS

TWO_CLASSES = {"NEGATED": "ABSENT", "AFFIRMED": "PRESENT"}
NOT_PATIENT = "NOT_PATIENT"
QUESTIONS = {"label": LABELS, **AXES}
_VALUES = QUESTIONS | {
    "label": (*LABELS, *TWO_CLASSES),
    "experiencer": (*AXES["experiencer"], NOT_PATIENT),
}


class EvaluationError(ValueError):
    """The file cannot be evaluated; the message is one line without clinical text."""


def read_rows(path: Path) -> list[dict]:
    """Read and check the labelled rows of *path*.

    :raises EvaluationError: names the first line that is wrong, without its text.
    """
    rows = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    rows.append(row_of(line, f"{path}:{number}"))
    except OSError as error:
        raise EvaluationError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise EvaluationError(f"{path}: not UTF-8") from None
    if not rows:
        raise EvaluationError(f"{path}: no rows")
    return rows


def row_of(line: str, location: str) -> dict:
    """Read and check one line; *location* names it in errors."""
    try:
        row = json.loads(line)
    except ValueError:
        raise EvaluationError(f"{location}: not JSON") from None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise EvaluationError(f"{location}: needs an object with a string text")
    start, end = row.get("start"), row.get("end")
    if not (start is None and end is None or _is_span(row["text"], start, end)):
        raise EvaluationError(
            f"{location}: start and end must be a span of the text's"
            f" {len(row['text'])} code points, or both null"
        )
    kept = {"text": row["text"], "start": start, "end": end}
    kept |= {key: row[key] for key in ("id", "debatable") if row.get(key)}
    return kept | _answers(row, location)


def _answers(row: dict, location: str) -> dict:
    """Give what *row* says of each question; "label" always, null if unsaid."""
    answers = {"label": None}
    if not any(name in row for name in (*QUESTIONS, "holds")):
        raise EvaluationError(
            f"{location}: needs a label, an experiencer or a temporality"
        )
    for name, values in _VALUES.items():
        if row.get(name) is not None:
            answers[name] = str(row[name]).upper()
            if answers[name] not in values:
                message = f"{name} must be one of {', '.join(QUESTIONS[name])}"
                raise EvaluationError(f"{location}: {message}")
    if row.get("holds") is not None:
        if not isinstance(row["holds"], bool):
            raise EvaluationError(f"{location}: holds must be true or false")
        answers["holds"] = row["holds"]
    return answers


def _is_span(text: str, start, end) -> bool:
    if type(start) is not int or type(end) is not int:
        return False
    return 0 <= start < end <= len(text) and bool(text[start:end].strip())


def holds(row: dict) -> bool | None:
    """Tell whether by its labels the patient has it; None where they leave it open.

    >>> holds({"label": "PRESENT", "experiencer": "PATIENT", "temporality": "CURRENT"})
    True
    >>> holds({"label": None, "experiencer": "PATIENT", "temporality": "HYPOTHETICAL"})
    False
    """
    if "holds" in row:
        return row["holds"]
    label, whose, when = (row.get(name) for name in QUESTIONS)
    if not (whose and when):
        return None
    if whose != "PATIENT" or when == "HYPOTHETICAL":
        return False
    return label and TWO_CLASSES.get(label, label) == "PRESENT"
