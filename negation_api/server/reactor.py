"""What the main thread does with the connections that are open.

- A request is received here, whatever its size, and gets a thread when all of it is
  there (``receiving.py``) and few others run (``executor.py``).
- An answer is sent here as far as the client does not take it at once.
- No thread waits for a client: slow ones cost a buffer. All of a request must arrive,
  and all of its answer be taken, within the read time-out.
- At the limit of connections there is room for one more: the oldest that has not sent
  its request goes.
- A connection is closed by and by, where Gunicorn's main thread waits up to two
  seconds for the client to close its side, and does nothing else meanwhile.
"""

import logging
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from gunicorn.config import Config

from negation_api.server.connection import ByteBudget, Connection
from negation_api.server.executor import Executor
from negation_api.server.refusals import refuse
from negation_api.server.waiting import Waiting
from negation_api.settings import Settings

RECEIVE_BYTES = 256 * 1024  # at a time, of one connection
LINGER_SECONDS = 2.0
DRAINING_SECONDS = 2.0  # that an idle connection is kept, for what may be on its way

log = logging.getLogger("negation_api.worker")


class Reactor:
    """Receives requests, sends answers, closes; whatever a client does meanwhile.

    :param poller: calls what it is given for each socket that is ready.
    :param held: bytes of all requests, from the first to the answer.
    :param note_count: called with the number of open connections when it changes.
    """

    def __init__(
        self,
        poller: selectors.BaseSelector,
        executor: Executor,
        held: ByteBudget,
        note_count: Callable[[int], None],
        config: Config,
        settings: Settings,
    ):
        self._waiting = Waiting(poller)
        self._executor = executor
        self._held = held
        self._unsent = ByteBudget(held.most)  # of all answers
        self._note_count = note_count
        self._keepalive = config.keepalive
        self._most = config.worker_connections
        self._config = config
        self._settings = settings
        self.num_open = 0

    def open(self, accepted: socket.socket, client, server) -> None:
        """Serve an accepted connection from the address *client* to *server*."""
        self._count(1)
        while self.num_open - self._waiting.count("lingering") > self._most:
            if not self.make_room():
                break
        conn = Connection(self._config, self._settings, accepted, client, server)
        self._guard(self._receive, conn)

    def make_room(self) -> bool:
        """Drop the connection that is missed the least, if any can go."""
        conn = self._waiting.least_missed()
        if conn and self._waiting.what(conn) == "receiving":
            self._refuse(conn, 503)
        elif conn:
            self._drop(conn)
        return conn is not None

    def close_expired(self) -> None:
        """Close what has waited too long."""
        for name in ("silent", "idle", "sending", "lingering"):
            for conn in self._waiting.expired(name):
                self._drop(conn)
        for conn in self._waiting.expired("receiving"):
            self._refuse(conn, 408)
        for conn in self._executor.expire():
            self._refuse(conn, 429)

    def drain(self, deadline: float) -> None:
        """Keep no connection on which nothing is asked past *deadline* (monotonic)."""
        self._keepalive = DRAINING_SECONDS
        for name in ("silent", "idle"):
            self._waiting.cap(name, deadline)

    def finish(self, conn: Connection) -> None:
        """Go on when a thread has handled a request."""
        self._executor.note_finished(conn)
        self._held.add(-conn.num_held)
        conn.num_held = 0
        self._guard(self._continue if conn.wants_body else self._send, conn)

    def _guard(self, call, conn: Connection) -> None:
        """Call with *conn*, which cannot end the worker, whatever is wrong with it."""
        try:
            if conn.is_open:  # not dropped since it was found to be ready
                call(conn)
        except OSError:
            self._drop(conn)  # the client is gone
        except Exception as error:
            log.error("connection failed", extra={"error": type(error).__name__})
            self._drop(conn)

    def _wait(self, conn, name: str, seconds: float, call, event=selectors.EVENT_READ):
        due = time.monotonic() + seconds
        self._waiting.put(conn, name, due, event, partial(self._guard, call))

    # --- receiving --------------------------------------------------------------

    def _receive(self, conn: Connection) -> None:
        try:
            data = conn.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return self._await_more(conn)
        conn.add(data)
        self._held.add(len(data))
        if data:
            self._read(conn)
        elif conn.incoming.head:
            self._refuse(conn, 400)  # broken off
        else:
            self._drop(conn)

    def _read(self, conn: Connection) -> None:
        """See whether there is a request in what was received."""
        if conn.incoming.is_complete():
            if self._held.is_exceeded() and conn.incoming.has_body:
                self._refuse(conn, 429)
            else:
                conn.take_request()
                self._submit(conn)
        elif conn.incoming.refusal:
            self._refuse(conn, conn.incoming.refusal)
        elif conn.incoming.expects_continue:
            conn.take_head()  # the application may refuse before the body is sent
            self._submit(conn)
        else:
            self._await_more(conn)
            while self._held.is_exceeded() and (
                oldest := self._waiting.oldest("receiving")
            ):
                self._refuse(oldest, 503)

    def _await_more(self, conn: Connection) -> None:
        begun = conn.incoming.has_begun
        name = "receiving" if begun else "idle" if conn.parser else "silent"
        if name != self._waiting.what(conn):
            seconds = self._settings.read_timeout if begun else self._keepalive
            self._wait(conn, name, seconds, self._receive)

    def _submit(self, conn: Connection) -> None:
        self._waiting.remove(conn)
        conn.sock.received = time.monotonic()
        if not self._executor.submit(conn):
            self._refuse(conn, 429)

    def _continue(self, conn: Connection) -> None:
        """Ask for the body, as nothing is wrong with the head."""
        conn.is_head = conn.wants_body = False
        conn.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.sock.flush()
        self._read(conn)

    # --- answering and closing --------------------------------------------------

    def _refuse(self, conn: Connection, status: int) -> None:
        conn.note_method()
        self._release(conn)
        refuse(conn.sock, status, self._settings, conn.begun)
        conn.keeps_open = False
        self._guard(self._send, conn)

    def _send(self, conn: Connection) -> None:
        """Send what is left of an answer; then the next, or the end."""
        conn.sock.flush()
        self._note_unsent(conn, len(conn.sock.unsent))
        if not conn.sock.unsent:
            return (self._read if conn.keeps_open else self._linger)(conn)
        if self._waiting.what(conn) != "sending":
            seconds = self._settings.read_timeout
            self._wait(conn, "sending", seconds, self._send, selectors.EVENT_WRITE)
        if self._unsent.is_exceeded():
            self._drop(self._waiting.oldest("sending"))

    def _linger(self, conn: Connection) -> None:
        """Close our side; wait for the client's, as RFC 9112, 9.6 asks.

        Closing at once while it still sends would make its kernel drop the answer.
        """
        self._release(conn)
        conn.sock.shutdown(socket.SHUT_WR)
        self._wait(conn, "lingering", LINGER_SECONDS, self._discard)
        if self._waiting.count("lingering") > self._most:
            self._drop(self._waiting.oldest("lingering"))

    def _discard(self, conn: Connection) -> None:
        with suppress(BlockingIOError):
            if not conn.sock.recv(RECEIVE_BYTES):
                self._drop(conn)

    def _drop(self, conn: Connection) -> None:
        if conn.is_open:
            conn.is_open = False
            self._release(conn)
            self._count(-1)
            conn.sock.close()

    def _release(self, conn: Connection) -> None:
        """Take what *conn* holds off the books, all but the connection itself."""
        self._waiting.remove(conn)
        self._note_unsent(conn, 0)
        self._held.add(-conn.num_held - len(conn.incoming.data))
        conn.num_held = 0
        conn.request = b""
        conn.incoming.data.clear()

    def _note_unsent(self, conn: Connection, count: int) -> None:
        self._unsent.add(count - conn.num_unsent)
        conn.num_unsent = count

    def _count(self, change: int) -> None:
        self.num_open += change
        self._note_count(self.num_open)
