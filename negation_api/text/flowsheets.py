"""Answers below what is asked: "Fever   Cough" above "N       Y"."""

import re
from collections.abc import Iterator

from negation_api.text.answers import ANSWER, ANSWERS, CHOICES, as_read
from negation_api.text.columns import MAX_COLUMNS, cells_of, column_at, is_parted
from negation_api.text.edits import Claim, Edit
from negation_api.text.lists import Lines
from negation_api.text.rows import is_prose

# A row of answers, which may begin with when they were given.
_ROW = re.compile(
    rf"""^ [ \t|]*+
    (?: (?: \d[\d/:.-]*+ (?:[ ]?[ap]m)? | today | now | current | answers? | patient )
      (?: [ ]{{2,}}+ | [ ]*+[\t|][ \t|]*+ ) )?
    {ANSWER} (?: (?: [ ]{{2,}}+ | [ ]*+[\t|][ \t|]*+ ) {ANSWER} ){{1,{MAX_COLUMNS}}}+
    [ \t|]*+ $""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_KNOWN = ANSWERS | CHOICES
_MAX_CHARS = 40  # of what is asked
ASKS_TO_CHOOSE = re.compile(r"\b(?:circle|check|tick|select|one)\b", re.IGNORECASE)

_Cell = tuple[int, int]  # where it starts and ends


def read_flowsheets(text: str, lines: Lines) -> Iterator[int | Edit | Claim]:
    """Read each answer behind its column's heading, where one row of them is below."""
    if not ("  " in text or "\t" in text or "|" in text):
        return
    rows = {lines.at(row.start()): row for row in _ROW.finditer(text)}
    for line, row in rows.items():
        heading = _above(text, line, lines)
        if heading is None or heading in rows or line + 1 in rows:
            continue  # which of several rows is it that answers?
        pairs = _pairs(text, lines.span(heading), lines.span(line))
        if pairs:
            yield Claim(*lines.span(heading))
            yield Claim(*row.span())
            yield Edit(*row.span(), "")
            yield from (start for start, _ in cells_of(text, *lines.span(heading)))
            for (_, end), answer in pairs:
                yield Edit(end, end, f": {as_read(text[slice(*answer)])}")
            if line + 1 < len(lines):
                yield lines.span(line + 1)[0]


def _above(text: str, line: int, lines: Lines) -> int | None:
    """Give the number of the line above, of that above a rule, or None."""
    for above in (line - 1, line - 2):
        if above < 0 or lines.is_blank(above):
            return None
        if any(map(str.isalnum, text[slice(*lines.span(above))])):
            return above
    return None


def _pairs(text: str, heading: _Cell, row: _Cell) -> list[tuple[_Cell, _Cell]]:
    """Give each answer's heading, and the answer, if they are of one row."""
    asked, given = cells_of(text, *heading), cells_of(text, *row)
    parted = [is_parted(text, *line) for line in (heading, row)]
    if all(parted) and len(given) == len(asked) + 1:
        given = given[1:]  # when they were given
    if len(asked) == len(given):
        pairs = list(zip(asked, given))
    elif any(parted):
        return []
    else:
        shift = heading[0] - row[0]
        below = [(column_at(asked, g[0] + shift), g) for g in given]
        pairs = [(a, g) for a, g in below if a]
    pairs = [(a, g) for a, g in pairs if text[slice(*g)].lower() in ANSWERS]
    if len({a for a, _ in pairs}) < max(2, len(pairs)):
        return []
    asks = all(_asks(text[slice(*a)]) for a, _ in pairs)
    says = any(c.isalpha() or c == "+" for _, g in pairs for c in text[slice(*g)])
    return pairs if asks and says else []


def _asks(words: str) -> bool:
    """Tell whether a column's heading is asked, and no answer itself."""
    names = any(map(str.isalpha, words)) and not {*":?"} & {*words}
    known = words.lower() in _KNOWN or ASKS_TO_CHOOSE.search(words)
    return names and len(words) <= _MAX_CHARS and not (known or is_prose(words))
