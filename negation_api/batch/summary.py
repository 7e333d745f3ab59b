"""How many notes and patients hold, deny, may have each term of a list.

``docs/terms.md`` says which note counts where.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator

from negation_api.contract.labels import Prediction
from negation_api.scoring import Answered

KINDS = ("holding", "denying", "possible", "family", "past")
AXES_KINDS = ("family", "past")  # nobody knows without axes
COUNTED = ("", *KINDS)  # all, and those of each kind
_SUFFIXES = ("", *(f"_{kind}" for kind in KINDS))
_COUNTS = [what + suffix for what in ("notes", "patients") for suffix in _SUFFIXES]
COLUMNS = ("term", "code", *_COUNTS)
# term, code, patient, what is said of it, whether axes are known, number of notes
Entry = tuple[str | None, str | int | None, str | int | None, list[str], bool, int]


def kinds_of(prediction: Prediction) -> set[str]:
    """Say in which columns a mention counts."""
    label = prediction.label
    kind = {"PRESENT": "holding", "ABSENT": "denying", "POSSIBLE": "possible"}[label]
    if prediction.holds is None:
        return {kind}
    whose, when = prediction.experiencer.label, prediction.temporality.label
    if whose == "FAMILY":
        return set() if label == "ABSENT" else {"family"}
    if whose != "PATIENT" or (label != "ABSENT" and when == "HYPOTHETICAL"):
        return set()
    return {kind, "past"} if kind == "holding" and when == "HISTORICAL" else {kind}


def tally(answers: Iterable[Answered]) -> list[Entry]:
    """Count the notes of a block alike in term, patient and what they say."""
    counts = Counter()
    for answer in answers:
        for (term, code), (kinds, axes) in _note(answer).items():
            patient = answer.query.patient
            counts[term, code, patient, tuple(sorted(kinds)), axes] += 1
    return [(*key, number) for key, number in counts.items()]


def _note(answer: Answered) -> dict:
    """Give what a note says of each term: of all its mentions together."""
    found = {}
    pairs = zip(answer.document.entities or (), answer.predictions)
    for entity, prediction in pairs:
        if entity.term is None and entity.code is None:
            continue
        named = entity.term, entity.code
        first, kinds, axes = found.get(_key(*named), (named, set(), False))
        axes = axes or prediction.holds is not None
        found[_key(*named)] = first, kinds | kinds_of(prediction), axes
    return {named: (kinds, axes) for named, kinds, axes in found.values()}


def _key(term: str | None, code: str | int | None):
    """Give what counts as one: a code, or a term that has none."""
    return (term,) if code is None else str(code)


class Summary:
    """Adds up what :func:`tally` gave of blocks, in order.

    :param listed: the terms and codes that have a row, found or not.
    """

    def __init__(self, listed: Iterable[tuple[str, str | int | None]] = ()):
        self._names = {}  # code or term -> both
        for term, code in listed:
            self._names.setdefault(_key(term, code), (term, code))
        self._notes = Counter()
        self._patients: dict[tuple, set] = {}
        self._axes = False

    def add(self, entries: Iterable[Entry]) -> None:
        for term, code, patient, kinds, axes, number in entries:
            key = _key(term, code)
            self._names.setdefault(key, (term, code))
            self._axes |= axes
            name = "" if patient is None else str(patient).strip()
            for kind in ("", *kinds):
                self._notes[key, kind] += number
                if name:
                    self._patients.setdefault((key, kind), set()).add(name)

    def rows(self) -> Iterator[list]:
        """Give a row of ``COLUMNS`` for each term or code, most held first."""

        def order(key):
            return -self._notes[key, "holding"], -self._notes[key, ""], str(key)

        for key in sorted(self._names, key=order):
            notes = [self._notes[key, kind] for kind in COUNTED]
            patients = [self._num_patients(key, kind) for kind in COUNTED]
            counts = map(self._cell, 2 * COUNTED, notes + patients)
            yield [*self._names[key], *counts]

    def _num_patients(self, key, kind: str) -> int | None:
        """Count the patients; None where no row says whose it is."""
        return len(self._patients.get((key, kind), ())) if self._patients else None

    def _cell(self, kind: str, number: int | None) -> int | None:
        return None if kind in AXES_KINDS and not self._axes else number

    def csv(self) -> str:
        """Give the rows as CSV."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        writer.writerows(self.rows())
        return text.getvalue()

    def table(self) -> str:
        """Give the rows to read: notes, and patients in brackets."""
        head = ["term", "code", "notes", *KINDS]
        rows = [
            [*map(_text, row[:2]), *map(_pair, row[2:8], row[8:])]
            for row in self.rows()
        ]
        widths = [max(map(len, column)) for column in zip(head, *rows)]
        lines = [
            "  ".join(
                cell.ljust(width) if column < 2 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths))
            ).rstrip()
            for line in [head, *rows]
        ]
        what = "notes (patients)" if self._patients else "notes"
        return "\n".join([*lines, f"{what}; docs/terms.md says what counts where", ""])


def _text(cell) -> str:
    text = "" if cell is None else str(cell)
    return "".join(c if c.isprintable() else " " for c in text)


def _pair(notes: int | None, patients: int | None) -> str:
    if notes is None:
        return ""
    return str(notes) if patients is None else f"{notes} ({patients})"
