"""Tables whose columns are answers: "| Condition | Yes | No |", a mark in one.

Columns are parted by bars or tabs, or stand below each other in text of one width.
"""

import re
from collections.abc import Iterator

from negation_api.text.answers import CHOICE, CHOICES, CHOSEN, as_read
from negation_api.text.edits import Claim, Edit
from negation_api.text.lists import Lines

_HEADING = re.compile(
    rf"""^ [ ]*+ \|? [^\t|\n]{{0,60}}+
    (?: [\t|] [ ]*+ {CHOICE} [ ]*+ (?= [\t|\n] | \Z ) ){{2,8}}+""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_ALIGNED = re.compile(
    rf"^ [^\t|\n]{{0,60}}? (?P<columns> (?: [ ]{{2,60}}+ {CHOICE} ){{2,8}}+ ) [ ]*+ $",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_COLUMN = re.compile(r"[^ ]+(?: [^ ]+)*+")
_MARK = re.compile(r"[xX\u2713\u2714\u2611\u2612\u2717\u2718*]")
_LONE_MARK = re.compile(rf"[^ \t|][ ]{{2,}}(?P<mark>{_MARK.pattern})[ ]*(?:\n|\Z)")
SLACK = 2  # characters that a mark may stand beside its column's word
_FIRST = re.compile(r"[ ]*+\|?")
_BREAK = re.compile(r"[\t|]")


def read_columns(text: str, lines: Lines) -> Iterator[int | Edit | Claim]:
    """Cut such a table between its rows, and read each mark as its column's word."""
    if "|" in text or "\t" in text:
        yield from _parted(text, lines)
    if "   " in text:
        yield from _aligned(text, lines)


def _parted(text: str, lines: Lines) -> Iterator[int | Edit | Claim]:
    headings = {lines.at(found.end()) for found in _HEADING.finditer(text)}
    for heading in headings:
        columns = _cells(text, *lines.span(heading))
        named = {text[start:end].lower() for start, end in columns}
        if named.isdisjoint(CHOSEN):
            continue
        yield Claim(*lines.span(heading))
        for line in range(heading + 1, len(lines)):
            if line in headings or lines.is_blank(line):
                break
            start, end = lines.span(line)
            cells = _cells(text, start, end)
            answers = [
                (cell, column)
                for cell, column in zip(cells[1:], columns[1:])
                if text[slice(*column)].lower() in CHOICES and cell[0] < cell[1]
            ]
            marked = [both for both in answers if _MARK.fullmatch(text, *both[0])]
            if len(answers) == len(marked) == 1:
                (_, ends), column = marked[0]
                word = text[slice(*column)]
                yield start
                yield Edit(cells[0][1], ends, f": {as_read(word)}")


def _aligned(text: str, lines: Lines) -> Iterator[int | Edit | Claim]:
    headings = {lines.at(found.end()): found for found in _ALIGNED.finditer(text)}
    for heading, found in headings.items():
        left = lines.span(heading)[0]
        words = list(_COLUMN.finditer(text, *found.span("columns")))
        if CHOSEN.isdisjoint(word.group().lower() for word in words):
            continue
        yield Claim(*found.span())
        for line in range(heading + 1, len(lines)):
            if line in headings or lines.is_blank(line):
                break
            start, end = lines.span(line)
            row = _LONE_MARK.search(text, start, end + 1)
            at = row.start("mark") - start + left if row else -1
            near = [word for word in words if _is_below(word, at)]
            if len(near) == 1:
                yield start
                yield Edit(row.start() + 1, end, f": {as_read(near[0].group())}")


def _is_below(word: re.Match, at: int) -> bool:
    return word.start() - SLACK <= at < word.end() + SLACK


def names_answers(line: str) -> bool:
    """Tell whether *line* is the heading of such a table."""
    return bool(_HEADING.match(line) or _ALIGNED.match(line))


def _cells(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Give where the words of each cell of a line start and end."""
    start = _FIRST.match(text, start, end).end()
    breaks = [found.start() for found in _BREAK.finditer(text, start, end)]
    edges = zip([start, *(at + 1 for at in breaks)], [*breaks, end])
    return [_strip(text, *cell) for cell in edges]


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    start = end - len(text[start:end].lstrip())
    return start, start + len(text[start:end].rstrip())
