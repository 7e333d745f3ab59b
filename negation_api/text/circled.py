"""One of several answers in brackets, as people circle it: "Fever   (Y)   N"."""

import re
from collections.abc import Iterator

from negation_api.text.answers import SHORT, any_of, as_read
from negation_api.text.edits import Claim, Edit
from negation_api.text.lists import Lines

_WORD = any_of(SHORT.union("? maybe none neg pos negative positive".split()))
_CIRCLED = rf"(?: [(\[{{<*]{{1,2}} [ ]? {_WORD} [ ]? [)\]}}>*]{{1,2}} )"
_ANSWERS = re.compile(
    rf"""[ \t:._\u2026?-] (?: (?<=[^\W_].) | (?<=[)?%].) )
    (?: (?<=[?]) [ \t]++ | (?<![?]) [ \t:._\u2026-]*+ )
    (?P<answers> (?: {_CIRCLED} | {_WORD} )
      (?: [ \t/|]++ (?: {_CIRCLED} | {_WORD} (?!\w) ) ){{1,4}}+ )
    (?= [ ]*+ $ | [ ]{{2}} | [ ]?\t )""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_CHOSEN = re.compile(_CIRCLED, re.VERBOSE | re.IGNORECASE)
_OTHER = re.compile(r"[^ \t/|]+")
_BRACKETS = "()[]{}<>* "
_PAIRED = frozenset("y n yes no pos neg positive negative".split())


def read_circled(text: str, lines: Lines) -> Iterator[int | Edit | Claim]:
    """Read the one that is in brackets, where it is the only one."""
    if not any(map(text.__contains__, "([{<*")):
        return
    for found in _ANSWERS.finditer(text):
        chosen = _CHOSEN.findall(found["answers"])
        beside = _OTHER.findall(_CHOSEN.sub(" ", found["answers"]).lower())
        if len(chosen) == 1 and beside:
            answer = chosen[0].strip(_BRACKETS)
            remark = len(beside) == 1 and answer.lower() not in _PAIRED
            if remark or answer.lower() in beside:
                continue
            yield Claim(*found.span())
            yield Edit(*found.span(), f": {as_read(answer)}")
            end = lines.span(lines.at(found.start()))[1]
            behind = text[found.end() : end]
            begins = end - len(behind.lstrip()) if behind.strip() else end + 1
            if begins < len(text):
                yield begins
