"""Tables whose columns are answers: "| Condition | Yes | No |", a mark in one.

Columns are parted by bars or tabs, or stand below each other in text of one width.
Where they are "Positive" and "Negative", findings may stand in them.
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
    rf"^ [^\t|\n]{{0,60}}? (?: [ ]{{2,60}}+ {CHOICE} ){{2,8}}+ [ ]*+ $",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_MARK = re.compile(r"[xX\u2713\u2714\u2611\u2612\u2717\u2718*]")
_SIDES = frozenset("positive negative present absent denies reports endorses".split())
_FIRST = re.compile(r"[ ]*+\|?")
_BREAK = re.compile(r"[\t|]")
_PHRASE = re.compile(r"[^ ]+(?: [^ ]+)*+")
SLACK = 2  # characters that a mark may stand beside its column's word


class Cell(NamedTuple):
    """What stands below a column, or in none.

    :ivar edge: where the cell before it ends.
    :ivar column: the column's word; "" if none.
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
        tables = {lines.at(heading.end()): _aligned for heading in found}
    if "|" in text or "\t" in text:
        found = _PARTED.finditer(text)
        tables |= {lines.at(heading.end()): _parted for heading in found}
    for heading, cells_of in tables.items():
        span = lines.span(heading)
        named = {cell.column.lower() for cell in cells_of(text, span, span)} - {""}
        if named.isdisjoint(CHOSEN):
            continue
        yield Claim(*span)
        for line in range(heading + 1, len(lines)):
            if line in tables or lines.is_blank(line):
                break
            row = lines.span(line)
            yield from _row(text, row[0], cells_of(text, span, row), named <= _SIDES)


def names_answers(line: str) -> bool:
    """Tell whether *line* is the heading of such a table."""
    return bool(_PARTED.match(line) or _ALIGNED.match(line))


def _row(text, start: int, cells: list[Cell], sides: bool) -> Iterator[int | Edit]:
    """Give the cuts and edits of a row.

    :param sides: whether findings may stand in it.
    """
    filled = [cell for cell in cells if cell.start < cell.end and cell.column]
    answers = [cell for cell in filled if cell.column.lower() in CHOICES]
    marked = [cell for cell in answers if _MARK.fullmatch(text, *cell[1:3])]
    if len(answers) == len(marked) == 1:
        label = next(cell.edge for cell in cells if cell.column)
        yield start
        yield Edit(label, marked[0].end, f": {as_read(marked[0].column)}")
    elif sides:
        for cell in filled:
            if text[cell.start : cell.end].lower() not in CHOICES:
                yield cell.edge
                yield Edit(cell.edge, cell.start, f" {cell.column}: ")


def _parted(text: str, heading: tuple, row: tuple) -> list[Cell]:
    words = [text[start:end] for start, end in _split(text, *heading)]
    cells = zip(pairwise(_split(text, *row)), words[1:])
    return [Cell(edge, *span, word) for ((_, edge), span), word in cells]


def _aligned(text: str, heading: tuple, row: tuple) -> list[Cell]:
    words = list(_PHRASE.finditer(text, *heading))
    cells = []
    for before, cell in pairwise(_PHRASE.finditer(text, *row)):
        at = cell.start() - row[0] + heading[0]
        near = [word for word in words if _is_below(word, at)]
        column = near[0].group() if len(near) == 1 else ""
        cells.append(Cell(before.end(), *cell.span(), column))
    return cells


def _is_below(word: re.Match, at: int) -> bool:
    return word.start() - SLACK <= at < word.end() + SLACK


def _split(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Give where the words of each cell of a line start and end."""
    start = _FIRST.match(text, start, end).end()
    breaks = [found.start() for found in _BREAK.finditer(text, start, end)]
    edges = zip([start, *(at + 1 for at in breaks)], [*breaks, end])
    return [_strip(text, *cell) for cell in edges]


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    start = end - len(text[start:end].lstrip())
    return start, start + len(text[start:end].rstrip())
