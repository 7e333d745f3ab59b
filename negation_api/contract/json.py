"""JSON by the RFC: UTF-8, no NaN, and a nesting that can be read."""

import json
import re

from negation_api.contract.errors import Invalid

_STRUCTURE = "{[,"
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
MAX_DEPTH = 64  # of JSON; ours is 4. What comes near Python's limit cannot be pickled


class BadJSON(Exception):
    """The body is no JSON; the message says where, not what stands there.

    Not a ValueError: Flask makes those a 400 of its own.
    """


def load_json(s: str | bytes, max_parts: int | None = None):
    """Read JSON by the RFC, for the service and for files alike.

    :param max_parts: see :func:`_check_parts`.
    :raises BadJSON: for anything else.
    :raises Invalid: for more of it.
    """
    try:
        text = s.decode("utf-8-sig") if isinstance(s, bytes) else s
        if max_parts is not None:
            _check_parts(text, max_parts)
        value = json.loads(text, parse_constant=_refuse_constant)
        if text.count("[") + text.count("{") > MAX_DEPTH and _is_deep(value):
            raise BadJSON("Nested too deeply.")
        return value
    except Invalid:
        raise
    except json.JSONDecodeError as error:
        location = f"line {error.lineno}, column {error.colno}"
        raise BadJSON(f"Not JSON at {location}.") from None
    except UnicodeDecodeError as error:
        raise BadJSON(f"Not UTF-8 at byte {error.start}.") from None
    except RecursionError:
        raise BadJSON("Nested too deeply.") from None
    except ValueError:
        raise BadJSON("A number is too long.") from None


def _check_parts(text: str, most: int) -> None:
    """See that there are at most *most* brackets, braces, commas and strings.

    Before it is read: a mebibyte of them is read in a tenth of a second, in which no
    other thread runs. What stands in strings does not count.

    >>> _check_parts('{"a, b": [1, 2]}', 4)
    >>> _check_parts('{"a, b": [1, 2]}', 3)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    negation_api...Invalid: #: At most 3 brackets, ... in a body; given more.
    """
    given = at = 0
    if sum(map(text.count, _STRUCTURE)) + text.count('"') // 2 <= most:
        return
    while at < len(text):
        start = text.find('"', at)
        end = start if start >= 0 else len(text)
        given += sum(text.count(part, at, end) for part in _STRUCTURE) + (start >= 0)
        if given > most:
            what = "brackets, braces, commas and strings in a body"
            raise Invalid.at(f"At most {most} {what}; given more.")
        string = _STRING.match(text, end)
        at = string.end() if string else len(text)  # it is no JSON


def _is_deep(value) -> bool:
    """Tell whether there are more than ``MAX_DEPTH`` arrays and objects in another."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        nested = [each for each in level if isinstance(each, (list, dict))]
        level = [v for n in nested for v in (n.values() if isinstance(n, dict) else n)]
    return bool(nested)


def _refuse_constant(name: str):
    raise BadJSON(f"{name} is not JSON.")
