"""Where something stands in a text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """``[start, end)`` in Unicode code points."""

    start: int
    end: int
