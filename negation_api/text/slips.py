"""Words that a program broke over two lines, cues that a slip glued to a finding."""

import re
from collections.abc import Iterator

from negation_api.text.answers import ANSWER
from negation_api.text.edits import Edit
from negation_api.text.terms import common_forms

_HYPHEN = re.compile(r"-[ \t]{0,3}\n")
_BROKEN = re.compile(
    rf"(?P<start>(?<![^\s(])[A-Za-z]{{2,20}})(?P<gap>-[ \t]{{0,3}}\n[ \t]{{0,20}})"
    rf"(?!(?i:{ANSWER})(?!\w))(?P<rest>[a-z]{{2,20}})\b"
)
_GLUED = re.compile(
    r"(?P<cue>[nNdDwW](?<![^\s(,;].)(?i:(?<=n)o|(?<=d)enie[sd]|(?<=w)ithout))"
    r"(?i:\.(?=[a-z])|(?=[a-z]{4}))"
)
_FINDING = re.compile(r"[^\W\d_]{1,20}(?:[ ][^\W\d_]{1,20}){0,2}")
MIN_CHARS = 4  # of a finding that may be glued: "no|des" is a word


def slips(text: str) -> Iterator[Edit]:
    """Give what is read in the place of what is broken or glued."""
    for broken in _BROKEN.finditer(text) if _HYPHEN.search(text) else ():
        whole = f"{broken['start']}{broken['rest']}".lower()
        # "follow-|up" keeps its hyphen.
        yield Edit(*broken.span("gap"), "" if whole in common_forms() else "-")
    for glued in _GLUED.finditer(text):
        if _begins_finding(text, glued.end()):
            yield Edit(*glued.span(), f"{glued['cue']} ")


def _begins_finding(text: str, at: int) -> bool:
    """Tell whether a common finding begins at *at*."""
    found = _FINDING.match(text, at)
    words = found.group().lower().split() if found else [""]
    names = (" ".join(words[:count]) for count in range(1, len(words) + 1))
    return len(words[0]) >= MIN_CHARS and not common_forms().isdisjoint(names)
