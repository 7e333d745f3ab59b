"""A client's connection, and what it waits for."""

import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator

from gunicorn.workers import gthread

from negation_api.server.parsing import Parser
from negation_api.server.receiving import CRLF, Incoming

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

    def __init__(self, worker, sock, client, server):
        super().__init__(worker.cfg, ClientSocket(sock), client, server)
        self.incoming = Incoming(worker.settings.max_body_bytes)
        self.opened = time.monotonic()
        self.data_ready = True  # when it comes to a thread
        self.request = b""
        self.must_close = self.keeps_open = False
        self.is_open = True
        self.is_head = self.wants_body = False
        self.lane: str | None = None
        self.cost = self.num_held = self.num_unsent = 0

    def note_method(self) -> None:
        """Let the answer have no body, if that is what is asked for."""
        start = (self.request or self.incoming.data)[:16]
        self.sock.answers_head = start.lstrip(CRLF).startswith(b"HEAD ")

    def init(self):
        if not self.initialized:
            self.parser = Parser(self.cfg, self.client)
            super().init()


class Total:
    """A sum to which any thread may add."""

    def __init__(self):
        self.count = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> int:
        """Add *count*; give what it is then."""
        with self._lock:
            self.count += count
            return self.count


class Waiting:
    """Connections that wait for their client, each for one thing until some time.

    :param names: of what there is to wait for.
    """

    def __init__(self, names: tuple[str, ...]):
        # connection -> when it is too late, by time.monotonic; the first is due first
        self._due: dict[str, dict[Connection, float]] = {name: {} for name in names}
        self._name: dict[Connection, str] = {}
        self.poller: selectors.BaseSelector | None = None

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._name))

    def put(self, conn: Connection, name: str, due: float, event: int, call) -> None:
        """Have *conn* wait for nothing but *name*.

        :param event: of ``selectors``.
        :param call: called with the connection whenever that comes.
        """
        before = self._name.get(conn)
        if before:
            del self._due[before][conn]
            self.poller.modify(conn.sock, event, lambda sock: call(conn))
        else:
            self.poller.register(conn.sock, event, lambda sock: call(conn))
        self._name[conn] = name
        self._due[name][conn] = due

    def remove(self, conn: Connection) -> None:
        """Have *conn* wait no longer, if it did."""
        name = self._name.pop(conn, None)
        if name:
            del self._due[name][conn]
            self.poller.unregister(conn.sock)

    def what(self, conn: Connection) -> str | None:
        """Name what *conn* waits for."""
        return self._name.get(conn)

    def count(self, name: str) -> int:
        return len(self._due[name])

    def oldest(self, name: str) -> Connection | None:
        """Give the one that has waited for *name* the longest."""
        return next(iter(self._due[name]), None)

    def expired(self, name: str) -> Iterator[Connection]:
        """Give those that waited for *name* too long; each must be removed."""
        now, due = time.monotonic(), self._due[name]
        while due:
            conn, when = next(iter(due.items()))
            if when > now:
                return
            yield conn

    def cap(self, name: str, deadline: float) -> None:
        """Let nobody wait for *name* past *deadline*."""
        due = self._due[name]
        due.update({conn: min(when, deadline) for conn, when in due.items()})
