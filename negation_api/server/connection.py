"""A client's connection, and what it holds."""

import socket
import threading
import time
from collections.abc import Callable

from gunicorn.config import Config
from gunicorn.workers import gthread

from negation_api.server.parsing import Parser
from negation_api.server.receiving import CRLF, Incoming
from negation_api.settings import Settings

MAX_BODIES = 64  # of the largest size, in a worker's memory; as much of answers


class ClientSocket(socket.socket):
    """A socket that nobody waits for.

    :ivar unsent: what is to be sent.
    :ivar received: when the request was complete, by ``time.monotonic``.
    :ivar end_turn: to be called when the rest of the request is waiting.
    :ivar hold: to be called with the number of bytes that came out of its body.
    :ivar answers_head: no body may be sent (RFC 9110, 9.3.2).
    """

    def __init__(self, accepted: socket.socket):
        super().__init__(fileno=accepted.detach())
        super().setblocking(False)
        self.unsent = bytearray()
        self.received = 0.0
        self.end_turn: Callable[[], None] = lambda: None
        self.hold: Callable[[int], None] = lambda count: None
        self.answers_head = False

    def setblocking(self, flag):
        """Do nothing: Gunicorn would have a thread wait."""

    def sendall(self, data, flags=0):
        self.unsent += data

    def flush(self) -> None:
        """Send what the client takes.

        :raises OSError: when it is gone.
        """
        while self.unsent:
            try:
                sent = self.send(self.unsent)
            except BlockingIOError:
                return
            del self.unsent[:sent]


class Connection(gthread.TConn):
    """A connection with what it has received.

    :ivar begun: when the request did, or the connection, by ``time.monotonic``.
    :ivar request: what a thread is to handle.
    :ivar must_close: it is not all of the request.
    :ivar is_head: it is the head of one whose body is to be asked for.
    :ivar wants_body: the application, which was given the head, refuses nothing.
    :ivar lane: whose threads handle it; None for those that wait for their turn.
    :ivar cost: how much work that is, see ``turns.py``.
    :ivar num_held: its bytes, until it is answered.
    :ivar num_unsent: bytes of the answer that the client has not taken yet.
    :ivar keeps_open: whether the connection outlives the answer.
    :ivar is_open: whether it counts as open; a thread may have closed its socket.
    """

    def __init__(self, config: Config, settings: Settings, accepted, client, server):
        super().__init__(config, ClientSocket(accepted), client, server)
        self.incoming = Incoming(settings.max_body_bytes)
        self.begun = time.monotonic()
        self.data_ready = True  # when it comes to a thread
        self.request = b""
        self.must_close = self.keeps_open = False
        self.is_open = True
        self.is_head = self.wants_body = False
        self.lane: str | None = None
        self.cost = self.num_held = self.num_unsent = 0

    def add(self, data: bytes) -> None:
        """Keep what was received."""
        if not self.incoming.has_begun:
            self.begun = time.monotonic()
        self.incoming.data += data

    def take_request(self) -> None:
        """Have what was received of one be handled."""
        self.must_close = self.incoming.must_close
        self.request = self.incoming.take()
        self.num_held = len(self.request)

    def take_head(self) -> None:
        """Have the head be handled by itself."""
        self.incoming.expects_continue = False
        self.is_head = True
        self.request = self.incoming.head

    def note_method(self) -> None:
        """Let the answer have no body, if that is what is asked for."""
        start = (self.request or self.incoming.data)[:16]
        self.sock.answers_head = start.lstrip(CRLF).startswith(b"HEAD ")

    def init(self):
        if not self.initialized:
            self.parser = Parser(self.cfg, self.client)
            super().init()


class ByteBudget:
    """Bytes that are held, counted by any thread.

    :param most: that should be held at once; who adds sees to it.
    """

    def __init__(self, most: int):
        self.most = most
        self.count = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self.count += count

    def is_exceeded(self) -> bool:
        return self.count > self.most
