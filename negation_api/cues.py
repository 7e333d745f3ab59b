"""Because of which words: the spans of a text without which an answer is the default.

By erasure (Li, Monroe and Jurafsky 2016, https://arxiv.org/abs/1612.08220): words are
taken out of what the model read, one after the other, each time the one that brings
the answer closest to its default, until it is that. So what is given is what decided,
and nothing is said of an answer that is the default. It costs a row for each word of
the context and each word taken out; for what would exceed the caller's bound nothing
is said either.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from negation_api.contract.labels import AXES, LABELS, Prediction
from negation_api.contract.reply import Cues
from negation_api.contract.request import Document
from negation_api.text.markers import marked_span
from negation_api.text.sentences import Regions
from negation_api.text.spans import Span

DEFAULTS = {"label": LABELS[0]} | {axis: values[0] for axis, values in AXES.items()}
MAX_CUE_WORDS = 4  # taken out of one context
MAX_SIDE_WORDS = 24  # looked at on either side of the entity

# What may be a cue: a word, a sign, a sign in brackets.
_WORD = re.compile(r"\([^\w\s]{1,3}\)|\w[\w'/-]*|[?+-]")


@dataclass(frozen=True)
class Word:
    """A word of a context, and where the text has it."""

    start: int  # in the context
    end: int
    source: Span | None


@dataclass
class Search:
    """The search for what decided one answer.

    :ivar context: what the model read.
    :ivar words: those that may be taken out, the nearest to the entity first.
    :ivar out: those that have been.
    :ivar decided: whether the answer is the default without these.
    """

    question: str
    context: str
    words: list[Word]
    marked: bool
    out: list[Word] = field(default_factory=list)
    decided: bool = False
    is_over: bool = False

    def trials(self) -> list[list[Word]]:
        """Give what to take out next: one word more, or, when decided, one less."""
        if self.decided:
            return [[w for w in self.out if w is not kept] for kept in self.out[:-1]]
        return [[*self.out, word] for word in self.words if word not in self.out]

    def without(self, words: list[Word]) -> str:
        """Give the context without *words*."""
        pieces, at = [], 0
        for gone in sorted(words, key=lambda each: each.start):
            pieces.append(self.context[at : gone.start])
            at = gone.end
        return " ".join("".join([*pieces, self.context[at:]]).split())

    def settle(self, trials: list[list[Word]], answers: list[Prediction]) -> None:
        """Keep the trial that makes the default most probable."""
        choices = [answer.choice(self.question) for answer in answers]
        default = DEFAULTS[self.question]
        if not trials:
            self.is_over = True
            return
        best = max(range(len(trials)), key=lambda n: choices[n].scores[default])
        succeeded = choices[best].label == default
        if succeeded or not self.decided:
            self.out = trials[best]
        self.is_over = not succeeded and (
            self.decided or len(self.out) >= MAX_CUE_WORDS
        )
        self.decided = self.decided or succeeded

    def spans(self) -> list[Span]:
        """Give where the text has the words that are out, neighbours joined."""
        sources = sorted({(w.source.start, w.source.end) for w in self.out if w.source})
        joined = []
        for start, end in sources:
            if joined and start - joined[-1].end <= 1:
                joined[-1] = Span(joined[-1].start, max(end, joined[-1].end))
            else:
                joined.append(Span(start, end))
        return joined


def find(
    answered: Iterable[
        tuple[Document, Sequence[tuple[str, ...]], Sequence[Prediction]]
    ],
    classifier,
    classify: Callable[[list], list[Prediction]],
    max_tokens: int,
) -> list[list[Cues]]:
    """Find the cues of each row of each document.

    :param answered: documents with the contexts and the predictions of their rows.
    :param classify: computes rows; *max_tokens* bounds those of all calls together.
    """
    found, searches = [], []
    for document, contexts, predictions in answered:
        found.append([])
        for index, (context, prediction) in enumerate(zip(contexts, predictions)):
            begun = list(_begin(document, index, context, prediction))
            searches += begun
            found[-1].append({search.question: search for search in begun})
    _run(searches, classifier, classify, max_tokens)
    return [
        [{question: s.spans() for question, s in row.items() if s.out} for row in rows]
        for rows in found
    ]


def _begin(document, index: int, context, prediction) -> Iterator[Search]:
    """Give a search for each answer of a row that is not the default."""
    for question, default in DEFAULTS.items():
        answer = prediction.choice(question)
        if answer is not None and answer.label != default:
            read = context[0] if question == "label" else context[-1]
            words = list(_words(document, index, read))
            if document.marked:
                entity = marked_span(read)
                words.sort(
                    key=lambda w: max(entity.start - w.end, w.start - entity.end)
                )
            if words:
                yield Search(question, read, words, document.marked)


def _run(searches: list[Search], classifier, classify, max_tokens: int) -> None:
    """Go on with all searches together, a word at a time, while tokens are left."""
    while searches:
        rows, shares = [], []
        for search in searches:
            trials, encode = search.trials(), _encoder(classifier, search)
            own = [encode(search.without(words)) for words in trials]
            max_tokens -= sum(map(len, own))
            if max_tokens < 0:
                break
            rows += own
            shares.append((search, trials))
        answers = iter(classify(rows)) if rows else iter(())
        for search, trials in shares:
            search.settle(trials, [next(answers) for _ in trials])
        searches = [search for search, _ in shares if not search.is_over]


def _encoder(classifier, search: Search) -> Callable[[str], Sequence[int]]:
    """Give what makes a row of a context, for the model that answers the question."""
    beside = search.question != "label" and classifier.beside
    encode = classifier.encode_axes if beside else classifier.encode
    return lambda context: encode(context, marked=search.marked, ours=True)


# --- words of a context and where they come from -------------------------------


def _words(document: Document, index: int, context: str) -> Iterator[Word]:
    """Give the words beside the entity that may be cues, with their places."""
    if document.entities is None:
        yield from _words_of_sentence(document, context)
        return
    entity = document.entities[index]
    regions = document.note.regions(entity.span)
    marked = marked_span(context)
    found = list(_WORD.finditer(context))
    before = [m for m in found if m.end() <= marked.start]
    after = [m for m in found if m.start() >= marked.end]
    sources = _sources(document.note.text, regions, entity.span)
    yield from _aligned(before[::-1], sources[0][::-1], regions)
    yield from _aligned(after, sources[1], regions)


def _words_of_sentence(document: Document, context: str) -> Iterator[Word]:
    hidden = marked_span(context) if document.marked else Span(0, 0)
    for match in _WORD.finditer(context):
        if match.end() <= hidden.start or match.start() >= hidden.end:
            yield Word(*match.span(), Span(*match.span()))


def _sources(text: str, regions: Regions, entity: Span) -> tuple[list, list]:
    """Give the words of the text that are read before the entity, and after it."""
    spans = [regions.lead] if regions.lead else []
    spans.append(Span(regions.sentence.start, entity.start))
    before = [m for span in spans for m in _WORD.finditer(text, span.start, span.end)]
    return before, list(_WORD.finditer(text, entity.end, regions.sentence.end))


def _aligned(read: list, sources: list, regions: Regions) -> Iterator[Word]:
    """Match words read to words of the text, from the entity outwards.

    What the text writes otherwise ("N" for "no") has no place of its own and takes
    the next one; what no word is left for is of the section's heading.
    """
    at = 0
    for match in read[:MAX_SIDE_WORDS]:
        same = (
            n
            for n in range(at, min(at + 6, len(sources)))
            if sources[n].group().lower() == match.group().lower()
        )
        source = next(same, None)
        if source is None and at < len(sources) and sources[at].group()[0].isalnum():
            source = at
        if source is None:
            yield Word(*match.span(), regions.heading)
        else:
            yield Word(*match.span(), Span(*sources[source].span()))
            at = source + 1
