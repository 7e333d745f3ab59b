"""Layout that is not language: boxes, rows of answers, questions, tables.

Finds, once for a text and in linear time, where an item of a form ends (*cuts*) and
what a reader takes a sign for (*edits*): a list marker for nothing, a box for a sign,
``Y`` for "yes". Offsets are code points into the text; no text is changed.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterator, Set
from itertools import chain
from operator import itemgetter

from negation_api.text import inline, rows
from negation_api.text.boxes import Boxes
from negation_api.text.circled import read_circled
from negation_api.text.columns import read_columns
from negation_api.text.edits import Claim, Edit, Lead, is_claimed
from negation_api.text.flowsheets import read_flowsheets
from negation_api.text.lists import Lines
from negation_api.text.questions import Questions
from negation_api.text.sides import read_sides
from negation_api.text.slips import slips

# Answers before what is answered: "Yes: fever  No: cough".
_LED = re.compile(
    r"(?=[pnydera])(?<![^\s,;.])(?:pos(?:itive)?s?|neg(?:ative)?s?|yes|no|denies"
    r"|endorses|reports|present|absent)[ ]?:(?=[ \t])",
    re.IGNORECASE,
)
# "Pertinent -: fever, cough".
_SIGNED = re.compile(
    r"^[ \t]*+(?:pertinents?|ros)[ ](?P<sign>\(?[-+]\)?)(?=[ ]?:)", re.M | re.I
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
    :ivar leads: what leads in the items below a column's word, by where they begin.
    :ivar rows: where rows of answers begin that stand below another, and are led in
        by what leads in that.
    :ivar answers: where lines begin that answer one above; *hanging*: by their boxes.
    """

    def __init__(
        self,
        text: str,
        lines: Lines,
        heads: Container[int],
        sections: Set[int],
    ):
        """Find them.

        :param heads: where the headings that have a line of their own end.
        :param sections: where the sections begin.
        """
        self._text = text
        first = [*read_circled(text, lines), *read_columns(text, lines)]
        boxes = Boxes(text, lines, _claims(first))
        self.questions = Questions(text, lines, heads, boxes.contents)
        self.hanging = boxes.hanging
        self.answers = boxes.hanging.union(self.questions.answers)
        whole = rows.whole_rows(text, lines)
        found = {int: [], Edit: [], Lead: [], Claim: []}
        for item in self._find(first, boxes, lines, sections, whole):
            found[type(item)].append(item)
        cuts = {*found[int]} - boxes.hanging
        self.rows = (cuts - sections).intersection(
            lines.first(line)
            for line in whole
            if line - 1 in whole and not rows.is_headed(text, lines, line)
        )
        self.cuts = sorted(cuts)
        self.leads = {lead.item: lead.span for lead in found[Lead]}
        edits = found[Edit]
        for start, end in lines.markers.items():
            edits.append(Edit(start, boxes.contents.get(start, end), ""))
        self._edits = _apart(sorted(edits, key=itemgetter(0)))
        self._starts = [edit.start for edit in self._edits]

    def _find(
        self, first: list, boxes: Boxes, lines: Lines, sections, whole
    ) -> Iterator[int | Edit | Lead]:
        """Give all cuts, edits and leads, of which those before others claim the text.

        :param first: what is read before boxes.
        """
        text = self._text
        found = [*self.questions.found, *slips(text)]
        edits = [item for item in found if isinstance(item, Edit)]
        found += [Claim(edit.start + 1, edit.end + 1) for edit in edits]
        found += first
        found += read_flowsheets(text, lines)
        found += read_sides(text, lines, sections)
        found += boxes.items()
        claims = _claims(found)
        others = chain(
            rows.items(text, lines, whole), inline.items(text, lines), _led(text, lines)
        )
        if claims:
            others = (other for other in others if not _is_claimed(claims, other))
        return chain(found, others, _tables(text))

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


def _led(text: str, lines: Lines) -> Iterator[int | Edit]:
    """Cut between answers before what is answered, and read signs there as words."""
    for found in _SIGNED.finditer(text) if ":" in text else ():
        word = "negative" if "-" in found["sign"] else "positive"
        yield Edit(*found.span("sign"), word)
    for _, found in lines.group(_LED.finditer(text) if ":" in text else ()):
        if len(found) > 1:
            yield from (match.start() for match in found)


def _tables(text: str) -> Iterator[Edit]:
    """Take rules and bars out."""
    for rule in _RULE.finditer(text):
        yield Edit(*rule.span(), "")
    if "|" in text:
        for pipe in _PIPE.finditer(text):
            yield Edit(*pipe.span(), " ")


def _claims(items: list) -> list[Claim]:
    return sorted(item for item in items if isinstance(item, Claim))


def _is_claimed(claims: list[Claim], item: int | Edit) -> bool:
    """Tell whether *item* touches one of *claims*."""
    return is_claimed(claims, (item, item + 1) if isinstance(item, int) else item[:2])


def _apart(edits: list[Edit]) -> list[Edit]:
    """Drop what lies inside an edit before it."""
    kept, end = [], -1
    for edit in edits:
        if edit.start >= end:
            kept.append(edit)
            end = edit.end
    return kept
