"""Tables whose columns are answers: "| Condition | Yes | No |", a mark in one.

Columns are parted by bars or tabs, or stand below each other in text of one width.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from negation_api.text.answers import CHOICE, CHOICES, CHOSEN, as_read
from negation_api.text.edits import Claim, Edit
from negation_api.text.lists import Lines

_PARTED = re.compile(
    rf"""^ [ ]*+ \|? [^\t|\n]{{0,60}}+
    (?: [\t|] [ ]*+ {CHOICE} [ ]*+ (?= [\t|\n] | \Z ) ){{2,8}}+""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_ALIGNED = re.compile(
    rf"^ [^\t|\n]{{0,60}}? (?: [ ]{{2,60}}+ {CHOICE} (?!\w) ){{2,8}}+"
    r"(?: [ ]{2,60}+ [^\t|\n]{1,30} )? [ ]*+ $",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
MARK = re.compile(r"[xX\u221a\u2713\u2714\u2611\u2612\u2717\u2718*]")
_FIRST = re.compile(r"[ ]*+\|?")
_BREAK = re.compile(r"[\t|]")
_PHRASE = re.compile(r"[^ ]+(?: [^ ]+)*+")
MAX_COLUMNS = 12
SLACK = 2  # characters that a mark may stand beside its column's word


class Cell(NamedTuple):
    """What stands below a column.

    :ivar edge: where the cell before it ends.
    :ivar column: the column's word.
    """

    edge: int
    start: int
    end: int
    column: str


def read_columns(text: str, lines: Lines) -> Iterator[int | Edit | Claim]:
    """Cut such a table between its rows, and read each mark as its column's word."""
    tables = {}
    if "   " in text:
        found = _ALIGNED.finditer(text)
        tables = {lines.at(heading.end()): _Aligned for heading in found}
    if "|" in text or "\t" in text:
        found = _PARTED.finditer(text)
        tables |= {lines.at(heading.end()): _Parted for heading in found}
    for heading, kind in tables.items():
        table = kind(text, *lines.span(heading))
        named = [cell.column.lower() for cell in table.cells(*lines.span(heading))]
        if CHOSEN.isdisjoint(named):
            continue
        rows = {}
        for line in range(heading + 1, len(lines)):
            if line in tables or lines.is_blank(line):
                break
            rows[lines.span(line)] = table.cells(*lines.span(line))
        # Two answers alike, or one below another, are results and what is normal.
        twice = len({*named}) < len(named)
        answers = {text[c.start : c.end].lower() for row in rows.values() for c in row}
        results = twice or heading - 1 in tables or not answers.isdisjoint(CHOSEN)
        if results and kind is _Aligned:
            continue
        yield Claim(*lines.span(heading))
        for (start, _), cells in rows.items():
            yield from _row(text, start, cells)


def names_answers(line: str) -> bool:
    """Tell whether *line* is the heading of such a table."""
    return bool(_PARTED.match(line) or _ALIGNED.match(line))


def _row(text: str, start: int, cells: list[Cell]) -> Iterator[int | Edit | Claim]:
    """Give the cuts and edits of a row."""
    filled = [cell for cell in cells if cell.start < cell.end]
    answers = [cell for cell in filled if cell.column.lower() in CHOICES]
    marked = [cell for cell in answers if MARK.fullmatch(text, *cell[1:3])]
    if len(answers) == len(marked) == 1:
        yield start
        yield Claim(*marked[0][1:3])
        yield Edit(cells[0].edge, marked[0].end, f": {as_read(marked[0].column)}")


class _Parted:
    """A table whose columns bars or tabs part."""

    def __init__(self, text: str, start: int, end: int):
        self._text = text
        words = _split(text, start, end)[1 : MAX_COLUMNS + 1]
        self._words = [text[start:end] for start, end in words]

    def cells(self, start: int, end: int) -> list[Cell]:
        """Give the cells of the line ``[start, end)``, without the first."""
        cells = zip(pairwise(_split(self._text, start, end)), self._words)
        return [Cell(edge, *span, word) for ((_, edge), span), word in cells if word]


class _Aligned:
    """A table whose columns stand below each other."""

    def __init__(self, text: str, start: int, end: int):
        self._text, self._start = text, start
        self._words = [word.span() for word in _PHRASE.finditer(text, start, end)]

    def cells(self, start: int, end: int) -> list[Cell]:
        """Give the cells of the line ``[start, end)`` that are below a column."""
        cells = []
        for before, cell in pairwise(_PHRASE.finditer(self._text, start, end)):
            word = column_at(self._words, cell.start() - start + self._start)
            if word:
                cells.append(Cell(before.end(), *cell.span(), self._text[slice(*word)]))
        return cells


def column_at(columns: list[tuple[int, int]], at: int) -> tuple[int, int] | None:
    """Give the one of *columns*, cells of a line, that *at* of that line is below."""
    near = [cell for cell in columns if cell[0] - SLACK <= at < cell[1] + SLACK]
    return near[0] if len(near) == 1 else None


def is_parted(text: str, start: int, end: int) -> bool:
    """Tell whether bars or tabs part the cells of a line."""
    return bool(_BREAK.search(text, start, end))


def cells_of(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Give where the words of each cell of a line start and end."""
    if is_parted(text, start, end):
        return _split(text, start, end)
    return [phrase.span() for phrase in _PHRASE.finditer(text, start, end)]


def _split(text: str, start: int, end: int) -> list[tuple[int, int]]:
    start = _FIRST.match(text, start, end).end()
    breaks = [found.start() for found in _BREAK.finditer(text, start, end)]
    edges = zip([start, *(at + 1 for at in breaks)], [*breaks, end])
    return [_strip(text, *cell) for cell in edges]


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    start = end - len(text[start:end].lstrip())
    return start, start + len(text[start:end].rstrip())
