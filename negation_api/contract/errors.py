"""What is said of a request that is not answered, as RFC 9457 has it.

A type is a path on the service, which explains it (``GET /problems/...``), so that it
resolves in a closed network too. No error repeats what the client sent.
"""

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


def describe(status: int, kind: str, **members) -> dict:
    """Build the members of a problem of one of our own types."""
    title = TYPES[kind][0]
    return {"type": f"/problems/{kind}", "title": title, "status": status, **members}


def invalid(messages) -> dict:
    """Build the problem of a body, or of one document, that is not valid."""
    return describe(422, "validation-error", errors=pointers(messages))


def pointers(messages, path: str = "#") -> list[dict]:
    """Flatten marshmallow's messages into JSON pointers (RFC 6901) and details.

    Every key is one of ours or an index: what a client calls an unknown field may
    be text, so the schemas do not name it.

    >>> pointers({"entities": {3: {"start": ["Not a valid integer."]}}})
    [{'pointer': '#/entities/3/start', 'detail': 'Not a valid integer.'}]
    """
    if not isinstance(messages, dict):
        return [{"pointer": path, "detail": message} for message in messages]
    found = []
    for key, inner in messages.items():
        step = "" if key == "_schema" else f"/{key}"
        found += pointers(inner, path + step)
    return found
