"""A request's body as it is read: plain or gzip, and JSON."""

import io
import zlib

import flask
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.utils import cached_property

from negation_api.contract.json import BadJSON

GZIP = ["gzip"], ["x-gzip"]  # RFC 9110, 8.4.1.3: the same
GZIP_BITS = 31  # of zlib's window: the largest, in gzip's format
MAX_MEMBERS = 100  # of a gzip body (RFC 1952); nothing need come out of one


class NotJSONType(UnsupportedMediaType):
    """The body is not said to be JSON."""

    description = (
        "Send the header Content-Type: application/json; curl -d says otherwise"
        " unless you add -H 'Content-Type: application/json'."
    )

    def get_headers(self, *args, **kwargs):
        return [*super().get_headers(*args, **kwargs), ("Accept", "application/json")]


class UnknownCoding(UnsupportedMediaType):
    """The body is in a coding that is not read, or in two."""

    description = "Send the body as it is, or with Content-Encoding: gzip."

    def get_headers(self, *args, **kwargs):
        # RFC 7694: so that a client can tell this from a wrong Content-Type.
        return [*super().get_headers(*args, **kwargs), ("Accept-Encoding", "gzip")]


class Request(flask.Request):
    """A request whose body is decoded, and no longer than a plain one may be."""

    @cached_property
    def stream(self):
        """The body.

        :raises UnknownCoding: before anything of it is read.
        :raises RequestEntityTooLarge: when more comes out than may come in.
        :raises QueueFull: when all requests together hold too much.
        """
        codings = self.headers.get("Content-Encoding", "").lower().split(",")
        codings = [c.strip() for c in codings if c.strip() not in ("", "identity")]
        if not codings:
            return super().stream
        if codings not in GZIP:
            raise UnknownCoding
        data = _gunzip(super().stream, self.max_content_length)
        # Our worker bounds what all requests hold, and knows what came in alone.
        connection = self.environ.get("gunicorn.socket")
        getattr(connection, "hold", lambda count: None)(len(data))
        return io.BytesIO(data)

    def on_json_loading_failed(self, error):
        raise error or NotJSONType


def _gunzip(stream, most: int) -> bytes:
    """Decode *stream*, and stop after *most* bytes or ``MAX_MEMBERS`` members."""
    left, data = stream.read(), bytearray()
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(GZIP_BITS)
        try:
            data += member.decompress(left, most + 1 - len(data))
        except zlib.error:
            break
        if len(data) > most:
            raise RequestEntityTooLarge
        left = member.unused_data.lstrip(b"\0")
        if not left and member.eof:
            return bytes(data)
    raise BadJSON("Not gzip, which its Content-Encoding says it is.")
