"""What /predict gives. Nothing in it repeats the text, but for ``explain``.

The schemas are what there is to know of a reply: the API's description, the columns of
files and of Spark are made of them, and :func:`dump_document` fills them in. A new
member of every answer is a field of :class:`StatusSchema`, and an attribute of that
name of a :class:`~negation_api.contract.labels.Prediction`.
"""

from collections.abc import Sequence

from marshmallow import Schema, fields, validate

from negation_api.contract import fhir
from negation_api.contract.errors import ProblemSchema
from negation_api.contract.labels import LABELS
from negation_api.contract.request import Document, Entity, Query, Refused
from negation_api.contract.shapes import AnyOf, Id


class ModelSchema(Schema):
    """The artefact that gave the answer."""

    name = fields.String()
    revision = fields.String(allow_none=True, metadata={"description": "commit"})
    sha256 = fields.String(metadata={"description": "of the weights, hexadecimal"})
    precision = fields.String()


ScoresSchema = Schema.from_dict(
    {label: fields.Float() for label in LABELS}, name="ScoresSchema"
)
ScoresSchema.__doc__ = "The probability of each label, 0 to 1; they add up to 1."


class CodingSchema(Schema):
    """A FHIR R4 Coding."""

    system = fields.String()
    code = fields.String()
    display = fields.String()


class CodeableConceptSchema(Schema):
    """A FHIR R4 CodeableConcept with one coding."""

    coding = fields.List(fields.Nested(CodingSchema))


class FHIRSchema(Schema):
    """With `fhir`: the member of a FHIR R4 Condition that says the same."""

    verificationStatus = fields.Nested(CodeableConceptSchema)


class StatusSchema(Schema):
    """The assertion status of one entity. *option*: given when that is asked for."""

    label = fields.String(validate=validate.OneOf(LABELS))
    score = fields.Float(metadata={"description": "the probability of the label"})
    scores = fields.Nested(ScoresSchema)
    fhir = fields.Nested(FHIRSchema, metadata={"option": "fhir"})
    context = fields.String(
        metadata={
            "description": "with `explain`: the sentence the model was fed",
            "option": "explain",
        }
    )


class EntitySchema(Schema):
    """An entity, as it was asked for."""

    id = Id()
    start = fields.Integer()
    end = fields.Integer()


class PredictionSchema(StatusSchema, EntitySchema):
    """The assertion status of one entity of a note."""


class SentenceDocumentSchema(StatusSchema):
    """The answer to a sentence among several documents."""

    id = Id()
    marked = fields.Boolean()


class NoteDocumentSchema(Schema):
    """The answer to a note among several documents."""

    id = Id()
    predictions = fields.List(fields.Nested(PredictionSchema))


class RefusedDocumentSchema(Schema):
    """A document that cannot be answered."""

    id = Id()
    error = fields.Nested(ProblemSchema, required=True)


class ReplySchema(Schema):
    """What the replies to all forms have in common."""

    model = fields.Nested(ModelSchema, required=True)
    time_ms = fields.Float(required=True, metadata={"description": "milliseconds"})


class SentenceReplySchema(ReplySchema, SentenceDocumentSchema):
    """The reply to form 1."""


class NoteReplySchema(ReplySchema, NoteDocumentSchema):
    """The reply to form 2."""


class DocumentsReplySchema(ReplySchema):
    """The reply to form 3, in the order asked."""

    documents = fields.List(
        AnyOf(SentenceDocumentSchema, NoteDocumentSchema, RefusedDocumentSchema),
        required=True,
    )


# Of every status, in the order of the reply.
STATUS = {
    name: field
    for name, field in StatusSchema().fields.items()
    if "option" not in field.metadata
}


def dump_model(classifier) -> dict:
    """Say which artefact answers: the ``model`` of every reply."""
    artefact = classifier.artefact
    return {
        "name": artefact.name,
        "revision": artefact.revision,
        "sha256": artefact.sha256,
        "precision": classifier.precision,
    }


def dump_document(query: Query, document: Document, predictions: Sequence) -> dict:
    """Build the reply to one document from its rows' predictions, in order."""
    statuses = [
        {name: getattr(prediction, name) for name in STATUS}
        for prediction in predictions
    ]
    if query.fhir:
        for status in statuses:
            status["fhir"] = fhir.verification_status(status["label"])
    if query.explain:
        for status, sentence in zip(statuses, document.sentences, strict=True):
            status["context"] = sentence
    if document.entities is None:
        return {**_named(document), **statuses[0], "marked": document.marked}
    rows = zip(document.entities, statuses, strict=True)
    predicted = [
        {**_named(entity), "start": entity.start, "end": entity.end, **status}
        for entity, status in rows
    ]
    return {**_named(document), "predictions": predicted}


def dump_refused(document: Refused) -> dict:
    """Build the reply to a document that is refused."""
    return {**_named(document), "error": document.error.problem()}


def _named(what: Document | Entity | Refused) -> dict:
    return {} if what.id is None else {"id": what.id}
