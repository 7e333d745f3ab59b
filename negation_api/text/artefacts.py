"""What web pages and editors leave in a text: tags, entities, characters unseen.

A text is read without them; :class:`Places` tells where what is read stands.
"""

import html
import re
from bisect import bisect_right

from negation_api.text.spans import Span

# Soft hyphens, zero-width characters, byte order marks, control characters.
UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064"
    "\ufe00-\ufe0f\ufeff]"
)
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});")
_NAME = r"[A-Za-z][\w:.-]{0,40}"
_TAG = rf"<(?P<ends>/?)(?P<tag>{_NAME})(?:\s[^<>\n]{{0,200}})?/?>"
_ARTEFACT = re.compile(
    rf"{_TAG}|(?P<breaks>&#(?:13|x0?d);&#(?:10|x0?a);)|{ENTITY.pattern}"
    rf"|(?P<unseen>{UNSEEN.pattern}+)",
    re.IGNORECASE,
)
_CLOSED = re.compile(rf"</({_NAME})\s?>")
# Of the tags of a page, those that begin or end no line; a cell ends with a tab.
_INLINE = frozenset("b i u span em strong a font sup sub small code q".split())
_CELLS = frozenset(["td", "th"])
_ALONE = frozenset("p br hr li".split())
_LINES = _ALONE.union("ul ol dl dt dd tr div table h1 h2 h3 h4 h5 h6".split())


class Places:
    """Where the pieces of a shortened text stand in the one that it was made of."""

    def __init__(self):
        self._outer: list[tuple[int, int]] = []  # what was taken out
        self._inner: list[tuple[int, int]] = []  # what is in its place

    def add(self, outer: tuple[int, int], inner: tuple[int, int]) -> None:
        """Note that *inner* was made of *outer*, behind all before."""
        self._outer.append(outer)
        self._inner.append(inner)

    def masked(self, text: str) -> str:
        """Give the whole *text* with blanks for what was taken out."""
        pieces, at = [], 0
        for start, end in self._outer:
            pieces += [text[at:start], " " * (end - start)]
            at = end
        return "".join(pieces) + text[at:]

    def inside(self, span: Span) -> Span:
        """Give where *span* of the whole text is in the shortened one."""
        return _moved(span, self._outer, self._inner)

    def outside(self, span: Span) -> Span:
        """Give where *span* of the shortened text is in the whole one."""
        return _moved(span, self._inner, self._outer)


def _moved(span: Span, known: list, wanted: list) -> Span:
    start, end = (_move(at, known, wanted) for at in (span.start, span.end))
    return Span(start[0], end[1])


def _move(at: int, known: list, wanted: list) -> tuple[int, int]:
    """Give the first and the last place that *at* may be."""
    piece = bisect_right(known, (at, at)) - 1
    if piece < 0:
        return at, at
    start, end = known[piece]
    if at < end or start == end == at:
        return wanted[piece][0], wanted[piece][at > start]
    moved = wanted[piece][1] + at - end
    return moved, moved


def shorten(text: str) -> tuple[str, Places | None]:
    """Give *text* without artefacts, and its places; None if it has none.

    >>> shorten("No&#32;fever&amp;chills")[0]
    'No fever&chills'
    """
    if not ("&" in text or "<" in text or not text.isascii()):
        return text, None
    closed = {name.lower() for name in _CLOSED.findall(text)}
    pieces, length, at, places = [], 0, 0, Places()
    for match in _ARTEFACT.finditer(text):
        shown = _shown(match, closed)
        if shown is None:
            continue
        pieces += [text[at : match.start()], shown]
        length += match.start() - at
        places.add(match.span(), (length, length + len(shown)))
        length, at = length + len(shown), match.end()
    return ("".join(pieces) + text[at:], places) if pieces else (text, None)


def _shown(match: re.Match, closed: set[str]) -> str | None:
    """Give what is read for an artefact, None if it is none."""
    if match["unseen"]:
        return ""
    if match["breaks"]:
        return "\n"
    if match["tag"]:
        name = match["tag"].lower()
        if name not in closed and name not in _ALONE:
            return None
        if name in _CELLS:
            return "\t" if match["ends"] else ""
        if name in _INLINE:
            return " "
        return "\n" if name in _LINES or _ends_line(match) else _between(match)
    shown = html.unescape(match.group())
    return None if shown == match.group() else shown.replace("\r", "\n")


def _ends_line(tag: re.Match) -> bool:
    """Tell whether *tag* stands beside another, or at the end of a line."""
    text, start, end = tag.string, *tag.span()
    before, behind = text[max(0, start - 1) : start], text[end : end + 1]
    return before in ("", ">", "\n") or behind in ("", "<", "\n")


def _between(tag: re.Match) -> str:
    """Give what is read for a tag in running text: "on <DATE>2020</DATE>"."""
    beside = tag.string[tag.start() - 1] + tag.string[tag.end()]
    return "" if any(map(str.isspace, beside)) or beside[1] in ".,;:" else " "
