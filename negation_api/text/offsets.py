"""Offsets as a client counts them, and as Python does."""

from bisect import bisect_left
from itertools import accumulate

OFFSET_UNITS = ("codepoint", "utf16", "utf8")


class Offsets:
    """Offsets into *text* in *unit*, to and from code points.

    ``utf16`` counts 16-bit code units (JavaScript, Java, C#), ``utf8`` bytes (Go,
    Rust). Made once for a text: linear; each offset after that: a binary search.
    """

    def __init__(self, text: str, unit: str):
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


def _starts(widths) -> list[int]:
    return list(accumulate(widths, initial=0))
