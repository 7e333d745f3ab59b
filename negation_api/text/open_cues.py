"""Cues that want a finding behind them: "No acute", "Denies the following".

Knows common findings and words that are none; looks at a line at a time.
"""

import re

from negation_api.text.terms import common_forms

MAX_CHARS = 80  # of a piece that is looked at, its last

_NEGATED = (
    r"no|denie[sd]|deny|denying|without|w/o|(?:neg(?:ative)?|absence)(?=\s(?:for|of))"
)
_LED_IN = r"negatives?|neg|positives?|reports|reported|endorse[sd]|complain(?:s|ed)"
_LED_IN += r"|c/o|admits|admitted|presents|differential|ddx|r/o|rule\sout|ruled\sout"
_HEDGED = r"possible|probable|suspected"


def _cue(words: str) -> re.Pattern:
    return re.compile(rf"(?<![^\s(,;])(?:{words})(?!\S)")


_WANTING = _cue(f"{_NEGATED}|{_HEDGED}")
_LEADING = _cue(f"{_NEGATED}|{_LED_IN}")
_ANNOUNCING = _cue(rf"denie[sd]|denying|neg(?:ative)?(?=\sfor)|{_LED_IN}")
_SHORTENED = _cue(f"{_NEGATED}|neg|negative")
NEGATED = _cue(_NEGATED)

_BETWEEN = frozenset(
    "a an the any of for to in on at with by and or evidence sign signs symptom"
    " symptoms history hx suspicion indication other".split()
)
_ADJECTIVES = frozenset(
    "acute active additional apparent appreciable associated convincing current deep"
    " definite demonstrable detected discrete displaced distinct drug evident frank"
    " free further gross important known large left lower major measurable mild minor"
    " moderate new obvious old overt palpable past persistent previous prior proximal"
    " recent recurrent relevant residual right severe significant simple small specific"
    " sudden superficial suspected true unusual upper worsening family".split()
)
_ADJECTIVE = re.compile(r"[a-z]{3,}(?:al|ic|ous|[ai]ble|ular|ary)")
_NOUNS = frozenset(
    "hospital arrival normal clinic topic interval trial animal removal withdrawal"
    " refusal total survival referral antibiotic diuretic narcotic topical summary"
    " vegetable medical surgical dental rehearsal appeal".split()
)
# Behind the cue of a line that leads in a list.
_ANNOUNCED = _BETWEEN | frozenset(
    "following below these all each diagnosis diagnoses dx includes include including"
    " considered".split()
)
# Whole words without a finding, which a stop ends: "no change. follow up". Most are
# told by their ending.
_WHOLE = frozenset(
    "pain gain loss bed food milk work sleep contact diet port scan men women children"
    " man woman kids sex salt sugar alcohol dogs job blood stool sputum weapons guns"
    " problems concerns symptoms signs findings meds drugs tobacco records labs falls"
    " relief benefit effort doubt visit exam limit him her them it this that now then"
    " less much such so far siblings sibs plan rest risk cost load clot graft drain"
    " drains".split()
)
_WHOLE_ENDING = re.compile(
    r".{2,}(?:ing|ed|ion|ions|al|ic|ous|ent|ant|er|or|ers|ors"
    r"|ts|ks|es|[aeuy]|th|ght|ism|wn|aw|ow|ew|oss|ess|ck|ld|nk|lp|rm)"
)
_ABBREVIATION = re.compile(r"[a-z]{2,12}(?:[-/][a-z]{1,12}){0,2}")
MAX_SHORTENED = 4  # words behind the cue, the one before the stop included


def plain_words(piece: str) -> list[str]:
    """Give the words of *piece* in small letters, without signs round them."""
    return [word.strip('.,;:()"') for word in piece.lower().split()]


def holds_finding(words: list[str]) -> bool:
    """Tell whether a common finding is among *words*, which are few and folded."""
    forms = common_forms()
    for first, name in enumerate(words):
        if name in forms:
            return True
        for word in words[first + 1 : first + 4]:
            name = f"{name} {word}"
            if name in forms:
                return True
    return False


def wants_more(piece: str) -> bool:
    """Tell whether *piece*, the end of a line, ends in a cue and adjectives only.

    A cue alone is none: it may be an answer.

    >>> wants_more("NO EVIDENCE OF ACUTE"), wants_more("FEVER NO")
    (True, False)
    """
    last = plain_words("".join(piece[-MAX_CHARS:].rsplit(None, 1)[-1:]))
    if not (last == ["other"] or any(map(_is_adjective, last))):
        return False
    words = _behind(_WANTING, piece)
    known = words and all(word in _BETWEEN or _is_adjective(word) for word in words)
    return bool(known) and not holds_finding(words)


def leads_list(piece: str, marked: bool = True) -> bool:
    """Tell whether the line *piece* leads in the lines under it.

    :param marked: whether those have list markers; if not, "He has no" is wrapped.

    >>> leads_list("Pertinent negatives"), leads_list("No fever"), leads_list("Plan")
    (True, False, False)
    """
    if piece[-1:] in ".,;!?(/&" or len(piece) > MAX_CHARS:
        return False
    if marked and piece.isupper() and _IS_STATUS.fullmatch(piece.lower()):
        return True
    words = _behind(_LEADING if marked else _ANNOUNCING, piece)
    known = _ANNOUNCED | _ADJECTIVES if marked else _ANNOUNCED
    if words is None or not known.issuperset(words):
        return False
    if not words and _BARE.search(piece) and " " not in piece.strip("<> "):
        return False  # an answer
    if not words and _IS_RESULT.search(piece.lower()):
        return False
    return not holds_finding(plain_words(piece))


def is_shortened(piece: str) -> bool:
    """Tell whether the stop behind *piece* is within a finding: "No obv. deformity".

    >>> is_shortened("No obv"), is_shortened("no rash"), is_shortened("no change")
    (True, False, False)
    """
    words = _behind(_SHORTENED, piece)
    if not words or len(words) > MAX_SHORTENED or holds_finding(words):
        return False
    if not _ABBREVIATION.fullmatch(words[-1]) or piece[-1:].isupper():
        return False
    last = re.split("[-/]", words[-1])[-1]
    if last in _WHOLE or last in _ADJECTIVES or last in _BETWEEN:
        return False
    return not (holds_finding([last]) or _WHOLE_ENDING.fullmatch(last))


def _behind(cue: re.Pattern, piece: str) -> list[str] | None:
    """Give the words behind the last *cue* of *piece*, None if a sign parts them."""
    *before, behind = cue.split(piece[-MAX_CHARS:].lower())
    return None if not before or _PARTED.search(behind) else plain_words(behind)


def _is_adjective(word: str) -> bool:
    found = word in _ADJECTIVES or _ADJECTIVE.fullmatch(word)
    return bool(found) and word not in _NOUNS


_BARE = re.compile(r"(?:no|without|w/o)\Z", re.IGNORECASE)
_PARTED = re.compile(r"[,;:!?]")
_IS_RESULT = re.compile(r"[._\u2026]{3}[ ]?(?:negative|positive|neg)\W*\Z")
# The heading of a list, which says the status of its items.
_IS_STATUS = re.compile(
    r"\W*(?:suspected|possible|probable|excluded|ruled out|resolved)"
    r"(?: (?:diagnos[ei]s|problems?|conditions?|issues|findings))?\W*"
)
