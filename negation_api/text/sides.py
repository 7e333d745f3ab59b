"""Findings below what is said of them: "fever    chills" below "Positive    Denies"."""

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from negation_api.text.answers import ANSWERS, CHOICES, any_of
from negation_api.text.boxes import is_box
from negation_api.text.columns import MARK, SLACK, cells_of, column_at
from negation_api.text.edits import Claim, Edit, Lead
from negation_api.text.lists import Lines
from negation_api.text.rows import is_prose

_HELD = frozenset("positive positives present reports endorses admits".split())
_DENIED = frozenset("negative negatives absent denies".split())
_SIDE = rf"(?: (?:pertinent[ ])? {any_of(_HELD | _DENIED)} :?+ )"
_GAP = r"(?: [ ]*+[\t|][ ]*+ | [ ]{2,60}+ )"
# Other columns may stand before these and behind: "System   Positive   Denies   Notes".
_HEADING = re.compile(
    rf"^ [ ]*+ \|? (?: [^\t|\n]{{0,40}}? {_GAP} | [ ]*+ )"
    rf"(?P<sides> {_SIDE} (?: {_GAP} {_SIDE} ){{1,3}}+ )"
    rf"(?: {_GAP} [^\n]{{0,60}} | [ \t|]*+ ) $",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_IS_SIDE = re.compile(_SIDE, re.VERBOSE | re.IGNORECASE)
_WORD = re.compile("[a-z]+")
_BULLET = re.compile(r"[-*\u2022\u00b7][ ]+")
_NONE = frozenset("none nil n/a".split())
_KNOWN = (ANSWERS | CHOICES) - _NONE


class Cell(NamedTuple):
    """What stands in a row.

    :ivar edge: where the cell before it ends, or the line starts.
    :ivar column: where the column's word starts and ends, if it is a side.
    """

    edge: int
    start: int
    end: int
    column: tuple[int, int] | None


def names_sides(line: str) -> bool:
    """Tell whether *line* is the heading of such a table."""
    found = _HEADING.match(line)
    words = _WORD.findall(found["sides"].lower()) if found else ()
    return not (_HELD.isdisjoint(words) or _DENIED.isdisjoint(words))


def read_sides(text: str, lines: Lines) -> Iterator[int | Edit | Claim | Lead]:
    """Read each finding below the word above it."""
    if not ("  " in text or "\t" in text or "|" in text):
        return
    found = [each for each in _HEADING.finditer(text) if names_sides(each.group())]
    headings = {lines.at(heading.end()) for heading in found}
    for heading in sorted(headings):
        # Below what is asked they are answers.
        if heading and len(_filled(text, *lines.span(heading - 1))) > 1:
            continue
        below = takewhile(lambda n: n not in headings, range(heading + 1, len(lines)))
        table = _Table(text, *lines.span(heading))
        read = (table.cells(*lines.span(line)) for line in below)
        rows = list(takewhile(lambda cells: cells is not None, read))
        cells = [cell for row in rows for cell in row]
        sided = [cell for cell in cells if cell.column]
        if not sided or any(_answers(text, cell) for cell in sided):
            continue
        last = heading + len(rows)
        yield Claim(lines.span(heading)[0], lines.span(last)[1])
        if last + 1 < len(lines):
            yield lines.span(last + 1)[0]
        for cell in cells:
            yield Lead(*cell.column, cell.start) if cell.column else cell.start
            yield Edit(cell.edge, cell.start, " ")


def _filled(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Give the cells of a line that hold words."""
    cells = cells_of(text, start, end)
    return [cell for cell in cells if any(map(str.isalnum, text[slice(*cell)]))]


class _Table:
    """The columns below the heading ``[start, end)``."""

    def __init__(self, text: str, start: int, end: int):
        self._text, self._start = text, start
        self._named = cells_of(text, start, end)
        self._sides = {n for n in self._named if _IS_SIDE.fullmatch(text, *n)}
        self._parted = _is_parted(text, start, end)
        self._framed = _is_framed(text, start, end)

    def cells(self, start: int, end: int) -> list[Cell] | None:
        """Give the cells of the line ``[start, end)``, None if it is no row."""
        text = self._text
        if self._parted != _is_parted(text, start, end) or not text[start:end].strip():
            return None
        given = cells_of(text, start, end)
        pairs = (self._parted_pairs if self._parted else self._below)(start, end, given)
        if pairs is None:
            return None
        cells, edge = [], start
        for column, (begins, ends) in pairs:
            if any(map(str.isalnum, text[begins:ends])):
                bullet = _BULLET.match(text, begins, ends)
                begins = bullet.end() if bullet else begins
                side = column if column in self._sides else None
                cells.append(Cell(edge, begins, ends, side))
            edge = ends
        return cells

    def _parted_pairs(self, start: int, end: int, given: list) -> list[tuple]:
        """Give each cell with its column where bars or tabs part them."""
        if not self._framed and _is_framed(self._text, start, end):
            given = [(start, start), *given]  # nothing is in the first one
        return list(zip(self._named, given))

    def _below(self, start: int, end: int, given: list) -> list[tuple] | None:
        """Give each cell with its column where blanks part them."""
        words = [self._text[slice(*cell)] for cell in given]
        alone = len(words) == 1 and _ends(words[0])
        if alone or any(each[-1] in ":?" for each in words):
            return None
        pairs = []
        for cell in given:
            at = cell[0] - start + self._start
            names_row = at + SLACK < self._named[0][0]
            column = column_at(self._named, at)
            if column is None and not names_row:
                return None
            pairs.append((column, cell))
        return pairs


def _ends(words: str) -> bool:
    """Tell whether what stands alone in a line is a sentence, or has a label."""
    return words[-1] in ".!" or ": " in words or is_prose(words)


def _is_framed(text: str, start: int, end: int) -> bool:
    """Tell whether a line begins with a bar."""
    return text[start:end].lstrip(" ").startswith("|")


def _is_parted(text: str, start: int, end: int) -> bool:
    return text.find("|", start, end) >= 0 or text.find("\t", start, end) >= 0


def _answers(text: str, cell: Cell) -> bool:
    """Tell whether what is in *cell* is no finding but an answer to one."""
    words = text[cell.start : cell.end]
    answers = words.lower() in _KNOWN or MARK.fullmatch(words)
    return bool(answers) or is_box(text, cell.start)
