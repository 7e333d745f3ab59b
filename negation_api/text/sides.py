"""Findings below what is said of them: "fever    chills" below "Positive    Denies"."""

import re
from collections.abc import Collection, Container, Iterator
from typing import NamedTuple

from negation_api.text.answers import ANSWERS, CHOICES, any_of
from negation_api.text.boxes import is_box
from negation_api.text.columns import MARK, SLACK, cells_of, column_at, is_parted
from negation_api.text.edits import Claim, Edit, Lead
from negation_api.text.flowsheets import ASKS_TO_CHOOSE
from negation_api.text.lists import Lines
from negation_api.text.rows import SAID_OF_ALL, is_prose
from negation_api.text.sections import RELATIVES, kind_of
from negation_api.text.spans import Span

_HELD = frozenset("positive positives present reports endorses admits".split())
_DENIED = frozenset("negative negatives absent denies".split())
_WORDS = rf"""(?: (?:pertinent|patient|pt)[ ] )? {any_of(_HELD | _DENIED)}
    (?: [ ] (?: findings? | symptoms? | signs? | for | to ) )?"""
_BEHIND = r"""(?: [ ] (?: ros | history | hx ) )?
    (?: [ ]? \( (?: \d{1,2} | [+-] ) \) )? :?+ [*_]{0,3}"""
_SIDE = rf"(?: [*_]{{0,3}} {_WORDS} {_BEHIND} )"
_GAP = r"(?: [ ]*+[\t|][ ]*+ | [ ]{2,60}+ )"
# Other columns may stand before these and behind: "System   Positive   Denies   Notes".
_HEADING = re.compile(
    rf"^ [ ]*+ \|? (?: [^\t\n]{{0,40}}? {_GAP} | [ ]*+ )"
    rf"(?P<sides> {_SIDE} (?: {_GAP} {_SIDE} ){{1,3}}+ )"
    rf"(?: {_GAP} [^\n]{{0,60}} | [ \t|]*+ ) $",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_IS_SIDE = re.compile(
    rf"[*_]{{0,3}} (?P<word> {_WORDS} ) {_BEHIND}", re.VERBOSE | re.IGNORECASE
)
_WORD = re.compile("[a-z]+")
_BULLET = re.compile(r"[-*\u2022\u00b7][ ]+")
_SIGNS = frozenset("+ (+) ++ +++ ++++ +/- (+/-)".split())
_KNOWN = (ANSWERS | CHOICES).difference("none nil n/a".split())


class Cell(NamedTuple):
    """What stands in a row.

    :ivar edge: where the cell before it ends, or the line starts.
    :ivar word: what leads in it: the column's word, but for one that names the row.
    :ivar is_sided: whether that says what its findings are.
    :ivar words: what it holds, in small letters.
    """

    edge: int
    start: int
    end: int
    word: Span | None
    is_sided: bool
    words: str


class _Column(NamedTuple):
    start: int
    end: int
    word: Span | None = None
    is_side: bool = False


def names_sides(line: str) -> bool:
    """Tell whether *line* is the heading of such a table."""
    found = _HEADING.match(line)
    words = _WORD.findall(found["sides"].lower()) if found else ()
    return not (_HELD.isdisjoint(words) or _DENIED.isdisjoint(words))


def read_sides(
    text: str, lines: Lines, sections: Container[int]
) -> Iterator[Edit | Claim | Lead]:
    """Read each finding below the word above it.

    :param sections: where the sections begin.
    """
    if not ("  " in text or "\t" in text or "|" in text):
        return
    found = [each for each in _HEADING.finditer(text) if names_sides(each.group())]
    headings = {lines.at(heading.end()) for heading in found}
    for heading in sorted(headings):
        table = _Table(text, *lines.span(heading))
        if heading and table.answers(*lines.span(heading - 1)):
            continue
        last, rows = table.rows(lines, heading, headings, sections)
        if not _are_findings(text, rows.values()):
            continue
        yield Claim(lines.span(heading)[0], lines.span(last)[1])
        if last + 1 < len(lines):
            yield Lead(lines.first(last + 1), None)
        for line, row in rows.items():
            for cell in row:
                yield Lead(cell.start, None if cell.words in _KNOWN else cell.word)
                yield Edit(cell.edge, cell.start, " ")
            end = lines.span(line)[1]
            if row and row[-1].end < end:
                yield Edit(row[-1].end, end, "")


class _Table:
    """The columns below the heading ``[start, end)``."""

    def __init__(self, text: str, start: int, end: int):
        self._text, self._start = text, start
        self._barred = "|" in text[start:end]
        self._parted = is_parted(text, start, end)
        self._framed = _is_framed(text, start, end)
        self._columns = []
        for cell in _trimmed(cells_of(text, start, end)):
            side = _IS_SIDE.fullmatch(text, *cell)
            word = Span(*(side.span("word") if side else cell))
            first = not side and not any(each.is_side for each in self._columns)
            self._columns.append(_Column(*cell, None if first else word, bool(side)))

    def answers(self, start: int, end: int) -> bool:
        """Tell whether the heading answers the line ``[start, end)`` above it."""
        text = self._text
        line = text[start:end]
        if RELATIVES.search(line) or ASKS_TO_CHOOSE.search(line):
            return True  # of whom all is said; what is to choose from
        asked = _trimmed(cells_of(text, start, end))
        if len(asked) < 2 or len(asked) != len(self._columns):
            return False
        if not all(column.is_side for column in self._columns):
            return False
        below = {self._at(cell, start) for cell in asked}
        return self._parted or len(below - {None}) == len(asked)

    def rows(
        self, lines: Lines, heading: int, headings, sections
    ) -> tuple[int, dict[int, list[Cell]]]:
        """Give the last line of the table below *heading*, and each row's cells."""
        last, rows = heading, {}
        if heading + 1 < len(lines) and lines.is_blank(heading + 1):
            last += 1
        for line in range(last + 1, len(lines)):
            if line in headings:
                break
            row = self._row(*lines.span(line))
            if row is not None and len(row) == 1 and lines.first(line) in sections:
                row = None
            if row is not None:
                rows[line] = row
                last = line
            elif not self._barred or line - last > 1 or lines.is_blank(line):
                break  # of a table with bars one wrapped line is let pass
        return last, rows

    def _row(self, start: int, end: int) -> list[Cell] | None:
        """Give the cells of the line ``[start, end)``, None if it is no row."""
        text = self._text
        line = text[start:end]
        if not any(map(str.isalnum, line)):
            return [] if line.strip() else None  # a rule
        given = _trimmed(cells_of(text, start, end))
        if self._parted:
            pairs = self._parted_row(start, end, given)
        else:
            pairs = self._aligned_row(start, given)
        if pairs is None:
            return None
        cells, edge = [], start
        for column, (begins, ends) in pairs:
            words = text[begins:ends]
            if not self._is_cell(column, words, len(pairs)):
                return None
            plain = words[:1].isalnum()
            if plain or any(map(str.isalnum, words)) or words in _SIGNS:
                bullet = None if plain else _BULLET.match(text, begins, ends)
                begins = bullet.end() if bullet else begins
                said = text[begins:ends].lower()
                cells.append(
                    Cell(edge, begins, ends, column.word, column.is_side, said)
                )
                edge = ends
        return cells

    def _parted_row(self, start: int, end: int, given: list) -> list[tuple] | None:
        """Give each cell with its column where bars or tabs part them."""
        if not is_parted(self._text, start, end):
            return None
        if not self._framed and _is_framed(self._text, start, end):
            given = [(start, start), *given]  # nothing is in the first one
        columns = self._columns
        if len(given) == len(columns) + 1:  # its first column has no heading
            columns = [_Column(start, start), *columns]
        return None if len(given) > len(columns) else list(zip(columns, given))

    def _aligned_row(self, start: int, given: list) -> list[tuple] | None:
        """Give each cell with its column where blanks part them."""
        left, columns = self._columns[0].start - SLACK, []
        for cell in given:
            column = self._at(cell, start)
            if column is None and not columns and cell[0] - start + self._start < left:
                column = _Column(start, start)  # its first column has no heading
            columns.append(column)
        if None not in columns and len({c.start for c in columns}) == len(columns):
            return list(zip(columns, given))
        same = len(given) == len(self._columns)
        return list(zip(self._columns, given)) if same else None

    def _at(self, cell: tuple[int, int], start: int) -> _Column | None:
        """Give what column *cell*, of the line that begins at *start*, is below."""
        return column_at(self._columns, cell[0] - start + self._start)

    def _is_cell(self, column: _Column, words: str, num_cells: int) -> bool:
        """Tell whether *words* may stand in a row, and are not what follows it."""
        if not words or column.word is None:
            return True
        if words[-1] in ":?" or kind_of(words) is not None:
            return False
        alone = num_cells == 1 and _ends(words)
        return self._barred or not (alone or ": " in words)


def _are_findings(text: str, rows: Collection[list[Cell]]) -> bool:
    """Tell whether *rows* hold findings, and not answers or lines of their own."""
    sided = [cell for row in rows for cell in row if cell.is_sided]
    for cell in sided:
        words = cell.words
        if words in _SIGNS or MARK.fullmatch(words) or is_box(text, cell.start):
            return False
    columns = {cell.word for cell in sided}
    in_columns = len(columns) > 1 or any(len(row) > 1 for row in rows)
    return in_columns and 2 * sum(c.words in _KNOWN for c in sided) < len(sided)


def _ends(words: str) -> bool:
    """Tell whether what stands alone in a line is a sentence, or has a label."""
    said = is_prose(words) or SAID_OF_ALL.search(words)
    return bool(said) or words[-1] in ".!" or ": " in words


def _is_framed(text: str, start: int, end: int) -> bool:
    """Tell whether a line begins with a bar."""
    return text[start:end].lstrip(" ").startswith("|")


def _trimmed(cells: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Leave out the blank cells at the end."""
    if not cells or cells[-1][0] < cells[-1][1]:
        return cells
    filled = (at for at, (start, end) in enumerate(cells, start=1) if start < end)
    return cells[: max(filled, default=0)]
