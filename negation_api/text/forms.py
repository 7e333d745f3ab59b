"""Layout that is not language: boxes, rows of answers, questions, tables.

Finds, once for a text and in linear time, where an item of a form ends (*cuts*) and
what a reader takes a sign for (*edits*): a list marker for nothing, a box for a sign,
``Y`` for "yes". Offsets are code points into the text; no text is changed.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import chain, pairwise
from operator import itemgetter

from negation_api.text.boxes import AFTER as _AFTER
from negation_api.text.boxes import BOX_SIGNS, UNKNOWN_WORDS, Boxes, Edit
from negation_api.text.columns import read_columns
from negation_api.text.lists import Lines

# What is read for an answer, and its words; others are read as they are.
_READ = {
    "yes": "y yeah yep true",
    "no": "n nope false",
    "none": "nil 0",
    "negative": "- (-) neg neg. non-reactive nonreactive",
    "positive": "+ (+) pos pos. reactive",
    "unknown": "unk n/a ? unsure not_sure not_known not_assessed not_asked not_answered"
    " declined_to_answer not_done not_tested",
}
_WORDS = {
    word.replace("_", " "): read
    for read, words in _READ.items()
    for word in words.split()
}
_CHOSEN = {**dict.fromkeys(UNKNOWN_WORDS, "unknown"), **_WORDS}  # beside a box
_AS_WRITTEN = """never absent denied denies present detected nad +/- (+/-) not_detected
not_present endorses reports sometimes occasionally rarely""".replace("_", " ").split()


def _any(words) -> str:
    return "|".join(
        re.escape(word).replace(r"\ ", "[ ]")
        for word in sorted(words, key=len, reverse=True)
    )


ANSWER = rf"(?:{_any([*_READ, *_WORDS, *_AS_WRITTEN])})"

# An answer and what stands between it and its question.
_ANSWERED = re.compile(
    rf"""(?= [:=?|,;._\u2026 \t] )
    (?: (?P<colon> [:=?] ) [ \t]*+
      | (?P<gap> (?<![ \t|\]){BOX_SIGNS}])
        (?: [ ]{{2,}}+ | [ ]*+\t[ \t]*+ | [ ]*+\|[ |]*+ | [ ] [-\u2013\u2014] [ ]
          | (?<![._\u2026])[ ]?[._\u2026]{{3,}}+[ ]? | [,;] (?= [^\n]{{1,12}} $ )
          | [ ] (?= [^\n\t]{{1,8}} (?: [ ]{{2}} | \t | $ ) ) ) ) )
      (?P<answer> {ANSWER} ) (?= [ \t]* (?: [,;|.\t] (?:\s|$) | [|\t] | [ ]{{2}} | $ )
      | [ \t] (?: \[ | [A-Z(] [^:=?\t|\n]{{1,50}} [:=?] (?! [\d/] ) ) )""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
# Fields of a row for each answer; with more, it is words with wide gaps between them.
MAX_FIELDS = 3
_FIELD = re.compile(r"[ ]{2,}|[ ]*\t[ \t]*")
_STRONG = re.compile(r"[\t|]|[._\u2026]{3}|^[,;]$|[ ]{3}")
_CAPITAL = re.compile(r"[^\W\d_a-z]|[(\[]|\d{1,2}[.)]")
_DELIMITER = re.compile(r"[,;|\t]|\.(?=\s)|[ ]{2}")
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

    def __init__(self, text: str, lines: Lines):
        self._text, self._lines = text, lines
        boxes = Boxes(text, lines, _CHOSEN)
        self._hanging = boxes.hanging
        found = [*read_columns(text, lines, _CHOSEN), *boxes.items()]
        others = chain(_answers(text, lines), _led(text, lines), _questions(text))
        found += (other for other in others if not boxes.choosing(other))
        found += _tables(text)
        cuts = {item for item in found if isinstance(item, int)}
        self.cuts = sorted(cuts - boxes.hanging)
        self._edits = [item for item in found if isinstance(item, Edit)]
        for start, end in lines.markers.items():
            self._edits.append(Edit(start, boxes.contents.get(start, end), ""))
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

    def hangs(self, offset: int) -> bool:
        """Tell whether the line that begins at *offset* answers the one above."""
        return offset in self._hanging

    def hides(self, offset: int) -> bool:
        """Tell whether something else is read in the place of what is at *offset*."""
        place = bisect_right(self._starts, offset) - 1
        return place >= 0 and offset < self._edits[place].end


# --- answers ----------------------------------------------------------------------


def _answers(text: str, lines: Lines) -> Iterator[int | Edit]:
    """Cut rows of answers between them, and read each as a word."""
    rows = {}
    for line, found in lines.group(_ANSWERED.finditer(text)):
        num_fields = 1 + len(_FIELD.findall(text, *lines.span(line)))
        if MAX_FIELDS * len(found) < num_fields:
            found = [match for match in found if not (match["gap"] or "-").isspace()]
        if found:
            rows[line] = found
    for line, found in rows.items():
        end = lines.span(line)[1]
        for match in found:
            if len(found) > 1 or _is_answer(match, text[match.end("answer") : end]):
                yield from _answer(match)
        for match, following in pairwise(found):
            yield _next_item(text, match.end("answer"), following.start())
        last = found[-1].end("answer")
        rest = _AFTER.match(text, last, end).end()
        if rest == end and line + 1 in rows:
            yield lines.span(line + 1)[0]
        elif found[-1]["colon"] == "?" and rest < end and text[last] != ",":
            yield rest


def _is_answer(match: re.Match, rest: str) -> bool:
    """Tell whether the only answer of a line is one."""
    gap = match["gap"]
    if not gap or _STRONG.search(gap):
        return True
    return not gap.isspace() and not rest.strip(" \t.")


def _answer(match: re.Match) -> Iterator[Edit]:
    if match["gap"] or match["colon"] == "=":
        begins = match.start("gap") if match["gap"] else match.start("colon")
        yield Edit(begins, match.start("answer"), ": ")
    if words := _WORDS.get(match["answer"].lower()):
        glued = match["colon"] and match.end("colon") == match.start("answer")
        yield Edit(*match.span("answer"), f" {words}" if glued else words)


def _next_item(text: str, start: int, end: int) -> int:
    """Give where the next question begins, after an answer and what is said to it."""
    places = [found.end() for found in _DELIMITER.finditer(text, start, end)]
    begins = [_AFTER.match(text, place, end).end() for place in places]
    begins = [place for place in begins if place < end] or [start]
    capital = (at for at in begins if _CAPITAL.match(text, at))
    return next(capital, begins[-1])


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
