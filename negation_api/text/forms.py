"""Layout that is not language: list markers, boxes, rows of answers, tables.

Finds, once for a text and in linear time, where an item of a form ends (*cuts*) and
what a reader takes a sign for (*edits*): a marker at a line's start for nothing, a box
for a sign, ``Y`` for "yes". Offsets are code points into the text; no text is changed.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

_YES = "yes|y|yeah|yep"
_NO = "no|n|nope|never"
_UNKNOWN = (
    r"unknown|unk|unsure|not\ sure|not\ known|not\ assessed|not\ asked|not\ tested\
|not\ done|not\ answered|declined\ to\ answer|n/a|\?"
)
_NONE = (
    r"none|nil|0|neg(?:ative)?\.?|non-?reactive|absent|denie[sd]|denied|not\ detected\
|not\ present|-|\(-\)|nad"
)
_SOME = r"pos(?:itive)?\.?|reactive|present|\+|\(\+\)|detected|\+/-|\(\+/-\)"
ANSWER = rf"(?:{_YES}|{_NO}|{_UNKNOWN}|{_NONE}|{_SOME})"

# What is read for an answer, by its folded words; others are read as they are.
_READ = {
    **dict.fromkeys(("y", "yeah", "yep"), "yes"),
    **dict.fromkeys(("n", "nope"), "no"),
    **dict.fromkeys(("nil", "0"), "none"),
    **dict.fromkeys(("-", "neg", "neg.", "non-reactive", "nonreactive"), "negative"),
    **dict.fromkeys(("+", "pos", "pos.", "reactive"), "positive"),
    **dict.fromkeys(("unk", "not known", "not assessed", "not asked"), "unknown"),
    **dict.fromkeys(("not answered", "declined to answer", "n/a", "?"), "unknown"),
    **dict.fromkeys(("unsure", "not sure", "not done", "not tested"), "unknown"),
}

_NEWLINE = re.compile(r"\r\n?|[\n\x0b\x0c\x85\u2028\u2029]")
BLOCK_LINES = 25  # of a form, above and below a box, that say what an empty one means
_START = r"(?:^|(?<=[\r\x0b\x0c\x85\u2028\u2029]))[ \t]*+"
_BULLET = r"""(?: (?: [-\u2013\u2014\u2010\u2212]{1,3}+ | [*\u2022\u00b7\u25aa\u25e6\u25cf]
    | [\u25cb\u2023\u2043\u27a2\u25ba\u2192\xbb] | >{1,3}+ ) [ \t]*+ (?! [\d>] | -*+ [ \t]*+ $ )
  | o [ \t]++ (?= [A-Z] )
  | \(? \d{1,2} (?: [.)] | \.\) ) [ \t]++ (?= [^\d\s] )
  | \[ \d{1,2} \] [ \t]*+ | \# \d{1,2} [.:)]? [ \t]++
  | \(? [a-z] [.)] [ \t]++ (?= \w | [\[(] )
  | \( [A-Z] \) [ \t]++ | [A-Z] [.)] [ \t]++ (?= [A-Z\[(] ) )"""
# A marker at a line's start. A sign glued to its word may be one: see _signed.
_MARKER = re.compile(
    rf"{_START} (?: (?P<minus> [-\u2013\u2014\u2212] ) (?= [^\W\d] ) | {_BULLET}{{1,2}}+ )",
    re.VERBOSE | re.MULTILINE,
)
_MINUS = frozenset("-\u2013\u2014\u2212")
_PLUS = re.compile(r"[ \t\xa0]*\+ ?[^\W\d]|[^:\n]*[,;/ ] ?\+ ?[^\W\d]")

_BOX = re.compile(
    r"""\[ (?P<square> [ _xX*\u2713\u2714\u2717\u2718] | [ ]{2,3} )? \]
    | \( (?P<round> [ _xX\u2713\u2714] | [ ]{2,3} | _{2,3} ) \)
    | (?P<sign> [\u2610-\u2612\u2713\u2714\u2717\u2718\u25a0-\u25a2\u25fb\u25fc]
      | [\u2705\u274c\u274e\u2b1b\u2b1c] )""",
    re.VERBOSE,
)
_TICKED = frozenset("xX*\u2713\u2714\u2611\u25a0\u25fc\u2705\u2b1b")
_CROSSED = frozenset("\u2717\u2718\u274c\u274e")
_X_BOX, _OTHER_TICK = "\u2612", frozenset("\u2611\u2713\u2714\u2705")
_YES_NO = re.compile(
    rf"[ \t\xa0]*(?:{_YES}|{_NO}|{_UNKNOWN})\b(?=[ \t\xa0]*(?:$|[^\w \t]|[ ]{{2}}))",
    re.I | re.X,
)
_YES_NO_END = re.compile(rf"\b(?:{_YES}|{_NO}|unknown|unsure)[ \t\xa0]*\Z", re.I | re.X)

# An answer and what stands between it and its question.
_ANSWERED = re.compile(
    rf"""(?: (?P<colon> [:=?] ) [ \t\xa0]*+ | (?P<gap> (?<![ \t|])
        (?: [ ]{{2,}}+ | [ ]*+\t[ \t]*+ | [ ]*+\|[ |]*+ | [ ] [-\u2013\u2014] [ ] ) ) )
      (?P<answer> {ANSWER} ) (?= [ \t\xa0]* (?: [,;|.\t] (?:\s|$) | [|\t] | [ ]{{2}} | $ )
      | [ \t\xa0] (?: \[ | [A-Z(] [^:=?\t|\n]{{1,50}} [:=?] (?:\s|$) ) )""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_AFTER = re.compile(r"[ \t\xa0]*[,;|.]?[ \t\xa0|]*")
_ASKED = re.compile(rf"{_START}(?P<sign>Q(?:uestion)?[ \t]?[:.)][ \t]*+)", re.I | re.M)
_REPLY = re.compile(r"(?<=[?\n])[ \t]*+(?:A|Answer|Pt|Patient)[ \t]?:[ \t]*+", re.I)
_RULE = re.compile(r"^[ \t|:]*+-[- \t|:]++$", re.M)
_PIPE = re.compile(r"(?<![ \t|])[ \t]*+\|[ \t|]*+")


class Edit(NamedTuple):
    """What is read in the place of ``[start, end)``."""

    start: int
    end: int
    words: str


class Forms:
    """The cuts and edits of a text.

    :ivar cuts: offsets in order, each the beginning of an item within a line.
    """

    def __init__(self, text: str):
        self._text = text
        self.cuts: list[int] = []
        self._edits: list[Edit] = []
        self._lines = _Lines(text)
        self._markers()
        for line, boxes in self._lines.group(_BOX.finditer(text)):
            self._boxes(*self._lines.span(line), boxes, line)
        for line, answers in self._lines.group(_ANSWERED.finditer(text)):
            self._answers(*self._lines.span(line), answers)
        if "|" in text:
            self._tables()
        self.cuts = sorted(set(self.cuts))
        self._edits = _apart(sorted(self._edits, key=itemgetter(0)))
        self._starts = [edit.start for edit in self._edits]

    def read(self, start: int, end: int) -> str:
        """Give ``text[start:end]`` as a reader takes it."""
        pieces, at = [], start
        place = bisect_left(self._starts, start)
        while place < len(self._edits) and self._starts[place] < end:
            edit = self._edits[place]
            if edit.end <= end:
                pieces += [self._text[at : edit.start], edit.words]
                at = edit.end
            place += 1
        return "".join(pieces) + self._text[at:end]

    def _edit(self, start: int, end: int, words: str) -> None:
        self._edits.append(Edit(start, end, words))

    # --- markers --------------------------------------------------------------

    def _markers(self) -> None:
        """Take the list markers off lines, and "Q:" and "A:"."""
        text = self._text
        signs = "+" in text
        for found in _MARKER.finditer(text):
            marker = found.group().lstrip(" \t")
            if signs and marker[0] in _MINUS and self._signed(found.start()):
                continue
            self._edit(found.end() - len(marker), found.end(), "")
        for asked in _ASKED.finditer(text):
            self._edit(*asked.span("sign"), "")
        for reply in _REPLY.finditer(text):
            self._edit(*reply.span(), " ")

    def _signed(self, at: int) -> bool:
        """Tell whether a minus is a sign: a plus is one in its line or beside it."""
        line = self._lines.at(at)
        beside = range(max(0, line - 1), min(line + 2, len(self._lines)))
        return any(_PLUS.match(self._text, *self._lines.span(n)) for n in beside)

    # --- boxes ----------------------------------------------------------------

    def _boxes(self, start: int, end: int, found: list[re.Match], line: int) -> None:
        """Read the boxes of a line, if they are a form's."""
        boxes = [(_mark(match), *match.span()) for match in found]
        if len(boxes) == 1 and boxes[0][0] == " ":
            # One empty pair of brackets within a line is a gap, not a box.
            before = self._text[start : boxes[0][1]].strip(" \t-*\u2022")
            after = self._text[boxes[0][2] : end].strip(" \t.")
            if before and after and not before.endswith((":", "?")):
                return
        first, last = self._lines.block(line)
        marks = {_mark(m) for m in _BOX.finditer(self._text, first, last)}
        listed = _MARKER.match(self._text, start, end)
        self._boxed(listed.end() if listed else start, end, boxes, marks)

    def _boxed(self, start: int, end: int, boxes, marks: set[str]) -> None:
        """Read the boxes of a line, before their items or after them."""
        text = self._text
        first, last = boxes[0], boxes[-1]
        before = text[start : first[1]].rstrip()
        leads = not before or before.endswith((":", "?", "-", ";", "|"))
        # After its items, a box ends the line.
        leads = leads or bool(text[last[2] : end].strip(" \t.;,|"))
        edge = start
        for place, (mark, begins, ends) in enumerate(boxes):
            following = boxes[place + 1][1] if place + 1 < len(boxes) else end
            sign = _sign(mark, marks)
            if leads and (answer := _YES_NO.match(text, ends, following)):
                ticked = sign == "+"
                self._edit(begins, ends if ticked else answer.end(), " ")
                later = place + 1 < len(boxes)
                if not (later and _YES_NO.match(text, boxes[place + 1][2], end)):
                    self._cut(answer.end(), end)
            elif not leads and (answer := _YES_NO_END.search(text, edge, begins)):
                self._edit(begins if sign == "+" else answer.start(), ends, " ")
                if not _YES_NO_END.search(text, ends, following):
                    self._cut(ends, end)
            else:
                self._edit(begins, ends, "" if sign == "+" else f"({sign})")
                self._cut(begins if leads else ends, end, leads and not before)
            edge = ends

    def _cut(self, at: int, end: int, whatever: bool = True) -> None:
        """Let an item begin at *at*, after blanks and stops, unless the line ends."""
        after = _AFTER.match(self._text, at, end).end()
        if after < end:
            self.cuts.append(after)

    # --- answers --------------------------------------------------------------

    def _answers(self, start: int, end: int, found: list[re.Match]) -> None:
        """Cut a row between its answers, and read each as a word."""
        for match in found:
            self._answer(match, row=len(found) > 1)
            if len(found) > 1 or match["colon"] == "?":
                self._cut(match.end("answer"), end)

    def _answer(self, match: re.Match, row: bool) -> None:
        gap, answer = match["gap"], match["answer"]
        if gap and not row and not {"\t", "|"} & set(gap) and len(gap) < 3:
            return  # "Plan - none": two blanks or a dash alone make no row
        if gap or match["colon"] == "=":
            begins = match.start("gap") if gap else match.start("colon")
            self._edit(begins, match.start("answer"), ": ")
        words = _READ.get(answer.lower())
        if words:
            self._edit(*match.span("answer"), words)

    def _tables(self) -> None:
        """Take rules and bars out of the rows of tables."""
        for rule in _RULE.finditer(self._text):
            self._edit(*rule.span(), "")
        for pipe in _PIPE.finditer(self._text):
            self._edit(*pipe.span(), " ")


class _Lines:
    """The lines of a text, by number."""

    def __init__(self, text: str):
        self._text = text
        self._ends = [found.start() for found in _NEWLINE.finditer(text)] + [len(text)]

    def __len__(self) -> int:
        return len(self._ends)

    def at(self, offset: int) -> int:
        """Give the number of the line that holds *offset*."""
        return bisect_left(self._ends, offset)

    def span(self, line: int) -> tuple[int, int]:
        """Give where a line starts and ends, without its break."""
        return self._ends[line - 1] + 1 if line else 0, self._ends[line]

    def group(self, found: Iterable[re.Match]) -> Iterator[tuple[int, list[re.Match]]]:
        """Give each line's matches."""
        return (
            (line, list(matches))
            for line, matches in groupby(found, lambda match: self.at(match.start()))
        )

    def block(self, line: int) -> tuple[int, int]:
        """Give the span of the lines around *line*, up to a blank one."""
        first = last = line
        while first and line - first < BLOCK_LINES and not self._is_blank(first - 1):
            first -= 1
        while last + 1 < len(self) and last - line < BLOCK_LINES:
            if self._is_blank(last + 1):
                break
            last += 1
        return self.span(first)[0], self.span(last)[1]

    def _is_blank(self, line: int) -> bool:
        start, end = self.span(line)
        return not self._text[start:end].strip()


def _mark(box: re.Match) -> str:
    """Give what is in a box, a blank if nothing."""
    mark = box["square"] or box["round"] or box["sign"] or ""
    return mark.strip(" _") or " "


def _sign(mark: str, marks: set[str]) -> str:
    """Give what a box means: ``+`` ticked, ``-`` not, ``?`` where none is ticked."""
    if mark == _X_BOX:
        return "-" if marks & _OTHER_TICK else "+"
    if mark in _TICKED:
        return "+"
    if mark in _CROSSED:
        return "-"
    return "-" if marks & (_TICKED | {_X_BOX}) else "?"


def _apart(edits: list[Edit]) -> list[Edit]:
    """Drop what lies inside an edit before it."""
    kept, end = [], -1
    for edit in edits:
        if edit.start >= end:
            kept.append(edit)
            end = edit.end
    return kept
