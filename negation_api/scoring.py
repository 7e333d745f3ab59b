"""Bodies in, replies out, without HTTP: what requests, files and Spark share.

A request has its rows made here, classified by the batcher, and its reply made here.
Files have many bodies at once (form 1 or 2 of what ``POST /predict`` takes), so
:class:`Scorer` sorts the rows of a window by length itself.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from marshmallow import ValidationError

from negation_api import cues
from negation_api.contract.errors import Invalid
from negation_api.contract.json import BadJSON, load_json
from negation_api.contract.labels import Prediction
from negation_api.contract.reply import Cues, dump_document, dump_refused
from negation_api.contract.request import (
    DOCUMENTS,
    Document,
    Query,
    Refused,
    id_of,
    load_query,
)
from negation_api.contract.shapes import Id, says_one
from negation_api.model.isolation import classify_each
from negation_api.settings import Settings
from negation_api.text.markers import EntityTooLong, MarkerError, SentenceTooLong
from negation_api.text.terms import Finder

Row = Sequence[int]  # token ids, hashable; of two models see ``beside.py``

# Clinical text has some 4.5; rows of it that are cut to the model's length, twice that.
MAX_CHARS_PER_TOKEN = 12


# --- one request -------------------------------------------------------------


def encode(
    query: Query, classifier, max_tokens: int, lap: Callable[[str], None]
) -> list[list[Row]]:
    """Make the rows of each document; one that is or becomes refused has none.

    :param lap: called with a stage's name when it is done.
    :raises Invalid: when the whole request has more than *max_tokens*, or so
        many characters that reading them all would take long.
    """
    rows, num_tokens, num_chars = [], 0, 0
    for index, document in enumerate(query.documents):
        rows.append([])
        if isinstance(document, Refused):
            continue
        num_models = 2 if query.axes and classifier.beside else 1
        num_chars += num_models * document.num_read
        _check_chars(query.form, MAX_CHARS_PER_TOKEN * max_tokens, num_chars)
        contexts = contexts_of(document, classifier, query.axes)
        lap("context")
        try:
            for row in encode_contexts(document, contexts, classifier):
                rows[-1].append(row)
                num_tokens += len(row)
                if num_tokens > max_tokens:
                    _refuse_tokens(query.form, max_tokens, num_tokens)
        except Unreadable as error:
            if query.form != "documents":
                raise
            query.documents[index] = Refused(document.id, error)
            rows[-1] = []
        lap("tokenize")
    return rows


def _check_chars(form: str, allowed: int, given: int) -> None:
    if given > allowed:
        what = "characters in all sentences that the entities stand in"
        raise Invalid.at(f"At most {allowed} {what}; given {given}.", form)


class Unreadable(Invalid):
    """One document holds what does not fit the model, or speaks to it."""


def contexts_of(document: Document, classifier, axes: bool) -> list[tuple[str, ...]]:
    """Give what is read for each row: by one model, or by another for the axes too."""
    first = document.headed if classifier.headed else document.sentences
    if axes and classifier.beside:
        return list(zip(first, document.headed, strict=True))
    return [(each,) for each in first]


def encode_contexts(
    document: Document, contexts, classifier, first: int = 0
) -> Iterator[Row]:
    """Give the row of each of *contexts*, which are *document*'s.

    :param first: the entity that the first of them is of.
    :raises Unreadable: with the place in the document.
    """
    ours = document.entities is not None
    for index, context in enumerate(contexts, first):
        try:
            yield classifier.encode(*context, marked=document.marked, ours=ours)
        except (EntityTooLong, SentenceTooLong, MarkerError) as error:
            if document.entities is None:
                raise Unreadable.at(str(error), "sentence") from None
            raise Unreadable.at(str(error), "entities", index, "end") from None


def _refuse_tokens(form: str, allowed: int, given: int) -> None:
    message = f"At most {allowed} tokens in a request; given {given} or more."
    raise Invalid.at(message, form)


def asked(query: Query, predictions: Iterable[Prediction]) -> list[Prediction]:
    """Give *predictions* without what the query does not ask for."""
    return [each if query.axes else each.label_only() for each in predictions]


def explain(
    answered: Iterable[tuple[Document, Sequence[Prediction]]],
    query: Query,
    classifier,
    classify: Callable[[list[Row]], list[Prediction]],
    max_tokens: int,
) -> list[list[Cues] | None]:
    """Find the cues of each document's rows, where the query asks for them."""
    answered = list(answered)
    if not query.explain:
        return [None] * len(answered)
    read = [
        (document, contexts_of(document, classifier, query.axes), predictions)
        for document, predictions in answered
    ]
    return cues.find(read, classifier, classify, max_tokens)


def dump(query: Query, rows, predictions, classifier, classify, max_tokens) -> dict:
    """Build the reply, less what all forms have in common.

    :param classify, max_tokens: to find cues with, see ``cues.py``.
    """
    left = iter(predictions)
    own = [list(islice(left, len(encoded))) for encoded in rows]
    answered = [
        (document, predicted)
        for document, predicted in zip(query.documents, own, strict=True)
        if not isinstance(document, Refused)
    ]
    found = iter(explain(answered, query, classifier, classify, max_tokens))
    documents = [
        (
            dump_refused(document)
            if isinstance(document, Refused)
            else dump_document(query, document, each, classifier.headed, next(found))
        )
        for document, each in zip(query.documents, own)
    ]
    return {"documents": documents} if query.form == "documents" else documents[0]


# --- many bodies -------------------------------------------------------------


@dataclass(frozen=True)
class Answered:
    """A document with one prediction for each of its rows."""

    query: Query
    predictions: list[Prediction]
    headed: bool
    cues: list[Cues] | None = None

    @property
    def document(self) -> Document:
        return self.query.documents[0]

    def dump(self) -> dict:
        """Give the reply as HTTP does, less ``model`` and ``time_ms``."""
        return dump_document(
            self.query, self.document, self.predictions, self.headed, self.cues
        )


@dataclass(frozen=True)
class Rejected:
    """A body that cannot be answered.

    :ivar errors: ``{"pointer", "detail"}`` each, as in the problem that HTTP gives.
    """

    id: str | int | None
    errors: list[dict]


class Scorer:
    """Answers windows of bodies with *classifier*, in batches of like length.

    :param finder: of the terms that are sought in notes that say nothing of their own.
    :param check: called with each document; raises ``Invalid`` for one that is not to
        be answered.
    :param options: of the request (``explain``, ``fhir``), for bodies without them.
    """

    def __init__(
        self,
        classifier,
        settings: Settings,
        finder: Finder | None = None,
        check: Callable[[Document], None] | None = None,
        **options: bool,
    ):
        self.classifier = classifier
        self.settings = settings
        self.finder = finder
        self.check = check
        self.options = options

    def score(self, bodies: Sequence) -> list[Answered | Rejected]:
        """Answer each body, in order.

        A body is a dict, JSON that is still to be read, or an exception, which
        stands for a row that could not even be read.
        """
        loaded = [self._load(body) for body in bodies]
        predictions = self._classify(
            [row for _, rows in loaded if rows is not None for row in rows]
        )
        return [
            (
                item
                if rows is None
                else self._answer(item, list(islice(predictions, len(rows))))
            )
            for item, rows in loaded
        ]

    def _answer(self, query: Query, results: list) -> Answered | Rejected:
        """Give the answer, or where the model failed; its message may hold anything."""
        (document,) = query.documents
        faults = []
        for index, result in enumerate(results):
            if isinstance(result, Exception):
                in_note = document.entities is not None
                path = ("entities", index) if in_note else ("sentence",)
                faults.append((path, f"The model failed ({type(result).__name__})."))
        if faults:
            return Rejected(document.id, Invalid(*faults).errors)
        predictions = asked(query, results)
        try:
            found = self._explain(query, predictions)
        except Exception as error:  # of a row that cues are sought with
            failed = f"The model failed ({type(error).__name__})."
            return Rejected(document.id, Invalid.at(failed).errors)
        return Answered(query, predictions, self.classifier.headed, found)

    def _explain(self, query: Query, predictions: list[Prediction]):
        """Find the cues of the one document of *query*, or raise as the model does."""

        def classify(rows: list[Row]) -> list[Prediction]:
            results = list(self._classify(rows))
            for result in results:
                if isinstance(result, Exception):
                    raise result
            return results

        answered = [(query.documents[0], predictions)]
        limit = self.settings.max_request_tokens
        (found,) = explain(answered, query, self.classifier, classify, limit)
        return found

    def _load(self, body) -> tuple[Query | Rejected, list[Row] | None]:
        """Validate and encode one body; the rows of a rejected one are None."""
        try:
            body = self._read(body)
            query = self._query(body)
            if self.check:
                self.check(query.documents[0])
            return query, list(self._encode(query))
        except Invalid as error:
            wrong = error
        except BadJSON as error:
            wrong = Invalid.at(str(error))
        except Exception as error:  # ours; the other rows are not to pay for it
            wrong = Invalid.at(f"Cannot be read ({type(error).__name__}).")
        return Rejected(id_of(body), wrong.errors), None

    def _encode(self, query: Query) -> Iterator[Row]:
        """Give the rows; of a note with many entities in pieces, to bound memory."""
        (document,) = query.documents
        for first, piece in _pieces(document, self.settings.max_entities):
            contexts = contexts_of(piece, self.classifier, query.axes)
            yield from encode_contexts(piece, contexts, self.classifier, first)

    def _read(self, body):
        if isinstance(body, Exception):
            raise body
        if not isinstance(body, bytes):
            return body
        allowed, given = self.settings.max_body_bytes, len(body)
        if given > allowed:
            raise Invalid.at(f"At most {allowed} bytes are read; given {given}.")
        return load_json(body)

    def _query(self, body) -> Query:
        if isinstance(body, dict):
            # A row is one document, so a list of documents is no form here.
            if "documents" in body:
                raise Invalid.at(says_one(DOCUMENTS, 0))
            body = {**self.options, **body}
        patient = _take_patient(body)
        query = load_query(body, self.settings, self.finder, in_file=True)
        return query if patient is None else replace(query, patient=patient)

    def _classify(self, rows: list[Row]) -> Iterator[Prediction | Exception]:
        max_tokens = self.settings.batch_tokens or self.classifier.batch_tokens
        return classify_rows(self.classifier.classify, rows, max_tokens)


def _pieces(document: Document, size: int) -> Iterator[tuple[int, Document]]:
    """Cut a document after every *size* entities; give the number of the first too."""
    entities = document.entities or ()
    if len(entities) <= size:
        yield 0, document
        return
    for first in range(0, len(entities), size):
        yield first, replace(document, entities=entities[first : first + size])


def _take_patient(body) -> str | int | None:
    """Take ``patient_id`` out of a row: it is no matter of the request's."""
    given = body.pop("patient_id", None) if isinstance(body, dict) else None
    if given is None or given == "":  # as an export has who is not known
        return None
    try:
        return Id().deserialize(given)
    except ValidationError as error:
        raise Invalid.of({"patient_id": error.messages}) from None


def windows(
    items: Iterable, size: Callable[..., Sequence[int]], limits: Sequence[int]
) -> Iterator[list]:
    """Cut *items* into lists, each of which ends with what fills it.

    :param size: how much of each of *limits* an item is.

    >>> list(windows(["a", "bb", "c"], lambda text: [len(text)], [2]))
    [['a', 'bb'], ['c']]
    """
    window, left = [], limits
    for item in items:
        window.append(item)
        left = [each - more for each, more in zip(left, size(item), strict=True)]
        if min(left) <= 0:
            yield window
            window, left = [], limits
    if window:
        yield window


def classify_rows(
    classify: Callable[[list[Row]], list[Prediction]],
    rows: Sequence[Row],
    max_tokens: int,
    map_batches: Callable = map,
) -> Iterator[Prediction | Exception]:
    """Give what came of each row, in order; identical rows count once.

    :param max_tokens: of a batch, padded.
    :param map_batches: as map(), of a function over a list; on threads, for instance.
    """
    unique = dict.fromkeys(rows)
    cut = list(batches(sorted(unique, key=len), max_tokens))
    found = map_batches(partial(classify_each, classify), cut)
    for batch, results in zip(cut, found, strict=True):
        unique.update(zip(batch, results, strict=True))
    return (unique[row] for row in rows)


def batches(rows: Sequence[Sequence[int]], max_tokens: int) -> Iterator[list]:
    """Cut *rows*, sorted by length, into batches of at most *max_tokens*, padded.

    >>> [len(batch) for batch in batches(["aa", "aa", "bbb", "dddddddddd"], 6)]
    [2, 1, 1]
    """
    batch = []
    for row in rows:
        if batch and len(row) * (len(batch) + 1) > max_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
