"""Sections of a note: whose and when what stands under a heading is.

A heading stands at a line's start, in any of the forms of real notes (capitals, a
colon, a number, ``**bold**``, underlined), or within a line whose breaks were lost.
Only known names open a section. What the model reads of one is its kind, and only of
those that bear on whose and when.
"""

import re
import string
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from negation_api.text.open_cues import MAX_CHARS, wants_more

# Kind of section: what the model reads, then its names; "" means nothing is read.
_NAMES = {
    "Family history": """
        family history | family hx | fam hx | famhx | fhx | fh | fam hist |
        family medical history | family health history | family medical hx | fmh |
        fmhx | family psychiatric history | family hist | history of family |
        family and genetic history | pertinent family history |
        significant family history | f/h | family history (fh) | family history (fhx)
    """,
    "Family history/social history": """
        family history/social history | fam/sochx | family/social history |
        family and social history | social and family history | social/family history
        | social history/family history | family hx/social hx | fh/sh | fhx/shx |
        family & social history | social & family history
    """,
    "Past medical history": """
        past medical history | past medical hx | pmh | pmhx | pmx | past history |
        past med hx | past med history | medical history | medical hx | past hx | phx
        | past medical problems | past medical history/problems |
        significant past medical history | pertinent past medical history |
        other past medical history | past medical conditions |
        previous medical history | prior medical history | previous history |
        past psychiatric history | psychiatric history | past psych history |
        past ocular history | past obstetric history | past obstetrical history |
        obstetric history | obstetrical history | ob history | obhx | poh |
        past gynecologic history | gynecologic history | gyn history | gynhx |
        past cardiac history | past oncologic history | past illnesses |
        childhood illnesses | past medical & surgical history |
        past medical and surgical history | pmh/psh | pmhx/pshx |
        past medical/surgical history | other history | birth history |
        past neurologic history | background | past medical history (pmh) | hx |
        past dental history | past medical history (pmhx) | medical problems |
        past diagnoses | pmhistory
    """,
    "Past surgical history": """
        past surgical history | past surgical hx | psh | pshx | surgical history |
        surgical hx | past surg hx | past surgeries | prior surgeries |
        previous surgeries | previous operations | past procedures | prior procedures
        | past operations | operative history | past surgical history (psh) |
        surgeries
    """,
    "Return if": """
        return precautions | return instructions | return to ed | return to ed if |
        return to er | return to er if | return if | return for | call if |
        call your doctor if | call for | seek care if | seek medical attention if |
        seek immediate care if | when to call | when to call the doctor |
        when to return | when to seek help | when to seek care | warning signs |
        red flags to return for | come back if | return to clinic if |
        return to the emergency department if | call 911 if | call us if |
        call the office if | emergency precautions | reasons to return |
        safety netting | safety net advice | safety net | worsening advice
    """,
    "Risks": """
        risks | risks of the procedure | risks and complications |
        potential complications | possible complications | possible side effects |
        potential side effects | risks explained | consent | informed consent |
        risks and benefits
    """,
    "": """
        allergies | allergy | assessment | assessment and plan | assessment/plan | a/p
        | a&p | ap | chief complaint | cc | clinical history | clinical impression |
        complications | conclusion | conclusions | condition | diagnosis | diagnoses |
        discharge diagnosis | discharge diagnoses | admission diagnosis |
        admitting diagnosis | discharge medications | discharge instructions |
        disposition | final diagnosis | findings | history of present illness |
        hx of present illness | present illness | hospital course | hpi | impression |
        indication | indications | laboratory data | labs | lab results | laboratory |
        results | medications | meds | current medications | home medications | plan |
        postoperative diagnosis | preoperative diagnosis | procedure | procedures |
        recommendation | recommendations | review of systems | ros | social history |
        social hx | sh | shx | soc hx | physical exam | physical examination | exam |
        examination | pe | objective | subjective | vital signs | vitals | imaging |
        radiology | studies | data | problem list | active problems | problems |
        habits | immunizations | ed course | emergency department course |
        interval history | history | narrative | summary | follow up | follow-up |
        instructions | technique | comparison | consults | code status |
        mental status exam | general | heent | neck | chest | lungs | heart |
        cardiovascular | abdomen | extremities | neuro | neurologic | skin |
        musculoskeletal | psychiatric | gastrointestinal | genitourinary | respiratory
        | constitutional | eyes | ent | today | current symptoms |
        presenting complaint | course | course in hospital | treatment | management |
        o/e | on examination | hopi | presenting symptoms | reason for visit |
        reason for consultation | drug history | dh | subjective/hpi |
        pertinent results | ekg | ecg | x-ray | mri | ct | pathology | operation |
        anesthesia | specimens | estimated blood loss | drains |
        history of the present illness | health maintenance | sexual history |
        substance use | diet | occupational history | travel history |
        functional status | living situation | review of systems (ros) |
        history of present illness (hpi) | vital signs (vs) | family situation |
        physical examination (pe) | cardiac | pulmonary | pulm | gi | gu | renal |
        endocrine | assessment & plan | impression/plan | impression and plan |
        assessment and recommendations | discharge condition | physical |
        allergies/adverse reactions | signature | electronically signed by | attending
        | dictated by
    """,
}
_MAX_CHARS, _MAX_WORDS = 60, 6  # no heading is longer

# Under a past or family history that has its line alone, these head a part of it.
_PARTS = frozenset(
    """chest lungs heart cardiovascular abdomen extremities neuro neurologic skin
    musculoskeletal psychiatric gastrointestinal genitourinary respiratory eyes ent
    cardiac pulmonary pulm gi gu renal endocrine medical surgical allergies""".split()
)
RELATIVES = re.compile(
    r"\b(?:mother|father|mom|dad|parents?|(?:half-?)?(?:brother|sister)s?|siblings?"
    r"|sons?|daughters?|child|children|[mp]aternal|grand\w+|[mp]g[mf]|aunts?|uncles?"
    r"|cousins?|spouse|husband|wife|relatives?|twin|neph?ew|niece)\b",
    re.IGNORECASE,
)


def _fold(name: str) -> str:
    """Give the words of a heading alone.

    >>> _fold("** 2. Family  Hx: **"), _fold("P.M.H.")
    ('family hx', 'pmh')
    """
    name = _PREFIX.sub("", name)
    name = " ".join(name.rstrip(_SUFFIX).lower().split())
    return _INITIAL.sub(r"\1", name) if "." in name else name


_SIGNS = r"*#_=\-\u2022\u00b7\u25aa<>~|\[( \t"
_NUMBER = r"(?:(?:\d{1,2}|[IVX]{1,4})[.)])"
_PREFIX = re.compile(rf"^[{_SIGNS}]*{_NUMBER}?[{_SIGNS}]*")
_SUFFIX = "*#_:=>].-" + string.whitespace
_INITIAL = re.compile(r"\b([a-z])\.(?=[a-z]\b)")

_KIND = {
    name.strip(): kind
    for kind, names in _NAMES.items()
    for name in " ".join(names.split()).split("|")
}
# The first words of known headings: what any other word begins is none.
_FIRST_WORDS = frozenset(name.split()[0] for name in _KIND)
_LAST_WORDS = frozenset(name.split()[-1] for name in _KIND)

# A line's start that may be a heading: up to a colon, a dash or a tab, or a line alone.
_LINE = re.compile(
    rf"""^ [ \t]*+ (?P<name> (?P<sign> [{_SIGNS}]{{0,6}}+ ) {_NUMBER}?+ [*_ ]{{0,3}}+
      (?P<word> [A-Za-z][A-Za-z/&0-9.]*+ ) [A-Za-z/&()'. ]{{0,{_MAX_CHARS}}}+ )
    (?: [*_\]>]{{0,3}}+ [ ]? (?P<colon> :{{1,2}}+ ) [*_]{{0,3}}+
      | [*_\]>]{{0,3}}+ (?=\t)
      | (?<=[ ]) [\u2013\u2014-] (?=\s) | [*_\]>]{{1,3}}+ [ ] [\u2013\u2014-] (?=\s)
      | (?P<alone> [*_#=\]>|]{{0,5}}+ [ \t]*+ $ ) )""",
    re.MULTILINE | re.VERBOSE,
)
_COLON = re.compile(r":(?=[\s*])")
_DELIMITERS = ".;>*\n"
_GAP = re.compile(r"\n[ \t]*\n")
_REST = re.compile(r"[ \t*_]*(?=\n|\Z)")


class Section(NamedTuple):
    """A section of a note.

    :ivar start: where its heading begins; :ivar body: where that ends.
    :ivar name: its heading, as written.
    :ivar kind: what the model reads of it, or "".
    :ivar alone: whether its heading has a line of its own.
    """

    start: int
    body: int
    name: str
    kind: str
    alone: bool = False


def kind_of(heading: str) -> str | None:
    """Give the kind of section that *heading* opens: None if it is not known.

    >>> kind_of("FAMILY HX:"), kind_of("ROS"), kind_of("2. PMHx"), kind_of("Denies")
    ('Family history', '', 'Past medical history', None)
    """
    *_, last = heading.rsplit(None, 1) or ("",)
    if last.isalnum() and last.lower() not in _LAST_WORDS:
        return None
    return _KIND.get(_fold(heading))


class Sections:
    """The sections of a text, found once, in linear time.

    :ivar found: all of them, in order.
    """

    def __init__(self, text: str):
        found = {section.start: section for section in _of_lines(text)}
        for section in _within_lines(text):
            found.setdefault(section.start, section)
        self.found = list(_whole(text, [found[start] for start in sorted(found)]))
        self._starts = [section.start for section in self.found]

    def at(self, offset: int) -> Section | None:
        """Give the section that holds *offset*, or None before the first heading."""
        index = bisect_right(self._starts, offset) - 1
        return self.found[index] if index >= 0 else None


def _of_lines(text: str) -> Iterator[Section]:
    """Give the sections whose heading begins a line."""
    for match in _LINE.finditer(text):
        name, kind = match["name"], None
        if match["word"].lower() in _FIRST_WORDS or "." in match["word"]:
            kind = kind_of(name)
        bare = match["alone"] is not None
        alone = bare or bool(_REST.match(text, match.end()))
        if kind is None and alone and match["colon"] and _ends(text, match):
            kind = ""
        if bare and kind is not None:
            kind = kind if _is_bare(match, kind) and not _wraps(text, match) else None
        if kind is not None:
            yield Section(match.start("name"), match.end(), name.strip(), kind, alone)


def _wraps(text: str, match: re.Match) -> bool:
    """Tell whether the line above is unfinished: "No known drug|Allergies"."""
    above = text[max(0, match.start() - 1 - MAX_CHARS) : max(0, match.start() - 1)]
    return wants_more(above[above.rfind("\n") + 1 :])


def _is_bare(match: re.Match, kind: str) -> bool:
    """Tell whether a known name alone on its line is a heading."""
    sign, name = match["sign"].strip(" \t"), _fold(match["name"])
    if len(sign) > 1 or sign in _EMPHASIS and sign:
        return True
    if not match["word"][0].isupper():  # wrapped: "... pain in the|chest"
        return False
    if kind and " " in name:
        return True
    # "- PE" or "PE" in a list is a disease.
    return match["name"][0] not in "-*\u2022\u00b7\u25aa0123456789" and (
        bool(kind) or len(name) > 3
    )


_EMPHASIS = "#_=<|["


def _ends(text: str, match: re.Match) -> bool:
    """Tell whether a heading that is not known ends the section before it."""
    name, start = match["name"], match.start()
    if RELATIVES.search(name) or _fold(name) in _PARTS or len(name.split()) > 5:
        return False
    gap = text[max(0, start - 4) : start].replace(" ", "").endswith("\n\n")
    return len(name) > 3 and (name.isupper() or gap and name[:1].isupper())


def _whole(text: str, found: list[Section]) -> Iterator[Section]:
    """Leave out what heads but a part of the section before it."""
    parent, seen = None, 0
    for section in found:
        if section.start < seen:  # a line's heading, found within it again
            continue
        if parent and _fold(section.name) in _PARTS:
            if not _GAP.search(text, seen, section.start):
                seen = section.body
                continue
        parent = section if section.kind and section.alone else None
        seen = section.body
        yield section


def _within_lines(text: str) -> Iterator[Section]:
    """Give the sections whose heading stands within a line, before a colon.

    In capitals, or with a capital and more than one word: a short or lower-case name
    is more often a word than a heading.
    """
    above = 0  # the end of the last colon, which no name holds
    for colon in _COLON.finditer(text):
        before = text[max(above, colon.start() - _MAX_CHARS) : colon.start()]
        above = colon.end()
        if before[before.rfind(" ") + 1 :].lower() not in _LAST_WORDS:
            continue
        label = before[max(map(before.rfind, _DELIMITERS)) + 1 :]
        words = label.split()[-_MAX_WORDS:]
        for place, first in enumerate(words):
            if first.lower() not in _FIRST_WORDS:
                continue
            name = " ".join(words[place:])
            capitals = name.isupper() or " " in name and name[0].isupper()
            if capitals and (kind := _KIND.get(name.lower())) is not None:
                num_chars = _num_chars(label, len(words) - place)
                yield Section(colon.start() - num_chars, colon.end(), name, kind)
                break


def _num_chars(label: str, num_words: int) -> int:
    """Give how many characters the last words of *label* take, to its end.

    >>> _num_chars("a day. Past  history ", 2)
    14
    """
    *before, _ = label.rsplit(None, num_words)
    above = before[0] if len(before) == num_words else ""
    return len(label[len(above) :].lstrip())
