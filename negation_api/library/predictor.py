"""What a model here and a service elsewhere have in common: how they are asked.

Both are given the body of a request and give a reply; the rest is here, once.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import index

from negation_api.contract.errors import Invalid
from negation_api.contract.request import DOCUMENTS
from negation_api.library.answers import Answer, answers_of

Span = tuple[int, int] | Mapping  # or an entity as in a request
Document = tuple[str, Iterable[Span]] | Mapping  # or a document as in a request
Answered = list[Answer] | Exception

# Asked together: sorted by length, and enough to fill some batches.
WINDOW_ENTITIES = 128
WINDOW_DOCUMENTS = 100  # no more fit a request
WINDOW_CHARS = 256 * 1024


class Predictor(ABC):
    """Answers spans of texts.

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
        spans: Iterable[Span],
        *,
        section: str | None = None,
        axes: bool = True,
        explain: bool = False,
        fhir: bool = False,
        offset_unit: str = "codepoint",
    ) -> list[Answer]:
        """Answer each of *spans*, in order.

        :param text: a note, or a part of one.
        :param spans: ``(start, end)``, half-open, or entities as a request has them.
        :raises Invalid: a ValueError, for what a request may not hold, such as a span
            that is empty, past the end or the wrong way round: with its place and both
            numbers, and nothing of the text.
        """
        options = _options(axes, explain, fhir, offset_unit)
        document = _document((text, spans), section)
        return self._answer(document, options)

    def predict_many(
        self,
        documents: Iterable[Document],
        *,
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
            (``{"sentence": ...}`` has one answer); an ``id`` is passed over.
        :param return_exceptions: give what is wrong with a document in the place of
            its list, and go on. Otherwise it is raised there, after the answers to
            all documents before it, and nothing is computed after that.
        :raises Invalid: as for :meth:`predict`; the place begins with the document's.
        """
        options = _options(axes, explain, fhir, offset_unit)
        loaded = (_loaded(document, section) for document in documents)
        limit = 1 if explain else self.window_entities
        first = 0
        for window in _windows(loaded, limit):
            answered = self._answer_each(window, options)
            for place, result in enumerate(answered, first):
                if isinstance(result, Exception):
                    result = _placed(result, place)
                    if not return_exceptions:
                        raise result
                yield result
            first += len(window)

    @abstractmethod
    def describe(self) -> dict:
        """Say which model answers: the ``model`` of a reply, with name and hash."""

    @abstractmethod
    def _ask(self, body: dict) -> dict:
        """Give the reply to the body of a request.

        :raises Invalid: when it is refused as a whole.
        """

    def _answer(self, document: Mapping, options: dict) -> list[Answer]:
        reply = self._ask({**document, **options})
        return answers_of(document, options["offset_unit"], reply)

    def _answer_each(self, window: Sequence, options: dict) -> Iterator[Answered]:
        """Answer documents; one that costs the others theirs is asked by itself."""
        good = [each for each in window if not isinstance(each, Exception)]
        answered = self._answer_together(good, options)
        for each in window:
            yield each if isinstance(each, Exception) else next(answered)

    def _answer_together(
        self, documents: Sequence[Mapping], options: dict
    ) -> Iterator[Answered]:
        if len(documents) < 2:
            yield from (self._answer_or_fail(each, options) for each in documents)
            return
        try:
            replies = self._ask({"documents": documents, **options})["documents"]
        except self.failures:
            middle = len(documents) // 2
            for half in (documents[:middle], documents[middle:]):
                yield from self._answer_together(half, options)
            return
        for document, reply in zip(documents, replies, strict=True):
            if "error" in reply:
                yield Invalid.read(reply["error"]["errors"])
            else:
                yield answers_of(document, options["offset_unit"], reply)

    def _answer_or_fail(self, document: Mapping, options: dict) -> Answered:
        try:
            return self._answer(document, options)
        except self.failures as error:
            return error


def _options(axes: bool, explain: bool, fhir: bool, offset_unit: str) -> dict:
    return {
        "axes": axes,
        "explain": explain,
        "fhir": fhir,
        "offset_unit": offset_unit,
    }


def _placed(error: Exception, place: int) -> Exception:
    """Say of which document *error* is."""
    if isinstance(error, Invalid):
        return Invalid(*error.within("documents", place))
    error.add_note(f"in document {place}")
    return error


def _loaded(given: Document, section: str | None) -> dict | Invalid:
    try:
        return _document(given, section)
    except Invalid as error:
        return error


def _document(given: Document, section: str | None) -> dict:
    """Make of what was given a document as a request has it."""
    if isinstance(given, Mapping):
        document = {name: value for name, value in given.items() if name != "id"}
    else:
        try:
            text, spans = given
            spans = list(spans)
        except (TypeError, ValueError):
            raise Invalid.at("Must be a text and its spans, or a dict.") from None
        entities = [_entity(span, place) for place, span in enumerate(spans)]
        document = {"text": text, "entities": entities}
    if section is not None and "sentence" not in document:
        document = {"section": section, **document}
    return document


def _entity(span: Span, place: int) -> Mapping:
    if isinstance(span, Mapping):
        return span
    try:
        start, end = map(index, span)
    except (TypeError, ValueError):
        message = "Must be a pair of whole numbers, or a dict."
        raise Invalid.at(message, "entities", place) from None
    return {"start": start, "end": end}


def _windows(documents: Iterable, max_entities: int) -> Iterator[list]:
    """Cut *documents* into lists that are asked together."""
    window, num_entities, num_chars = [], 0, 0
    for document in documents:
        window.append(document)
        entities, chars = _size(document)
        num_entities += entities
        num_chars += chars
        if (
            num_entities >= max_entities
            or num_chars >= WINDOW_CHARS
            or len(window) >= WINDOW_DOCUMENTS
        ):
            yield window
            window, num_entities, num_chars = [], 0, 0
    if window:
        yield window


def _size(document) -> tuple[int, int]:
    """Give the entities and the characters of a document, whatever it is."""
    if not isinstance(document, Mapping):
        return 0, 0
    entities = document.get("entities", ())
    texts = [document.get(form, "") for form in DOCUMENTS]
    num_chars = sum(len(text) for text in texts if isinstance(text, str))
    return len(entities) if isinstance(entities, list) else 1, num_chars
