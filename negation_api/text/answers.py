"""The words of answers in forms, and what is read for them."""

import re
from collections.abc import Iterable

# What is read for an answer, and its words; others are read as they are.
_READ = {
    "yes": "y yeah yep true",
    "no": "n nope false",
    "none": "nil 0",
    "negative": "- (-) neg neg. non-reactive nonreactive non_reactive",
    "positive": "+ (+) pos pos. reactive",
    "unknown": "unk n/a ? unsure not_sure not_known not_assessed not_asked not_answered"
    " declined_to_answer not_done not_tested not_documented not_recorded not_stated"
    " not_applicable refused_to_answer uta unable_to_assess unable_to_answer"
    " unable_to_obtain prefer_not_to_say prefers_not_to_say prefer_not_to_answer"
    " don't_know dont_know do_not_know doesn't_know does_not_know does_not_remember"
    " doesn't_remember cannot_remember can't_remember pt_does_not_remember pt_unsure"
    " patient_does_not_remember patient_unsure (no_response)",
}


def phrases(words: str) -> frozenset[str]:
    """Give each of *words*, with blanks for underscores.

    >>> sorted(phrases("no not_seen"))
    ['no', 'not seen']
    """
    return frozenset(word.replace("_", " ") for word in words.split())


def _inverted(groups: dict[str, str]) -> dict[str, str]:
    return {word: name for name, words in groups.items() for word in phrases(words)}


WORDS = _inverted(_READ)
_AS_WRITTEN = phrases(
    """never absent denied denies present detected nad +/- (+/-) not not_detected
not_present not_seen not_reported not_noted none_reported none_noted none_seen
none_known none_detected none_identified patient_denies pt_denies endorses reports
sometimes occasionally rarely"""
)
ANSWERS = _AS_WRITTEN.union(_READ, WORDS)
# What answers the question before it, by its first word.
REPLIES = phrases(
    "declined refused unlikely likely maybe possibly probably doubtful a: a. answer:"
).union(word for word in ANSWERS if " " not in word and word != "?")


def any_of(words: Iterable[str]) -> str:
    """Give the pattern, to be read verbosely, of any of *words*, the longest first.

    Words that begin alike share what they begin with, so that little is tried where
    none stands.

    >>> any_of(["no", "none", "n/a"])
    '(?:n(?:/(?:a)|o(?:n(?:e))?))'
    """
    rests = {}
    for word in words:
        rests.setdefault(word[:1], set()).add(word[1:])
    ends = "?" if rests.pop("", None) else ""
    branches = [
        re.escape(first).replace("\\ ", "[ ]") + any_of(rest)
        for first, rest in sorted(rests.items())
    ]
    return f"(?:{'|'.join(branches)}){ends}" if branches else ""


ANSWER = any_of(ANSWERS)


def as_read(answer: str) -> str:
    """Give what is read for *answer*.

    >>> as_read("N/A"), as_read("Denies")
    ('unknown', 'Denies')
    """
    return WORDS.get(answer.lower(), answer)


# How much there is of something: an answer where nothing else stands in its column.
_AMOUNTS = phrases(
    "trace scant few small moderate large mild severe normal abnormal pending"
)
AMOUNT = rf"(?:{any_of(_AMOUNTS)}|[1-4][ ]?\+|\+{{2,4}})"

# Answers in a cell of their own; elsewhere they are words of a sentence.
STATUS = any_of(
    phrases("""possible probable suspected confirmed excluded ruled_out not_taking
        no_longer_taking""")
)

# Answers that need no sign before them, of one kind in a row: "Asthma NO COPD YES".
_KINDS = {
    "answer": "yes no y n unk unknown none",
    "result": "negative positive neg neg. pos pos. -ve +ve - + (-) (+) +/- (+/-)",
    "report": "denied denies reported reports endorsed endorses admitted admits",
    "finding": "absent present not_present",
    "test": "detected not_detected none_detected",
}
KIND = _inverted(_KINDS)
BARE_ANSWER = any_of(KIND)

# What boxes offer: a yes or no; other answers; degrees, choices beside these.
SHORT = phrases("yes no y n yeah yep nope never unknown unk unsure n/a not_sure")
AFFIRMED = {"yes", "positive", "present"}.union(
    word for word, read in WORDS.items() if read in ("yes", "positive")
)
CHOSEN = AFFIRMED.union(
    (word for word in ANSWERS if word[0].isalpha() and word != "not"),
    phrases("""endorsed reported normal abnormal confirmed suspected ruled_out possible
        probable likely unlikely definite"""),
)
_DEGREES = """minimal slight marked current currently past former formerly previous
previously prior remote recent ever occasional rare often always daily weekly monthly
intact decreased increased reduced borderline equivocal indeterminate inconclusive
active inactive resolved controlled uncontrolled improved worse stable left right
bilateral other refused declined in_the_past 0 1+ 2+ 3+ 4+ low high r l"""
CHOICES = CHOSEN | _AMOUNTS | phrases(_DEGREES)
CHOICE = any_of(CHOICES)
