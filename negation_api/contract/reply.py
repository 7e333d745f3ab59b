"""What /predict gives. Nothing in it repeats the text, but for ``explain``.

The schemas are what there is to know of a reply: the API's description, the columns of
files and of Spark are made of them, and :func:`dump_document` fills them in. A new
member of every answer is a field of :class:`StatusSchema`, and an attribute of that
name of a :class:`~negation_api.contract.labels.Prediction`.
"""

from collections.abc import Iterator, Sequence

from marshmallow import Schema, fields, validate

from negation_api.contract import fhir
from negation_api.contract.errors import ProblemSchema
from negation_api.contract.labels import AXES, LABELS, Choice, Prediction
from negation_api.contract.request import Document, Entity, Query, Refused
from negation_api.contract.shapes import AnyOf, Id
from negation_api.text.offsets import Offsets
from negation_api.text.spans import Span


class ModelSchema(Schema):
    """The artefact that gave the answer."""

    name = fields.String()
    revision = fields.String(allow_none=True, metadata={"description": "commit"})
    sha256 = fields.String(metadata={"description": "of the weights, hexadecimal"})
    precision = fields.String()


class AnsweringSchema(ModelSchema):
    """The artefacts that gave the answers."""

    axes = fields.Nested(
        ModelSchema,
        metadata={
            "description": "what answered the axes, where that is another model",
            "option": "axes",
        },
    )


def _scores(values: tuple[str, ...], name: str) -> type[Schema]:
    """Make the schema of the probabilities of *values*."""
    schema = Schema.from_dict({value: fields.Float() for value in values}, name=name)
    schema.__doc__ = "The probability of each, 0 to 1; they add up to 1."
    return schema


Cues = dict[str, list[Span]]  # label or axis -> spans in code points

ScoresSchema = _scores(LABELS, "ScoresSchema")


def _axis(name: str) -> type[Schema]:
    """Make the schema of the answer to an axis."""
    values, title = AXES[name], name.capitalize()
    label = fields.String(validate=validate.OneOf(values))
    score = fields.Float(metadata={"description": "the probability of the label"})
    scores = fields.Nested(_scores(values, f"{title}ScoresSchema"))
    answer = {"label": label, "score": score, "scores": scores}
    schema = Schema.from_dict(answer, name=f"{title}Schema")
    schema.__doc__ = f"The {name} of one entity."
    return schema


ExperiencerSchema, TemporalitySchema = map(_axis, AXES)


class CodingSchema(Schema):
    """A FHIR R4 Coding."""

    system = fields.String()
    code = fields.String()
    display = fields.String()


class CodeableConceptSchema(Schema):
    """A FHIR R4 CodeableConcept with one coding."""

    coding = fields.List(fields.Nested(CodingSchema))


class WordsSchema(Schema):
    """A FHIR R4 CodeableConcept of which only the words are known."""

    text = fields.String(metadata={"description": "the entity, as written"})


class FamilyConditionSchema(Schema):
    """A FHIR R4 FamilyMemberHistory.condition."""

    code = fields.Nested(WordsSchema)


class FHIRSchema(Schema):
    """With `fhir`: a member of FHIR R4 that says the same, if there is one."""

    verificationStatus = fields.Nested(
        CodeableConceptSchema, metadata={"description": "of the patient's Condition"}
    )
    condition = fields.List(
        fields.Nested(FamilyConditionSchema),
        metadata={"description": "of a relative's FamilyMemberHistory"},
    )


class CueSchema(Schema):
    """Words of the text, counted in `offset_unit`."""

    start = fields.Integer()
    end = fields.Integer()


CuesSchema = Schema.from_dict(
    {name: fields.List(fields.Nested(CueSchema)) for name in ("label", *AXES)},
    name="CuesSchema",
)
CuesSchema.__doc__ = "The words without which an answer is the default."


def _explained(what: str) -> dict:
    return {"description": f"with `explain`: {what}", "option": "explain"}


class StatusSchema(Schema):
    """The assertion status of one entity. *option*: given when that is asked for."""

    label = fields.String(validate=validate.OneOf(LABELS))
    score = fields.Float(metadata={"description": "the probability of the label"})
    scores = fields.Nested(ScoresSchema)
    experiencer = fields.Nested(ExperiencerSchema, metadata={"axes": True})
    temporality = fields.Nested(TemporalitySchema, metadata={"axes": True})
    holds = fields.Boolean(
        metadata={
            "description": "whether the label is PRESENT, the experiencer the PATIENT"
            " and the temporality not HYPOTHETICAL",
            "axes": True,
        }
    )
    fhir = fields.Nested(FHIRSchema, metadata={"option": "fhir"})
    context = fields.String(metadata=_explained("the sentence the model was fed"))
    section = fields.String(
        metadata=_explained("the heading that the entity stands under")
    )
    cues = fields.Nested(
        CuesSchema, metadata=_explained("for each answer that is not the default")
    )
    layers = fields.Integer(
        metadata=_explained("after how many of the model's layers it was answered")
    )


class EntitySchema(Schema):
    """An entity, as it was asked for or found."""

    id = Id()
    start = fields.Integer()
    end = fields.Integer()
    term = fields.String(
        metadata={"description": "what it was found by, as the list of terms names it"}
    )
    code = Id(metadata={"description": "that of the term, or of the entity asked for"})


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

    model = fields.Nested(AnsweringSchema, required=True)
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
    artefact, beside = classifier.artefact, classifier.beside
    model = {
        "name": artefact.name,
        "revision": artefact.revision,
        "sha256": artefact.sha256,
        "precision": classifier.precision,
    }
    return model | ({"axes": dump_model(beside)} if beside else {})


def dump_document(
    query: Query,
    document: Document,
    predictions: Sequence[Prediction],
    headed: bool,
    cues: Sequence[Cues] | None = None,
) -> dict:
    """Build the reply to one document from its rows' predictions, in order.

    :param headed: whether the label's model read sections, or sentences alone.
    :param cues: of each row, with ``explain``.
    """
    statuses = [_status(prediction) for prediction in predictions]
    if query.fhir:
        texts = document.entity_texts
        for status, given, text in zip(statuses, predictions, texts, strict=True):
            status["fhir"] = fhir.members(given, text)
    if query.explain:
        more = _explanations(document, predictions, headed)
        for status, own in zip(statuses, more, strict=True):
            status.update(own)
        for status, own in zip(statuses, cues or ()):
            status["cues"] = own
        _convert(document, statuses)
    if document.entities is None:
        return {**_given(document, "id"), **statuses[0], "marked": document.marked}
    rows = zip(document.entities, statuses, strict=True)
    predicted = [
        {
            **_given(entity, "id"),
            "start": entity.start,
            "end": entity.end,
            **_given(entity, "term", "code"),
            **status,
        }
        for entity, status in rows
    ]
    return {**_given(document, "id"), "predictions": predicted}


def _convert(document: Document, statuses: list[dict]) -> None:
    """Give the places of cues in the request's unit."""
    offsets = Offsets(document.text, document.unit)
    convert = offsets.from_code_point
    for status in statuses:
        for question, spans in status.get("cues", {}).items():
            status["cues"][question] = [
                {"start": convert(span.start), "end": convert(span.end)}
                for span in spans
            ]


def _explanations(document: Document, predictions, headed: bool) -> Iterator[dict]:
    """Give for each row what the model read, in which section, through how much."""
    read = document.headed if headed else document.sentences
    entities = document.entities or [None] * len(read)
    for context, entity, given in zip(read, entities, predictions, strict=True):
        section = entity and document.section(entity)
        yield {
            "context": context,
            **({"section": section} if section else {}),
            **({"layers": given.layers} if given.layers else {}),
        }


def _status(prediction: Prediction) -> dict:
    with_axes, status = prediction.holds is not None, {}
    for name, field in STATUS.items():
        value = getattr(prediction, name)
        if "axes" not in field.metadata:
            status[name] = value
        elif with_axes:
            status[name] = _choice(value) if isinstance(value, Choice) else value
    return status


def _choice(choice: Choice) -> dict:
    return {"label": choice.label, "score": choice.score, "scores": choice.scores}


def dump_refused(document: Refused) -> dict:
    """Build the reply to a document that is refused."""
    return {**_given(document, "id"), "error": document.error.problem()}


def _given(what: Document | Entity | Refused, *names: str) -> dict:
    found = {name: getattr(what, name) for name in names}
    return {name: value for name, value in found.items() if value is not None}
