"""What is wrong with a request: where, and what; and what that is called in a reply.

A problem is one of RFC 9457. Its type is a path on the service, which explains it
(``GET /problems/...``), so that it resolves in a closed network too. No error repeats
what the client sent: every step of a path is a name of ours or an index.
"""

from collections.abc import Iterator

from marshmallow import Schema, fields

MEDIA_TYPE = "application/problem+json"

# type -> (title, what it means and what helps)
TYPES = {
    "not-json": (
        "The request body is not JSON.",
        "Send one JSON object (RFC 8259) in UTF-8. NaN and Infinity are not JSON.",
    ),
    "validation-error": (
        "The request body is not valid.",
        "The body is JSON, but not what this operation takes. Each of errors says"
        " where (a JSON pointer) and what, with the number allowed and the number"
        " given where there is a limit.",
    ),
    "no-key": (
        "An API key is needed.",
        "Send it as Authorization: Bearer KEY, or as X-API-Key: KEY.",
    ),
    "body-too-large": (
        "The request body is too large.",
        "Send the documents in several requests.",
    ),
    "queue-full": (
        "The service has as much to do as it may take on.",
        "Nothing was computed. Try again after the seconds that Retry-After gives.",
    ),
    "deadline-passed": (
        "The request was not finished in time.",
        "Send fewer entities at a time, or try again when the service is less busy.",
    ),
    "read-timeout": (
        "The request did not arrive in time.",
        "Send the whole request without pauses.",
    ),
}


def without_text(error: BaseException) -> tuple[str, str | None]:
    """Give the types of *error* and of its causes, and where it was raised.

    Not its message, which may hold text.
    """
    trace, types, cause = error.__traceback__, [], error
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = trace and f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}"
    while cause is not None:
        types.append(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    return " < ".join(types), place


class Invalid(ValueError):
    """A request, or one document of it, that cannot be answered.

    :param faults: ``(path, detail)`` of all that is wrong; the path is of the members
        and indices that lead there.
    """

    def __init__(self, *faults: tuple[tuple, str]):
        super().__init__(*faults)  # so that it can be pickled
        self.faults = faults

    @classmethod
    def at(cls, detail: str, *path: str | int) -> "Invalid":
        """Make one of a single fault."""
        return cls((path, detail))

    @classmethod
    def of(cls, messages) -> "Invalid":
        """Make one of what a schema says, nested by fields and indices.

        >>> Invalid.of({"entities": {3: {"start": ["Not a valid integer."]}}}).errors
        [{'pointer': '#/entities/3/start', 'detail': 'Not a valid integer.'}]
        """
        return cls(*_flatten(messages))

    @classmethod
    def read(cls, errors: list[dict]) -> "Invalid":
        """Make one of the ``errors`` of a problem.

        >>> Invalid.read([{"pointer": "#/entities/3", "detail": "Wrong."}]).faults
        ((('entities', 3), 'Wrong.'),)
        """
        return cls(*[(_path(each["pointer"]), each["detail"]) for each in errors])

    def __str__(self) -> str:
        return " ".join(f"{e['pointer']}: {e['detail']}" for e in self.errors)

    def within(self, *path: str | int) -> list[tuple[tuple, str]]:
        """Give the faults as seen from where *path* begins."""
        return [(path + inner, detail) for inner, detail in self.faults]

    @property
    def errors(self) -> list[dict]:
        """Each fault as a JSON pointer (RFC 6901) and a detail."""
        return [
            {"pointer": "/".join(["#", *map(str, path)]), "detail": detail}
            for path, detail in self.faults
        ]

    def problem(self) -> dict:
        """Build the problem that is answered."""
        return describe(422, "validation-error", errors=self.errors)


def _path(pointer: str) -> tuple[str | int, ...]:
    steps = pointer.split("/")[1:]
    return tuple(int(step) if step.isdecimal() else step for step in steps)


def _flatten(messages, path: tuple = ()) -> Iterator[tuple[tuple, str]]:
    if not isinstance(messages, dict):
        yield from ((path, message) for message in messages)
        return
    for key, inner in messages.items():
        yield from _flatten(inner, path if key == "_schema" else (*path, key))


def describe(status: int, kind: str, **members) -> dict:
    """Build the members of a problem of one of our own types."""
    title = TYPES[kind][0]
    return {"type": f"/problems/{kind}", "title": title, "status": status, **members}


class PlaceSchema(Schema):
    """Where something is wrong, and what."""

    pointer = fields.String(
        required=True, metadata={"description": "JSON pointer, RFC 6901"}
    )
    detail = fields.String(required=True)


class ProblemSchema(Schema):
    """RFC 9457. Nothing in it repeats what was sent."""

    type = fields.String(metadata={"description": "a path on this service; or absent"})
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String()
    errors = fields.List(fields.Nested(PlaceSchema))


class ExplanationSchema(Schema):
    """What a problem type means and what helps."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    meaning = fields.String(required=True)
