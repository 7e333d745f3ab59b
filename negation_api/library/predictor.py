"""What a model here and a service elsewhere have in common: how they are asked.

Both are given the body of a request and give a reply; the rest is here, once.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import index

from negation_api.contract.errors import Invalid
from negation_api.contract.request import DOCUMENTS, OptionsSchema
from negation_api.library.answers import Answer, answers_of
from negation_api.scoring import windows

Span = tuple[int, int] | Mapping  # or an entity as in a request
Document = tuple[str, Iterable[Span]] | Mapping | str  # or as in a request; see terms
Terms = Iterable[str | dict] | str  # as in a request
Answered = list[Answer] | Exception

OF_ALL = frozenset(("documents", *OptionsSchema().fields))  # no member of a document
# Asked together: sorted by length, and enough to fill some batches.
WINDOW_ENTITIES = 128
WINDOW_DOCUMENTS = 100  # no more fit a request
WINDOW_CHARS = 256 * 1024


class Predictor(ABC):
    """Answers spans of texts, or what of a list of terms is in them.

    The options are those of a request: *section*, the heading that all entities stand
    under, if you know better than the text; *axes*, ``experiencer``, ``temporality``
    and ``holds``; *explain*, ``context``, ``section`` and ``cues``; *fhir*; and
    *offset_unit*, ``codepoint``, ``utf16`` or ``utf8``, both ways.
    """

    failures: tuple[type[Exception], ...] = (Invalid,)  # may be of one document alone
    window_entities = WINDOW_ENTITIES

    def predict(
        self,
        text: str,
        spans: Iterable[Span] | None = None,
        *,
        terms: Terms | None = None,
        section: str | None = None,
        axes: bool = True,
        explain: bool = False,
        fhir: bool = False,
        offset_unit: str = "codepoint",
    ) -> list[Answer]:
        """Answer each of *spans*, in order, or each mention of *terms* in the text.

        :param text: a note, or a part of one.
        :param spans: ``(start, end)``, half-open, or entities as a request has them.
        :param terms: in their place: strings, dicts of ``term`` and ``code``, or
            ``"common"`` for the common findings.
        :raises Invalid: a ValueError, for what a request may not hold, such as a span
            that is empty, past the end or the wrong way round: with its place and both
            numbers, and nothing of the text.
        """
        given = sum(each is not None for each in (spans, terms))
        if given != 1:
            raise Invalid.at(f"Must have exactly one of: spans, terms; given {given}.")
        options = _options(axes, explain, fhir, offset_unit)
        document = _document(text if spans is None else (text, spans), section, terms)
        return self._answer(document, options, self._sought(_listed(terms)))

    def predict_many(
        self,
        documents: Iterable[Document],
        *,
        terms: Terms | None = None,
        section: str | None = None,
        axes: bool = True,
        explain: bool = False,
        fhir: bool = False,
        offset_unit: str = "codepoint",
        return_exceptions: bool = False,
    ) -> Iterator[list[Answer]]:
        """Answer each of *documents*, in order, a list for each.

        They are read as they are needed, some 100 ahead, and computed together.

        :param documents: ``(text, spans)``, or documents as a request has them
            (``{"sentence": ...}`` has one answer); an ``id`` is passed over. With
            *terms* also texts alone. What reading raises comes after all answers.
        :param terms: sought in each document that has no spans or terms of its own;
            the list is made ready once.
        :param return_exceptions: give what is wrong with a document in the place of
            its list, and go on. Otherwise it is raised there, after the answers to
            all documents before it, and nothing is computed after that.
        :raises Invalid: as for :meth:`predict`; the place begins with the document's.
            For *terms* that cannot be sought, whatever *return_exceptions* says.
        """
        options = _options(axes, explain, fhir, offset_unit)
        sought, failed = self._sought(_listed(terms)), []
        loaded = _load(documents, section, terms, failed)
        cut = _windows(loaded, 1 if explain else self.window_entities)
        answered = (self._answer_each(window, options, sought) for window in cut)
        for number, result in enumerate(chain.from_iterable(answered)):
            if isinstance(result, Exception):
                result = _located(result, number)
                if not return_exceptions:
                    raise result
            yield result
        for error in failed:
            raise error

    @abstractmethod
    def describe(self) -> dict:
        """Say which model answers: the ``model`` of a reply, with name and hash."""

    @abstractmethod
    def _ask(self, body: dict, sought) -> dict:
        """Give the reply to the body of a request.

        :param sought: in notes that say nothing of their own, as :meth:`_sought` gave.
        :raises Invalid: when it is refused as a whole.
        """

    @abstractmethod
    def _sought(self, terms: list | str | None):
        """Make *terms* what :meth:`_ask` takes of them; None of None.

        :raises Invalid: when they cannot be sought.
        """

    def _answer(self, document: Mapping, options: dict, sought) -> list[Answer]:
        reply = self._ask({**document, **options}, sought)
        return answers_of(document, options["offset_unit"], reply)

    def _answer_each(
        self, window: Sequence, options: dict, sought
    ) -> Iterator[Answered]:
        """Answer documents; one that costs the others theirs is asked by itself."""
        good = [each for each in window if not isinstance(each, Exception)]
        answered = self._answer_together(good, options, sought)
        for each in window:
            yield each if isinstance(each, Exception) else next(answered)

    def _answer_together(
        self, documents: Sequence[Mapping], options: dict, sought
    ) -> Iterator[Answered]:
        if len(documents) < 2:
            for each in documents:
                yield self._answer_or_fail(each, options, sought)
            return
        try:
            body = {"documents": documents, **options}
            replies = self._ask(body, sought)["documents"]
        except self.failures:
            middle = len(documents) // 2
            for half in (documents[:middle], documents[middle:]):
                yield from self._answer_together(half, options, sought)
            return
        for document, reply in zip(documents, replies, strict=True):
            if "error" in reply:
                yield Invalid.read(reply["error"]["errors"])
            else:
                yield answers_of(document, options["offset_unit"], reply)

    def _answer_or_fail(self, document: Mapping, options: dict, sought) -> Answered:
        try:
            return self._answer(document, options, sought)
        except self.failures as error:
            return error


def _options(axes: bool, explain: bool, fhir: bool, offset_unit: str) -> dict:
    return {
        "axes": axes,
        "explain": explain,
        "fhir": fhir,
        "offset_unit": offset_unit,
    }


def _listed(terms: Terms | None):
    """Read *terms* once; what is no list of them is left for the schema to refuse."""
    is_list = isinstance(terms, Iterable) and not isinstance(terms, str | Mapping)
    terms = list(terms) if is_list else terms
    to_json(terms, "terms")
    return terms


def to_json(value, *path: str) -> bytes:
    """Encode what a request holds, at *path* of it.

    Other numbers may be whole too, as numpy's are.

    :raises Invalid: for what JSON has not, such as bytes, NaN, or endless numbers.
    """
    try:
        return json.dumps(value, default=index, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise Invalid.at("Must hold only what JSON has.", *path) from None


def _load(documents: Iterable, section, terms, failed: list) -> Iterator:
    """Make each a document as a request has it, or what is wrong with it.

    :param failed: takes what reading them raises; then they end.
    """
    try:
        if isinstance(documents, str | bytes | Mapping):
            raise Invalid.at("Must be a list of documents, not one.", "documents")
        for document in documents:
            yield _loaded(document, section, terms)
    except Exception as error:
        failed.append(error)


def _located(error: Exception, number: int) -> Exception:
    """Say of which document *error* is."""
    if isinstance(error, Invalid):
        return Invalid(*error.within("documents", number))
    error.add_note(f"in document {number}")
    return error


def _loaded(given: Document, section: str | None, terms) -> dict | Invalid:
    try:
        return _document(given, section, terms)
    except Invalid as error:
        return error


def _document(given: Document, section: str | None, terms) -> dict:
    """Make of what was given a document as a request has it.

    :param terms: what is sought in a text alone; without there is no such document.
    """
    if isinstance(given, Mapping):
        document = {name: value for name, value in given.items() if name != "id"}
        if not OF_ALL.isdisjoint(document):
            names = ", ".join(sorted(OF_ALL))
            raise Invalid.at(f"Must hold none of: {names}; they are of all documents.")
    elif isinstance(given, str) and terms is not None:
        document = {"text": given}
    else:
        try:
            text, spans = given
            spans = list(spans)
        except (TypeError, ValueError):
            raise Invalid.at("Must be a text and its spans, or a dict.") from None
        entities = [_entity(span, number) for number, span in enumerate(spans)]
        document = {"text": text, "entities": entities}
    if section is not None and "sentence" not in document:
        document = {"section": section, **document}
    return document


def _entity(span: Span, number: int) -> Mapping:
    if isinstance(span, Mapping):
        return span
    try:
        start, end = map(index, span)
    except (TypeError, ValueError):
        message = "Must be a pair of whole numbers, or a dict."
        raise Invalid.at(message, "entities", number) from None
    return {"start": start, "end": end}


def _windows(documents: Iterable, max_entities: int) -> Iterator[list]:
    """Cut *documents* into lists that are asked together."""
    limits = max_entities, WINDOW_CHARS, WINDOW_DOCUMENTS
    return windows(documents, lambda document: (*_size(document), 1), limits)


def _size(document) -> tuple[int, int]:
    """Give the entities and the characters of a document, whatever it is."""
    if not isinstance(document, Mapping):
        return 0, 0
    unknown = () if "sentence" in document else None  # how many terms will be found
    entities = document.get("entities", unknown)
    texts = [document.get(form, "") for form in DOCUMENTS]
    num_chars = sum(len(text) for text in texts if isinstance(text, str))
    return len(entities) if isinstance(entities, list) else 1, num_chars
