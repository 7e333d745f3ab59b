"""JSON by the RFC: UTF-8, no NaN, and a nesting that can be read."""

import json

MAX_DEPTH = 64  # of JSON; ours is 4. What comes near Python's limit cannot be pickled


class BadJSON(Exception):
    """The body is no JSON; the message says where, not what stands there.

    Not a ValueError: Flask makes those a 400 of its own.
    """


def load_json(s: str | bytes):
    """Read JSON by the RFC, for the service and for files alike.

    :raises BadJSON: for anything else.
    """
    try:
        text = s.decode() if isinstance(s, bytes) else s
        value = json.loads(text, parse_constant=_refuse_constant)
        if text.count("[") + text.count("{") > MAX_DEPTH and _is_deep(value):
            raise BadJSON("Nested too deeply.")
        return value
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise BadJSON(f"Not JSON at {place}.") from None
    except UnicodeDecodeError as error:
        raise BadJSON(f"Not UTF-8 at byte {error.start}.") from None
    except RecursionError:
        raise BadJSON("Nested too deeply.") from None
    except ValueError:
        raise BadJSON("A number is too long.") from None


def _is_deep(value) -> bool:
    """Tell whether there are more than ``MAX_DEPTH`` arrays and objects in another."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        nested = [each for each in level if isinstance(each, (list, dict))]
        level = [v for n in nested for v in (n.values() if isinstance(n, dict) else n)]
    return bool(nested)


def _refuse_constant(name: str):
    raise BadJSON(f"{name} is not JSON.")
