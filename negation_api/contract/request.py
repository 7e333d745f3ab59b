"""What /predict takes. Past here there are no raw dicts.

Schemas see to shape and types, and the API's description is made of them;
:func:`load_query` sees to what needs the text or the limits: offsets, duplicate ids,
totals. No message repeats what was sent, but for numbers.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial

from marshmallow import ValidationError, fields, validate

from negation_api.contract.errors import Invalid
from negation_api.contract.listed import TermsField, load_terms
from negation_api.contract.shapes import (
    AnyOf,
    AtMost,
    Each,
    Id,
    Offset,
    StrictSchema,
    Switch,
    Text,
    says_one,
)

from negation_api.settings import Settings
from negation_api.text.markers import (
    MARKER,
    MAX_READ_CHARS,
    MarkerError,
    is_marked,
    marked_span,
)
from negation_api.text.offsets import OFFSET_UNITS, Offsets
from negation_api.text.reading import is_blank
from negation_api.text.sentences import ENDS_OF, MAX_ENDS
from negation_api.text.sentences import SegmentedText, count_ends
from negation_api.text.spans import Span
from negation_api.text.terms import Finder, TooManyMentions


@dataclass(frozen=True)
class Entity:
    """An entity as asked for: *start* and *end* in the request's unit."""

    id: str | int | None
    start: int
    end: int
    span: Span  # the same in code points
    section: str | None = None  # the heading it stands under, if the client says it
    term: str | None = None  # of a list, by which it was found
    code: str | int | None = None  # of that term, or as the client gave it


@dataclass(frozen=True)
class Document:
    """One sentence (form 1: ``entities`` is None) or one note (form 2)."""

    id: str | int | None
    text: str
    entities: tuple[Entity, ...] | None
    marked: bool = True
    unit: str = "codepoint"  # of offsets, see ``offsets.py``

    @cached_property
    def note(self) -> SegmentedText:
        """The text, cut into sentences and sections."""
        return SegmentedText(self.text)

    @property
    def num_read(self) -> int:
        """How many characters of the text are read for all entities together."""
        if not self.entities:
            return 0 if self.entities == () else min(len(self.text), MAX_READ_CHARS)
        return sum(self.note.num_read(entity.span) for entity in self.entities)

    @cached_property
    def sentences(self) -> list[str]:
        """What a model of sentences is to read: a marked one for each entity."""
        if not self.entities:
            return [] if self.entities == () else [self.text]
        return [self.note.mark(entity.span) for entity in self.entities]

    @cached_property
    def headed(self) -> list[str]:
        """The same with its section, for a model that answers whose and when."""
        if not self.entities:
            return self.sentences
        return [
            self.note.mark(entity.span, headed=True, section=entity.section)
            for entity in self.entities
        ]

    @property
    def entity_texts(self) -> list[str | None]:
        """Each entity as written; None for that of an unmarked sentence."""
        if self.entities is not None:
            return [self.text[e.span.start : e.span.end] for e in self.entities]
        if not self.marked:
            return [None]
        span, size = marked_span(self.text), len(MARKER)
        return [self.text[span.start + size : span.end - size]]

    def section(self, entity: Entity) -> str | None:
        """Give the heading of the section that *entity* stands in, or None."""
        if entity.section is not None:
            return entity.section
        known = self.note.section(entity.span)
        return known.name if known else None


@dataclass(frozen=True)
class Refused:
    """A document that cannot be answered."""

    id: str | int | None
    error: Invalid


@dataclass(frozen=True)
class Query:
    """A valid request.

    :ivar form: ``sentence``, ``text`` or ``documents``; only the last has more than
        one document, and refused ones.
    :ivar explain: whether the reply is to hold what the model was fed.
    :ivar fhir: whether the reply is to hold FHIR's word for each label.
    :ivar axes: whether it is to hold experiencer and temporality.
    :ivar patient: whose note it is, in a file.
    """

    form: str
    documents: list[Document | Refused]
    explain: bool = False
    fhir: bool = False
    axes: bool = True
    patient: str | int | None = None


MAX_SECTION_CHARS = 200
_NAME = {"description": "your name for it, given back"}
_NO_OBJECT = {"null": "Must be a JSON object."}


def _offset(doc: str) -> Offset:
    return Offset(required=True, metadata={"description": doc})


def _section(doc: str) -> Text:
    return Text(
        validate=AtMost(max=MAX_SECTION_CHARS),
        metadata={"description": f"heading of the section {doc}, if you know better"},
    )


class EntitySchema(StrictSchema):
    """Where an entity stands."""

    id = Id(metadata=_NAME)
    start = _offset("first character, counted in `offset_unit`")
    end = _offset("first character after it, counted in `offset_unit`")
    text = Text(
        metadata={
            "description": "the entity as you have it; refused, with the `offset_unit`"
            " that would fit, unless it is what stands from `start` to `end`"
        }
    )
    section = _section("of the note that it stands in")
    code = Id(metadata={"description": "your code for what it is, given back"})


class SentenceSchema(StrictSchema):
    """A sentence among several documents."""

    id = Id(metadata=_NAME)
    sentence = Text(required=True, metadata={"description": "one sentence"})


class NoteSchema(StrictSchema):
    """A note, with its entities or with terms that are sought in it."""

    exclusive = "entities", "terms"

    id = Id(metadata=_NAME)
    text = Text(required=True, metadata={"description": "a whole note"})
    section = _section("of all its entities")
    entities = Each(
        fields.Nested(EntitySchema, error_messages=_NO_OBJECT),
        metadata={"description": "where they stand in the note"},
    )
    terms = TermsField("sought in the note, in place of `entities`")


DOCUMENTS = {"sentence": SentenceSchema, "text": NoteSchema}
_documents = {form: schema() for form, schema in DOCUMENTS.items()}


class DocumentField(AnyOf):
    """A document of form 1 or 2."""

    default_error_messages = _NO_OBJECT

    def _deserialize(self, value, attr, data, **kwargs):
        if not isinstance(value, dict):
            raise self.make_error("null")
        return _documents[_form(value, DOCUMENTS)].load(value)


class OptionsSchema(StrictSchema):
    """The fields that all forms share."""

    offset_unit = fields.String(
        load_default="codepoint",
        validate=validate.OneOf(
            OFFSET_UNITS, error=f"Must be one of: {', '.join(OFFSET_UNITS)}."
        ),
        metadata={"description": "what offsets count, both ways"},
    )
    explain = Switch(
        "give what the model was fed, as `context`, and what decided, as `cues`"
    )
    fhir = Switch(
        "give the `verificationStatus` of a FHIR R4 Condition, or of a relative's the"
        " `condition` of a FamilyMemberHistory, as `fhir`"
    )
    axes = Switch("give `experiencer`, `temporality` and `holds`", default=True)


class SentenceRequestSchema(OptionsSchema, SentenceSchema):
    """Form 1: one sentence, its entity between two `[entity]` markers."""


class NoteRequestSchema(OptionsSchema, NoteSchema):
    """Form 2: a note, with its entities or with terms that are sought in it."""

    needs_one = True


_NEEDED = [{"required": [name]} for name in ("sentence", *NoteSchema.exclusive)]


class DocumentsRequestSchema(OptionsSchema):
    """Form 3: several documents, each answered or refused on its own."""

    # Without terms for all, each note needs its own or entities.
    json_schema_extra = {
        "anyOf": [
            {"required": ["terms"]},
            {"properties": {"documents": {"items": {"anyOf": _NEEDED}}}},
        ]
    }

    documents = Each(DocumentField(*DOCUMENTS.values()), required=True)
    terms = TermsField("sought in every note that says neither `entities` nor `terms`")


FORMS = {
    "sentence": SentenceRequestSchema,
    "text": NoteRequestSchema,
    "documents": DocumentsRequestSchema,
}
_forms = {form: schema() for form, schema in FORMS.items()}


def load_query(
    body, settings: Settings, finder: Finder | None = None, in_file: bool = False
) -> Query:
    """Validate the body of a request.

    :param finder: of the terms that are sought in notes that say nothing of their own.
    :param in_file: whether any number of entities may be found: a row of a file is not
        lost because it holds many.
    :raises Invalid: when the request as a whole cannot be answered.
    """
    if not isinstance(body, dict):
        raise Invalid.at("Must be a JSON object.")
    try:
        form = _form(body, FORMS)
        _check_totals(body, form, settings)
        data = _forms[form].load(body)
    except ValidationError as error:
        raise Invalid.of(error.normalized_messages()) from None
    load = partial(_load_document, unit=data["offset_unit"], settings=settings)
    if form == "documents":
        if "terms" in data:
            finder = load_terms(data["terms"], settings)
        pairs = zip(data["documents"], body["documents"], strict=True)
        documents = list(_load_documents(pairs, partial(load, finder=finder)))
    else:
        documents = [load(data, finder=finder)]
    notes = [d for d in documents if isinstance(d, Document) and d.entities]
    _check_ends(notes, form)
    if not in_file:
        _check_found(notes, form, settings)
    return Query(form, documents, data["explain"], data["fhir"], data["axes"])


def _form(body: dict, forms: Iterable[str]) -> str:
    """Tell which of *forms* a body has: exactly one of their names is in it."""
    names = ["text" if name == "entities" else name for name in body]
    given = [form for form in forms if form in names]
    if len(given) != 1:
        raise ValidationError(says_one(forms, len(given)))
    return given[0]


def check_number(what: str, given: int, allowed: int, field: str) -> None:
    """See that a request holds no more of *what* than is *allowed*."""
    if given > allowed:
        raise Invalid.at(
            f"At most {allowed} {what} in a request; given {given}.", field
        )


def _check_totals(body: dict, form: str, settings: Settings) -> None:
    """See that there is not too much of it to load; its schema sees to the rest."""
    raw, field = [body], "entities"
    if form == "documents":
        raw, field = body[form], form
    if not isinstance(raw, list):
        return
    check_number("documents", len(raw), settings.max_documents, field)
    lists = (each.get("entities") for each in raw if isinstance(each, dict))
    given = sum(len(e) if isinstance(e, list) else 1 for e in lists if e is not None)
    check_number("entities", given, settings.max_entities, field)
    holders = raw if body in raw else [body, *raw]
    lists = (each.get("terms") for each in holders if isinstance(each, dict))
    given = sum(len(terms) for terms in lists if isinstance(terms, list))
    check_number("terms", given, settings.max_terms, "terms")


def _check_found(notes: list[Document], form: str, settings: Settings) -> None:
    """See that not too many entities were found, with those that were given."""
    given = sum(len(note.entities) for note in notes)
    field = "terms" if form == "text" else form
    check_number("entities", given, settings.max_entities, field)


def _check_ends(notes: list[Document], field: str) -> None:
    """See that cutting all notes into sentences takes less than a second."""
    given = sum(count_ends(note.text) for note in notes)
    what = (
        "sentence ends, colons, cells, questions ({question} each), line breaks"
        " ({line} each) and boxes ({box} each)"
    )
    what = what.format_map(ENDS_OF)
    check_number(what, given, MAX_ENDS, field)


def _load_documents(pairs, load: Callable[[dict], Document]):
    """Give each document, or why it is refused.

    :param pairs: each as its schema loaded it, or what is wrong, and as it came.
    """
    seen = set()
    for loaded, raw in pairs:
        try:
            document = load(_unless_wrong(loaded))
            if document.id is not None and document.id in seen:
                raise Invalid.at("Is the id of an earlier document too.", "id")
            seen.add(document.id)
            yield document
        except Invalid as error:
            yield Refused(id_of(raw), error)


def _unless_wrong(item: dict | Invalid) -> dict:
    if isinstance(item, Invalid):
        raise item
    return item


def id_of(raw) -> str | int | None:
    """Give the id of what is refused, if that much of it is valid."""
    try:
        return Id().deserialize(raw["id"])
    except (ValidationError, TypeError, KeyError, IndexError):
        return None


def _load_document(
    data: dict, unit: str, settings: Settings, finder: Finder | None
) -> Document:
    if "sentence" in data:
        return _load_sentence(data, unit, settings)
    text = data["text"]
    offsets = Offsets(text, unit)
    if "entities" not in data:
        if "terms" in data:
            finder = load_terms(data["terms"], settings)
        if finder is None:
            raise Invalid.at(says_one(NoteSchema.exclusive, 0), "entities")
        find = partial(finder.find, max_chars=settings.max_entity_chars)
        entities = _find_entities(text, offsets, data.get("section"), find)
        return Document(data.get("id"), text, entities, unit=unit)
    entities = _load_entities(data["entities"], offsets, data.get("section"), settings)
    for index, entity in enumerate(entities):
        if is_blank(text[entity.span.start : entity.span.end]):
            raise Invalid.at("Must hold more than blanks.", "entities", index, "start")
    return Document(data.get("id"), text, entities, unit=unit)


def _find_entities(
    text: str, offsets: Offsets, section: str | None, find: Callable
) -> tuple[Entity, ...]:
    try:
        mentions = find(text)
    except TooManyMentions as error:
        raise Invalid.at(str(error), "text") from None
    at = offsets.from_code_point
    return tuple(
        Entity(None, at(span.start), at(span.end), span, section, term.name, term.code)
        for span, term in mentions
    )


def _load_sentence(data: dict, unit: str, settings: Settings) -> Document:
    sentence = data["sentence"]
    if not sentence.strip():
        raise Invalid.at("Must not be blank.", "sentence")
    try:
        marked = is_marked(sentence)
    except MarkerError as error:
        raise Invalid.at(str(error), "sentence") from None
    if marked:
        entity = marked_span(sentence)
        given = entity.end - entity.start - 2 * len(MARKER)
        _check_entity_chars(given, settings, "sentence")
    return Document(data.get("id"), sentence, None, marked, unit)


def _load_entities(
    items: list[dict | Invalid],
    offsets: Offsets,
    section: str | None,
    settings: Settings,
) -> tuple[Entity, ...]:
    """Load all entities of a note, or refuse with all that is wrong with them.

    :param section: of those that do not say one themselves.
    """
    entities, faults, seen = [], [], {}
    for index, item in enumerate(items):
        try:
            item = {"section": section, **_unless_wrong(item)}
            entity = _load_entity(item, offsets, settings)
            earlier = seen.setdefault(entity.id, index)
            if entity.id is not None and earlier != index:
                raise Invalid.at(f"Is the id of entity {earlier} too.", "id")
            entities.append(entity)
        except Invalid as error:
            faults += error.within("entities", index)
    if faults:
        raise Invalid(*faults)
    return tuple(entities)


def _load_entity(data: dict, offsets: Offsets, settings: Settings) -> Entity:
    start, end, text = data["start"], data["end"], data.get("text")
    is_right = text is None or offsets.hold(text, start, end)
    fitting = [] if is_right else offsets.fitting_units(text, start, end)
    if fitting:  # what else is wrong comes of it
        units = " or ".join(f'"{unit}"' for unit in fitting)
        detail = f'Does not stand there in {offsets.unit}; it does with "offset_unit":'
        raise Invalid.at(f"{detail} {units}.", "text")
    span = _load_span(data, offsets)
    if not is_right:
        units = ", ".join(OFFSET_UNITS)
        raise Invalid.at(f"Stands there in none of: {units}.", "text")
    _check_entity_chars(span.end - span.start, settings, "end")
    return Entity(
        data.get("id"), start, end, span, data["section"], code=data.get("code")
    )


def _load_span(data: dict, offsets: Offsets) -> Span:
    start, end = data["start"], data["end"]
    if end > offsets.length:
        raise Invalid.at(
            f"At most {offsets.length}, the text's length; given {end}.", "end"
        )
    if start >= end:
        raise Invalid.at(f"Must be above start, {start}; given {end}.", "end")
    points = {k: offsets.to_code_points(data[k]) for k in ("start", "end")}
    inside = [k for k, point in points.items() if point is None]
    if inside:
        raise Invalid(*[((k,), f"{data[k]} is inside a character.") for k in inside])
    return Span(points["start"], points["end"])


def _check_entity_chars(given: int, settings: Settings, field: str) -> None:
    allowed = settings.max_entity_chars
    if given > allowed:
        raise Invalid.at(
            f"At most {allowed} characters in an entity; given {given}.", field
        )
