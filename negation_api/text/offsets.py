"""Offsets as a client counts them, and as Python does."""

from bisect import bisect_left
from functools import cached_property
from itertools import accumulate

OFFSET_UNITS = ("codepoint", "utf16", "utf8")


class Offsets:
    """Offsets into *text* in *unit*, to and from code points.

    ``utf16`` counts 16-bit code units (JavaScript, Java, C#), ``utf8`` bytes (Go,
    Rust). Made once for a text: linear; each offset after that: a binary search.
    """

    def __init__(self, text: str, unit: str):
        self.unit = unit
        self._text = text
        self.length = len(text)  # of the text, in units
        self._starts = None  # unit offset of each code point; None: they are equal
        if unit == "utf16" and text and max(text) > "\uffff":
            self._starts = _starts(1 + (c > "\uffff") for c in text)
        elif unit == "utf8" and not text.isascii():
            self._starts = _starts(
                1 + (c > "\x7f") + (c > "\u07ff") + (c > "\uffff") for c in text
            )
        if self._starts:
            self.length = self._starts[-1]

    def from_code_point(self, index: int) -> int:
        """Give the offset of the code point at *index*, in 0..the text's length."""
        return index if self._starts is None else self._starts[index]

    def to_code_points(self, offset: int) -> int | None:
        """Give the code point at *offset*, or None inside a character.

        *offset* is in 0..length.
        """
        if self._starts is None:
            return offset
        index = bisect_left(self._starts, offset)
        return index if self._starts[index] == offset else None

    def words(self, start: int, end: int) -> str:
        """Give what stands from *start* to *end*, neither inside a character."""
        return self._text[self.to_code_points(start) : self.to_code_points(end)]

    def hold(self, quoted: str, start: int, end: int) -> bool:
        """Tell whether *quoted* is what stands from *start* to *end*, both at least 0.

        >>> Offsets("Pain \N{SNEEZING FACE} at night.", "utf16").hold("night", 11, 16)
        True
        """
        if not start <= end <= self.length:
            return False
        first, last = self.to_code_points(start), self.to_code_points(end)
        if first is None or last is None or last - first != len(quoted):
            return False
        return self._text.startswith(quoted, first)

    def fitting_units(self, quoted: str, start: int, end: int) -> list[str]:
        """Name the other units in which *quoted* stands from *start* to *end*."""
        return [o.unit for o in self._others if o.hold(quoted, start, end)]

    @cached_property
    def _others(self) -> list["Offsets"]:
        """The same text in the other units; once, however many entities ask."""
        units = [unit for unit in OFFSET_UNITS if unit != self.unit]
        return [Offsets(self._text, unit) for unit in units]


def _starts(widths) -> list[int]:
    return list(accumulate(widths, initial=0))
