"""Shapes of values in a request or a reply that marshmallow has no field for."""

from collections.abc import Iterable

from marshmallow import (
    RAISE,
    Schema,
    ValidationError,
    fields,
    pre_load,
    validate,
    validates_schema,
)

from negation_api.contract.errors import Invalid

MAX_ID_CHARS = 256


class StrictSchema(Schema):
    """Refuses unknown fields without repeating their names.

    :cvar exclusive: fields of which at most one may be given.
    :cvar needs_one: whether one of them must be, unless it is known otherwise.
    :cvar json_schema_extra: keywords of JSON Schema that say what no field says.
    """

    exclusive: tuple[str, ...] = ()
    needs_one = False
    json_schema_extra: dict = {}

    class Meta:
        unknown = RAISE

    @pre_load
    def refuse_unknown(self, data, **kwargs):
        if not isinstance(data, dict):
            raise ValidationError("Must be a JSON object.")
        num_unknown = len(data.keys() - self.fields.keys())
        if num_unknown:
            known = ", ".join(self.fields)
            raise ValidationError(f"{num_unknown} unknown fields; known are: {known}.")
        return data

    @validates_schema
    def refuse_several(self, data, **kwargs):
        given = [name for name in self.exclusive if name in data]
        if len(given) > 1:
            raise ValidationError(says_one(self.exclusive, len(given)), given[-1])


def says_one(names: Iterable[str], given: int) -> str:
    """Say that one of the fields *names* must be given, and how many are."""
    return f"Must hold exactly one of: {', '.join(names)}; given {given}."


class AtMost(validate.Length):
    """Says how long a text may be and how long it is, not what it is."""

    def _format_error(self, value, message) -> str:
        return f"At most {self.max} characters; given {len(value)}."


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
            AtMost(max=MAX_ID_CHARS)(value)
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


class Offset(Whole):
    """A place in a text."""

    def __init__(self, **kwargs):
        error = "Must be at least 0; given {input}."
        super().__init__(validate=validate.Range(min=0, error=error), **kwargs)


def _whole(value):
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole else value


class Switch(fields.Boolean):
    """JSON's own true and false: marshmallow would take "yes" and 1 as well."""

    def __init__(self, doc: str, default: bool = False):
        super().__init__(load_default=default, metadata={"description": doc})

    def _deserialize(self, value, attr, data, **kwargs):
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class AnyOf(fields.Field):
    """What one of *schemas* describes; :meth:`choose` tells which."""

    def __init__(self, *schemas: type[Schema], **kwargs):
        super().__init__(**kwargs)
        self.schemas = schemas


class Each(fields.List):
    """A list in whose place of a wrong item is what is wrong, an :class:`Invalid`.

    So that the right ones can be answered, or looked at further.
    """

    def _deserialize(self, value, attr, data, **kwargs):
        if not isinstance(value, list):
            raise self.make_error("invalid")
        return [self._item(item) for item in value]

    def _item(self, item):
        try:
            return self.inner.deserialize(item)
        except ValidationError as error:
            return Invalid.of(error.normalized_messages())
