"""Whether a line break ends a sentence, or a program or a narrow window made it.

Knows nothing of stops, sections or entities.
"""

import re
from functools import partial

from negation_api.text.answers import ANSWER, REPLIES
from negation_api.text.boxes import is_box
from negation_api.text.lists import Lines
from negation_api.text.open_cues import MAX_CHARS, NEGATED, wants_more
from negation_api.text.reading import lowered
from negation_api.text.spans import Span
from negation_api.text.terms import are_findings, findings_meet, goes_on_enumerating

# Of a line, what may be a finding and the words before it: "mild right knee pain".
MAX_HEAD_CHARS = 60

PROGRAM_CHARS = 60  # a program wraps lines as long as this
NARROW_CHARS = 30  # no window is narrower

_HEDGES = frozenset("possible probable suspected".split())  # "stroke possible"
_SOFT_ENDINGS = frozenset(
    "a an the and or nor of to for with without in on at by from no not any is was are"
    " were has have had denies reports who which that than as but his her their he she"
    " they we be been should would could may might into during between per via these"
    " those new".split()
).union(_HEDGES)
# Of short words in capitals these few alone: "FEVER NO" is an answer.
_SOFT_CAPITALS = frozenset("THE AND OR NOR OF TO FOR IN ON AT BY".split())

# What begins an item beside list markers: a sign, a cell.
_ITEM = re.compile(r"[-+](?=[^\W\d])|[-+\u2013] (?=[^\W\d])|\||\[.\][ \t]")
_RULE = re.compile(r"[-=_*~ \t]{3,}")
# A line that begins with a small letter and yet goes on with nothing: it has a dose,
# or a verb or a cue of its own.
_DOSE = re.compile(
    r"[^\n]{2,40}?\b\d+(?:[.,]\d+)?\s?"
    r"(?:mg|mcg|g|ml|units?|iu|meq|puffs?|tabs?|%|mmhg|bpm)\b"
    r"|[^\n]{2,30}?\s(?:daily|nightly|weekly|bid|tid|qid|qd|qhs|prn|hs)\b"
    r"|(?:temp|t|bp|hr|rr|p|r|wt|ht|spo2|o2|sat|pulse|weight|bmi|glucose)\b[ :]*\d"
)
_OWN_CUE = re.compile(
    r"(?:no|denie[sd]|denying|has|had|is|was|were|are|reports?|reported|c/o|s/p|takes"
    r"|taking|started|admits|complains|hx|h/o|history|status\ post|positive|negative"
    r"|possible|neg|pos|r/o|without|w/o|feels|states|presents|will|if|continue|return"
    r"|follow|mother|father|family|lives|smokes|drinks|allergic|a&o|alert)\b"
)
# A short line that ends with its status, and with nothing behind it: "strep positive";
# or that begins with what no finding denied above it has: "longstanding AF".
_OWN_STATUS = re.compile(
    r"(?:known|long-?standing)[ \t](?![^\n]*\b(?:or|contacts?|exposures?)\b)"
    r"|(?:[^\s.,;:]{2,20}[ \t]){1,3}"
    r"(?:positive|negative|pos|neg|\+ve|-ve|present|absent|denied|stable|resolved"
    r"|improved|improving|normal|unchanged|controlled|pending|noted|in (?:situ|place))"
    r"\.?[ \t]*(?=\n|\Z)"
)
# A line hardly begins a statement with one of these: it goes on with the one above.
_CONTINUES = re.compile(
    r"(?:but|and|n?or|of|for|by|than|from|because|which|who|that|due|are|were|as)\b"
)
_CONTINUES_CAPITALS = re.compile(r"(?:AND|N?OR|OF|FOR|BY|THAN|DUE|WHICH)\b")
# What is said of the finding before it, or makes another thing of it: "pain|relief".
_ADDS = re.compile(
    r"(?:(?:to|in|on|at|with|without|during|since|after|before|when|while|is|has|had"
    r"|have|this|these|today|now|then|either|seen|found|felt|heard|except|other|all|so"
    r"|if|nor|until|about|over|under|like|such|whatsoever|anywhere|anymore|yet|again"
    r"|ever|just|x|exacerbations?|attacks?|episodes?|flares?|disorders?|syndrome"
    r"|infections?|medications?|meds|drugs?|levels?|control|relief|crisis|crises"
    r"|screening|scores?|scales?|scans?|tests?|treatments?|therapy|symptoms?|signs?"
    r"|surgery|disease|loss|management|complications?|risks?|factors?|changes?"
    r"|progression|recurrence|type|patterns?|history|hx|or|and)\b"
    r"|[a-z]+(?:ed|ing|ly)\b|x\d)"
)
_HISTORY = re.compile(r"history\b")
_KIND_OF_HISTORY = frozenset(
    "a past medical surgical social family remote personal known prior long strong"
    " significant smoking".split()
)
# A subject without a verb, and a verb: "Her past medical history|is significant".
_SUBJECT = re.compile(
    r"(?:the|his|her|their|this|an?|he|she|it|they|we|pt|patient|there|mr|ms|mrs)\b"
)
_VERB = re.compile(
    r"\b(?:is|was|has|had|will|did|does|denie[sd]|denying|reports?|reported|takes"
    r"|states|presents|feels|lives|smokes|drinks|complains|admits|c/o|continues?)\b"
)
# A subject or the half of a verb, and what stands between it and the rest.
_HALVES = frozenset(
    "not never also ever always still been since recently previously now".split()
)
_HALF_VERB = re.compile(
    r"\b(?:has|have|had|is|was|are|were|who|he|she|they|could|did|does|do|will|would"
    r"|can) \w+\Z",
    re.IGNORECASE,
)
MAX_ITEM_CHARS = 45  # of an item without a marker
_STATES = re.compile(
    rf"(?:{_VERB.pattern})|(?<!\S)(?:are|were|no|not|yes|without|w/o|neg|negative"
    r"|positive|possible|start|continue|follow|if|[-+]|\([-+]\))(?!\S)"
)
_OPEN = re.compile(r" (?:n?or|and)[ \t]*\Z")
_LINE_HEADING = re.compile(r"[A-Z][A-Za-z/&,()' -]{1,40}+:")
_ANSWERED_LINE = re.compile(
    rf"[^?\n]{{2,80}}+\?[ \t]++(?:\d{{1,2}}[ ]?[-=][ ]?)?(?i:{ANSWER})(?!\w)"
)
_ANSWER_LINE = re.compile(r"[^\s,.;]{1,12}[ \t]*(?:[,.;]|\n|\Z)")
_REPLY = re.compile(
    r"a\d{1,2}[ ]?[.)]|(?:(?:your|my|patient'?s?|pt)[ ])?"
    r"(?:a\d{0,2}|ans|answer|resp|response|reply|pt|patient)[ ]?:",
    re.IGNORECASE,
)
WORD = re.compile(r"[^\s]{1,40}")
_BLANKS = re.compile(r"\s*")


def last_word(text: str, start: int, end: int) -> str:
    """Give what stands before *end* up to a space; "" right after a space."""
    if end <= start or text[end - 1].isspace():
        return ""
    return text[max(start, end - 40) : end].rsplit(None, 1)[-1]


def wants_word(line: str) -> bool:
    """Tell whether a line's last word goes on: "pain in the".

    >>> wants_word("He has no"), wants_word("FEVER NO"), wants_word("Cough:")
    (True, False, False)
    """
    return _is_soft(last_word(line, 0, len(line)))


def _is_soft(word: str) -> bool:
    # "No" may be an answer, and "He" the sign of an element.
    soft = (word.lower() if len(word) > 3 else word) in _SOFT_ENDINGS
    return soft or word in _SOFT_CAPITALS


def goes_on(text: str, at: int) -> bool:
    """Tell whether the line that begins at *at* goes on with the one above."""
    return bool(_CONTINUES.match(text, at))


class LineBreaks:
    """The line breaks of a text.

    :param text: levelled, as :func:`~negation_api.text.reading.level` gives it.
    """

    def __init__(self, text: str, lines: Lines):
        self._text = text
        self._lower = lowered(text)  # what is of either case, matched in less time
        self._lines = lines

    def ends_sentence(self, line: Span, following: int, start: int) -> bool:
        """Tell whether the break after *line* does; no blank line is behind it.

        :param following: where the words behind it begin.
        :param start: of the sentence that *line* is of.
        """
        text = self._text
        last = text[max(line.start, line.end - 40) : line.end].rstrip()
        if last.endswith("?"):
            return not self._is_answer(following)
        if self._begins_item(line, last, following, start):
            return True
        if not last or last[-1] in ".!:;":
            return not last.endswith(";")
        if (
            last[-1] in ",(/&"
            or _is_broken(last, text[following : following + 1])
            or line.end - line.start >= PROGRAM_CHARS
        ):
            return False
        if self._is_unfinished(line, last, following, start):
            return False
        if not text[following : following + 1].islower():
            return True
        return self._begins_another(line, last, following, start)

    def _begins_another(
        self, line: Span, last: str, following: int, start: int
    ) -> bool:
        """Tell whether words in small letters below a line are no part of it."""
        text, lower = self._text, self._lower
        if _DOSE.match(lower, following):
            return True
        has_cue = _OWN_CUE.match(lower, following)
        above_has_cue = _OWN_CUE.match(lower, _words(text, start))
        if above_has_cue and _OWN_STATUS.match(lower, following):
            return True
        if not (has_cue and above_has_cue):
            if self._stops_once(following, start):
                return False
        if has_cue:
            return True
        if self._lines.is_list(self._lines.at(line.end)):
            below = slice(*self._lines.span(self._lines.at(following)))
            return not _OPEN.search(text[below])
        head = text[following : following + MAX_HEAD_CHARS]
        if goes_on_enumerating(head):
            return False
        return findings_meet(last, head) or self._is_whole(line, following, start)

    def _is_answer(self, following: int) -> bool:
        """Tell whether the question of a line is answered in the next."""
        text, item = self._text, self._lines.markers.get(following, following)
        if is_box(text, item) or _REPLY.match(text, item):
            return True
        answer = (_ANSWER_LINE if item > following else WORD).match(text, item)
        return bool(answer) and answer.group().strip().rstrip(".,;").lower() in REPLIES

    def _begins_item(self, line: Span, last: str, following: int, start: int) -> bool:
        """Tell whether a line begins an item of a list, or is a heading."""
        text, markers = self._text, self._lines.markers
        if following in markers:
            # A wrapped line may begin with a number: "... for the last|2. week".
            long = line.end - line.start >= PROGRAM_CHARS and last[-1:] not in ".:;!"
            return not (long and text[following].isalnum() and start not in markers)
        if begins_item(text, following):
            return True
        if _LINE_HEADING.match(text, following) or is_rule(text, line):
            return True
        answered = (_ANSWERED_LINE.match(text, at) for at in (line.start, following))
        return text[following : following + 1].isupper() and all(answered)

    def _is_unfinished(self, line: Span, last: str, following: int, start: int) -> bool:
        """Tell whether a line's *last* words, or the next line's first, want more."""
        text, word = self._text, last_word(last, 0, len(last))
        lower, is_denied = word.lower(), partial(NEGATED.match, self._lower, following)
        if _is_soft(word) and not (lower in _HEDGES and is_denied()):
            return True
        if lower in _HALVES and _HALF_VERB.search(last):
            return True
        near = text[max(start, line.end - MAX_CHARS) : line.end]
        if wants_more(near) and not is_denied():
            return True
        if lower in _KIND_OF_HISTORY and _HISTORY.match(self._lower, following):
            return True
        if _CONTINUES.match(text, following):
            return True
        if word.isupper() and _CONTINUES_CAPITALS.match(text, following):
            return True
        subject = _SUBJECT.match(self._lower, _words(text, max(line.start, start)))
        return bool(
            subject
            and _VERB.match(text, following)
            and not _VERB.search(text, subject.end(), line.end)
        )

    def _is_whole(self, line: Span, following: int, start: int) -> bool:
        """Tell whether a line denies one finding, and no window broke it there.

        What wraps lines puts as many words on each as it has room for.
        """
        text = self._text
        cue = NEGATED.match(self._lower, _words(text, start))
        first = WORD.match(text, following)
        if start < line.start or not cue or not first:
            return False
        end = self._lines.span(self._lines.at(following))[1]
        width = max(NARROW_CHARS, end - following)
        if line.end - line.start + 1 + len(first.group()) > width:
            return False
        if _ADDS.match(self._lower, following):
            return False
        return are_findings(text[cue.end() : line.end])

    def _stops_once(self, following: int, start: int) -> bool:
        """Tell whether what began with a capital ends with a stop in the next line.

        Who sets a stop behind the one line would have set one behind the other.
        """
        text = self._text
        _, end = self._lines.span(self._lines.at(following))
        stops = text[max(following, end - 40) : end].rstrip().endswith(".")
        return stops and text[_words(text, start)].isupper()


def _words(text: str, start: int) -> int:
    """Give where the words from *start* on begin."""
    return _BLANKS.match(text, start).end()


def _is_broken(last: str, first: str) -> bool:
    """Tell whether a hyphen at the end of a line breaks a word: "pneumo-|thorax"."""
    return last.endswith("-") and last[-2:-1].isalpha() and first.islower()


def is_plain_item(text: str, line: Span) -> bool:
    """Tell whether a line may be an item of a list without markers."""
    words = text[line.start : min(line.end, line.start + MAX_ITEM_CHARS + 1)]
    short = words and len(words) <= MAX_ITEM_CHARS and words.rstrip()[-1:] not in ".!?;"
    return bool(short) and not (":" in words or _STATES.search(words.lower()))


def begins_item(text: str, at: int) -> bool:
    """Tell whether a sign, a cell or a box stands at *at*."""
    first = text[at : at + 1]
    if first.isascii() and first.isalnum():
        return False
    return bool(_ITEM.match(text, at)) or is_box(text, at)


def is_rule(text: str, line: Span) -> bool:
    """Tell whether a line is drawn, not written."""
    return bool(_RULE.fullmatch(text, line.start, line.end))
