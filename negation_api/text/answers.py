"""The words of answers in forms, and what is read for them."""

import re

# What is read for an answer, and its words; others are read as they are.
_READ = {
    "yes": "y yeah yep true",
    "no": "n nope false",
    "none": "nil 0",
    "negative": "- (-) neg neg. non-reactive nonreactive",
    "positive": "+ (+) pos pos. reactive",
    "unknown": "unk n/a ? unsure not_sure not_known not_assessed not_asked not_answered"
    " declined_to_answer not_done not_tested not_documented not_recorded not_stated"
    " not_applicable refused_to_answer uta unable_to_assess unable_to_answer"
    " unable_to_obtain prefer_not_to_say prefers_not_to_say prefer_not_to_answer"
    " don't_know dont_know do_not_know doesn't_know does_not_know",
}
WORDS = {
    word.replace("_", " "): read
    for read, words in _READ.items()
    for word in words.split()
}
_AS_WRITTEN = """never absent denied denies present detected nad +/- (+/-) not not_detected
not_present not_seen not_reported not_noted none_reported none_noted none_seen
none_known none_detected none_identified patient_denies pt_denies endorses reports
sometimes occasionally rarely""".split()


def _any(words) -> str:
    return "|".join(
        re.escape(word.replace(" ", "_")).replace("_", "[ ]")
        for word in sorted(words, key=len, reverse=True)
    )


ANSWER = rf"(?:{_any([*_READ, *WORDS, *_AS_WRITTEN])})"


def as_read(answer: str) -> str | None:
    """Give the word that is read for *answer*, None if it is read as it is."""
    return WORDS.get(answer.lower())


# How much there is of something: an answer where nothing else stands in its column.
AMOUNT = r"""(?:trace|scant|few|small|moderate|large|mild|severe|normal|abnormal|pending
    |[1-4][ ]?\+|\+{2,4})"""

# Answers that need no sign before them, of one kind in a row: "Asthma NO COPD YES".
_KINDS = {
    "answer": "yes no y n unk unknown none",
    "result": "negative positive neg neg. pos pos. -ve +ve - + (-) (+)",
    "report": "denied denies reported reports endorsed endorses admitted admits",
    "finding": "absent present not_present",
    "test": "detected not_detected none_detected",
}
KIND = {
    word.replace("_", " "): kind
    for kind, words in _KINDS.items()
    for word in words.split()
}
BARE_ANSWER = rf"(?:{_any(KIND)})"
