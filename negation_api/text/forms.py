"""Layout that is not language: boxes, rows of answers, questions, tables.

Finds, once for a text and in linear time, where an item of a form ends (*cuts*) and
what a reader takes a sign for (*edits*): a list marker for nothing, a box for a sign,
``Y`` for "yes". Offsets are code points into the text; no text is changed.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

from negation_api.text import inline, rows
from negation_api.text.edits import Edit
from negation_api.text.lists import Lines
from negation_api.text.rows import AFTER as _AFTER

_SHORT = "yes|no|y|n|yeah|yep|nope|never|unknown|unk|unsure|n/a|not[ ]sure"

_EMPTY = "\u2610\u25a1\u25a2\u25fb\u2b1c\uf06f\uf071\uf0a8"
_TICKS = "\u2611\u2713\u2714\u2705\u221a\U0001f5f8\U0001f5f9\uf0fc\uf0fe"
_FULL = "\u25a0\u25a3\u25fc\u2b1b"
_CROSSES = "\u2717\u2718\u274c\u274e"
_X_BOXES = "\u2612\u22a0\U0001f5f5\U0001f5f7\uf0fd\uf078"
_ROUND_EMPTY, _ROUND_FULL = "\u25cb\u25ef\u26aa", "\u25cf\u25c9\u26ab\U0001f518"
_INSIDE = rf"[xXvV*{_TICKS}{_CROSSES}]"
_BOX = re.compile(
    rf"""\[ (?P<square> [ _]{{0,3}} | [ ]?{_INSIDE}[ ]? | [yn+-] | yes|no ) \]
    | \( (?P<round> [ ]{{1,3}} | (?<!\w\() | _{{1,3}} | [ ]?{_INSIDE}[ ]? | [yn+-]
        | yes|no ) \)
    | \{{ (?P<curly> [ _]{{0,3}} | [ ]?{_INSIDE}[ ]? ) \}}
    | (?<![\w_]) _{{1,5}}+ (?P<blank> [xX] | {_INSIDE} ) _{{1,5}}+ (?![\w_])
    | (?<![\w_]) (?P<line> _{{2,10}}+ ) (?![\w_])
    | (?P<sign> [{_EMPTY}{_TICKS}{_FULL}{_CROSSES}{_X_BOXES}] ) \ufe0f?
    | (?P<ring> [{_ROUND_EMPTY}{_ROUND_FULL}] )""",
    re.VERBOSE | re.IGNORECASE,
)
BOX_SIGNS = _EMPTY + _TICKS + _FULL + _CROSSES + _X_BOXES + _ROUND_EMPTY + _ROUND_FULL
_TICKED = frozenset(f"xXvV*{_TICKS}{_FULL}{_ROUND_FULL}")
_CROSSED = frozenset(_CROSSES)
_X_BOX, _OTHER_TICK = frozenset(_X_BOXES), frozenset(_TICKS)
_PLAIN = {"y": "+", "yes": "+", "+": "+", "n": "-", "no": "-", "-": "-"}
_YES_NO = re.compile(
    rf"[ \t]*(?:{_SHORT})(?!\w)(?=[ \t]*(?:$|[^\w \t]|[ ]{{2}}|\t)|\Z)", re.I | re.X
)
_YES_NO_END = re.compile(rf"(?<!\w)(?:{_SHORT})[ \t]*\Z", re.I | re.X)


# What stands above boxes side by side, at the end of its line.
_COLUMNS = re.compile(
    r"""(?<![^ \t|/]) (?: (?P<yes> y(?:es)? [ \t|/]++ no? ) | no? [ \t|/]++ y(?:es)? )
    (?: [ \t|/]++ (?: n/?a | unk(?:nown)? | unsure | not[ ]sure | don't[ ]know ) )?
    [ \t|]*+ $""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)

# Answers before what is answered: "Yes: fever  No: cough".
_LED = re.compile(
    r"(?=[pnydera])(?<![^\s,;.])(?:pos(?:itive)?s?|neg(?:ative)?s?|yes|no|denies"
    r"|endorses|reports|present|absent)[ ]?:(?=[ \t])",
    re.IGNORECASE,
)
_ASKED = re.compile(r"(?:^|(?<=[\s.;]))Q(?:uestion)?[ \t]?[:.)](?=\s)[ \t]*+", re.M)
_REPLY = re.compile(
    r"(?<=[?\s])[ \t]*+(?:A(?:nswer|ns)?[:.]|(?:Pt|Patient)[ \t]?:)(?=\s)[ \t]*+", re.I
)
_RULE = re.compile(
    r"^[ \t|:]*+[-=_*~\u2014\u2500\u2550]{3}[-=_*~\u2014\u2500\u2550 \t|:]*+$"
    r"|^[ \t]*+(?:[-=*~][ \t]++){3}[-=*~ \t]*+$",
    re.M,
)
_PIPE = re.compile(r"(?<![ \t|])[ \t]*+\|[ \t|]*+")


class Forms:
    """The cuts and edits of a text.

    :ivar cuts: offsets in order, each the beginning of an item.
    """

    def __init__(self, text: str, lines: Lines, more: Sequence[int | Edit] = ()):
        """Find them.

        :param more: cuts and edits that come before others; they hold no other cuts.
        """
        self._text, self._lines = text, lines
        found = [*Boxes(text, lines).items(), *rows.items(text, lines)]
        found += chain(inline.items(text, lines), _led(text, lines))
        found += chain(_questions(text), _tables(text))
        gaps = {
            place
            for item in more
            if isinstance(item, Edit)
            for place in range(item.start + 1, item.end + 1)
        }
        found = [*more, *(item for item in found if item not in gaps)]
        self.cuts = sorted({item for item in found if isinstance(item, int)})
        self._edits = [item for item in found if isinstance(item, Edit)]
        self._edits += (Edit(*marker, "") for marker in lines.markers.items())
        self._edits = _apart(sorted(self._edits, key=itemgetter(0)))
        self._starts = [edit.start for edit in self._edits]

    def read(self, start: int, end: int, letters: bool = True) -> str:
        """Give ``text[start:end]`` as a reader takes it.

        :param letters: whether letters may be read in the place of others.
        """
        pieces, at = [], start
        place = bisect_left(self._starts, start)
        while place < len(self._edits) and self._starts[place] < end:
            edit = self._edits[place]
            words = self._text[edit.start : edit.end] + edit.words
            if edit.end <= end and (letters or not any(map(str.isalnum, words))):
                pieces += [self._text[at : edit.start], edit.words]
                at = edit.end
            place += 1
        return "".join(pieces) + self._text[at:end]

    def hides(self, offset: int) -> bool:
        """Tell whether something else is read in the place of what is at *offset*."""
        place = bisect_right(self._starts, offset) - 1
        return place >= 0 and offset < self._edits[place].end

    def parts(self, start: int, end: int) -> bool:
        """Tell whether an item begins within, behind *start*."""
        place = bisect_right(self.cuts, start)
        return place < len(self.cuts) and self.cuts[place] < end


# --- boxes ------------------------------------------------------------------------


class Box(NamedTuple):
    """A box, and the "Yes" or "No" that it belongs to, if any."""

    mark: str  # what is in it; a blank if nothing
    start: int
    end: int
    answer: re.Match | None = None

    @property
    def pair(self) -> tuple[int, int]:
        """Where the box and its answer start and end."""
        answer = self.answer or self
        start, end = (answer.start(), answer.end()) if self.answer else answer[1:3]
        return min(self.start, start), max(self.end, end)


class Boxes:
    """The boxes of a text's forms. A form's lines have no blank one between them."""

    def __init__(self, text: str, lines: Lines):
        self._text, self._lines = text, lines
        self._columns = list(lines.group(_COLUMNS.finditer(text)))

    def items(self) -> Iterator[int | Edit]:
        """Give the cuts and edits."""
        found = list(self._lines.group(_BOX.finditer(self._text)))
        # A bare line of underscores is a box where another is marked.
        filled = {
            self._lines.paragraph(line)
            for line, matches in found
            if any(match["blank"] for match in matches)
        }
        rows, marks = [], {}
        for line, matches in found:
            form = self._lines.paragraph(line)
            boxes = [_box(m) for m in matches if form in filled or not m["line"]]
            boxes = self._of_line(line, self._joined(line, boxes))
            marks.setdefault(form, set()).update(box.mark for box in boxes)
            rows.append((line, form, boxes))
        for line, form, boxes in rows:
            if boxes:
                yield from self._row(line, boxes, marks[form])

    def _joined(self, line: int, boxes: list[Box]) -> list[Box]:
        """Make one box of two or three side by side, columns of "Yes" and "No"."""
        groups = []
        for box in boxes:
            gap = self._text[groups[-1][-1].end : box.start] if groups else "-"
            if gap.strip(" \t|"):
                groups.append([])
            groups[-1].append(box)
        columns = self._columns_above(line) if len(groups) < len(boxes) else ""
        return list(chain.from_iterable(_join(group, columns) for group in groups))

    def _columns_above(self, line: int) -> str:
        """Give the marks of what a form's heading says that its columns are."""
        place = bisect_left(self._columns, line, key=itemgetter(0)) - 1
        if place >= 0:
            above, (heading, *_) = self._columns[place]
            same = self._lines.paragraph(above) == self._lines.paragraph(line)
            if same and not heading["yes"]:
                return _NO_FIRST
        return _YES_FIRST

    def _of_line(self, line: int, boxes: list[Box]) -> list[Box]:
        """Give what of a line's brackets and rings are boxes."""
        text, start, end = (
            self._text,
            self._lines.content(line),
            self._lines.span(line)[1],
        )
        rings = {box.mark in _ROUND_FULL for box in boxes if box.mark in _RINGS}
        if len(rings) == 1:
            boxes = [box for box in boxes if box.mark not in _RINGS]
        if len(boxes) != 1:
            return boxes
        box = boxes[0]
        before, after = text[start : box.start].strip(), text[box.end : end].strip(
            " \t."
        )
        if box.mark in _PLAIN and (box.mark in "+-" or before and after):
            return []  # "Fever (-)" is read as it is
        alone = text[box.start] in "[({" and before and after
        opened = before.endswith((":", "?", "|")) or after.startswith("|")
        # One pair of brackets among words is a gap, or a reference.
        gap = alone and not opened and not _YES_NO.match(text, box.end, end)
        return [] if gap else boxes

    def _row(
        self, line: int, boxes: list[Box], marks: set[str]
    ) -> Iterator[int | Edit]:
        """Read the boxes of a line, before their items or after them."""
        text, end = self._text, self._lines.span(line)[1]
        start = self._lines.content(line)
        leads = self._leads(start, end, boxes)
        boxes = list(self._answered(start, end, boxes, leads))
        first = boxes[0]
        # "[x] Yes [ ] No  Fever": what is asked stands after the answers.
        asked_after = first.answer and not text[start : first.pair[0]].strip()
        for place, box in enumerate(boxes):
            begins, ends = box.pair
            sign = _sign(box.mark, marks)
            yield self._edit(box, sign, leads)
            following = boxes[place + 1].pair[0] if place + 1 < len(boxes) else end
            rest = _AFTER.match(text, ends, end).end()
            if not box.answer and leads:
                yield box.start
            elif (
                asked_after
                and place
                and text[boxes[place - 1].pair[1] : begins].strip()
            ):
                yield begins
            elif not asked_after and rest < following:
                yield rest

    def _leads(self, start: int, end: int, boxes: list[Box]) -> bool:
        """Tell whether boxes stand before what they are about."""
        text, first, last = self._text, boxes[0], boxes[-1]
        before = text[start : first.start].rstrip()
        following = boxes[1].start if len(boxes) > 1 else end
        between = text[first.end : following].strip(" \t,;|.")
        if _YES_NO_END.search(text, start, first.start):
            return bool(_YES_NO.match(text, last.end, end))
        if before.endswith((":", "?")):
            return bool(between) and not between.endswith((":", "?"))
        if not before.strip(" \t|") or before.endswith(("-", ";")):
            return True
        return bool(text[last.end : end].strip(" \t.;,|"))

    def _answered(self, start, end, boxes, leads) -> Iterator[Box]:
        """Give the boxes, each with its "Yes" or "No"."""
        edge = start
        for place, box in enumerate(boxes):
            following = boxes[place + 1].start if place + 1 < len(boxes) else end
            if leads:
                answer = _YES_NO.match(self._text, box.end, following)
            else:
                answer = _YES_NO_END.search(self._text, edge, box.start)
            yield box._replace(answer=answer)
            edge = box.end

    def _edit(self, box: Box, sign: str, leads: bool) -> Edit:
        text, start = self._text, box.start
        if box.answer:
            return Edit(start, box.end, " ") if sign == "+" else Edit(*box.pair, " ")
        if box.mark in _PLAIN:
            word = box.mark in ("yes", "no")
            return Edit(start, box.end, text[start : box.end] if word else f"({sign})")
        if not leads:
            while text[start - 1] in " \t|" and start:
                start -= 1
            if text[start - 1 : start] in (":", "?"):
                return Edit(start, box.end, f" {_SAID[sign]}")
            return Edit(start, box.end, "" if sign == "+" else f" ({sign})")
        return Edit(start, box.end, "" if sign == "+" else f"({sign})")


def is_box(text: str, start: int | None) -> bool:
    """Tell whether a box begins at *start*."""
    return start is not None and bool(_BOX.match(text, start))


_RINGS = _ROUND_EMPTY + _ROUND_FULL
_SAID = {"+": "yes", "-": "no", "?": "unknown"}


# What is marked in each column, as the mark of a single box.
_YES_FIRST, _NO_FIRST = f"x{_CROSSES[0]}?", f"{_CROSSES[0]}x?"


def _join(boxes: list[Box], columns: str) -> list[Box]:
    """Make one box of *boxes* side by side, if they are columns."""
    if not 1 < len(boxes) < 4:
        return boxes
    marked = [column for column, box in zip(columns, boxes) if box.mark != " "]
    mark = marked[0] if len(marked) == 1 else "?"
    if len(marked) == len(boxes):
        mark = boxes[0].mark  # a sign that is written twice
    return [boxes[0]._replace(mark=mark, end=boxes[-1].end)]


def _box(match: re.Match) -> Box:
    mark = next((group for group in match.groups() if group is not None), "")
    mark = mark.strip(" _").lower() or " "
    return Box(" " if mark in _EMPTY else mark, *match.span())


def _sign(mark: str, marks: set[str]) -> str:
    """Give what a box means: ``+`` ticked, ``-`` not, ``?`` where none is ticked."""
    if mark == "?":
        return mark
    if mark in _PLAIN:
        return _PLAIN[mark]
    if mark in _X_BOX:
        return "-" if marks & _OTHER_TICK else "+"
    if mark in _TICKED:
        return "+"
    if mark in _CROSSED:
        return "-"
    return "-" if marks & (_TICKED | _X_BOX) else "?"


# --- questions and tables ---------------------------------------------------------


def _led(text: str, lines: Lines) -> Iterator[int]:
    """Cut between answers that stand before what is answered."""
    for _, found in lines.group(_LED.finditer(text)):
        if len(found) > 1:
            yield from (match.start() for match in found)


def _questions(text: str) -> Iterator[int | Edit]:
    """Cut before "Q:", and take it and "A:" off."""
    if "?" not in text:
        return
    for asked in _ASKED.finditer(text):
        yield Edit(*asked.span(), "")
        yield asked.start()
    for reply in _REPLY.finditer(text):
        yield Edit(*reply.span(), " ")


def _tables(text: str) -> Iterator[Edit]:
    """Take rules and bars out."""
    for rule in _RULE.finditer(text):
        yield Edit(*rule.span(), "")
    if "|" in text:
        for pipe in _PIPE.finditer(text):
            yield Edit(*pipe.span(), " ")


def _apart(edits: list[Edit]) -> list[Edit]:
    """Drop what lies inside an edit before it."""
    kept, end = [], -1
    for edit in edits:
        if edit.start >= end:
            kept.append(edit)
            end = edit.end
    return kept
