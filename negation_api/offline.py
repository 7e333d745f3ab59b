"""Bodies in, replies out, without HTTP: what the command line and Spark share.

A body is what one ``POST /predict`` takes (form 1 or 2), is validated by the same
schemas and answered from the same rows of token ids. What differs is only how rows
become batches: whole windows are there at once, so they are sorted by length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from marshmallow import ValidationError

from negation_api.assertion import Prediction
from negation_api.predict import encode_sentences
from negation_api.problems import pointers
from negation_api.schemas import (
    BadJSON,
    Document,
    Id,
    Query,
    dump_document,
    load_json,
    load_query,
)
from negation_api.settings import Settings

FORMS = "sentence, text"
ENTITY_FIELDS = {"start": "start", "end": "end", "entity_id": "id"}


@dataclass(frozen=True)
class Answered:
    """A document with one prediction for each of its rows."""

    query: Query
    predictions: list[Prediction]

    @property
    def document(self) -> Document:
        return self.query.documents[0]

    def dump(self) -> dict:
        """Give the reply as HTTP does, less ``model`` and ``time_ms``."""
        return dump_document(self.query, self.document, self.predictions)

    def rows(self) -> Iterator[dict]:
        """Give one flat row for each entity, or the one of a sentence."""
        entities = self.document.entities
        for index, prediction in enumerate(self.predictions):
            entity = entities[index] if entities is not None else None
            yield {
                "id": self.document.id,
                "entity_id": entity and entity.id,
                "start": entity and entity.start,
                "end": entity and entity.end,
                "label": prediction.label,
                "score": prediction.score,
                **prediction.scores,
            }


@dataclass(frozen=True)
class Rejected:
    """A body that cannot be answered.

    :ivar errors: ``{"pointer", "detail"}`` each, as in the problem that HTTP gives.
    """

    id: str | int | None
    errors: list[dict]


class Scorer:
    """Answers windows of bodies with *classifier*, in batches of like length."""

    def __init__(self, classifier, settings: Settings):
        self.classifier = classifier
        self.settings = settings

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
            item if rows is None else Answered(item, [next(predictions) for _ in rows])
            for item, rows in loaded
        ]

    def _load(self, body) -> tuple[Query | Rejected, list[list[int]] | None]:
        """Validate and encode one body; the rows of a rejected one are None."""
        try:
            body = self._read(body)
            query = self._query(body)
            (document,) = query.documents
            sentences = document.sentences
            return query, list(encode_sentences(document, sentences, self.classifier))
        except BadJSON as error:
            errors = [{"pointer": "#", "detail": str(error)}]
        except ValidationError as error:
            errors = pointers(error.normalized_messages())
        except Exception as error:  # ours; the other rows are not to pay for it
            name = type(error).__name__
            errors = [{"pointer": "#", "detail": f"Cannot be read ({name})."}]
        return Rejected(_id_of(body), errors), None

    def _read(self, body):
        if isinstance(body, Exception):
            raise body
        if not isinstance(body, bytes):
            return body
        allowed, given = self.settings.max_body_bytes, len(body)
        if given > allowed:
            raise ValidationError(f"At most {allowed} bytes are read; given {given}.")
        return load_json(body)

    def _query(self, body) -> Query:
        # A row is one document, so a list of documents is no form here.
        if isinstance(body, dict) and "documents" in body:
            raise ValidationError(f"Must hold exactly one of: {FORMS}; given 0.")
        return load_query(body, self.settings)

    def _classify(self, rows: list[list[int]]) -> Iterator[Prediction]:
        """Give the prediction of each row, in order; identical rows count once."""
        unique = dict.fromkeys(map(tuple, rows))
        max_tokens = self.settings.batch_tokens or self.classifier.batch_tokens
        for batch in batches(sorted(unique, key=len), max_tokens):
            unique.update(zip(batch, self.classifier.classify(batch), strict=True))
        return (unique[tuple(row)] for row in rows)


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


def note_of_entity(row: dict) -> dict:
    """Make the body of a row that holds one entity: text, start, end, entity_id.

    >>> note_of_entity({"id": 7, "text": "No pain.", "start": 3, "end": 7})
    {'id': 7, 'text': 'No pain.', 'entities': [{'start': 3, 'end': 7}]}
    """
    body = {key: value for key, value in row.items() if key not in ENTITY_FIELDS}
    entity = {new: row[old] for old, new in ENTITY_FIELDS.items() if old in row}
    return {**body, "entities": [entity]}


def _id_of(body) -> str | int | None:
    try:
        return Id().deserialize(body["id"])
    except (ValidationError, TypeError, KeyError, IndexError):
        return None
