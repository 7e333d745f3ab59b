"""What /predict takes. Past here there are no raw dicts.

Schemas see to shape and types; :func:`load_query` sees to what needs the text or the
limits: offsets, duplicate ids, totals. No message repeats what was sent, but for
numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from marshmallow import Schema, ValidationError, fields, pre_load, validate

from negation_api.settings import Settings
from negation_api.text.markers import MARKER, MarkerError, is_marked, marked_span
from negation_api.text.offsets import OFFSET_UNITS, Offsets
from negation_api.text.sentences import MAX_ENDS, Note, count_ends
from negation_api.text.spans import Span

MAX_ID_CHARS = 256


@dataclass(frozen=True)
class Entity:
    """An entity as asked for: *start* and *end* in the request's unit."""

    id: str | int | None
    start: int
    end: int
    span: Span  # the same in code points


@dataclass(frozen=True)
class Document:
    """One sentence (form 1: ``entities`` is None) or one note (form 2)."""

    id: str | int | None
    text: str
    entities: tuple[Entity, ...] | None
    marked: bool = True

    @cached_property
    def sentences(self) -> list[str]:
        """What the model is to read: a marked sentence for each entity."""
        if not self.entities:
            return [] if self.entities == () else [self.text]
        note = Note(self.text)
        return [note.mark(entity.span) for entity in self.entities]


@dataclass(frozen=True)
class Refused:
    """A document that cannot be answered; *messages* as marshmallow gives them."""

    id: str | int | None
    messages: dict


@dataclass(frozen=True)
class Query:
    """A valid request.

    :ivar form: ``sentence``, ``text`` or ``documents``; only the last has more than
        one document, and refused ones.
    :ivar explain: whether the reply is to hold what the model was fed.
    :ivar fhir: whether the reply is to hold FHIR's word for each label.
    """

    form: str
    documents: list[Document | Refused]
    explain: bool = False
    fhir: bool = False


class Text(fields.String):
    """A string that has an encoding: no lone surrogates, and no NUL."""

    def _deserialize(self, value, attr, data, **kwargs):
        text = super()._deserialize(value, attr, data, **kwargs)
        if "\0" in text:
            raise ValidationError(f"Holds a NUL character, at {text.index(chr(0))}.")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValidationError(
                f"Holds half of a surrogate pair, at {error.start}."
            ) from None
        return text


class Id(fields.Field):
    """A name that the client gives, a string or an integer; it is given back."""

    def _deserialize(self, value, attr, data, **kwargs):
        if isinstance(value, str):
            if len(value) > MAX_ID_CHARS:
                raise ValidationError(
                    f"At most {MAX_ID_CHARS} characters; given {len(value)}."
                )
            return Text()._deserialize(value, attr, data)
        value = _whole(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValidationError("Must be a string or an integer.")
        return value


class Whole(fields.Integer):
    """An integer as JSON Schema has it: 7.0 is one, and some languages write that."""

    def __init__(self, **kwargs):
        super().__init__(strict=True, **kwargs)

    def _deserialize(self, value, attr, data, **kwargs):
        return super()._deserialize(_whole(value), attr, data, **kwargs)


def _whole(value):
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole else value


class StrictSchema(Schema):
    """Refuses unknown fields without repeating their names."""

    @pre_load
    def refuse_unknown(self, data, **kwargs):
        if not isinstance(data, dict):
            raise ValidationError("Must be a JSON object.")
        num_unknown = len(data.keys() - self.fields.keys())
        if num_unknown:
            known = ", ".join(self.fields)
            raise ValidationError(f"{num_unknown} unknown fields; known are: {known}.")
        return data


def _offset(doc: str) -> Whole:
    error = "Must be at least 0; given {input}."
    return Whole(
        required=True,
        validate=validate.Range(min=0, error=error),
        metadata={"description": doc},
    )


class EntitySchema(StrictSchema):
    """Where an entity stands."""

    id = Id(metadata={"description": "your name for it, given back"})
    start = _offset("first character, counted in `offset_unit`")
    end = _offset("first character after it, counted in `offset_unit`")


class SentenceSchema(StrictSchema):
    """Form 1: one sentence."""

    id = Id(metadata={"description": "your name for it, given back"})
    sentence = Text(required=True, metadata={"description": "one sentence"})


class NoteSchema(StrictSchema):
    """Form 2: a note and its entities."""

    id = Id(metadata={"description": "your name for it, given back"})
    text = Text(required=True, metadata={"description": "a whole note"})
    entities = fields.List(fields.Raw(), required=True)


class DocumentsSchema(StrictSchema):
    """Form 3: several documents, each of form 1 or 2."""

    documents = fields.List(fields.Raw(), required=True)


class Switch(fields.Boolean):
    """JSON's own true and false: marshmallow would take "yes" and 1 as well."""

    def __init__(self, doc: str):
        super().__init__(load_default=False, metadata={"description": doc})

    def _deserialize(self, value, attr, data, **kwargs):
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class OptionsSchema(Schema):
    """The fields that all forms share."""

    offset_unit = fields.String(
        load_default="codepoint",
        validate=validate.OneOf(
            OFFSET_UNITS, error=f"Must be one of: {', '.join(OFFSET_UNITS)}."
        ),
        metadata={"description": "what offsets count, both ways"},
    )
    explain = Switch("give the marked sentence that the model was fed, as `context`")
    fhir = Switch("give the FHIR R4 `Condition.verificationStatus`, as `fhir`")


FORMS = {"sentence": SentenceSchema, "text": NoteSchema, "documents": DocumentsSchema}
_entity_schema, _options_schema = EntitySchema(), OptionsSchema()
_form_schemas = {form: schema() for form, schema in FORMS.items()}


def load_query(body, settings: Settings) -> Query:
    """Validate the body of a request.

    :raises ValidationError: when the request as a whole cannot be answered.
    """
    if not isinstance(body, dict):
        raise ValidationError("Must be a JSON object.")
    body = dict(body)
    given = {k: body.pop(k) for k in _options_schema.fields if k in body}
    options = _options_schema.load(given)
    unit = options.pop("offset_unit")
    form = _form(body, FORMS)
    if form == "documents":
        raw = _form_schemas[form].load(body)["documents"]
        _check_number("documents", len(raw), settings.max_documents, "documents")
        _check_total("entities", raw, settings.max_entities, "documents")
        documents = list(_documents(raw, unit, settings))
    else:
        _check_total("entities", [body], settings.max_entities, "/entities")
        documents = [_document(body, form, unit, settings)]
    _check_ends(documents, form)
    return Query(form, documents, **options)


def _form(body: dict, forms: Iterable[str]) -> str:
    """Tell which of *forms* a body has: exactly one of their names is in it."""
    names = ["text" if name == "entities" else name for name in body]
    given = [form for form in forms if form in names]
    if len(given) != 1:
        raise ValidationError(
            f"Must hold exactly one of: {', '.join(forms)}; given {len(given)}."
        )
    return given[0]


def _check_number(what: str, given: int, allowed: int, field: str) -> None:
    if given > allowed:
        message = f"At most {allowed} {what} in a request; given {given}."
        raise ValidationError({field: [message]})


def _check_total(what: str, raw: list, allowed: int, field: str) -> None:
    lists = (d.get("entities") for d in raw if isinstance(d, dict))
    given = sum(len(e) if isinstance(e, list) else 1 for e in lists if e is not None)
    _check_number(what, given, allowed, field.lstrip("/"))


def _check_ends(documents: list[Document | Refused], field: str) -> None:
    """See that cutting all notes into sentences takes less than a second."""
    notes = (d for d in documents if isinstance(d, Document) and d.entities)
    given = sum(count_ends(note.text) for note in notes)
    what = "line breaks, colons and sentence ends"
    _check_number(what, given, MAX_ENDS, field)


def _documents(raw: list, unit: str, settings: Settings):
    """Give each document, or why it is refused."""
    seen = set()
    for item in raw:
        try:
            if not isinstance(item, dict):
                raise ValidationError("Must be a JSON object.")
            form = _form(item, ("sentence", "text"))
            document = _document(item, form, unit, settings)
            if document.id is not None and document.id in seen:
                raise ValidationError({"id": ["Is the id of an earlier document too."]})
            seen.add(document.id)
            yield document
        except ValidationError as error:
            yield Refused(id_of(item), error.normalized_messages())


def id_of(raw) -> str | int | None:
    """Give the id of what is refused, if that much of it is valid."""
    try:
        return Id().deserialize(raw["id"])
    except (ValidationError, TypeError, KeyError, IndexError):
        return None


def _document(raw: dict, form: str, unit: str, settings: Settings) -> Document:
    data = _form_schemas[form].load(raw)
    if form == "sentence":
        return _sentence(data, settings)
    text = data["text"]
    entities = _entities(data["entities"], Offsets(text, unit), settings)
    return Document(data.get("id"), text, entities)


def _sentence(data: dict, settings: Settings) -> Document:
    sentence = data["sentence"]
    if not sentence.strip():
        raise ValidationError({"sentence": ["Must not be blank."]})
    try:
        marked = is_marked(sentence)
    except MarkerError as error:
        raise ValidationError({"sentence": [str(error)]}) from None
    if marked:
        entity = marked_span(sentence)
        given = entity.end - entity.start - 2 * len(MARKER)
        _check_entity_chars(given, settings, "sentence")
    return Document(data.get("id"), sentence, None, marked)


def _entities(raw: list, offsets: Offsets, settings: Settings) -> tuple[Entity, ...]:
    """Load all entities of a note, or refuse with all that is wrong with them."""
    entities, errors, seen = [], {}, {}
    for index, item in enumerate(raw):
        try:
            entity = _entity(_entity_schema.load(item), offsets, settings)
            earlier = seen.setdefault(entity.id, index)
            if entity.id is not None and earlier != index:
                message = f"Is the id of entity {earlier} too."
                raise ValidationError({"id": [message]})
            entities.append(entity)
        except ValidationError as error:
            errors[index] = error.messages
    if errors:
        raise ValidationError({"entities": errors})
    return tuple(entities)


def _entity(data: dict, offsets: Offsets, settings: Settings) -> Entity:
    start, end = data["start"], data["end"]
    if end > offsets.length:
        message = f"At most {offsets.length}, the text's length; given {end}."
        raise ValidationError({"end": [message]})
    if start >= end:
        raise ValidationError({"end": [f"Must be above start, {start}; given {end}."]})
    points = {k: offsets.to_code_points(data[k]) for k in ("start", "end")}
    inside = [k for k, point in points.items() if point is None]
    if inside:
        message = "{} is inside a character."
        raise ValidationError({k: [message.format(data[k])] for k in inside})
    span = Span(points["start"], points["end"])
    _check_entity_chars(span.end - span.start, settings, "end")
    return Entity(data.get("id"), start, end, span)


def _check_entity_chars(given: int, settings: Settings, field: str) -> None:
    allowed = settings.max_entity_chars
    if given > allowed:
        message = f"At most {allowed} characters in an entity; given {given}."
        raise ValidationError({field: [message]})
