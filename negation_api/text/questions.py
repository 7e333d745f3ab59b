"""Answers that stand behind a question, or below a label, and what is between them."""

import re
from collections.abc import Container, Iterator
from itertools import chain

from negation_api.text.answers import ANSWER, REPLIES, SHORT, any_of
from negation_api.text.edits import Edit
from negation_api.text.boxes import is_box
from negation_api.text.line_breaks import WORD, goes_on, is_rule, wants_word
from negation_api.text.lists import Lines
from negation_api.text.open_cues import holds_finding, plain_words
from negation_api.text.replies import (
    MAX_QUESTION_CHARS,
    REPLY,
    Question,
    as_replied,
    is_reply,
    read_question,
)
from negation_api.text.spans import Span

MAX_LABEL_CHARS = 120
MAX_REPLY_CHARS, MAX_REPLY_WORDS = 60, 6  # of a sentence that is an answer
_MAX_BARE_WORDS = 6

_ANSWER_LINE = re.compile(
    rf"(?P<answer>{ANSWER}|{REPLY})[ \t]*+[.,;!]?[ \t]*+", re.IGNORECASE | re.VERBOSE
)
# Answers that lead in a list as often.
_VERBS = frozenset("denies denied endorses reports".split())

_NEVER_ALONE = frozenset("- ? + 0 +/- not".split())

_SEPARATORS = r"[ \t\":.,;/=>\u2192\u2026\-\u2013\u2014\u2212]*+"
_CHOICE = rf"(?:{any_of(SHORT)}|maybe|don't[ ]know)"
_CHOICES = rf"""(?:
    [(\[] [ ]? {_CHOICE} (?: [ ]?[/|,][ ]? {_CHOICE} ){{1,5}}+ [ ]? [)\]]
    | {_CHOICE} (?: (?: [ ]?[/|][ ]? | [ ]or[ ] ) {_CHOICE} ){{1,5}}+ (?!\w) )"""
_REPLY_LABEL = r"""(?:
    (?: (?:your|my|patient'?s?|pt)[ ] )?
    (?:A(?:ns(?:wer)?)?|Resp(?:onse)?|Reply|Pt|Patient) (?:[ ]?\d{1,2})? [ ]? :
    | A(?:ns(?:wer)?)?[ ]?\d{0,2}[.)] ) (?=\s)"""
_ANSWERED = re.compile(
    rf"""\? (?P<gap> [ \t] {_SEPARATORS} (?:{_CHOICES})?+ {_SEPARATORS}
      (?:{_REPLY_LABEL})?+ {_SEPARATORS} (?: \d{{1,2}} [ ]? [-=\u2013] [ ]? )?+ )
    (?P<answer> {REPLY} | {ANSWER} (?<![-+?0]) (?! [\w/']
      | [ ](?-i:(?=[a-z]))(?<=\bno[ ]) ) )""",
    re.VERBOSE | re.IGNORECASE,
)
_LABELLED = re.compile(rf"(?<=\?)\s{{1,4}}(?P<reply>{_REPLY_LABEL})", re.VERBOSE | re.I)
_NEXT_QUESTION = re.compile(r"[,;][ \t]+(?=[^,;.?!\n]{1,60}\?)")
_BELOW = re.compile(r"[\"']?[ \t]*+\n")
_ASKED = re.compile(
    r"(?:^|(?<=[\s.;]))Q(?:uestion)?[ \t]?\d{0,2}[ ]?[:.)](?=\s)[ \t]*+", re.M
)
_REPLIED = re.compile(
    r"(?:(?<=[?\n])|(?<=[^\s][ \t])|(?<=\A[ \t]))(?P<reply>[ \t]*+"
    r"(?:(?:(?:your|my|patient'?s?)[ ])?A(?:nswer|ns)?[:.]"
    r"|(?:Pt|Patient)[ \t]?:)(?=\s)"
    r"[ \t]*+)",
    re.I,
)

_SENTENCE = re.compile(
    rf"[^\n!?]{{1,{MAX_REPLY_CHARS}}}?(?=[.!][\"')]{{0,2}}(?:\s|\Z)|\n|\Z)"
)
_ASKS = re.compile(
    r"\W*(?:Q\d{0,2}[ ]?[:.)]\s*)?(?:any|do|does|did|is|are|was|were|has|have|had|can"
    r"|ever|how|what|when|where|which|who|whose|why|history|hx)\b",
    re.IGNORECASE,
)
# What a list answers.
_ASKS_WHICH = re.compile(
    r"\W*(?:which|what)\b[^?\n]{0,60}?\b(?:symptoms?|problems?|conditions?|diseases?"
    r"|illnesses|these|following)\b",
    re.IGNORECASE,
)
# When, and how much: "At night."
_SAYS_WHEN = re.compile(
    r"(?:at|only|when|since|for|every|mostly|usually|once|twice|daily|weekly|all|quite"
    r"|some(?:times)?|occasionally|often|always|during|after|before|in[ ]the"
    r"|a[ ](?:few|lot|little|bit)|\d+[ ](?:times|days?|weeks?|months?|years?)|x[ ]?\d)"
    r"\b",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"\b(?:is|was|are|were|has|have|had|will|could|would|should|may|might|can|do|does"
    r"|did|be|denie[sd]|reports?|takes?|states|start|continue|consider|if)\b",
    re.IGNORECASE,
)


# What is ordered answers nothing: "Anemia? Check CBC."
_ORDERS = frozenset(
    "check send get order ordered start started obtain will plan consider needs await"
    " awaiting repeat f/u follow refer rule r/o see stop hold continue give".split()
)


class Questions:
    """The answers of a text, found once, in linear time.

    :ivar found: cuts and edits, as those of forms.
    :ivar answers: for where a line that is one answer starts, where it ends.
    """

    def __init__(
        self, text: str, lines: Lines, heads: Container[int], boxed: Container[int]
    ):
        """Find them.

        :param heads: where the headings that have a line of their own end.
        :param boxed: where lines with boxes begin.
        """
        self._text, self._lines, self._heads = text, lines, heads
        self._boxed = boxed
        self.found: list[int | Edit] = []
        self.answers: dict[int, int] = {}
        self._answered: set[int] = set()  # the signs of questions
        self._find_lines()
        if "?" in text:
            self.found += self._find_replies()

    def ends(self, start: int, at: int, behind: int) -> bool:
        """Tell whether the question mark at *at* ends a sentence: nothing answers it.

        :param start: of the sentence; :param behind: the first place after the mark.
        """
        text = self._text
        following = WORD.search(text, behind, behind + 50)
        if not following:
            return False
        if "\n" in text[behind : following.start()]:
            return False  # see LineBreaks
        if _ASKS_WHICH.match(text, start, at):
            return False
        after = following.group().lower()
        if after in "a.q." or is_box(text, following.start()):
            return False
        if behind - 1 in self._answered:
            return False
        words = self._reply(following.start())
        names = bool(words) and self._names(words, start, at)
        answers = {after, after.rstrip(".,;:")} & REPLIES
        if answers and not (after == "no" and names):
            return False
        return not words or names or not self._is_asked(start, at)

    def says_when(self, start: int, at: int, following: int) -> bool:
        """Tell whether the line at *following* says when, to what *at* ends asking."""
        words = _SAYS_WHEN.match(self._text, following) and self._reply(following)
        asked = self._text[at - 1 : at] == "?" and self._is_asked(start, at - 1)
        return bool(words) and asked and not self._names(words, start, at)

    def _reply(self, start: int) -> list[str]:
        """Give the words of the sentence at *start* if it is short."""
        sentence = _SENTENCE.match(self._text, start)
        words = plain_words(sentence.group()) if sentence else []
        short = 0 < len(words) <= MAX_REPLY_WORDS and words[0] not in _ORDERS
        return words if short else []

    def _names(self, words: list[str], start: int, at: int) -> bool:
        """Tell whether *words* hold a finding, and nothing of what is asked."""
        asked = plain_words(self._text[max(start, at - MAX_QUESTION_CHARS) : at])
        same = any(len(word) > 3 for word in {*asked} & {*words[1:]})
        return (words[0] in asked or not same) and holds_finding(words)

    def _is_asked(self, start: int, at: int) -> bool:
        """Tell whether ``[start, at)`` asks the patient, and does not wonder."""
        start = max(start, at - MAX_QUESTION_CHARS)
        if _ASKS.match(self._text, start, at):
            return True
        bare = self._text[start:at]
        return len(bare.split()) <= _MAX_BARE_WORDS and not _VERB.search(bare)

    def _find_replies(self) -> Iterator[int | Edit]:
        text = self._text
        for asked in _ASKED.finditer(text):
            yield Edit(*asked.span(), "")
            yield asked.start()
        for reply in chain(_LABELLED.finditer(text), _REPLIED.finditer(text)):
            yield Edit(*reply.span("reply"), " ")
        for found in _ANSWERED.finditer(text):
            question = read_question(text, found.start())
            replied = is_reply(found)
            if replied and not question.takes(found):
                continue
            self._answered.add(found.start())
            yield from _lead(question)
            parted = found["gap"].strip(' \t"')
            if parted:
                yield Edit(*found.span("gap"), " ")
            if replied or parted:
                yield Edit(*found.span("answer"), as_replied(found))
            if replied and (below := _BELOW.match(text, found.end())):
                yield below.end()
            if following := _NEXT_QUESTION.match(text, found.end()):
                yield following.end()

    def _find_lines(self) -> None:
        lines, above = self._lines, None
        for line in range(1, len(lines)):
            start, end = lines.span(line)
            if end - start > 40 or start == end:
                continue
            begins = lines.content(line)
            found = _ANSWER_LINE.fullmatch(self._text, begins, end)
            if not found or found["answer"].lower() in _NEVER_ALONE:
                continue
            if lines.first(line) in self._boxed:
                continue
            label, above = self._label(line, above), line
            if label and self._is_answer(found, label, line):
                self._add(label, found)

    def _label(self, line: int, above: int | None) -> Span | None:
        """Give what a line's answer is to, the line before it or one further up.

        :param above: number of the last line that is an answer too.
        """
        line -= 1
        if line and self._lines.is_blank(line):
            line -= 1
        if line == above or self._lines.is_blank(line):
            return None
        text, (start, end) = self._text, self._lines.span(line)
        label = text[start:end].rstrip() if end - start <= MAX_LABEL_CHARS else ""
        if not label.strip() or is_rule(text, Span(start, end)):
            return None
        if label[-1] in ".!;,(/&" or wants_word(label):
            return None
        return Span(self._lines.content(line), start + len(label))

    def _is_answer(self, found: re.Match, label: Span, line: int) -> bool:
        """Tell whether *found*, on the whole of a line, leads nothing in."""
        if line + 1 == len(self._lines):
            return True
        text, following = self._text, self._lines.content(line + 1)
        start, end = self._lines.span(line + 1)
        if goes_on(text, following):
            return False
        said = is_reply(found)
        may_lead = said or found["answer"].lower() in _VERBS
        if not (may_lead and text[start:end].strip()):
            return True
        headed = label.end in self._heads or following > self._lines.first(line + 1)
        if headed and not said:
            return False
        return not text[following].islower() or text[label.start].islower()

    def _add(self, label: Span, found: re.Match) -> None:
        """Add what is read of *label* and its answer, if that takes it up."""
        answer, at = found.start("answer"), label.end - 1
        question = read_question(self._text, at) if self._text[at] == "?" else None
        if is_reply(found) and not (question and question.takes(found)):
            return
        self.answers[self._lines.first(self._lines.at(answer))] = found.end()
        asks = self._text[at] in ":?-="
        self.found.append(Edit(label.end, answer, " " if asks else ": "))
        self.found.append(Edit(*found.span("answer"), as_replied(found)))
        self.found += _lead(question) if question else []


def _lead(question: Question) -> list[Edit]:
    """Give what is read for how *question* begins."""
    return [Edit(*question.lead, "")] if question.lead else []
