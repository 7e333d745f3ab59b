"""Where a request ends, found as its bytes arrive.

So that a client that is slow to send costs a buffer and not a thread: what a thread is
given is all that it will read. Gunicorn's parser judges it; what it would refuse is
handed to it as soon as that is known.
"""

import re

from negation_api.http.parse_errors import MAX_FIELD_BYTES, MAX_LINE_BYTES

CRLF = b"\r\n"
MAX_HEAD_BYTES = MAX_LINE_BYTES + MAX_FIELD_BYTES
CHUNKING_BYTES = 64 * 1024  # of a chunked body, beyond what the chunks hold

END = b"\r\n\r\n"  # of a head, and of trailers

_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d+)[ \t]*\r$")
_CODING = re.compile(rb"(?im)^transfer-encoding[ \t]*:")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding:[^\r\n]*\bchunked[ \t]*\r$")
_EXPECTS = re.compile(rb"(?im)^expect:[ \t]*(.*?)[ \t]*\r$")
_IS_OLD = re.compile(rb"[^\n]*HTTP/1\.0\r\n")
_CHUNK = re.compile(rb"([0-9a-fA-F]+)[ \t]*(?:;[^\r\n]*)?")  # RFC 9112, 7.1


class Incoming:
    """What was received on a connection, a request first.

    :param max_body_bytes: a longer body is not waited for.
    :ivar data: what was received and not taken.
    :ivar must_close: not all of the request will be read, so what follows on the
        connection cannot be told from it.
    :ivar expects_continue: the client waits for a 100 before it sends the body.
    :ivar refusal: the status to refuse it with, unread.
    """

    def __init__(self, max_body_bytes: int, data: bytes = b""):
        self.data = bytearray(data)
        self._max_body_bytes = max_body_bytes
        self._begin()

    def _begin(self) -> None:
        self.must_close = self.expects_continue = False
        self.refusal: int | None = None
        self._searched = 0
        self._head_end = 0
        self._end: int | None = None  # of the request, or of what is known of it
        self._chunks: Chunks | None = None

    @property
    def has_begun(self) -> bool:
        """Whether a request has; an empty line before it is none (RFC 9112, 2.2)."""
        return self.data not in (b"", b"\r", CRLF)

    @property
    def has_body(self) -> bool:
        """Whether more than a head is there, of a request that is complete."""
        return self._end > self._head_end

    @property
    def head(self) -> bytes | None:
        """The head, when it is all there."""
        return None if self._end is None else bytes(self.data[: self._head_end])

    def is_complete(self) -> bool:
        """Tell whether all of a request is there, or as much as will be read.

        >>> incoming = Incoming(10, b"POST / HTTP/1.1\\r\\n")
        >>> incoming.data += b"Content-Length: 3\\r\\n\\r\\n12"
        >>> incoming.is_complete()
        False
        >>> incoming.data += b"3GET"
        >>> incoming.is_complete()
        True
        >>> incoming.take()[-3:], bytes(incoming.data)
        (b'123', b'GET')
        """
        if self._end is None and not self._find_head():
            return False
        if self._chunks:
            return self._follow_chunks()
        return len(self.data) >= self._end

    def take(self) -> bytes:
        """Cut the request off; what is left begins the next."""
        request = bytes(self.data[: self._end])
        del self.data[: self._end]
        self._begin()
        return request

    def _find_head(self) -> bool:
        since, self._searched = max(0, self._searched - 3), len(self.data)
        end = self.data.find(END, since)
        if end < 0:
            # A bare line feed is refused; whoever sends those sends no empty line.
            lines = self.data.count(b"\n", since) - self.data.count(CRLF, since)
            if lines <= (self.data[since : since + 1] == b"\n"):
                self._limit(len(self.data))
                return False
            self.must_close = True
            end = len(self.data) - len(END)
        self._limit(end + len(END))
        if not self.refusal:
            self._measure(end + len(END))
        return not self.refusal

    def _limit(self, length: int) -> None:
        """Refuse a head of *length* so far if it is too long."""
        start = 2 if self.data.startswith(CRLF) else 0
        line = self.data.find(CRLF, start, start + MAX_LINE_BYTES + len(CRLF))
        if line < 0 and length >= start + MAX_LINE_BYTES + len(CRLF):
            self.refusal = 414
        elif length > MAX_HEAD_BYTES:
            self.refusal = 431

    def _measure(self, end: int) -> None:
        head = bytes(self.data[:end])
        self._end = self._head_end = end
        length = _LENGTH.search(head)
        is_old = _IS_OLD.match(head.removeprefix(CRLF))
        expected = set() if is_old else set(map(bytes.lower, _EXPECTS.findall(head)))
        if expected - {b"100-continue"}:
            self.must_close = True  # refused: RFC 9110, 10.1.1
        elif _CODING.search(head):
            if length or not _CHUNKED.search(head):
                self.must_close = True  # refused: RFC 9112, 6.3
            else:
                self._chunks = Chunks(end)
        elif length and _exceeds(length[1], self._max_body_bytes):
            self.must_close = True  # refused by its length alone
        elif length:
            self._end += int(length[1])
        self.expects_continue = bool(expected) and not self.must_close

    def _follow_chunks(self) -> bool:
        chunks = self._chunks
        ended = chunks.follow(self.data)
        if chunks.broken:
            self.must_close = True
        elif chunks.held > self._max_body_bytes or chunks.overhead > CHUNKING_BYTES:
            self.refusal = 413
        elif chunks.trailers > MAX_FIELD_BYTES:
            self.refusal = 431
        if self.refusal:
            return False
        if ended:
            self._end = chunks.at
        return ended


class Chunks:
    """A way from chunk to chunk.

    :param at: where the first begins.
    :ivar at: where the next begins, or the trailers; at the end, what comes after.
    :ivar held: bytes that the chunks so far say they hold.
    :ivar trailers: bytes of them so far.
    :ivar broken: they are none; the parser will say so.
    """

    def __init__(self, at: int):
        self._start = self.at = at
        self.held = self.trailers = 0
        self.broken = False
        self._is_last = False
        self._searched = 0

    @property
    def overhead(self) -> int:
        """Bytes of chunking, beyond what the chunks hold."""
        return self.at - self._start - self.held - self.trailers

    def follow(self, data: bytearray) -> bool:
        """Go on as far as *data* goes, or as is taken of chunking; True at the end."""
        while not self._is_last:
            if self.overhead > CHUNKING_BYTES:
                return False  # all others wait meanwhile
            line_end = self._find(data, b"\r\n")
            if line_end < 0:  # a line that long is taken by no parser
                return len(data) - self.at > MAX_HEAD_BYTES and self._break(data)
            found = _CHUNK.fullmatch(data, self.at, line_end)
            if not found or data[self.at - 2 : self.at] != b"\r\n":
                return self._break(data)
            size = int(found[1], 16)
            self.held += size
            self._is_last = size == 0
            self.at = line_end + 2 + (size + 2 if size else 0)
        # Without trailers the line feed of the last chunk is half of the end.
        self.at -= 2
        end = self._find(data, END)
        self.at += 2
        self.trailers = (len(data) if end < 0 else end + len(END)) - self.at
        if end < 0:
            return False
        self.at += self.trailers
        return True

    def _find(self, data: bytearray, what: bytes) -> int:
        found = data.find(what, max(self.at, self._searched - len(what) + 1))
        if found < 0:
            self._searched = len(data)
        return found

    def _break(self, data: bytearray) -> bool:
        self.broken = True
        self.at = len(data)
        return True


def _exceeds(digits: bytes, most: int) -> bool:
    """Compare a number of any length, which ``int`` may refuse."""
    digits = digits.lstrip(b"0")
    return len(digits) > 18 or int(digits or b"0") > most
