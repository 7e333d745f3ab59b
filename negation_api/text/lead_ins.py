"""What leads in a list: "Patient denies the following:" is said of every item of it."""

from collections.abc import Container

from negation_api.text.boxes import names_columns
from negation_api.text.columns import names_answers
from negation_api.text.line_breaks import begins_item, is_plain_item, is_rule
from negation_api.text.lists import Lines
from negation_api.text.open_cues import holds_finding, leads_list, plain_words
from negation_api.text.sides import names_sides
from negation_api.text.spans import Span

MAX_LEAD_CHARS = 200
_COLUMNS = names_columns, names_answers, names_sides  # which do not lead in lines


class LeadIns:
    """The lead-ins of a text, to be found from line to line."""

    def __init__(
        self, text: str, lines: Lines, heads: Container[int], answers: Container[int]
    ):
        """Begin.

        :param heads: where the headings that have a line of their own end.
        :param answers: where lines begin that answer one above.
        """
        self._text, self._lines = text, lines
        self._heads, self._answers = heads, answers
        self._judged = {}

    def find(
        self, line: Span, above: int, below: int, lead: Span | None
    ) -> Span | None:
        """Give what leads in line number *below*, if anything.

        :param line: what stands above it, of number *above*.
        :param lead: what leads in *line*, or None.
        """
        text, lines = self._text, self._lines
        ends = text[max(line.start, line.end - 2) : line.end].rstrip()
        headed = line.end in self._heads or ends.endswith(":")
        if headed and line.end - line.start <= MAX_LEAD_CHARS:
            if names_sides(text[line.start : line.end]):
                return None
            return Span(lines.markers.get(line.start, line.start), line.end)
        if is_rule(text, line):
            return lead
        if below > above + 1:
            return None
        item, listed = lines.first(below), line.start in lines.markers
        marked = item in lines.markers
        alone = not listed or marked and lines.holds(above, below)
        if alone and line.start not in self._answers:
            start = lines.markers.get(line.start, line.start)
            words = text[start : min(line.end, start + MAX_LEAD_CHARS)]
            leads = leads_list(words.rstrip(), marked)
            if leads and not any(names(words) for names in _COLUMNS):
                if marked or self._is_item(below, bare=True):
                    return Span(start, line.end)
        if marked or begins_item(text, item):
            return None if lead and self._is_beside(lead, below) else lead
        if lead is None or listed:
            return None
        bare = not (text[lead.end - 1] == ":" or lead.end in self._heads)
        are_items = self._is_item(above, bare) and self._is_item(below, bare)
        return lead if are_items else None

    def _is_beside(self, lead: Span, item: int) -> bool:
        """Tell whether line *item* is beside *lead*, which leads in what is below."""
        lines = self._lines
        above = lines.at(lead.start)
        return not lines.holds(above, item) and lines.holds(above, above + 1)

    def _is_item(self, number: int, bare: bool) -> bool:
        """Tell whether a line without a marker is an item of what leads in.

        :param bare: whether that has no colon, so that only findings are items.
        """
        asked = number, bare
        if asked not in self._judged:  # a line is asked for again as the one above
            line = Span(self._lines.first(number), self._lines.span(number)[1])
            words = self._text[line.start : line.end]
            is_item = is_plain_item(self._text, line) and (
                not bare or holds_finding(plain_words(words))
            )
            self._judged = {asked: is_item}
        return self._judged[asked]
