"""Lines and the list markers that they begin with.

A marker (a dash, a bullet, a number, an arrow) says where an item begins and nothing
else; a reader passes over it. A minus glued to its word is one too, unless a plus, or
another minus, beside it makes it a sign.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import count, pairwise

# Bullets by what they look like: dashes, asterisks, dots, geometric shapes, dingbats,
# arrows, what Word makes of Wingdings, what is left of a bullet in a wrong encoding.
# Boxes, ticks and crosses are not among them: see forms.py.
_BULLET = """[*\u2022\u00b7\u2023\u2043\u2219\u00a7\u00bb\u25a4-\u25fa
    \u2605\u2606\u2660-\u2667\u2700-\u2704\u2706-\u2712\u2720-\u274b\u274d\u274f-\u2767\u2794\u2798-\u27be\u2192\u21d2
    \u29bf\u2b24\u2b29\u2b25\uf0a7\uf0b7\uf0d8\uf076\uf0e0]""".replace("\n    ", "")
_MINUS = "-\u2010-\u2015\u2212"
_MARKER = re.compile(
    rf"""^ [ \t]*+ (?P<marker> (?P<minus> [{_MINUS}] ) (?= [^\W\d_] ) (?! ve\b )
    | (?P<rare> [{_MINUS}] [ \t]++ (?= \d ) | o [ \t]++ (?= [a-z] ) )
    | (?: (?: [{_MINUS}]{{1,3}}+ (?! [>+] ) | {_BULLET}{{1,2}}+ | ~ (?=[ \t])
          | [-=]{{0,2}}+ >{{1,3}}+
          | \u00e2\u20ac\u00a2 | \u00c2\u00b7 | [\u00bf\ufffd] (?=[ \t]) )
          [ \t]*+ (?! [\d>] | ve\b | [{_MINUS}*]*+ [ \t]*+ $ )
        | o (?: [ \t]++ (?= [A-Z(] ) | (?: \t | [ ]{{2}} ) [ \t]*+ (?= \w ) )
        | [\u2460-\u249b\u2776-\u2793] [ \t]*+
        | \(? \d{{1,2}} (?: \. \d{{1,2}} ){{0,3}}+ (?: [.)] | \.\) )
          (?: [ \t]++ (?= [^\d\s] ) | (?= [^\W\d_]{{2}} ) )
        | \d{{1,2}} [ ]?[:/-] [ \t]++ (?= [^\W\d_] )
        | \d{{1,2}} (?: \. \d{{1,2}} ){{1,3}}+ [ \t]++ (?= [A-Z][A-Za-z]{{2}} )
        | \[ \d{{1,2}} \] [ \t]*+ | \# \d{{1,2}} [.:)]? [ \t]++
        | \#{{1,6}} [ \t]*+ (?= [^\W\d] )
        | \(? (?: [a-z] | [ivx]{{2,4}} ) [.)] [ \t]++ (?= \w | [\[(] )
        | \( (?: [A-Z] | [IVX]{{2,4}} ) \) [ \t]++
        | (?: [A-Z] | [IVX]{{2,4}} ) [.)] [ \t]++ (?= [A-Z\[(] ) ){{1,2}}+ )""",
    re.VERBOSE | re.MULTILINE,
)
# Signs within a line: glued to a word, at its start or after a blank or a comma.
_PLUS = re.compile(r"[ \t]*(?:\(\+\)|\+ ?[^\W\d])|[^:\n]*[,;/ ] ?\+ ?[^\W\d]")
_SIGN = re.compile(rf"[{_MINUS}+][ \t]")
_MORE = re.compile(rf"[^:\n]+[,;/ ] ?[{_MINUS}+][^\W\d_]")

_INDENT = re.compile(r"^[ \t]*+", re.MULTILINE)
_SHORT_CHARS = 45  # no program wraps so early
_JOINED = re.compile(r"[ \t]*(?:and|n?or)\b")  # with the line above


def _style(first: str) -> str:
    """Give what the markers that begin like *first* have in common."""
    return "1" if first.isdigit() else "a" if first.isalpha() else first


class Lines:
    """The lines of a text, by number, and their markers.

    :ivar markers: ``(start, end)`` of each marker, blanks after it included.
    """

    def __init__(self, text: str):
        self._text = text
        # Of numbers, which the collector does not look through; matches it would.
        breaks = [newline.start() for newline in re.finditer("\n", text)]
        self._ends = [*breaks, len(text)]
        self._starts = [0, *(newline + 1 for newline in breaks)]
        self._firsts = [indent.end() for indent in _INDENT.finditer(text)]
        self._plus = "+" in text
        self.markers = dict(self._markers())

    def __len__(self) -> int:
        return len(self._ends)

    def at(self, offset: int) -> int:
        """Give the number of the line that holds *offset*."""
        return bisect_left(self._ends, offset)

    def span(self, line: int) -> tuple[int, int]:
        """Give where a line starts and ends, without its break."""
        return self._starts[line], self._ends[line]

    def group(self, found: Iterable[re.Match]) -> Iterator[tuple[int, list[re.Match]]]:
        """Give each line's matches."""
        line, held, end = 0, [], -1
        for match in found:
            if match.start() > end:
                if held:
                    yield line, held
                line, held = self.at(match.start()), []
                end = self._ends[line]
            held.append(match)
        if held:
            yield line, held

    def paragraph(self, line: int) -> int:
        """Give the number of the last blank line above *line*: what it hangs with."""
        return bisect_left(self._blank_lines, line)

    @cached_property
    def _blank_lines(self) -> list[int]:
        return [line for line in range(len(self)) if self.is_blank(line)]

    def is_blank(self, line: int) -> bool:
        return not self._text[slice(*self.span(line))].strip()

    def is_list(self, line: int) -> bool:
        """Tell whether a line's paragraph is a list: short lines that nothing ends."""
        return self.paragraph(line) in self._lists

    @cached_property
    def _lists(self) -> set[int]:
        edges = [-1, *self._blank_lines, len(self)]
        return {
            first
            for first, (above, below) in enumerate(pairwise(edges))
            if below - above > 3 and all(map(self._is_short, range(above + 1, below)))
        }

    def _is_short(self, line: int) -> bool:
        start, end = self.span(line)
        if end - start >= _SHORT_CHARS or self._text[end - 1] in ".,;!":
            return False
        return not _JOINED.match(self._text, start)

    def first(self, line: int) -> int:
        """Give where what a line holds begins, its marker included."""
        return self._firsts[line]

    def content(self, line: int) -> int:
        """Give where the words of a line begin, after its marker."""
        start = self.first(line)
        return self.markers.get(start, start)

    def holds(self, above: int, below: int) -> bool:
        """Tell whether a list's item is below a line's words, if that is one too."""
        start, item = self._firsts[above], self._firsts[below]
        if start not in self.markers:
            return True
        if _style(self._text[start]) != _style(self._text[item]):
            return True
        return item - self._starts[below] > start - self._starts[above]

    def _markers(self) -> Iterator[tuple[int, int]]:
        minuses, rare = [], {}
        for found in _MARKER.finditer(self._text):
            if found["minus"]:
                minuses.append(found)
            elif found["rare"]:
                rare[self.at(found.end())] = found
            else:
                dashed = self._plus and found["marker"][0] in "-\u2013\u2014\u2212"
                line = self.at(found.end())
                if not dashed or not (self._beside_plus(line) or line in self._signs):
                    yield found.span("marker")
        # "- 5 mmol", "o positive": an item only beside another.
        for line, found in rare.items():
            if self._beside(found["rare"][0], line):
                yield found.span("marker")
        signed = self._signed({self.at(found.end()) for found in minuses})
        for found in minuses:
            if self.at(found.end()) not in signed:
                yield found.span("marker")

    def _beside(self, marker: str, line: int) -> bool:
        """Tell whether the line above or below begins with *marker* and a blank."""
        near = (self.span(n) for n in (line - 1, line + 1) if 0 <= n < len(self))
        lines = (self._text[start:end].lstrip(" \t")[:2] for start, end in near)
        return any(line[:1] == marker and line[1:].isspace() for line in lines)

    def _beside_plus(self, line: int) -> bool:
        """Tell whether the line, or one beside it, has a plus before a word."""
        beside = range(max(0, line - 1), min(line + 2, len(self)))
        return any(_PLUS.match(self._text, *self.span(near)) for near in beside)

    @cached_property
    def _signs(self) -> set[int]:
        """The lines of runs with a plus or a minus, that begin and end with a plus."""
        found = {
            n for n in range(len(self)) if _SIGN.match(self._text, self._firsts[n])
        }
        signs = set()
        for line in found:
            if line - 1 not in found:
                after = next(n for n in count(line) if n not in found)
                run = range(line, after)
                ends = {self._text[self._firsts[n]] for n in (run[0], run[-1])}
                signs.update(run if ends == {"+"} else ())
        return signs

    def _signed(self, minuses: set[int]) -> set[int]:
        """Give the lines whose first minus is a sign.

        It is where the line holds another sign, and in every line of a run of lines
        that begin with a sign, of which one is a plus.
        """
        signed = {n for n in minuses if _MORE.match(self._text, *self.span(n))}
        if not self._plus:
            return signed
        for step in (1, -1):
            near = False
            for line in range(len(self))[::step]:
                if _PLUS.match(self._text, *self.span(line)):
                    near = True
                elif near and line in minuses:
                    signed.add(line)
                else:
                    near = False
        return signed
