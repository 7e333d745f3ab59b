"""Whether the bytes received so far are a request that a thread can handle.

So that a client that is slow to send costs a buffer and not a thread. This only
finds where a request ends; Gunicorn's parser judges it, and reads on where this was
wrong.
"""

import re

MAX_HEAD_BYTES = 64 * 1024  # Gunicorn takes 100 fields of 8 KiB; nobody sends that
CHUNKING_BYTES = 64 * 1024  # of a chunked body, beyond what the chunks hold

END = b"\r\n\r\n"  # of a head, and of chunks

_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d{1,18})[ \t]*\r$")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding[ \t]*:")
_EXPECTS = re.compile(rb"(?im)^expect:[ \t]*100-continue[ \t]*\r$")


class Incoming:
    """A request on its way.

    :param max_body_bytes: a longer body is not waited for.
    :ivar data: what was received.
    :ivar must_close: not all of the body will be read, so what follows on the
        connection cannot be told from it.
    :ivar expects_continue: the client waits for a 100 before it sends the body.
    """

    def __init__(self, max_body_bytes: int, data: bytes = b""):
        self.data = bytearray(data)
        self.must_close = False
        self.expects_continue = False
        self._max_body_bytes = max_body_bytes
        self._searched = 0
        self._length: int | None = None  # of head and body, when known
        self._chunked = False

    @property
    def is_head_too_long(self) -> bool:
        return self._length is None and len(self.data) > MAX_HEAD_BYTES

    def is_complete(self) -> bool:
        """Tell whether reading it would not wait, or would be refused at once.

        >>> incoming = Incoming(10, b"POST / HTTP/1.1\\r\\n")
        >>> incoming.data += b"Content-Length: 3\\r\\n\\r\\n12"
        >>> incoming.is_complete()
        False
        >>> incoming.data += b"3"
        >>> incoming.is_complete()
        True
        """
        if self._length is None and not self._find_head():
            return False
        if self._chunked:
            most = self._length + self._max_body_bytes + CHUNKING_BYTES
            self.must_close = len(self.data) > most
            has_chunks = len(self.data) > self._length
            return self.must_close or (has_chunks and self.data.endswith(END))
        return len(self.data) >= self._length

    def _find_head(self) -> bool:
        since, self._searched = max(0, self._searched - 3), len(self.data)
        end = self.data.find(END, since)
        if end < 0:
            # A bare line feed is refused; whoever sends those sends no empty line.
            lines = self.data.count(b"\n", since) - self.data.count(b"\r\n", since)
            if lines <= (self.data[since : since + 1] == b"\n"):
                return False
            end = len(self.data) - len(END)
        self._measure(end + len(END))
        return True

    def _measure(self, end: int) -> None:
        head = bytes(self.data[:end])
        self._length = end
        self._chunked = _CHUNKED.search(head) is not None
        length = _LENGTH.search(head)
        if length and int(length[1]) > self._max_body_bytes:
            self.must_close = True  # refused by its length alone
        elif length:
            self._length += int(length[1])
        self.expects_continue = (
            _EXPECTS.search(head) is not None and not self.must_close
        )
