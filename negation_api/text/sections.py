"""Sections of a note: whose and when what stands under a heading is.

A heading stands at a line's start, in any of the forms of real notes (capitals, a
colon, a number, ``**bold**``, underlined), or within a line whose breaks were lost.
Only known names open a section. What the model reads of one is its kind, and only of
those that bear on whose and when.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

# Kind of section: what the model reads, then its names; "" means nothing is read.
_NAMES = {
    "Family history": """family history|family hx|fam hx|famhx|fhx|fh|fam hist
        |family medical history|family health history|family medical hx|fmh|fmhx
        |family psychiatric history|family hist|history of family|family and genetic history
        |pertinent family history|significant family history""",
    "Family history/social history": """family history/social history|fam/sochx
        |family/social history|family and social history|social and family history
        |social/family history|social history/family history|family hx/social hx
        |fh/sh|fhx/shx|family & social history|social & family history""",
    "Past medical history": """past medical history|past medical hx|pmh|pmhx|pmx|past history
        |past med hx|past med history|medical history|medical hx|past hx|phx|past medical problems
        |past medical history/problems|significant past medical history|pertinent past medical history
        |other past medical history|past medical conditions|previous medical history|prior medical history
        |previous history|past psychiatric history|psychiatric history|past psych history
        |past ocular history|past obstetric history|past obstetrical history|obstetric history
        |obstetrical history|ob history|obhx|poh|past gynecologic history|gynecologic history|gyn history
        |gynhx|past cardiac history|past oncologic history|past illnesses|childhood illnesses
        |past medical & surgical history|past medical and surgical history|pmh/psh|pmhx/pshx
        |past medical/surgical history|other history|birth history|past neurologic history
        |background|past medical history (pmh)|hx|past dental history""",
    "Past surgical history": """past surgical history|past surgical hx|psh|pshx|surgical history
        |surgical hx|past surg hx|past surgeries|prior surgeries|previous surgeries
        |previous operations|past procedures|prior procedures|past operations|operative history""",
    "Return if": """return precautions|return instructions|return to ed|return to ed if|return to er
        |return to er if|return if|return for|call if|call your doctor if|call for|seek care if
        |seek medical attention if|seek immediate care if|when to call|when to call the doctor
        |when to return|when to seek help|when to seek care|warning signs|red flags to return for
        |come back if|return to clinic if|return to the emergency department if|call 911 if
        |call us if|call the office if|emergency precautions|reasons to return|safety netting
        |safety net advice|safety net|worsening advice""",
    "Risks": """risks|risks of the procedure|risks and complications|potential complications
        |possible complications|possible side effects|potential side effects|risks explained
        |consent|informed consent|risks and benefits""",
    "": """allergies|allergy|assessment|assessment and plan|assessment/plan|a/p|a&p|ap|chief complaint
        |cc|clinical history|clinical impression|complications|conclusion|conclusions|condition
        |diagnosis|diagnoses|discharge diagnosis|discharge diagnoses|admission diagnosis
        |admitting diagnosis|discharge medications|discharge instructions|disposition|final diagnosis
        |findings|history of present illness|hx of present illness|present illness|hospital course
        |hpi|impression|indication|indications|laboratory data|labs|lab results|laboratory|results
        |medications|meds|current medications|home medications|plan|postoperative diagnosis
        |preoperative diagnosis|procedure|procedures|recommendation|recommendations|review of systems
        |ros|social history|social hx|sh|shx|soc hx|physical exam|physical examination|exam|examination
        |pe|objective|subjective|vital signs|vitals|imaging|radiology|studies|data|problem list
        |active problems|problems|habits|immunizations|ed course|emergency department course
        |interval history|history|narrative|summary|follow up|follow-up|instructions|technique
        |comparison|consults|code status|mental status exam|general|heent|neck|chest|lungs|heart
        |cardiovascular|abdomen|extremities|neuro|neurologic|skin|musculoskeletal|psychiatric
        |gastrointestinal|genitourinary|respiratory|constitutional|eyes|ent|today|current symptoms
        |presenting complaint|course|course in hospital|treatment|management|o/e|on examination|hopi
        |presenting symptoms|reason for visit|reason for consultation|drug history|dh|subjective/hpi
        |pertinent results|ekg|ecg|x-ray|mri|ct|pathology|operation|anesthesia|specimens
        |estimated blood loss|drains|history of the present illness|health maintenance|sexual history
        |substance use|diet|occupational history|travel history|functional status|living situation""",
}
_MAX_CHARS, _MAX_WORDS = 60, 6  # no heading is longer


def _fold(name: str) -> str:
    """Give the words of a heading alone.

    >>> _fold("** 2. Family  Hx: **")
    'family hx'
    """
    name = re.sub(
        r"^[\s*#_=(\[-]*(?:\d{1,2}[.)]|[IVX]{1,4}[.)])?[\s*#_(\[-]*", "", name
    )
    return " ".join(re.sub(r"[\s*#_:=)\].-]+$", "", name).lower().split())


_KIND = {
    " ".join(name.split()): kind
    for kind, names in _NAMES.items()
    for name in names.split("|")
}

# The first words of known headings: what any other word begins is none.
_FIRST_WORDS = frozenset(name.split()[0].strip("(") for name in _KIND)
_LAST_WORDS = frozenset(name.split()[-1] for name in _KIND)

# A line's start that may be a heading: up to a colon or a dash, or the line alone.
_LINE = re.compile(
    rf"^[ \t]*+(?P<name>[*#_=\-\[( ]{{0,4}}+(?:(?:\d{{1,2}}|[IVX]{{1,4}})[.)][ ]?+)?+[*_ ]{{0,3}}+"
    rf"(?P<word>[A-Za-z][A-Za-z/&0-9]*+)[A-Za-z/&()'. ]{{0,{_MAX_CHARS}}}+)"
    rf"(?:[*_]{{0,3}}+[ ]?[:\u2013-]|[*_#=\]]{{0,4}}+[ \t]*+$)",
    re.MULTILINE,
)
_COLON = re.compile(r":(?=[\s*])")
_DELIMITER = re.compile(r"[\n.;>*]")


@dataclass(frozen=True)
class Section:
    """A section of a note.

    :ivar start: where its heading begins; :ivar body: where that ends.
    :ivar name: its heading, as written.
    :ivar kind: what the model reads of it, or "".
    """

    start: int
    body: int
    name: str
    kind: str


def kind_of(heading: str) -> str | None:
    """Give the kind of section that *heading* opens: None if it is not known.

    >>> kind_of("FAMILY HX:"), kind_of("ROS"), kind_of("2. PMHx"), kind_of("Denies")
    ('Family history', '', 'Past medical history', None)
    """
    return _KIND.get(_fold(heading))


class Sections:
    """The sections of a text, found once, in linear time."""

    def __init__(self, text: str):
        found = {section.start: section for section in _of_lines(text)}
        for section in _within_lines(text):
            found.setdefault(section.start, section)
        self._sections = [found[start] for start in sorted(found)]
        self._starts = [section.start for section in self._sections]

    def at(self, offset: int) -> Section | None:
        """Give the section that holds *offset*, or None before the first heading."""
        index = bisect_right(self._starts, offset) - 1
        return self._sections[index] if index >= 0 else None


def _of_lines(text: str) -> Iterator[Section]:
    """Give the sections whose heading begins a line."""
    for match in _LINE.finditer(text):
        if match["word"].lower() in _FIRST_WORDS:
            kind = kind_of(match["name"])
            if kind is not None:
                yield Section(match.start("name"), match.end(), match["name"], kind)


def _within_lines(text: str) -> Iterator[Section]:
    """Give the sections whose heading stands within a line, before a colon.

    In capitals, or with a capital and more than one word: a short or lower-case name
    is more often a word than a heading.
    """
    for colon in _COLON.finditer(text):
        before = text[max(0, colon.start() - _MAX_CHARS) : colon.start()]
        if before[before.rfind(" ") + 1 :].lower() not in _LAST_WORDS:
            continue
        words = _DELIMITER.split(before)[-1].split()
        for first in range(max(0, len(words) - _MAX_WORDS), len(words)):
            name = " ".join(words[first:])
            capitals = name.isupper() or " " in name and name[0].isupper()
            if capitals and (kind := _KIND.get(name.lower())) is not None:
                start = text.rfind(
                    words[first], 0, colon.start() - len(name) + len(words[first]) + 1
                )
                yield Section(max(0, start), colon.end(), name, kind)
                break
