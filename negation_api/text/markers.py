"""The markers round an entity, and how much of what is round them is read.

Does not know sentences; ``sentences.py`` finds them.
"""

import re
import unicodedata
from collections.abc import Iterator

from negation_api.text.spans import Span

MARKER = "[entity]"

# Characters of a sentence that is given as such: so many are read on either side of
# its markers, at first and at most. No text has so few as 512 tokens in the latter.
MIN_READ_CHARS = 640
MAX_READ_CHARS = 128 * MIN_READ_CHARS

MAX_WORD_CHARS = 100  # WordPiece knows no longer word

_ANY_MARKER = re.compile(re.escape(MARKER), re.IGNORECASE)
_ROUND = str.maketrans("[]", "()")
# WordPiece reads "[ entity ]" and "[entity]" as the same three pieces.
_LOOKALIKE = re.compile(r"\[\s{0,8}(entity)\s{0,8}\]", re.IGNORECASE)


class MarkerError(ValueError):
    """A sentence holds a number of markers other than none or two, or none between."""


class EntityTooLong(ValueError):
    """An entity does not fit what the model can read, even without context."""


class SentenceTooLong(ValueError):
    """An unmarked sentence is longer than what the model can read."""


def is_marked(sentence: str) -> bool:
    """Tell whether *sentence* carries its own two markers (in any case).

    :raises MarkerError: one marker, three or more, or nothing between the two.
    """
    markers = list(_ANY_MARKER.finditer(sentence))
    if not markers:
        return False
    if len(markers) != 2:
        raise MarkerError(
            f"Must hold exactly 2 {MARKER} markers or none; given {len(markers)}."
        )
    if not sentence[markers[0].end() : markers[1].start()].strip():
        raise MarkerError(f"Must have an entity between the two {MARKER} markers.")
    return True


def marked_span(sentence: str) -> Span:
    """Give the span of a marked sentence's entity with both its markers.

    >>> marked_span("denies [entity] fever [entity].")
    Span(start=7, end=30)
    """
    first, last = _ANY_MARKER.finditer(sentence)
    return Span(first.start(), last.end())


def widening(sentence: str, entity: Span) -> Iterator[Span]:
    """Give ever wider spans of *sentence* round *entity*, ending with words.

    So that what is far from the entity need not be read, and costs nothing.

    >>> list(widening("no cough", Span(3, 8)))
    [Span(start=0, end=8)]
    """
    side, whole, part = MIN_READ_CHARS, Span(0, len(sentence)), None
    while part != whole and side <= MAX_READ_CHARS:
        start = max(0, entity.start - side)
        end = min(whole.end, entity.end + side)
        if start > 0:
            space = sentence.find(" ", start, start + MAX_WORD_CHARS)
            start = start if space < 0 else space
        if end < whole.end:
            space = sentence.rfind(" ", end - MAX_WORD_CHARS, end)
            end = end if space < 0 else space
        part = Span(start, end)
        yield part
        side *= 2


def fit_window(num_tokens: int, entity: Span, limit: int) -> Span:
    """Choose the *limit* tokens round the entity that the model shall read.

    All of these are counted in tokens. What is left beside the entity goes to
    both sides alike; what one side does not need, the other takes.

    >>> fit_window(1000, Span(500, 510), 100)
    Span(start=455, end=555)
    >>> fit_window(1000, Span(0, 10), 100)
    Span(start=0, end=100)

    :raises EntityTooLong: when the entity alone has more than *limit* tokens.
    """
    size = entity.end - entity.start
    if size > limit:
        raise EntityTooLong(
            f"The entity has {size} tokens with its markers; at most {limit} fit."
        )
    start = max(0, entity.start - (limit - size) // 2)
    end = min(num_tokens, start + limit)
    return Span(max(0, end - limit), end)


def plain(piece: str) -> str:
    """Take the brackets off a literal ``[entity]``, so that only ours mark.

    >>> plain("[entity] or [[ Entity ]]")
    'entity or (Entity)'
    """
    if "]" not in piece:
        return piece
    piece = _LOOKALIKE.sub(r"\1", piece)
    # Brackets in brackets: taking off pair by pair would take as many rounds. An
    # uncased vocabulary knows no accents.
    bare = piece if piece.isascii() else _unaccented(piece)
    return piece.translate(_ROUND) if _LOOKALIKE.search(bare) else piece


def _unaccented(piece: str) -> str:
    split = unicodedata.normalize("NFKD", piece)
    return "".join(c for c in split if unicodedata.category(c) not in _UNREAD)


_UNREAD = ("Mn", "Cc", "Cf")  # categories that an uncased tokenizer leaves out
