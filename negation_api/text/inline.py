"""Lists within a line: bullets, numbers and cells between what stands in a row."""

import re
from collections.abc import Iterator

from negation_api.text.answers import ANSWER
from negation_api.text.edits import Edit
from negation_api.text.lists import Lines
from negation_api.text.rows import SAID_OF_ALL
from negation_api.text.sections import RELATIVES, kind_of

_CUE = r"(?:no|den(?:ies|ied|ying)|negative|neg|without|w/o)\b"
_CUED = re.compile(rf"[ \t|]*{_CUE}[ ]\w", re.I)
_BULLET = re.compile(
    r"""(?<=[ \t])[^\w\s()\[\]{}+<>=?:;,.&"'/\\|~$%@!][ \t]++(?=[^\W\d])"""
)
_STYLE = re.compile(r"\(?(?:\d{1,2}[.)]|[a-zA-Z]\))")
_NUMBER = re.compile(rf"(?<=[ \t])(?P<style>{_STYLE.pattern})[ \t]++(?=[^\s\d])")
_FIRST = re.compile(r":[ \t]++(?P<marker>\(?1[.)]|\u2022)[ \t]++(?=[^\W\d])")
_SIGNED = re.compile(r"(?<=[ \t/])(?<!\+/)[-+](?!ve\b)(?=[^\W\d_]{2})")
_REMARK = re.compile(
    r"-(?:likely|probably|possibly|stable|unchanged|improv|resol|held|taken|on|per|see)"
)
_SIGN_COLUMN = re.compile(
    r"^[^\n]{1,40}?(?:[ ]{2}|\t)[ \t]{0,60}+(?P<sign>[-+])[ ]?"
    r"(?=[^\W\d_][^\n\d,;:]{1,30}$)",
    re.M,
)
_IS_ANSWER = re.compile(rf"[ \t]*{ANSWER}[ \t.]*(?:[,;|-]|[ ]{{2}}|\t|\Z)", re.I)
_CELLS = re.compile(r"^[ \t|]*+[^\W\d_][^\n|\t]*+[|\t][^\n]*+$", re.M)
_GAP = re.compile(r"[ ]*+[|\t][ |\t]*+")
_CELL = re.compile(r"[^\W\d_][\w ,.'/%-]*")
_JOINED = re.compile(r"(?:and|n?or|but|with|of|for|to)\b|[,;]")


def items(text: str, lines: Lines) -> Iterator[int | Edit]:
    """Give the cuts and edits of all lists within lines."""
    for start, end in lines.markers.items():
        yield from _marked(text, start, end, lines.span(lines.at(end))[1])
    if ":" in text:
        for _, (first, *_) in lines.group(_FIRST.finditer(text)):
            line, end = lines.span(lines.at(first.start()))
            if kind_of(text[max(line, first.start() - 60) : first.start()]) is not None:
                yield from _marked(text, first.start("marker"), first.end(), end)
    if "+" in text:
        yield from _signed(text, lines)
        yield from _sign_columns(text, lines)
    for row in _CELLS.finditer(text) if "|" in text or "\t" in text else ():
        yield from _cells(text, row)


def _signed(text: str, lines: Lines) -> Iterator[int | Edit]:
    """Cut before each sign of a row of them, "+fever -cough"; a minus is none other.

    The model takes one behind a colon or a slash for a dash.
    """
    for line, found in lines.group(_SIGNED.finditer(text)):
        before = text[lines.content(line) : found[0].start()][-60:]
        if SAID_OF_ALL.search(before) or RELATIVES.search(before):
            continue
        if any(_REMARK.match(text, sign.start()) for sign in found):
            continue
        if any(sign.group() == "+" for sign in found):
            yield from (sign.start() for sign in found[1:])
            minuses = (sign for sign in found if sign.group() == "-")
            yield from (Edit(*sign.span(), "(-) ") for sign in minuses)


def _sign_columns(text: str, lines: Lines) -> Iterator[Edit]:
    """Read the signs of a column of them: "Lungs    - cough", below a "+"."""
    forms = {}
    for row in _SIGN_COLUMN.finditer(text):
        forms.setdefault(lines.paragraph(lines.at(row.start())), []).append(row)
    for rows in forms.values():
        if {row["sign"] for row in rows} == {*"+-"}:
            yield from (Edit(*row.span("sign"), f"({row['sign']})") for row in rows)


def _marked(text: str, start: int, item: int, end: int) -> Iterator[int | Edit]:
    """Cut before each marker that goes on with the one at the line's start."""
    marker = text[start:item].strip()
    if _STYLE.fullmatch(marker):
        found = _numbered(text, marker, item, end)
    elif len(marker) == 1 and not marker.isalnum():
        found = [m for m in _BULLET.finditer(text, item, end) if m[0][0] == marker]
        if marker in "-\u2013\u2014" and not _is_dashed(text, item, end, found):
            return
    else:
        return
    for each in found:
        yield each.start()
        yield Edit(*each.span(), "")


def _numbered(text: str, marker: str, item: int, end: int) -> list[re.Match]:
    """Give the markers that count on from *marker*."""
    found = []
    for each in _NUMBER.finditer(text, item, end):
        if each["style"] == _next(marker):
            found.append(each)
            marker = each["style"]
    return found


def _next(marker: str) -> str:
    """Give the marker behind *marker*.

    >>> _next("(1)"), _next("9."), _next("a)")
    ('(2)', '10.', 'b)')
    """
    count = marker.strip("(.)")
    following = str(int(count) + 1) if count.isdecimal() else chr(ord(count) + 1)
    return marker.replace(count, following)


def _is_dashed(text: str, item: int, end: int, found: list[re.Match]) -> bool:
    """Tell whether dashes part items, and not a finding from what is said of it."""
    begins = [each.end() for each in found]
    if any(_IS_ANSWER.match(text, at, end) for at in begins):
        return False
    # "- HTN - on lisinopril - controlled"
    if text[item].isupper() and not all(text[at].isupper() for at in begins):
        return False
    return len(found) > 1 or bool(_CUED.match(text, item, end))


def _cells(text: str, row: re.Match) -> Iterator[int]:
    """Cut between cells that are statements of their own."""
    cells, at = [], row.start()
    for gap in [*_GAP.finditer(text, *row.span()), None]:
        ends = gap.start() if gap else row.end()
        if text[at:ends].strip():
            cells.append((at, text[at:ends].strip()))
        at = gap.end() if gap else ends
    if not all(_CELL.fullmatch(cell) for _, cell in cells):
        return
    if any(_IS_ANSWER.fullmatch(cell) for _, cell in cells):
        return
    cued = [bool(_CUED.match(cell)) for _, cell in cells]
    if cued[0] or sum(cued) > 1:
        yield from (start for start, cell in cells[1:] if not _JOINED.match(cell))
