"""Changes to a text that keep what it says of an entity, or turn it one known way.

The behavioural tests of Ribeiro et al. 2020,
https://aclanthology.org/2020.acl-main.442/: invariance, where the answer must stay,
and directional expectation, where it is known.

A change is ``(case, rng) -> edits``: where the text is to be replaced, and by what;
none where it does not apply. :func:`edited` carries them out and moves the entity
along, so that no change counts offsets itself.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from negation_api.commands.evaluate.words import (
    CUE,
    HEADINGS,
    KIND_OF,
    LEADS,
    MARKERS,
    NEUTRAL,
    NO_ITEM,
    UNRELATED,
)

REACH = 80  # characters round the entity within which a change could matter
Edit = tuple[int, int, str]  # [start, end) of the text, and what stands there then


@dataclass(frozen=True)
class Case:
    """A text and the entity in it, ``[start, end)`` in code points."""

    text: str
    start: int
    end: int

    @property
    def entity(self) -> str:
        return self.text[self.start : self.end]

    @property
    def line(self) -> int:
        """Where the line begins that the entity begins in."""
        return self.text.rfind("\n", 0, self.start) + 1

    @property
    def sentence(self) -> tuple[int, int]:
        """What surely belongs to the entity: no further than a stop or a line end."""
        before = _ENDS.split(self.text[: self.start])[-1]
        after = _ENDS.split(self.text[self.end :])[0]
        return self.start - len(before), self.end + len(after)


_ENDS = re.compile(r"[.!?:;](?=\s|$)\s*|\n")


def edited(case: Case, edits: list[Edit]) -> Case:
    """Carry out *edits*, which neither overlap nor cross the entity's edges.

    What is put in right before or right behind the entity does not belong to it.

    >>> edited(Case("no fever", 3, 8), [(0, 2, "without"), (8, 8, "!")])
    Case(text='without fever!', start=8, end=13)
    """
    pieces, last, start, end = [], 0, case.start, case.end
    for first, after, new in sorted(edits, key=lambda edit: edit[:2]):
        if first < last or _crosses(case, first, after):
            raise ValueError(f"edit [{first}, {after}) overlaps")
        grown = len(new) - (after - first)
        start += grown if after <= case.start else 0
        end += grown if first < case.end else 0
        pieces += [case.text[last:first], new]
        last = after
    return Case("".join(pieces) + case.text[last:], start, end)


def _crosses(case: Case, first: int, after: int) -> bool:
    return first < case.start < after or first < case.end < after


# --- lines --------------------------------------------------------------------

_MARKED = re.compile(
    r"^[ \t]*(?:[-*\u2022\u00b7\u2013\u2014>]|\d{1,2}[.)])[ \t]+(?=\w)", re.M
)
_SIGN = re.compile(r"[ \t]*(?:[^\w\s(\"'*]|\w{1,2}[.)])")  # a marker, a box, a sign


def dash(case: Case, rng: Random) -> list[Edit]:
    """Make the entity's line an item of a dash list."""
    return _mark(case, "- ")


def marker(case: Case, rng: Random) -> list[Edit]:
    """Make the entity's line an item of another list."""
    return _mark(case, rng.choice(MARKERS))


def _mark(case: Case, sign: str) -> list[Edit]:
    if _SIGN.match(case.text, case.line) or not _begins(case.text, case.line):
        return []
    return [(case.line, case.line, sign)]


def _begins(text: str, line: int) -> bool:
    """Tell whether the line at *line* surely goes on with nothing."""
    return not line or text[:line].endswith(("\n\n", ":\n", ".\n"))


def no_marker(case: Case, rng: Random) -> list[Edit]:
    """Take the markers off all items of lists."""
    found = list(_MARKED.finditer(case.text))
    # Without its marker, an item in small letters may go on with the line above it.
    unclear = any(
        _crosses(case, *each.span())
        or case.text[each.end()].islower()
        and not _begins(case.text, each.start())
        for each in found
    )
    return [] if unclear else [(*each.span(), "") for each in found]


def heading(case: Case, rng: Random) -> list[Edit]:
    """Put a heading that says nothing above the text."""
    return [(0, 0, f"{rng.choice(HEADINGS)}\n")]


def wrapped(case: Case, rng: Random) -> list[Edit]:
    """Break the line at any blank, as programs and narrow windows do."""
    blanks = [at for at in _blanks(case) if not _SIGN.match(case.text, at + 1)]
    return [(at, at + 1, "\n") for at in rng.sample(blanks, min(1, len(blanks)))]


def _blanks(case: Case) -> list[int]:
    """Give the lone blanks near the entity, not within a bracket."""
    text, line_end = case.text, case.text.find("\n", case.end)
    first = max(case.line, case.start - REACH)
    last = min(len(text) if line_end < 0 else line_end, case.end + REACH)
    return [
        found.start()
        for found in _BLANK.finditer(text, first, last)
        if text.rfind("[", case.line, found.start())
        <= text.rfind("]", case.line, found.start())
    ]


_BLANK = re.compile(r"(?<=\w[\w,]) (?=[A-Za-z])")  # not behind a marker


# --- neighbours ---------------------------------------------------------------


def sentence_before(case: Case, rng: Random) -> list[Edit]:
    """Put a sentence about something else before the text."""
    alone = "\n" in case.text or not case.text[:1].isupper()
    return [(0, 0, rng.choice(UNRELATED) + ("\n" if alone else " "))]


def sentence_after(case: Case, rng: Random) -> list[Edit]:
    """Put a sentence about something else behind the text."""
    end = len(case.text.rstrip())
    last = case.text[end - 1]
    if last in ":,;?":
        return []
    stop = "" if last in ".!" else "."
    between = "\n" if "\n" in case.text else f"{stop} "
    return [(max(end, case.end), len(case.text), between + rng.choice(UNRELATED))]


# --- characters ---------------------------------------------------------------

_CHARACTER_REFERENCE = re.compile(r"&#?\w+;")


def upper(case: Case, rng: Random) -> list[Edit]:
    """Write all in capitals."""
    return _each_letter(case, str.upper)


def lower(case: Case, rng: Random) -> list[Edit]:
    """Write all in small letters."""
    return _each_letter(case, str.lower)


def _each_letter(case: Case, write: Callable[[str], str]) -> list[Edit]:
    kept = {
        i for m in _CHARACTER_REFERENCE.finditer(case.text) for i in range(*m.span())
    }
    letters = enumerate(case.text)
    return [(i, i + 1, write(c)) for i, c in letters if write(c) != c and i not in kept]


def two_blanks(case: Case, rng: Random) -> list[Edit]:
    """Make every lone blank two."""
    if "  " in case.text or "\t" in case.text:
        return []  # there it may part columns
    return [(*m.span(), "  ") for m in re.finditer(r"(?<=\S) (?=\S)", case.text)]


def no_stop(case: Case, rng: Random) -> list[Edit]:
    """Leave out the last full stop."""
    end = len(case.text.rstrip())
    stops = case.text[:end].endswith(".") and not case.text[:end].endswith("..")
    return [(end - 1, end, "")] if stops and end > case.end else []


def curly_quotes(case: Case, rng: Random) -> list[Edit]:
    """Set quotes as word processors do."""
    edits = []
    for found in re.finditer("[\"']", case.text):
        before = case.text[: found.start()]
        opens = not before or before[-1] in " \n(["
        pair = "\u201c\u201d" if found.group() == '"' else "\u2018\u2019"
        edits.append((*found.span(), pair[0] if opens else pair[1]))
    return edits


def nbsp(case: Case, rng: Random) -> list[Edit]:
    """Leave the blanks beside the entity as a web page wrote them."""
    blanks = _blanks(case)
    before = [at for at in blanks if at < case.start][-1:]
    after = [at for at in blanks if at >= case.end][:1]
    return [(at, at + 1, "&nbsp;") for at in before + after]


def full_width_cue(case: Case, rng: Random) -> list[Edit]:
    """Write the cue nearest to the entity in full-width letters."""
    first, last = case.sentence
    cues = [
        found.span()
        for found in CUE.finditer(case.text, first, last)
        if found.end() <= case.start or found.start() >= case.end
    ]
    if not cues:
        return []
    begin, end = min(cues, key=lambda s: max(case.start - s[1], s[0] - case.end))
    letters = case.text[begin:end]
    wide = (chr(ord(c) + 0xFEE0) if c != " " else c for c in letters)
    return [(begin, end, "".join(wide))]


def typing_error(case: Case, rng: Random) -> list[Edit]:
    """Swap two letters in a word that is no cue, outside the entity."""
    first, last = case.sentence
    words = [
        found.start()
        for found in re.finditer(r"\b[a-z]{5,}\b", case.text[:last])
        if found.start() >= first
        and found.group() in NEUTRAL
        and (found.end() <= case.start or found.start() >= case.end)
    ]
    if not words:
        return []
    at = rng.choice(words) + 1
    swapped = case.text[at + 1] + case.text[at]
    return [(at, at + 2, swapped)]


# --- the entity ---------------------------------------------------------------


def abbreviated(case: Case, rng: Random) -> list[Edit]:
    """Put the entity's abbreviation in brackets behind it."""
    words = re.findall(r"[A-Za-z]+", case.entity)
    initials = "".join(word[0] for word in words).upper()
    plain = re.fullmatch(r"[A-Za-z]+(?:[ -][A-Za-z]+){1,4}", case.entity)
    follows = re.match(r"\w| ?\(", case.text[case.end :])
    if not plain or follows or CUE.search(case.entity) or CUE.search(initials):
        return []
    return [(case.end, case.end, f" ({initials})")]


def another_entity(case: Case, rng: Random) -> list[Edit]:
    """Put another of the same kind in the entity's place."""
    text, name = case.text.lower(), case.entity.lower()
    vowel = name[:1] in "aeiou"
    others = [
        other
        for other in KIND_OF.get(name, ())
        if other not in text and (other[0] in "aeiou") == vowel
    ]
    if not others or text.count(name) > 1:
        return []
    new = rng.choice(others)
    if case.entity.isupper():
        new = new.upper()
    elif case.entity[0].isupper():
        new = new[0].upper() + new[1:]
    return [(case.start, case.end, new)]


# --- enumerations -------------------------------------------------------------

_COMMA = re.compile(r",? (?:and|or|nor) |, ?")
_ITEM = re.compile(r"[A-Za-z]+(?:[ -][A-Za-z]+){0,3}")


def turned_round(case: Case, rng: Random) -> Case | None:
    """Give the items of the entity's enumeration in the opposite order."""
    items = _enumeration(case)
    own = [i for i, (a, b) in enumerate(items) if a <= case.start and case.end <= b]
    if len(items) < 2 or not own:
        return None
    text, pieces, places = case.text, [case.text[: items[0][0]]], []
    gaps = [text[a[1] : b[0]] for a, b in zip(items, items[1:])]
    gaps.append(text[items[-1][1] :])
    for (first, last), gap in zip(reversed(items), gaps):
        places.append(sum(map(len, pieces)))
        pieces += [text[first:last], gap]
    moved = places[len(items) - 1 - own[0]] - items[own[0]][0]
    return Case("".join(pieces), case.start + moved, case.end + moved)


def _enumeration(case: Case) -> list[tuple[int, int]]:
    """Give the spans of the items, if the sentence has one enumeration and a lead."""
    first, last = case.sentence
    gaps = list(_COMMA.finditer(case.text, first, last))
    joined = [gap.group().strip() != "," for gap in gaps]
    if joined[-1:] != [True] or any(joined[:-1]):
        return []  # mere commas, or a second "and", may part clauses
    begin = _first_item(case.text, first, gaps[0].start())
    if begin is None:
        return []
    edges = [begin, *(edge for gap in gaps for edge in gap.span()), last]
    items = [
        (a, a + len(case.text[a:b].rstrip())) for a, b in zip(edges[::2], edges[1::2])
    ]
    return items if all(_is_item(case.text[a:b]) for a, b in items) else []


def _first_item(text: str, first: int, end: int) -> int | None:
    """Tell where the first item begins: behind the last word that leads in."""
    words = list(re.finditer(r"\S+", text[first:end]))
    for word in reversed(words):
        if word.group().lower() in LEADS:
            begin = first + word.end() + 1
            return begin if begin < end else None
    return None


def _is_item(item: str) -> bool:
    words = set(item.lower().split())
    return bool(_ITEM.fullmatch(item)) and not (CUE.search(item) or NO_ITEM & words)


# --- one known way ------------------------------------------------------------

_PLAIN_BEFORE = re.compile(
    r"(?:(?:(?:the )?(?:pt|patient|he|she)\.? )?(?:has|had|reports|notes|shows|with) )?"
    r"(?:an? )?",
    re.IGNORECASE,
)
_PLAIN_AFTER = re.compile(r"\s*(?:,.*| and .*)?", re.IGNORECASE)
_NOUN = re.compile(r"[A-Za-z]+(?:[ -][A-Za-z]+){0,3}(?<!ed|ic|al)(?<!ous|ful|ile|ing)")
_VERBAL = re.compile(r"(.*?)(?:an? )?", re.IGNORECASE)


def negated(case: Case, rng: Random) -> list[Edit]:
    """Put "no" before a plain finding."""
    first = _plain(case)
    if first is None:
        return []
    kept = _VERBAL.fullmatch(case.text[first : case.start])[1]
    return [(first, case.start, f"{kept}no " if kept else "No ")]


def mothers(case: Case, rng: Random) -> list[Edit]:
    """Say of the mother what was said of the patient."""
    return _restated(case, "Mother had ")


def feared(case: Case, rng: Random) -> list[Edit]:
    """Ask to return if there is what was said to be there."""
    return _restated(case, "Return if you have ")


def _restated(case: Case, begin: str) -> list[Edit]:
    first = _plain(case)
    return [] if first is None else [(first, case.start, begin)]


def _plain(case: Case) -> int | None:
    """Tell where a sentence begins that says nothing but that there is the entity."""
    first, last = case.sentence
    text, line = case.text, case.text[case.line : case.start]
    plain = (
        _PLAIN_BEFORE.fullmatch(text[first : case.start])
        and _PLAIN_AFTER.fullmatch(text[case.end : last])
        and _NOUN.fullmatch(case.entity)
        and not CUE.search(text, first, last)
        and ":" not in line
        and text[last : last + 1] in ("", ".", "!", "\n")
        and (first > case.line or _begins(text, case.line))
    )
    return first if plain else None


# --- tables -------------------------------------------------------------------

Change = Callable[[Case, Random], list[Edit] | Case | None]

INVARIANT: dict[str, Change] = {
    "dash before the line": dash,
    "other marker before the line": marker,
    "no list markers": no_marker,
    "upper case": upper,
    "lower case": lower,
    "heading above": heading,
    "unrelated sentence before": sentence_before,
    "unrelated sentence after": sentence_after,
    "line wrapped at a blank": wrapped,
    "two blanks": two_blanks,
    "no final stop": no_stop,
    "curly quotes": curly_quotes,
    "&nbsp; beside the entity": nbsp,
    "full-width cue": full_width_cue,
    "abbreviation behind the entity": abbreviated,
    "another entity of its kind": another_entity,
    "enumeration turned round": turned_round,
    "typing error in another word": typing_error,
}

# Change, and what is then answered to which question.
DIRECTED: dict[str, tuple[Change, str, str]] = {
    '"no" before a plain finding': (negated, "label", "ABSENT"),
    '"mother had" before it': (mothers, "experiencer", "FAMILY"),
    '"return if you have" before it': (feared, "temporality", "HYPOTHETICAL"),
}


def changed(case: Case, change: Change, rng: Random) -> Case | None:
    """Give *case* after *change*; None where it does not apply or changes nothing."""
    given = change(case, rng)
    new = edited(case, given) if isinstance(given, list) else given
    # What is only a list's marker is no entity when the markers go.
    return new if new and new.entity.strip() and new.text != case.text else None
