"""What the endpoints of cnlp_transformers take and give, as other programs ask them.

Two forms, told apart by their members: that of its versions up to 0.7, which
ctakesclient and so Cumulus ETL send, and that of 0.8. Read in
https://github.com/Machine-Learning-for-Medical-Language/cnlp_transformers
(``src/cnlpt/api`` at v0.7.1, ``src/cnlpt/rest`` at v0.8.0).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from marshmallow import Schema, ValidationError, fields, validate

from negation_api.contract.errors import Invalid
from negation_api.contract.labels import Prediction
from negation_api.contract.request import Document, Query, check_number, load_query
from negation_api.contract.shapes import Offset, StrictSchema, Text
from negation_api.settings import Settings

WINDOW_CHARS = 100  # before and after an entity in a record's text, as theirs

# --- questions -----------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """What an endpoint asks of each entity.

    :ivar path: of the endpoint.
    :ivar name: of the answer in the form of 0.8.
    :ivar axes: whether whose and when bear on the answer.
    :ivar holds: whether the answer is 1, or else -1.
    :ivar probability: of 1.
    """

    path: str
    name: str
    summary: str
    axes: bool
    holds: Callable[[Prediction], bool]
    probability: Callable[[Prediction], float]


def is_negated(prediction: Prediction) -> bool:
    """Tell whether the label is ``ABSENT``."""
    return prediction.label == "ABSENT"


def exists(prediction: Prediction) -> bool:
    """Tell whether the patient has it, or may have it, or has had it.

    Without axes the label alone decides.
    """
    whose, when = prediction.experiencer, prediction.temporality
    return (
        prediction.label != "ABSENT"
        and (whose is None or whose.label == "PATIENT")
        and (when is None or when.label != "HYPOTHETICAL")
    )


def _probability_exists(prediction: Prediction) -> float:
    """Give the least of what it takes, which bounds the probability of all of it."""
    needed = [1 - prediction.scores["ABSENT"]]
    if prediction.experiencer:
        needed.append(prediction.experiencer.scores["PATIENT"])
    if prediction.temporality:
        needed.append(1 - prediction.temporality.scores["HYPOTHETICAL"])
    return min(needed)


NEGATION = Question(
    "/negation/process",
    "Negation",
    "Say of every entity whether it is negated, as cnlp_transformers does.",
    False,
    is_negated,
    lambda prediction: prediction.scores["ABSENT"],
)
TERM_EXISTS = Question(
    "/termexists/process",
    "TermExists",
    "Say of every entity whether the patient has it, as cnlp_transformers does.",
    True,
    exists,
    _probability_exists,
)
QUESTIONS = (NEGATION, TERM_EXISTS)

# --- requests ------------------------------------------------------------------


class _Numbers(validate.Length):
    def _format_error(self, value, message) -> str:
        return f"Must hold {self.equal} numbers, start and end; given {len(value)}."


def _spans() -> fields.List:
    span = fields.List(Offset(), validate=_Numbers(equal=2))
    doc = "[start, end) of each entity, in code points"
    return fields.List(span, required=True, metadata={"description": doc})


def _note() -> Text:
    return Text(required=True, metadata={"description": "a whole note"})


class StatusesRequestSchema(StrictSchema):
    """The form up to 0.7."""

    doc_text = _note()
    entities = _spans()


class RecordsRequestSchema(StrictSchema):
    """The form of 0.8."""

    text = _note()
    entity_spans = _spans()


# --- replies -------------------------------------------------------------------

_STATUS = {"description": "1 or -1, for each entity in the order asked"}


class StatusesSchema(Schema):
    """The reply to the form up to 0.7."""

    statuses = fields.List(
        fields.Integer(validate=validate.OneOf((1, -1))),
        required=True,
        metadata=_STATUS,
    )


BinaryScoresSchema = Schema.from_dict(
    {"-1": fields.Float(), "1": fields.Float()}, name="BinaryScoresSchema"
)
BinaryScoresSchema.__doc__ = "The probability of each, 0 to 1."


class BinarySchema(Schema):
    """The answer for one entity, and its probabilities."""

    prediction = fields.String(validate=validate.OneOf(("1", "-1")))
    probs = fields.Nested(BinaryScoresSchema)


RecordSchema = Schema.from_dict(
    {
        "text": fields.String(
            metadata={"description": "the entity between <e> and </e>, with its words"}
        ),
        **{each.name: fields.Nested(BinarySchema) for each in QUESTIONS},
    },
    name="RecordSchema",
)
RecordSchema.__doc__ = "One entity of the reply to the form of 0.8."


def _dump_statuses(question: Question, document: Document, predictions) -> dict:
    return {"statuses": [1 if question.holds(each) else -1 for each in predictions]}


def _dump_records(question: Question, document: Document, predictions) -> list[dict]:
    return [
        {
            "text": _window(document.text, entity.start, entity.end),
            question.name: _binary(question, prediction),
        }
        for entity, prediction in zip(document.entities, predictions, strict=True)
    ]


def _window(text: str, start: int, end: int) -> str:
    before = text[max(0, start - WINDOW_CHARS) : start]
    return f"{before}<e>{text[start:end]}</e>{text[end : end + WINDOW_CHARS]}"


def _binary(question: Question, prediction: Prediction) -> dict:
    probability = question.probability(prediction)
    return {
        "prediction": "1" if question.holds(prediction) else "-1",
        "probs": {"-1": 1 - probability, "1": probability},
    }


# --- forms ---------------------------------------------------------------------


@dataclass(frozen=True)
class Form:
    """One of the two forms.

    :ivar text, entities: what it calls these.
    :ivar dump: builds the reply to one note.
    """

    text: str
    entities: str
    schema: StrictSchema
    dump: Callable[[Question, Document, Sequence[Prediction]], dict | list[dict]]

    def load(self, body: dict, question: Question, settings: Settings) -> Query:
        """Validate *body*.

        :raises Invalid: with the places of what is wrong as they came.
        """
        with self.naming():
            spans = body.get(self.entities)
            if isinstance(spans, list):  # too many are not loaded
                check_number("entities", len(spans), settings.max_entities, "entities")
            try:
                data = self.schema.load(body)
            except ValidationError as error:
                raise Invalid.of(error.normalized_messages()) from None
            spans = [{"start": s, "end": e} for s, e in data[self.entities]]
            note = {"text": data[self.text], "entities": spans, "axes": question.axes}
            return load_query(note, settings)

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Have what is wrong with the note of ``POST /predict`` told in this form."""
        names = {"text": self.text, "entities": self.entities, "start": 0, "end": 1}
        try:
            yield
        except Invalid as error:
            faults = [
                (tuple(names.get(step, step) for step in path), detail)
                for path, detail in error.faults
            ]
            raise Invalid(*faults) from None


FORMS = (
    Form("doc_text", "entities", StatusesRequestSchema(), _dump_statuses),
    Form("text", "entity_spans", RecordsRequestSchema(), _dump_records),
)


def form_of(body) -> Form:
    """Tell which form *body* has.

    :raises Invalid: when it has none, or both.
    """
    if not isinstance(body, dict):
        raise Invalid.at("Must be a JSON object.")
    given = [form for form in FORMS if {form.text, form.entities} & body.keys()]
    if len(given) != 1:
        names = " or ".join(f"{form.text} and {form.entities}" for form in FORMS)
        raise Invalid.at(f"Must hold {names}; holds {len(given)} of the two.")
    return given[0]
