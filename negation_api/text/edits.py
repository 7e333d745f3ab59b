"""What a reader takes a piece of a text for."""

from bisect import bisect_left
from typing import NamedTuple

from negation_api.text.spans import Span


class Edit(NamedTuple):
    """What is read in the place of ``[start, end)``."""

    start: int
    end: int
    words: str


class Claim(NamedTuple):
    """Where what another reads in the text is not taken."""

    start: int
    end: int


class Lead(NamedTuple):
    """What leads in the item that begins at ``item``: the word above its column."""

    item: int
    span: Span | None


def is_claimed(claims: list[Claim], span: tuple[int, int]) -> bool:
    """Tell whether *span* touches one of *claims*, which are in order."""
    place = bisect_left(claims, (span[1],)) - 1
    return place >= 0 and span[0] < claims[place].end
