"""The rows of a CSV file, and how to go on after what is no CSV.

One quote too few makes a reader take all that follows for a cell, up to where it
stumbles over the next one. So of a row that cannot be read only the first line is sure
to be its own. The next row begins after the line at which its quotes are even, as they
are where somebody forgot to double them; or earlier, at a line from which a row of this
file can be read without a quote in a wrong place. What lies between is passed over.

Where the next quote happens to stand between two cells, the reader does not stumble,
and gives a row of many lines. That is no row if it has not the header's cells, nor if
all its lines but the first make rows by themselves; see :meth:`CSVRows.hides_rows`.
"""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import TextIO

from negation_api.contract.errors import Invalid

UTF8 = "utf-8", "surrogateescape"
LONG_CELLS = 16  # of the longest kind are held in memory as one row
_CELL = r'(?:"(?:[^"]++|"")*+"|[^",\r\n]*+)'
_WELL_FORMED = re.compile(rf"{_CELL}(?:,{_CELL})*+[\r\n]*")


def lines_of(text: TextIO, max_chars: int) -> Iterator[tuple[str, int]]:
    """Give each line with its size in bytes; of one that is too long the beginning.

    A line ends with a line feed, a carriage return or both.
    """
    while piece := text.readline(max_chars + 2):  # two more, for the line's end
        size, last = _size(piece), piece
        while last and last[-1] not in "\r\n":
            last = text.readline(max_chars)
            size += _size(last)
        yield piece, size


def _size(piece: str) -> int:
    return len(piece.rstrip("\r\n").encode(*UTF8))


class CSVRows:
    """The rows of *text*, taken one by one.

    :param max_chars: longest cell.
    :ivar number: of lines taken.
    """

    def __init__(self, text: TextIO, max_chars: int):
        csv.field_size_limit(max_chars)
        self.number = 0
        self._max_chars = max_chars * LONG_CELLS
        self._text = lines_of(text, self._max_chars)
        self._ahead = deque()  # lines that were given back
        self._lines: list[str] = []  # of this row
        self._num_chars = 0  # of these
        self._reader = csv.reader(self, strict=True)

    def __iter__(self) -> "CSVRows":
        return self

    def __next__(self) -> str:
        """Take a line, for the reader."""
        line = self._next()
        self._num_chars += len(line)
        if self._num_chars > self._max_chars:
            raise csv.Error(f"row of more than {self._max_chars} characters")
        return line

    def _next(self) -> str:
        line = self._ahead.popleft() if self._ahead else next(self._text)[0]
        self._lines.append(line)
        self.number += 1
        return line

    def take(self) -> list[str] | Invalid | None:
        """Take the cells of the next row, or what is wrong; None at the end."""
        self._lines.clear()
        self._num_chars = 0
        try:
            return next(self._reader, None)
        except csv.Error as error:
            return Invalid.at(f"Not CSV: {error}.")

    @property
    def num_lines(self) -> int:
        """How many lines the row that was taken stands on."""
        return len(self._lines)

    def hides_rows(self, is_row: Callable[[list[str]], bool]) -> bool:
        """Tell whether the row that was taken lacks a quote on its first line.

        Its other lines can be read as rows then, the last of which goes on behind it,
        and what stands directly behind it cannot.

        :param is_row: tells whether cells are such as the file's rows have.
        """
        size, lines, found = self.num_lines, self._lines[:1], True
        self._give_back(1)
        while found and len(lines) < size:
            found = self._take_row(is_row)
            lines += self._lines
        self._lines = lines
        self._give_back(size)
        while len(lines) < size:
            self._next()
        self._lines = []
        hides = found and not self._is_at_row(is_row)
        self._lines = lines
        return hides

    def pass_over(self, is_row: Callable[[list[str]], bool]) -> int:
        """Go from a row that could not be read to where the next one begins.

        :param is_row: tells whether cells are such as the file's rows have.
        :return: the number of lines that are passed over, the row's first not counted.
        """
        self._give_back(1)
        num_lines, num_quotes = 0, self._lines[0].count('"')
        while num_quotes % 2 and not self._is_at_row(is_row):
            num_quotes += self._next().count('"')
            num_lines += 1
        return num_lines

    def _is_at_row(self, is_row: Callable[[list[str]], bool]) -> bool:
        """Tell whether a row, or nothing, follows."""
        is_at_row = self._take_row(is_row) or not self._lines
        self._give_back(0)
        return is_at_row

    def _take_row(self, is_row: Callable[[list[str]], bool]) -> bool:
        """Take the next row, and tell whether it is one, with no quote out of place."""
        cells = self.take()
        if not cells or isinstance(cells, Invalid) or not is_row(cells):
            return False
        return _WELL_FORMED.fullmatch("".join(self._lines)) is not None

    def _give_back(self, first: int) -> None:
        """Give this row's lines back, from the *first* on."""
        self._ahead.extendleft(reversed(self._lines[first:]))
        self.number -= len(self._lines) - first
        del self._lines[first:]
