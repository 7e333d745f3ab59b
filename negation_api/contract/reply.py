"""What /predict gives. Nothing in it repeats the text, but for ``explain``."""

from collections.abc import Sequence

from marshmallow import Schema, fields, validate

from negation_api.contract import fhir
from negation_api.contract.labels import LABELS
from negation_api.contract.request import Document, Entity, Id, Query, Refused


def dump_model(classifier) -> dict:
    """Say which artefact answers: the ``model`` of every reply."""
    artefact = classifier.artefact
    return {
        "name": artefact.name,
        "revision": artefact.revision,
        "sha256": artefact.sha256,
        "precision": classifier.precision,
    }


class ModelSchema(Schema):
    """The artefact that gave the answer."""

    name = fields.String()
    revision = fields.String(allow_none=True, metadata={"description": "commit"})
    sha256 = fields.String(metadata={"description": "of the weights, hexadecimal"})
    precision = fields.String()


class ScoresSchema(Schema):
    """The probability of each label, 0 to 1; they add up to 1."""

    PRESENT = fields.Float()
    ABSENT = fields.Float()
    POSSIBLE = fields.Float()


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
    """The assertion status of one entity."""

    id = Id()
    label = fields.String(validate=validate.OneOf(LABELS))
    score = fields.Float(metadata={"description": "the probability of the label"})
    scores = fields.Nested(ScoresSchema)
    context = fields.String(
        metadata={"description": "with `explain`: the sentence the model was fed"}
    )
    fhir = fields.Nested(FHIRSchema)


class PredictionSchema(StatusSchema):
    """The assertion status of one entity of a note."""

    start = fields.Integer()
    end = fields.Integer()


class SentenceReplySchema(StatusSchema):
    """The reply to form 1."""

    marked = fields.Boolean()


class NoteReplySchema(Schema):
    """The reply to form 2."""

    id = Id()
    predictions = fields.List(fields.Nested(PredictionSchema))


def dump_document(query: Query, document: Document, predictions: Sequence) -> dict:
    """Build the reply to one document from its rows' predictions, in order."""
    named = {} if document.id is None else {"id": document.id}
    statuses = [_status(prediction, query.fhir) for prediction in predictions]
    if query.explain:
        for status, sentence in zip(statuses, document.sentences, strict=True):
            status["context"] = sentence
    if document.entities is None:
        return {**named, **statuses[0], "marked": document.marked}
    rows = zip(document.entities, statuses, strict=True)
    return {
        **named,
        "predictions": [_place(entity) | status for entity, status in rows],
    }


def dump_refused(document: Refused, problem: dict) -> dict:
    """Build the reply to a document that is refused."""
    named = {} if document.id is None else {"id": document.id}
    return {**named, "error": problem}


def _place(entity: Entity) -> dict:
    named = {} if entity.id is None else {"id": entity.id}
    return {**named, "start": entity.start, "end": entity.end}


def _status(prediction, with_fhir: bool) -> dict:
    status = {
        "label": prediction.label,
        "score": prediction.score,
        "scores": prediction.scores,
    }
    if with_fhir:
        status["fhir"] = fhir.verification_status(prediction.label)
    return status
