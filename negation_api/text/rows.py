"""Rows of answers: what is asked, its answer, the next thing that is asked.

A row is told by its signs ("Fever: N, cough: Y"), by its columns, or by being nothing
but questions and answers from end to end ("Asthma NO COPD YES").
"""

import re
from collections.abc import Iterator
from itertools import chain, pairwise

from negation_api.text.answers import (
    AMOUNT,
    ANSWER,
    ANSWERS,
    BARE_ANSWER,
    KIND,
    STATUS,
    WORDS,
    any_of,
    as_read,
)
from negation_api.text.boxes import AFTER, BOX_SIGNS
from negation_api.text.edits import Edit
from negation_api.text.line_breaks import PROGRAM_CHARS, goes_on
from negation_api.text.lists import Lines
from negation_api.text.sections import RELATIVES, kind_of

# An answer and what stands between it and its question; no question ends with a box.
_ANSWERED = re.compile(
    rf"""(?= [:=?|,;._\u2026 \t>\u2192-] )
    (?: (?P<offer> (?<![ \t._\u2026]) [ \t._\u2026]*+
          \(? y(?:es)? [ ]?/[ ]? no? \)? [ ]? )?+
        (?P<colon> [:=?] ) [ \t]*+
      | (?P<gap> (?<![ \t\n|,;\]){BOX_SIGNS}])
        (?: [ ]{{2,}}+ | [ ]*+\t[ \t]*+ | [ ]*+\|[ |]*+ | [ ] [-\u2013\u2014] [ ]
          | (?<![._\u2026])[ ]?[._\u2026]{{3,}}+[ ]?
          | (?<![._])[ ]?\.\.[ ]? (?= [^\n]{{1,12}} $ )
          | [ ]? (?: [-=]?>{{1,2}} | \u2192 ) [ ]? | [,;] (?= [^\n] (?! [^\n]{{12}} ) )
          | [ ] (?= [^\n\t] (?! [^\n\t]{{8}} ) | [^\n\t]{{1,8}} [ ][ ]
            | [a-z]{{1,8}} [ ] [|(] |
            (?=[npd]) [^\s.,;]{{2,9}} [ ] [^\s.,;]{{2,12}}
            (?: [ ]{{2}} | \t | $ ) ) ) ) )
      (?P<code> \(? \d{{1,2}} (?: \) | [.=] | [ ][-=] ) [ ]?
          (?= (?: yes|no|none|never|unknown|absent|present ) \b ) )?
      (?! n/[vdc]\b | y/n\b )  # "N/V"
      (?P<answer> {ANSWER} | {AMOUNT} (?= [ ]{{2}} | [ ]? (?: [\t|] | $ ) )
        | (?: (?<=[\t|]) | (?<=[\t|][ ]) | (?<=\.\.\.) | (?<=\.\.\.[ ]) )
          {STATUS} (?= [ ]? (?: [\t|] | $ ) | , )
        | (?<=[ ]{{3}}) {STATUS} (?= [ ]? $ ) )
      (?= [ \t]* (?: [,;|.\t] (?:\s|$) | [|\t] | [ ]{{2}} | $ )
        | [ ] \( [^()\n]{{1,40}} \) [ ]*+ (?: [|\t] | [ ]{{2}} | $ )
        | [ ]? [,;/] [ ]? [^\W\d_] [^:=?\t|\n,;/]{{1,40}} [:=]
        | [ \t] (?: \[ | [A-Z(] (?= [^:=?\t|\n._\u2026]{{0,50}}+ [:=?._\u2026] )
            (?: [^:=?\t|\n.\u2026] | (?-i:\.(?!\.|[A-Z]{{2}})) ){{1,50}}
            (?: [:=?] (?! [\d/] ) | [._\u2026]{{3}} ) ) )""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_CUE = re.compile("no|not|denie[sd]", re.IGNORECASE)
# Fields of a row for each answer; with more, it is words with wide gaps between them.
MAX_FIELDS = 3
_FIELD = re.compile(r"[ ]{2,}|[ ]*\t[ \t]*")
_STRONG = re.compile(r"[\t|]|[._\u2026]{3}|^[,;]$|[ ]{3}")
_CAPITAL = re.compile(r"[^\W\d_a-z]|[(\[]|\d{1,2}[.)]")
_DELIMITER = re.compile(r"[,;|\t]|\.(?=\s)|[ ]{2}")
_BAR = re.compile(r"\|[ \t]*+")
_AMOUNT = re.compile(AMOUNT, re.VERBOSE | re.IGNORECASE)


def whole_rows(text: str, lines: Lines) -> dict[int, list[int | Edit]]:
    """Give the cuts and edits of each line that is a row from end to end."""
    return dict(chain(_results(text, lines), _bare_rows(text, lines)))


def items(text: str, lines: Lines, whole) -> Iterator[int | Edit]:
    """Give the cuts and edits of all rows.

    :param whole: as :func:`whole_rows` gives it.
    """
    yield from chain.from_iterable(whole.values())
    for below in (line + 1 for line in whole if line + 1 < len(lines)):
        first = lines.first(below)
        if below in whole or not text[first : first + 1].islower():
            yield lines.span(below)[0]
    yield from _answers(text, lines, whole)
    yield from _fields(text, lines)
    yield from _references(text)


# --- answers behind signs and gaps ------------------------------------------------


def _answers(text: str, lines: Lines, known) -> Iterator[int | Edit]:
    """Cut rows of answers between them, and read each as a word.

    :param known: the lines that are read as a whole.
    """
    rows = {}
    edges = [-1, *sorted(known), len(lines)]
    places = [
        (lines.span(above + 1)[0], lines.span(below - 1)[1])
        for above, below in pairwise(edges)
        if above + 1 < below
    ]
    matches = chain.from_iterable(_ANSWERED.finditer(text, *place) for place in places)
    for line, found in lines.group(matches):
        if _is_spaced(text, lines.first(line), lines.span(line)[1], len(found)):
            found = [match for match in found if not (match["gap"] or "-").isspace()]
        if len(found) == 1 and _AMOUNT.fullmatch(found[0]["answer"]):
            found = []
        if found:
            rows[line] = found
    rows = {line: rows[line] for line in rows if not _is_lonely(rows, line)}
    has_bars = "|" in text
    for line, found in rows.items():
        end = lines.span(line)[1]
        for match in found:
            if len(found) > 1 or _is_answer(match, text[match.end("answer") : end]):
                yield from _answer(match)
        for match, following in pairwise(found):
            between = match.end("answer"), following.start()
            yield _next_item(text, *between)
            if has_bars and "|" not in f"{match['gap']}{following['gap']}":
                yield from _bars(text, *between)
        last = found[-1].end("answer")
        rest = AFTER.match(text, last, end).end()
        if rest == end and line + 1 < len(lines):
            row_below = line + 1 in rows or line + 1 in known
            if row_below or not _wraps(text, lines, line, found[-1]):
                yield lines.span(line + 1)[0]
        elif found[-1]["colon"] == "?" and rest < end and text[last] != ",":
            yield rest


def _is_lonely(rows: dict[int, list[re.Match]], line: int) -> bool:
    """Tell whether a line ends with a status that is in no column of them."""
    last = rows[line][-1]
    if last["answer"].lower() in ANSWERS or _AMOUNT.fullmatch(last["answer"]):
        return False
    parted = not {*(last["gap"] or "")}.isdisjoint("|\t")
    return not parted and rows.keys().isdisjoint([line - 1, line + 1])


def _bars(text: str, start: int, end: int) -> Iterator[int]:
    """Give where cells begin, but for those of what denies several."""
    for bar in _BAR.finditer(text, start, end):
        if SAID_OF_ALL.search(text, start, bar.start()):
            return
        start = bar.end()
        yield start


def _wraps(text: str, lines: Lines, line: int, answer: re.Match) -> bool:
    """Tell whether a line's last answer may be a cue of the next: "Exam: no|edema"."""
    gap, following = answer["gap"], lines.first(line + 1)
    if gap and gap.isspace() or goes_on(text, following):
        return True
    if not _CUE.fullmatch(answer["answer"]):
        return False
    start, end = lines.span(line)
    if end - start >= PROGRAM_CHARS or not text[following : following + 1].isupper():
        return True
    label = text[lines.content(line) : answer.start()]
    return kind_of(label) is not None or answer["answer"].lower() != "no"


def _is_spaced(text: str, start: int, end: int, num_pairs: int) -> bool:
    """Tell whether a line has so many gaps that they stand between words."""
    return 1 + len(_FIELD.findall(text, start, end)) > MAX_FIELDS * num_pairs


def _is_answer(match: re.Match, rest: str) -> bool:
    """Tell whether the only answer of a line is one."""
    gap = match["gap"]
    if not gap or _STRONG.search(gap):
        return True
    return not gap.isspace() and not rest.strip(" \t.")


def _answer(match: re.Match) -> Iterator[Edit]:
    gap, offer, code, colon, answer = match.group(
        "gap", "offer", "code", "colon", "answer"
    )
    start, end = match.span("answer")
    if gap or offer or code or colon == "=":
        yield Edit(match.start(), start, ": ")
    if words := WORDS.get(answer.lower()):
        glued = colon and match.end("colon") == start
        yield Edit(start, end, f" {words}" if glued else words)


def _next_item(text: str, start: int, end: int) -> int:
    """Give where the next question begins, after an answer and what is said to it."""
    if gap := _gap(text, start, end):
        return gap.end()
    last, found = start, _DELIMITER.search(text, start, end)
    while found:
        at = AFTER.match(text, found.end(), end).end()
        if at < end:
            last = at
            if _CAPITAL.match(text, at):
                break
        found = _DELIMITER.search(text, at, end)
    return last


# --- nothing but questions and answers --------------------------------------------

_PARTS = re.compile(r"[ \t:=\u2013\u2014-]")
_LAST = frozenset(_PARTS.split(word)[-1] for word in KIND) - {""}
_PAIR = re.compile(
    rf"""(?= [ :=+\u2013\u2014-] )
    (?P<gap> [ ]?[:=][ ]? | [ ]?[-\u2013\u2014]{{1,2}}[ ]? | [ ]
      | (?<=[^\W\d_]) (?= [+-] ) )
    (?! n/[vdc]\b | y/n\b ) (?P<answer> {BARE_ANSWER} )
    (?P<after> [ ]*+[/,;|][ ]*+ | [ \t]++ | \.?[ \t]*+\Z )""",
    re.VERBOSE | re.IGNORECASE,
)
_LEADS = re.compile("ros|review of systems", re.IGNORECASE)  # "ROS neg fever neg rash"
_LAST_CHARS, _MAX_QUESTION = 20, 40
_HEADED = re.compile(r"[^\W\d_][^:\n]{1,40}:[ \t]++(?=\w)")
_QUESTION = re.compile(r"[^\W\d_][\w'/&()%.+-]*(?: [\w'/&()%.+-]+){0,4}")
# What no question of a form has, ends with, or begins with; of small letters.
_SAYS = any_of(
    """is was are were has had have he she it they we i patient pt that this there who
    which did does do will be been but so than because found no not""".split()
)
_JOINS = "and or with for to in on at of from by as the a an".split()
_PROSE = re.compile(
    rf"\b(?=[a-z])(?:{_SAYS}\b|{any_of(_JOINS)}\Z)|\.[\s.]"
    rf"|\A{any_of([*_JOINS, *'all if then'.split()])}\b"
)


def is_prose(words: str) -> bool:
    """Tell whether *words* are no question of a form, but of a sentence."""
    return bool(_PROSE.search(words.lower()))


def is_headed(text: str, lines: Lines, line: int) -> bool:
    """Tell whether a line begins with a label of its own."""
    return bool(_HEADED.match(text, lines.content(line), lines.span(line)[1]))


def _bare_rows(text: str, lines: Lines) -> Iterator[tuple[int, list[int | Edit]]]:
    """Give what is read of each line that is questions and answers from end to end."""
    for line in range(len(lines)):
        start, end = lines.content(line), lines.span(line)[1]
        last = text[max(start, end - _LAST_CHARS) : end]
        if end - start > 5 and _ends_answered(last):
            headed = _HEADED.match(text, start, end)
            for begins in (start, headed.end()) if headed else (start,):
                pairs = list(_PAIR.finditer(text, begins, end))
                if pairs and pairs[-1].end() == end and _is_row(text, begins, pairs):
                    yield line, _bare_row(pairs)
                    break


def _ends_answered(piece: str) -> bool:
    """Tell whether the last word of *piece* may be an answer."""
    piece = piece.rstrip(" \t.").lower()
    return piece[-1:] in "+-)" or _PARTS.split(piece)[-1] in _LAST


def _is_row(text: str, start: int, pairs: list[re.Match]) -> bool:
    """Tell whether *pairs* leave nothing over but short questions."""
    if len(pairs) < 2 or _LEADS.fullmatch(text, start, pairs[0].start()):
        return False
    if not _are_answers(pairs):
        return False
    for pair in pairs:
        question = text[start : pair.start()]
        if len(question) > _MAX_QUESTION or not _QUESTION.fullmatch(question):
            return False
        if is_prose(question):
            return False
        start = pair.end()
    return True


def _are_answers(pairs: list[re.Match]) -> bool:
    """Tell whether *pairs* are answered in one manner, or have signs before answers."""
    answers = {pair["answer"].lower() for pair in pairs}
    if len(answers) > 1 and len({KIND[answer] for answer in answers}) == 1:
        return True
    signed = all(pair["gap"].strip() or "/" in pair["after"] for pair in pairs[:-1])
    return signed and (len(pairs) > 2 or len(answers) > 1)


def _bare_row(pairs: list[re.Match]) -> list[int | Edit]:
    found = [pair.end() for pair in pairs[:-1]]
    for pair in pairs:
        words = as_read(pair["answer"])
        found.append(Edit(pair.start(), pair.end("answer"), f": {words}"))
        if "/" in pair["after"]:
            found.append(Edit(*pair.span("after"), " "))
    return found


# --- fields, each with its colon --------------------------------------------------

_COLON = re.compile(
    r":(?!\d{1,12}\})(?:(?=[ \t]|$)(?:(?<=\S:)|(?<=\S[ ]:))"
    r"|(?<=[^\W\d_]:)(?=[^\s/:]))",
    re.M,
)
# A set of characters first, which is what sre looks for.
_WIDE = re.compile(
    r"[ \t|;](?:(?<![ ])[ \t|;]*+|(?<=[ ])(?:[ ]++|[ ]*+[\t|;][ \t|;]*+|/[ ]))"
    r"(?=[^\W_])"
)
_LABEL = re.compile(r"(?:[^\n\t|.,;?! ]++|[.,;?!](?!\s)|[ ](?![ ]|/[ ]))*+")
_MAX_LABEL = 50
_UNFILLED = (
    r"(?i:_{2,}+|\*{3}|\[(?:select|enter|choose)\b[^]\n]{0,30}\]"
    rf"|\{{(?!{ANSWER}:)[^{{}}\n]{{1,40}}:\d{{1,12}}\}})"  # an item of Epic's lists
)
_OF_ITEM = frozenset("status certainty verification".split())
_ITEM = re.compile(
    r"\W*(?:problem|diagnos[ei]s|dx|condition|finding|symptom|disease|medication"
    r"|drug)s?[ #\d]*:[^:\n]*",
    re.IGNORECASE,
)
_TO_FILL = re.compile(rf"[ \t]*+{_UNFILLED}(?=(?P<gap>[ \t|;]*))")
_IS_TO_FILL = re.compile(_UNFILLED)
# What leads in a line and is said of all its labels: "Denies: GI: ...; GU: ...".
SAID_OF_ALL = re.compile(
    r"\b(?:den(?:y|ies|ied|ying)|no|not|without|neg(?:ative)?s?|absent|risks?|if|return"
    r"|precautions?)\b",
    re.IGNORECASE,
)


def is_of_item(text: str, start: int, at: int, label: str) -> bool:
    """Tell whether what *label* says is of the item ``text[start:at]`` before it.

    >>> is_of_item("Problem: gout  ", 0, 15, "Status")
    True
    >>> is_of_item("CABG: no  ", 0, 10, "Status")
    False
    """
    asked = label.strip(" \t:").lower() in _OF_ITEM
    return asked and bool(_ITEM.fullmatch(text, start, at))


def _fields(text: str, lines: Lines) -> Iterator[int | Edit]:
    """Cut before each "label:" behind a gap; read a value that is blank as unknown."""
    for line, colons in lines.group(_COLON.finditer(text)):
        start, end = lines.content(line), lines.span(line)[1]
        if len(colons) < 2 and not _IS_TO_FILL.search(text, start, end):
            continue
        first = text[start : colons[0].start()][-60:]
        inside = text[colons[0].end() : colons[1].start()] if colons[1:] else ""
        nested = _is_label(inside, 0, len(inside)) and RELATIVES.search(first)
        if nested or SAID_OF_ALL.search(first):
            continue
        if not _is_spaced(text, start, end, len(colons)):
            yield from _cut_fields(text, colons, start, end)


def _cut_fields(text, colons, start: int, end: int) -> Iterator[int | Edit]:
    edge = colons[0].end()
    label = max(start, edge - 1 - _MAX_QUESTION)  # where the field's begins
    for following in [*colons[1:], None]:
        until = following.start() if following else end
        to_fill = _TO_FILL.match(text, edge, until)
        begins = to_fill.end("gap") if to_fill else edge
        gap = _gap(text, edge, until) if following else None
        is_label = following and to_fill and _is_label(text, begins, until)
        if to_fill and (is_label or begins == until):
            yield Edit(*to_fill.span(), " unknown")
            yield from [begins] if following else []
        elif gap and gap.start() == edge:
            if not _leads(text[label : edge - 1], gap, text[gap.end() : until]):
                yield Edit(edge, edge, " unknown")
                yield gap.end()
        elif gap and not is_of_item(text, start, gap.start(), text[gap.end() : until]):
            yield gap.end()
            if "/" in gap.group():
                yield Edit(*gap.span(), " ")
        if following:
            label = gap.end() if gap else max(edge, until - _MAX_QUESTION)
            edge = following.end()


def _gap(text: str, start: int, end: int) -> re.Match | None:
    """Give the gap before the label that ends at *end*, if one is there."""
    found, last = _WIDE.search(text, max(start, end - 60), end), None
    while found:
        found, last = _WIDE.search(text, found.end(), end), found
    return last if last and _is_label(text, last.end(), end) else None


def _is_label(text: str, start: int, end: int) -> bool:
    """Tell whether ``[start, end)`` may be the name of a field."""
    fits = 0 < end - start <= _MAX_LABEL
    return fits and _LABEL.fullmatch(text, start, end) is not None


def _leads(label: str, gap: re.Match, following: str) -> bool:
    """Tell whether *label* has no value of its own but leads, or a gap before it."""
    if gap.group() == "  " or len(following.split()) > 3 or following[0].islower():
        return True
    return bool(RELATIVES.search(label)) or kind_of(label) is not None


# --- results and what is normal ---------------------------------------------------

_NUMBER = r"[<>]?\d[\d.,]*+\+? (?: [ ]?[A-Za-z/%]{1,10} )?"
_RESULT = re.compile(
    rf"""^ [ \t]*+ [^\W\d_] (?: [ ]?[^\s|:] ){{1,40}}+ :?
    (?P<gap> [ ]{{2,}}+ | [ ]*+[\t|][ \t|]*+ )
    (?P<value> {ANSWER} | {AMOUNT} | {_NUMBER} )
    (?: [ ]{{1,2}} (?: \( [A-Z*]{{1,2}} \) | [HLA*]{{1,2}} ) | \* )?
    (?P<normal> (?: [ ]{{2,}}+ | [ ]*+[\t|][ \t|]*+ ) (?: neg(?:ative)?
      | non-?reactive | not[ ]detected | none(?:[ ](?:seen|detected))? | normal | absent
      ) ) [ \t|]*+ $""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_REFERENCE = re.compile(
    rf"""[ \t] (?<=\w[ \t]) [ \t]*+  # a blank first, which is what sre looks for
    \(? (?: ref(?:erence)?\.? (?:[ ](?:range|interval|values?))?
      | normal[ ](?:range|values?) | expected ) [ ]? : [ ]?
    (?: {ANSWER} (?!\w) | normal
      | [<>]?=?\d[\d.]*+ (?: [ ]?-[ ]?[\d.]{{1,8}} )? ) \)?""",
    re.VERBOSE | re.IGNORECASE,
)


def _results(text: str, lines: Lines) -> Iterator[tuple[int, list[Edit]]]:
    """Read the first of two values: the second is what is normal."""
    gapped = "  " in text or "\t" in text or "|" in text
    for found in _RESULT.finditer(text) if gapped else ():
        value = as_read(found["value"])
        edits = [Edit(found.start("gap"), found.end("value"), f": {value}")]
        yield lines.at(found.start("gap")), [*edits, Edit(*found.span("normal"), "")]


def _references(text: str) -> Iterator[Edit]:
    if ":" in text and any(map(text.lower().count, ("ref", "normal", "expected"))):
        yield from (Edit(*found.span(), "") for found in _REFERENCE.finditer(text))
