"""Boxes of forms, ticked or not, and the words that they stand beside.

A box is about an item ("[x] fever [ ] cough"), or offers an answer to what is asked
before it, behind it or in the line above ("Fever: [ ] Yes [x] No"): a *choice*. Of a
group of choices what is ticked is read and the others are not.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, groupby, pairwise
from operator import itemgetter
from typing import NamedTuple

from negation_api.text.answers import AFFIRMED, CHOICE, CHOSEN, SHORT, any_of, as_read
from negation_api.text.edits import Claim, Edit, is_claimed
from negation_api.text.lists import Lines

EMPTY = "\u2610\u25a1\u25a2\u25fb\u25fd\u2b1c\U0001f78e\U0001f78f\uf06f\uf071\uf0a8"
TICKS = "\u2611\u2713\u2714\u2705\u221a\U0001f5f8\U0001f5f9\uf0fc\uf0fe"
FULL = "\u22a1\u25a0\u25a3\u25fc\u2b1b"
_CROSSES = "\u2613\u2715\u2716\u2717\u2718\u274c\u274e"
X_BOXES = "\u2612\u2bbd\u22a0\U0001f5f5\U0001f5f7\uf0fd\uf078"
_ROUND_EMPTY = "\u25cb\u25ef\u26aa\u26ac\u2b58"
_ROUND_FULL = "\u25cf\u25c9\u25ce\u26ab\u29bf\u2b24\U0001f518"
_RINGS = _ROUND_EMPTY + _ROUND_FULL
# What is left of Wingdings' boxes where their font is lost: empty, ticked, crossed.
_LATIN = {"\u00a8": " ", "\u00fe": TICKS[0], "\u00fd": X_BOXES[0]}
_DOTS = "oO\u2022\u25cf\u25c9\u26ab\u25a0"
_INSIDE = rf"[xXvV*{TICKS}{_CROSSES}]"
_BOX = re.compile(
    rf"""\[ (?P<square> [ _]{{0,3}} | [ ]?{_INSIDE}[ ]? | [yn+-] | yes|no ) \]
    | \( (?P<round> [ ]{{1,3}} | (?<!\w\() | _{{1,3}} | [ ]?{_INSIDE}[ ]? | [yn+-]
        | yes|no ) \)
    | \{{ (?P<curly> [ _]{{0,3}} | [ ]?{_INSIDE}[ ]? ) \}}
    | < (?P<angle> [ _]{{1,3}} | [ ]?{_INSIDE}[ ]? ) >
    | [\[(] [ ]? (?P<dot> [{_DOTS}] ) [ ]? [\])]
    | (?<![\d_]) _{{1,5}}+ (?P<blank> [xX] | {_INSIDE} ) _{{1,5}}+ (?![\d_])
    | (?<![\d_]) (?P<line> _{{2,10}}+ ) (?![\d_])
    | (?P<sign> [{EMPTY}{TICKS}{FULL}{_CROSSES}{X_BOXES}] )
    | (?<!\w) (?P<latin> [{"".join(_LATIN)}] ) (?= [ \t] | (?-i: [A-Z] ) )
    | (?P<ring> [{_RINGS}]
        | (?<!\S) O (?= [ ]{{1,2}} (?: yes|no|unknown|n/a ) \b ) )""",
    re.VERBOSE | re.IGNORECASE,
)
BOX_SIGNS = EMPTY + TICKS + FULL + _CROSSES + X_BOXES + _RINGS + "".join(_LATIN)
# Where one may begin; a set of characters is what sre finds fast.
_MAY_BE = re.compile(rf"[\[({{<_{BOX_SIGNS}Oo]")
_TICKED = frozenset(f"xv*{TICKS}{FULL}{_ROUND_FULL}{_DOTS.lower()}")
_X_BOX, _OTHER_TICK = frozenset(X_BOXES), frozenset(TICKS)
_PLAIN = {"y": "+", "yes": "+", "+": "+", "n": "-", "no": "-", "-": "-"}
_SAID = {"+": "yes", "-": "no", "?": "unknown"}
_ENDS = r"(?![-/]?\w)"
_AHEAD = re.compile(
    rf"[ \t]*+ (?P<word> {CHOICE} ) {_ENDS}"
    r"(?= [ \t]* (?: $ | [^\w \t] | [ ]{2} | \t ) | \Z )",
    re.I | re.X,
)
# Behind another choice one blank is enough: "[x] Yes [ ] No Asthma".
_BESIDE = re.compile(
    rf"""[ \t]*+ (?P<word> {any_of(CHOSEN)} ) {_ENDS}
    (?! [ ]{{1,2}} (?: for|of|to|with|in|on|at|by|from|except|without|and|or ) \b )""",
    re.IGNORECASE | re.VERBOSE,
)
_BEHIND = re.compile(rf"(?<!\w) (?P<word> {CHOICE} ) [ ]?:?[ \t]*\Z", re.I | re.X)
_MAX_BEHIND = 60  # characters before a box in which its word stands
_BARS = " \t|/,;."
_MORE = re.compile(
    r"[ \t]*+ (?: [,;:(-] [ \t]*+ )? (?: if|when|explain|specify|describe|date|how|what"
    r"|which|details?|list|please|who|where|since|type|comments? ) \b",
    re.I | re.X,
)
_ALSO = re.compile(r"[ \t]*+ (?: [,:(] | (?: or | and | / )? [ \t]*+ \Z )", re.I | re.X)
_ENUMERATED = re.compile(r"[ \t]*+ \(? \d{1,2} [.)]{1,2}+ (?= \s )", re.X)

# What stands above boxes side by side, at the end of its line.
_COLUMNS = re.compile(
    r"""(?<![^ \t|/]) (?:
        (?P<yes> (?: y(?:es)? | pos(?:itive)? | present ) [ \t|/]++
                 (?: no? | neg(?:ative)? | absent ) )
      | (?: no? | neg(?:ative)? | absent ) [ \t|/]++
        (?: y(?:es)? | pos(?:itive)? | present ) )
    (?: [ \t|/]++ (?: n/?a | unk(?:nown)? | unsure | not[ ]sure | don't[ ]know ) )?
    [ \t|]*+ $""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
AFTER = re.compile(r"[ \t]*[,;|.]?[ \t|]*")
_STOPPED = re.compile(r"[ ]?[,;|.\t]|[ ]{2}|[ ]?\Z")
_BEGUN = re.compile(r"(?:[,;|\t][ ]?|[ ]{2})\Z")


class Box(NamedTuple):
    """A box, and the answer that it belongs to, if any.

    :ivar mark: what is in it; a blank if nothing.
    :ivar pair: where the box and its answer start and end.
    """

    mark: str
    start: int
    end: int
    pair: tuple[int, int]
    answer: str = ""

    @property
    def word(self) -> str:
        return self.answer.lower()

    def answered(self, answer: re.Match) -> "Box":
        """Give the box with the word of *answer*, before it or behind it."""
        start, end = answer.span("word")
        pair = min(self.start, start), max(self.end, end)
        return Box(self.mark, self.start, self.end, pair, answer["word"])


@dataclass
class Group:
    """A box of an item, or the boxes of the choices of one question.

    :ivar labelled: whether words stand before them.
    """

    boxes: list[Box]
    labelled: bool
    are_choices: bool = False

    def takes(self, box: Box, between: str) -> bool:
        """Tell whether *box*, after the words *between*, is one more choice."""
        if not (self.boxes[-1].answer and box.answer):
            return False
        if box.word in (other.word for other in self.boxes):
            return False
        if not between.strip(_BARS) or _MORE.match(between):
            return True
        asks = between.rstrip().endswith((":", "?"))
        return bool(_ALSO.match(between)) and not asks

    def settle(self) -> None:
        """Find out whether the boxes are choices."""
        words = {box.word for box in self.boxes}
        signs = len(words) > 1, self.labelled, not words.isdisjoint(CHOSEN)
        likely = sum(signs) >= 2 or not words.isdisjoint(SHORT)
        self.are_choices = "" not in words and likely

    def ticks(self, box: Box) -> bool:
        """Tell whether a choice is ticked, by what the others hold."""
        marks = {other.mark for other in self.boxes}
        if " " in marks and box.mark in _CROSSES:
            return marks.isdisjoint(_TICKED | _X_BOX)
        return _sign(box.mark, marks) == "+"


@dataclass
class Row:
    """The boxes of a line, before their items or after them.

    :ivar hangs: whether the line says nothing but what the one above is answered.
    """

    line: int
    start: int
    end: int
    boxes: list[Box]
    leads: bool
    groups: list[Group] = field(default_factory=list)  # for each of boxes its own
    hangs: bool = False

    def asks_after(self, text: str) -> bool:
        """Tell whether what is asked stands after the answers: "[x] Yes  Fever"."""
        begins = not text[self.start : self.boxes[0].pair[0]].strip()
        return begins and self.groups[0].are_choices and not self.hangs


class Boxes:
    """The boxes of a text's forms. A form's lines have no blank one between them.

    :ivar hanging: where lines begin that answer the line above.
    :ivar contents: for where a line with boxes begins, where its list marker ends.
    """

    def __init__(self, text: str, lines: Lines, taken: list[Claim]):
        """Find them, but for what is *taken*."""
        self._text, self._lines = text, lines
        self._rows, self._marks, self._headings = [], {}, set()
        for line, boxes in _found(text, lines, taken):
            boxes = self._of_line(line, self._joined(line, boxes))
            form = self._lines.paragraph(line)
            self._marks.setdefault(form, set()).update(box.mark for box in boxes)
            if boxes:
                self._rows.append(self._row(line, boxes))
        _group(self._rows, text, lines)
        self.hanging = {self._lines.first(row.line) for row in self._rows if row.hangs}
        self.contents = {self._lines.first(row.line): row.start for row in self._rows}

    @cached_property
    def _columns(self) -> list[tuple[int, list[re.Match]]]:
        return list(self._lines.group(_COLUMNS.finditer(self._text)))

    def items(self) -> Iterator[int | Edit | Claim]:
        """Give the cuts and edits."""
        last = None  # the last line whose question stands behind its choices
        yield from self._headings
        for row in self._rows:
            yield from _choices(row)
            yield from self._items(row)
            yield from self._end(row)
            if row.asks_after(self._text):
                if last == row.line - 1:
                    yield self._lines.first(row.line)
                last = row.line

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
            if self._lines.paragraph(above) == self._lines.paragraph(line):
                self._headings.add(Claim(*heading.span()))
                return _YES_FIRST if heading["yes"] else _NO_FIRST
        return _YES_FIRST

    def _of_line(self, line: int, boxes: list[Box]) -> list[Box]:
        """Give what of a line's brackets are boxes."""
        if len(boxes) != 1:
            return boxes
        text, box = self._text, boxes[0]
        start, end = self._lines.content(line), self._lines.span(line)[1]
        before = text[start : box.start].strip()
        after = text[box.end : end].strip(" \t.")
        if box.mark in _PLAIN and (box.mark in "+-" or before and after):
            return []  # "Fever (-)" is read as it is
        alone = text[box.start] in "[({" and before and after
        opened = before.endswith((":", "?", "|")) or after.startswith("|")
        # One pair of brackets among words is a gap, or a reference.
        answer = _AHEAD.match(text, box.end, end)
        gap = not answer or answer["word"].lower() not in SHORT
        return [] if alone and not opened and gap else boxes

    def _row(self, line: int, boxes: list[Box]) -> Row:
        start, end = self._lines.content(line), self._lines.span(line)[1]
        start = min(start, boxes[0].start)
        leads = self._leads(start, end, boxes)
        boxes = list(self._answered(start, end, boxes, leads))
        return Row(line, start, end, boxes, leads)

    def _leads(self, start: int, end: int, boxes: list[Box]) -> bool:
        """Tell whether boxes stand before what they are about."""
        text, first, last = self._text, boxes[0], boxes[-1]
        before = text[start : first.start].rstrip()
        following = boxes[1].start if len(boxes) > 1 else end
        between = text[first.end : following].strip(" \t,;|.")
        if self._behind(start, first.start):
            if len(boxes) == 1 or self._behind(first.end, following):
                return bool(_AHEAD.match(text, last.end, end))
        if before.endswith((":", "?")):
            return bool(between) and not between.endswith((":", "?"))
        if not before.strip(" \t|") or before.endswith(("-", ";")):
            return True
        if not text[last.end : end].strip(" \t.;,|"):
            return False
        return sum(self._side(box, end) for box in boxes) <= 0

    def _side(self, box: Box, end: int) -> int:
        """Tell what *box* is nearer to: 1 what is before it, -1 what is behind it."""
        text = self._text
        ahead, behind = text[box.start - 1 : box.start], text[box.end : box.end + 1]
        if ahead.isalnum() != behind.isalnum():
            return 1 if ahead.isalnum() else -1
        begun = _BEGUN.search(text, max(0, box.start - 2), box.start)
        return bool(_STOPPED.match(text, box.end, end)) - bool(begun)

    def _behind(self, start: int, end: int) -> re.Match | None:
        return _BEHIND.search(self._text, max(start, end - _MAX_BEHIND), end)

    def _answered(self, start, end, boxes, leads) -> Iterator[Box]:
        """Give the boxes, each with its answer."""
        last = None
        for box, following in pairwise([*boxes, None]):
            until = following.start if following else end
            if not leads:
                answer = self._behind(last.end if last else start, box.start)
            else:
                answer = _AHEAD.match(self._text, box.end, until)
                if not answer and last and last.word in CHOSEN:
                    beside = not self._text[last.pair[1] : box.start].strip(_BARS)
                    found = beside and _BESIDE.match(self._text, box.end, until)
                    if found and found["word"].lower() != last.word:
                        answer = found
            last = box.answered(answer) if answer else box
            yield last

    def _items(self, row: Row) -> Iterator[int | Edit]:
        text, marks = self._text, self._marks[self._lines.paragraph(row.line)]
        asks_after, last = row.asks_after(text), len(row.boxes) - 1
        for place, (box, group) in enumerate(zip(row.boxes, row.groups)):
            begins, ends = box.pair
            following = row.boxes[place + 1].pair[0] if place < last else row.end
            beside = row.groups[place + 1] if place < last else None
            # In the row, or in a line below it.
            more = beside is group or not beside and box is not group.boxes[-1]
            told = _tells(text[ends:following]) and group.are_choices and row.leads
            item = not group.are_choices
            if told and not (more or asks_after or group.ticks(box)):
                item = True  # "[x] Normal [ ] Abnormal: rash"
            if item:
                yield self._edit(box, _sign(box.mark, marks), row.leads)
            else:
                until = following if more else ends
                yield self._choice(box, group, until, asks_after, marks)
            rest = AFTER.match(text, ends, row.end).end()
            if row.leads and item:
                yield box.start
            elif asks_after:
                if place and row.groups[place - 1] is not group:
                    yield begins
                number = None if more else _ENUMERATED.match(text, ends, row.end)
                if number:
                    yield Edit(*number.span(), " ")
            elif not (more or told) and rest < following:
                yield rest

    def _end(self, row: Row) -> Iterator[int]:
        """Cut after a line of many boxes, or that ends with its question's answer."""
        if row.line + 1 == len(self._lines):
            return
        rest, below = row.boxes[-1].pair[1], self._lines.first(row.line + 1)
        many = len(row.boxes) > 2 and not self._text[below : below + 1].islower()
        asked = row.groups[-1].are_choices
        if many or asked and not self._text[rest : row.end].strip(_BARS):
            yield from {below} - self.hanging

    def _choice(self, box, group: Group, until: int, asks_after, marks) -> Edit:
        """Read a choice; *until* is where the next begins."""
        start, end = box.pair
        if group.ticks(box):
            word = as_read(box.answer)
            if until > end and not self._text[end:until].strip(_BARS):
                return Edit(start, until, f" {word} ")
            return Edit(start, end, f" {word}")
        if box is not group.boxes[-1] or any(map(group.ticks, group.boxes)):
            if _tells(self._text[end:until]):
                return Edit(start, end, f" (-) {box.answer}")
            return Edit(start, until, " ")
        if len(group.boxes) > 1:
            return Edit(start, end, " (?) " if asks_after else " unknown")
        sign = _sign(box.mark, marks)
        if box.word not in AFFIRMED:
            return Edit(start, end, " ")
        return Edit(start, end, f" ({sign}) " if asks_after else f" {_SAID[sign]}")

    def _edit(self, box: Box, sign: str, leads: bool) -> Edit:
        text, start = self._text, box.start
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


def is_box(text: str, start: int) -> bool:
    """Tell whether a box begins at *start*."""
    return bool(_BOX.match(text, start))


def names_columns(line: str) -> bool:
    """Tell whether *line* is a heading of boxes: "Positive  Negative"."""
    return bool(_COLUMNS.search(line))


# --- which are boxes --------------------------------------------------------------


def _found(text: str, lines: Lines, taken) -> Iterator[tuple[int, list[Box]]]:
    """Give each line's boxes, but for what looks like one and is none in its form."""
    boxes = (box for box in _boxes(text) if not is_claimed(taken, box.span()))
    found, forms = list(lines.group(boxes)), {}
    for line, matches in found:
        forms.setdefault(lines.paragraph(line), []).extend(matches)
    kinds = {form: _kinds(text, lines, matches) for form, matches in forms.items()}
    for line, matches in found:
        allowed = kinds[lines.paragraph(line)]
        rings = {match["ring"] in _ROUND_FULL for match in matches if match["ring"]}
        if len(rings) > 1:
            allowed = allowed | {"ring"}
        boxes = [
            _box(match)
            for match in matches
            if match.lastgroup in allowed or match.lastgroup not in _UNSURE
        ]
        yield line, boxes


def _boxes(text: str) -> Iterator[re.Match]:
    """Give all brackets and signs that may be a box."""
    end = 0
    for place in _MAY_BE.finditer(text):
        box = _BOX.match(text, place.start()) if place.start() >= end else None
        if box:
            yield box
            end = box.end()


_UNSURE = frozenset("dot blank line latin ring".split())


def _kinds(text: str, lines: Lines, matches: list[re.Match]) -> set[str]:
    """Give which of the kinds that may be something else are boxes in a form."""
    of = {}
    for match in matches:
        of.setdefault(match.lastgroup, []).append(match)
    kinds, blanks = set(), of.get("blank", [])
    # A bare line of underscores is a box where another is marked, "foo_x_" is none.
    beside = (text[max(0, m.start() - 1)] + text[m.end() : m.end() + 1] for m in blanks)
    glued = all(any(map(str.isalpha, each)) for each in beside)
    if blanks and not (glued and len(blanks) + len(of.get("line", [])) < 2):
        kinds |= {"blank", "line"}
    brackets = chain(of.get("square", []), of.get("round", []))
    if "dot" in of and any(not match.group()[1:-1].strip(" _") for match in brackets):
        kinds.add("dot")
    if len({match["latin"] == "\u00a8" for match in of.get("latin", [])}) > 1:
        kinds.add("latin")
    if _are_choices_of_rings(text, lines, of.get("ring", [])):
        kinds.add("ring")
    return kinds


def _are_choices_of_rings(text: str, lines: Lines, rings: list[re.Match]) -> bool:
    """Tell whether rings are boxes, and no bullets of items and of items in them."""
    if len({match["ring"] in _ROUND_FULL for match in rings}) < 2:
        return False
    if all(_AHEAD.match(text, match.end(), match.end() + 40) for match in rings):
        return True
    columns = {
        match.start() - lines.span(lines.at(match.start()))[0] for match in rings
    }
    return len(columns) == 1 and rings[0]["ring"] in _ROUND_EMPTY


# --- which belong together ---------------------------------------------------------


def _group(rows: list[Row], text: str, lines: Lines) -> None:
    """Put the boxes of each row together, and a line's with those above it."""
    above = None
    for row in rows:
        edge = row.start
        for box in row.boxes:
            between = text[edge : box.pair[0]]
            if row.groups and row.groups[-1].takes(box, between):
                row.groups[-1].boxes.append(box)
                row.groups.append(row.groups[-1])
            else:
                labelled = bool(between.strip(_BARS))
                row.groups.append(Group([box], labelled))
            edge = box.pair[1]
        if _is_bare(row, text):
            _hang(row, above, text, lines)
        above = row
    for row in rows:
        for group in row.groups:
            group.settle()
        row.hangs = row.hangs and row.groups[0].are_choices


def _is_bare(row: Row, text: str) -> bool:
    """Tell whether a line holds answers only."""
    first, last = row.boxes[0], row.boxes[-1]
    if row.groups[0] is not row.groups[-1] or not first.answer:
        return False
    rest = text[last.pair[1] : row.end]
    ends = not rest.strip(_BARS) or bool(_MORE.match(rest))
    return ends and not row.groups[0].labelled


def _hang(row: Row, above: Row | None, text: str, lines: Lines) -> None:
    """Let a line of answers belong to the line above, if that is no answer to it.

    :param above: the row before.
    """
    if not row.line:
        return
    group = row.groups[0]
    if lines.is_blank(row.line - 1):
        asked = row.line > 1 and text[slice(*lines.span(row.line - 2))].rstrip()
        row.hangs = group.labelled = bool(asked) and asked[-1] in ":?"
        return
    if above is None or above.line < row.line - 1:
        row.hangs = group.labelled = True
        return
    open_, last = above.groups[-1], above.boxes[-1]
    rest = text[last.pair[1] : above.end]
    if rest.strip(_BARS) and not _MORE.match(rest):
        return
    if all(open_.takes(box, "") for box in row.boxes):
        open_.boxes += row.boxes
        row.groups = [open_] * len(row.boxes)
        row.hangs = True


def _tells(rest: str) -> bool:
    """Tell whether what follows a choice says what it is: "Abnormal: rash"."""
    told = rest.lstrip(" \t").startswith(":") and not _MORE.match(rest)
    return told and any(map(str.isalnum, rest))


def _choices(row: Row) -> Iterator[Claim]:
    """Give where each group of choices starts and ends in a row."""
    pairs = zip(row.groups, row.boxes)
    for _, boxes in groupby((p for p in pairs if p[0].are_choices), lambda p: id(p[0])):
        spans = [box.pair for _, box in boxes]
        yield Claim(spans[0][0], spans[-1][1])


# --- columns and marks ----------------------------------------------------------------

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
    span = boxes[0].start, boxes[-1].end
    return [Box(mark, *span, span)]


def _box(match: re.Match) -> Box:
    mark = match[match.lastgroup].strip(" _").lower() or " "
    mark = _LATIN.get(mark, mark)
    is_letter = match.lastgroup == "ring" and mark == "o"  # beside a ring that is full
    mark = " " if is_letter or mark in EMPTY + _ROUND_EMPTY else mark
    return Box(mark, *match.span(), match.span())


def _sign(mark: str, marks: set[str]) -> str:
    """Give what a box means: ``+`` ticked, ``-`` not, ``?`` where columns are open."""
    if mark == "?":
        return mark
    if mark in _PLAIN:
        return _PLAIN[mark]
    if mark in _X_BOX:
        return "-" if marks & _OTHER_TICK else "+"
    return "+" if mark in _TICKED else "-"
