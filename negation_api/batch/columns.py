"""The columns of files and tables: what every reply holds, as its schemas say.

A row for each note has the reply's own members; a flat one, for each entity, has those
of a status beside the entity's, the members of ``scores`` as columns of their own.
What a reply holds only when asked for is null otherwise.
"""

from collections.abc import Iterator, Mapping

from marshmallow import Schema, fields

from negation_api.contract.errors import PlaceSchema
from negation_api.contract.reply import AnsweringSchema, PredictionSchema, StatusSchema
from negation_api.contract.shapes import Id

Columns = Mapping[str, fields.Field]


class Int32(fields.Integer):
    """An integer of 32 bits."""


# field -> Arrow's type with what it takes, Spark's type; the first that fits
TYPES = {
    Id: (("string",), "string"),  # an integer becomes one: a column has one type
    fields.String: (("string",), "string"),
    fields.Boolean: (("bool_",), "boolean"),
    Int32: (("int32",), "int"),
    fields.Integer: (("int64",), "long"),
    fields.Float: (("float64",), "double"),
    fields.Date: (("date32",), "date"),
    fields.NaiveDateTime: (("timestamp", "us"), "timestamp_ntz"),
}


def _members(schema: type[Schema]) -> Columns:
    return schema().fields


def _is_flat(field: fields.Field) -> bool:
    """Tell whether the members of *field* are columns of their own."""
    return isinstance(field, fields.Nested) and "option" not in field.metadata


def _flat(columns: Columns) -> Columns:
    found = {}
    for name, field in columns.items():
        if not _is_flat(field):
            found[name] = field
            continue
        members = _members(field.nested)
        if "scores" in members:  # an axis: its label is of its name
            found |= {name: members["label"], f"{name}_score": members["score"]}
            members = _members(members["scores"].nested)
        found |= members
    return found


_STATUS = _members(StatusSchema)
LISTED = {"term": fields.String(), "code": Id()}  # of what a list of terms found
_PREDICTIONS = fields.List(fields.Nested(PredictionSchema))
NOTE = {
    "line": fields.Integer(),
    "id": Id(),
    "marked": fields.Boolean(),
    "predictions": _PREDICTIONS,
    **_STATUS,
}
FLAT = {
    "line": fields.Integer(),
    "id": Id(),
    "entity_id": Id(),
    "start": fields.Integer(),
    "end": fields.Integer(),
    **_flat(_STATUS),
    **LISTED,
}
SPARK = {
    "id": Id(),
    "predictions": _PREDICTIONS,
    "errors": fields.List(fields.Nested(PlaceSchema)),
    "model": fields.Nested(AnsweringSchema),
}
MODEL = _members(AnsweringSchema)


def flat_rows(reply: dict) -> Iterator[dict]:
    """Give one flat row for each entity of a reply, or the one of a sentence."""
    is_note = "predictions" in reply
    for status in reply["predictions"] if is_note else [reply]:
        row = {
            "id": reply.get("id"),
            "entity_id": status.get("id") if is_note else None,
            "start": status.get("start"),
            "end": status.get("end"),
        }
        for name, field in _STATUS.items():
            row |= _flat_member(name, field, status.get(name))
        yield row | {name: status.get(name) for name in LISTED}


def _flat_member(name: str, field: fields.Field, value) -> dict:
    if not _is_flat(field):
        return {name: value}
    if value is None:  # axes that are not asked for
        return dict.fromkeys(_flat({name: field}))
    if "scores" in value:
        scores = value["scores"]
        return {name: value["label"], f"{name}_score": value["score"], **scores}
    return value


def arrow_schema(pyarrow, columns: Columns):
    """Give the ``pyarrow.Schema`` of *columns*."""
    members = [(name, _arrow_type(pyarrow, each)) for name, each in columns.items()]
    return pyarrow.schema(members)


def _arrow_type(pyarrow, field: fields.Field):
    if isinstance(field, fields.Nested):
        return pyarrow.struct(arrow_schema(pyarrow, _members(field.nested)))
    if isinstance(field, fields.List):
        return pyarrow.list_(_arrow_type(pyarrow, field.inner))
    name, *unit = _type(field)[0]
    return getattr(pyarrow, name)(*unit)


def spark_schema(columns: Columns) -> str:
    """Give *columns* as Spark's DDL.

    >>> spark_schema({"scores": fields.List(fields.Float()), "id": Id()})
    'scores array<double>, id string'
    """
    return ", ".join(f"{name} {_spark_type(each)}" for name, each in columns.items())


def _spark_type(field: fields.Field) -> str:
    if isinstance(field, fields.Nested):
        members = _members(field.nested).items()
        return f"struct<{', '.join(f'{k}: {_spark_type(v)}' for k, v in members)}>"
    if isinstance(field, fields.List):
        return f"array<{_spark_type(field.inner)}>"
    return _type(field)[1]


def _type(field: fields.Field) -> tuple[tuple[str, ...], str]:
    return next(types for kind, types in TYPES.items() if isinstance(field, kind))
