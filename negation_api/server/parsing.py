"""Gunicorn's parser, given a request that is all there, and what it leaves open."""

import re

from gunicorn.http.body import Body, LengthReader
from gunicorn.http.errors import InvalidHeader, UnsupportedTransferCoding
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import Unreader

# RFC 9110, 7.2: uri-host [ ":" port ], or nothing
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(:\d*)?", re.ASCII)


class BodyWanted(BaseException):
    """The application reads a body that has not come; it refuses nothing before.

    Not an Exception, which the application would answer.
    """


class Received(Unreader):
    """Gives what was received, and never waits for more."""

    def chunk(self, size_hint=None):
        return b""

    def __len__(self) -> int:
        return self.buf.getbuffer().nbytes


class Awaited:
    """A body that is to be asked for."""

    def read(self, size):
        raise BodyWanted


class Parser(RequestParser):
    """Reads one request after the other, each given whole."""

    def __init__(self, cfg, client):
        super().__init__(cfg, (), client)
        self.unreader = Received()
        self._must_close = self._is_head = False

    def put(self, data: bytes, must_close: bool, is_head: bool = False) -> None:
        """Have *data* be read next.

        :param must_close: it is not all of the request.
        :param is_head: its body has not been asked for.
        """
        self.mesg = None
        self.unreader.unread(data)
        self._must_close, self._is_head = must_close or is_head, is_head

    def finish_body(self, deadline=None, max_bytes=None) -> bool:
        """Read what the application did not: all of it is there, so nobody waits."""
        return super().finish_body()

    def __next__(self) -> Request:
        """Parse it.

        :raises ParseException: also where the parser reads another length of body
            than we did: what follows would be another request to it than to us.
        """
        request = super().__next__()
        request._expected_100_continue = False  # we tell
        _check_host(request)
        _check_coding(request)
        if self._must_close:
            request.force_close()
        elif not self._has_all(request):
            raise InvalidHeader("CONTENT-LENGTH")
        if self._is_head:
            request.body = Body(Awaited())
        return request

    def _has_all(self, request: Request) -> bool:
        reader = request.body.reader
        return not isinstance(reader, LengthReader) or reader.length == len(
            self.unreader
        )

    def is_done(self) -> bool:
        """Tell whether it has read all that was put, and no more is to come."""
        return not len(self.unreader)


def _check_host(request: Request) -> None:
    hosts = [value for name, value in request.headers if name == "HOST"]
    if not hosts and request.version >= (1, 1):
        raise InvalidHeader("HOST")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise InvalidHeader("HOST")


def _check_coding(request: Request) -> None:
    """Refuse what Gunicorn takes and leaves for the application to decode."""
    for name, value in request.headers:
        if name != "TRANSFER-ENCODING":
            continue
        codings = {coding.strip(" \t").lower() for coding in value.split(",")}
        if not codings <= {"chunked", "identity"}:
            raise UnsupportedTransferCoding(value)
