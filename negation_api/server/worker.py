"""Gunicorn's gthread worker, for clients that cannot be trusted to be quick.

What Gunicorn 27 leaves open, and is done here:

- A request is received by the main thread, whatever its size, and gets a thread when
  it is complete: clients that are slow to send cannot keep ``/health`` waiting. All
  of it must arrive within the read time-out.
- A connection is closed by and by, where Gunicorn's main thread waits up to two
  seconds for the client to close its side, and does nothing else meanwhile.
- On SIGTERM the port is closed at once, after the connections that had been made
  are accepted; ``/health`` says ``draining`` on those that are open, and the ones
  on which nothing was asked are closed.
- A worker that has more connections than another lets that one accept the next.
- The ``Server`` header is left out.
- An error about a malformed request does not repeat it, in the answer or the log.

No TLS, which ends at the load balancer, and no HTTP/2.
"""

import errno
import json
import logging
import selectors
import socket
import time
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus

from gunicorn import glogging, util
from gunicorn.http import wsgi
from gunicorn.http.errors import ParseException
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers import gthread

from negation_api.contract.errors import MEDIA_TYPE, describe
from negation_api.http.service import service_of
from negation_api.server.receiving import Incoming

RECEIVE_BYTES = 256 * 1024  # at a time, of one connection
MAX_INCOMING_BODIES = 64  # of the largest size, in memory before they are complete
LINGER_SECONDS = 2.0
GIVE_WAY_SECONDS = 0.002  # to a worker that has fewer connections
NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
NO_ROOM_SECONDS = 0.01  # until the listener, which stays readable, is tried again

log = logging.getLogger("negation_api.worker")


class Connection(gthread.TConn):
    """A connection with what it has received.

    :ivar deadline: when its request must have arrived, by ``time.monotonic``.
    """

    def __init__(self, worker: "Worker", sock, client, server):
        super().__init__(worker.cfg, sock, client, server)
        self._worker = worker
        self.incoming = Incoming(worker.settings.max_body_bytes)
        self.deadline = 0.0
        self.data_ready = True  # when it comes to a thread

    def close(self, graceful=False):
        if graceful:
            self._worker.linger(self)
        else:
            util.close(self.sock)


class Worker(gthread.ThreadWorker):
    """See above. Runs in the main thread, but for ``handle`` and what it calls."""

    # Set in gunicorn.conf.py: by pre_fork, and by post_worker_init.
    seat = None
    seats = None
    lifecycle = None
    tracing = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # connection -> when it is closed; the first is due first
        self._silent: dict[Connection, float] = {}  # sent nothing since they opened
        self._receiving: dict[Connection, float] = {}
        self._lingering: dict[Connection, float] = {}
        self._num_received = 0  # bytes of all that are receiving

    @property
    def settings(self):
        return service_of(self.wsgi).settings

    @property
    def nr_conns(self) -> int:
        """Connections that are open, as Gunicorn counts them."""
        return self._num_connections

    @nr_conns.setter
    def nr_conns(self, count: int):
        self._num_connections = count
        if self.seats and self.alive:
            self.seats.note(self.seat, count)

    # --- receiving --------------------------------------------------------------

    def accept(self, listener) -> bool:
        """Accept a connection; False when none waits that could be accepted."""
        if self.alive and self.seats.has_less_busy(self.seat):
            time.sleep(GIVE_WAY_SECONDS)
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno in NO_ROOM:
                log.error("connection not accepted", extra={"error": error.strerror})
                self._drop_silent()
                time.sleep(NO_ROOM_SECONDS)
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                raise
            return error.errno == errno.ECONNABORTED
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._drop_silent()
        self.enqueue_req(Connection(self, sock, client, listener.getsockname()))
        return True

    def _drop_silent(self):
        """Make room: of those on which nothing was asked the oldest goes."""
        if self._silent:
            self._drop(next(iter(self._silent)))

    def enqueue_req(self, conn: Connection):
        """Receive a request; called when one may have begun."""
        if conn.parser:  # it may have read into the next request
            data = conn.parser.unreader.take_buffered()
            conn.incoming = Incoming(self.settings.max_body_bytes, data)
            self._num_received += len(data)
        conn.sock.setblocking(False)
        if conn.incoming.data and conn.incoming.is_complete():
            self._hand_on(conn)
        else:
            self._receive(conn, conn.sock)

    def _receive(self, conn: Connection, sock):
        if sock.fileno() < 0:
            return  # dropped since it was found to have something
        try:
            data = sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            self._await_more(conn)
            return
        except OSError:
            self._drop(conn)
            return
        conn.incoming.data += data
        self._num_received += len(data)
        if not conn.incoming.data:
            self._drop(conn)
        elif not data or conn.incoming.is_complete():
            self._hand_on(conn)
        elif conn.incoming.is_head_too_long:
            self._refuse(conn, 431)
        elif self._num_received > MAX_INCOMING_BODIES * self.settings.max_body_bytes:
            self._refuse(conn, 503)
        else:
            self._await_more(conn)

    def _await_more(self, conn: Connection):
        now = time.monotonic()
        if conn not in self._silent and conn not in self._receiving:
            callback = partial(self._receive, conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, callback)
        if not conn.incoming.data:
            self._silent[conn] = now + self.cfg.keepalive
        elif conn not in self._receiving:
            self._silent.pop(conn, None)
            self._receiving[conn] = now + self.settings.read_timeout
        if conn.incoming.expects_continue:
            conn.incoming.expects_continue = False
            try:
                util.write_nonblock(conn.sock, b"HTTP/1.1 100 Continue\r\n\r\n")
            except OSError:
                self._drop(conn)

    def _hand_on(self, conn: Connection):
        """Let a thread handle what was received."""
        deadline = time.monotonic() + self.settings.read_timeout
        conn.deadline = self._receiving.get(conn, deadline)
        self._forget(conn)
        super().enqueue_req(conn)

    def _forget(self, conn: Connection):
        self._num_received -= len(conn.incoming.data)
        if conn in self._silent or conn in self._receiving:
            self.poller.unregister(conn.sock)
        self._silent.pop(conn, None)
        self._receiving.pop(conn, None)

    def _drop(self, conn: Connection):
        self._forget(conn)
        self.nr_conns -= 1
        conn.close()

    def _refuse(self, conn: Connection, status: int):
        log.warning("request not received", extra={"status": status})
        self._forget(conn)
        self.nr_conns -= 1
        _answer(conn.sock, status)
        conn.close(graceful=True)

    def murder_pending(self):
        """Close what has waited too long; called at least once a second."""
        for conn in _expired(self._silent):
            self._drop(conn)
        for conn in _expired(self._receiving):
            self._refuse(conn, 408)
        for conn in _expired(self._lingering):
            self._end_lingering(conn)

    # --- closing ----------------------------------------------------------------

    def linger(self, conn: Connection):
        """Close our side; wait for the client's, as RFC 9112, 9.6 asks.

        Closing at once while the client still sends would make its kernel throw
        away the answer.
        """
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            util.close(conn.sock)
            return
        self.nr_conns += 1
        self._lingering[conn] = time.monotonic() + LINGER_SECONDS
        callback = partial(self._discard, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, callback)

    def _discard(self, conn: Connection, sock):
        try:
            if sock.recv(RECEIVE_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._end_lingering(conn)

    def _end_lingering(self, conn: Connection):
        del self._lingering[conn]
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        util.close(conn.sock)

    # --- draining ---------------------------------------------------------------

    def handle_exit(self, sig, frame):
        """On SIGTERM, stop taking work and let ``/health`` say so."""
        if self.lifecycle:
            self.lifecycle.draining = True
        super().handle_exit(sig, frame)
        if self.seats:
            self.seats.leave(self.seat)

    def set_accept_enabled(self, enabled):
        super().set_accept_enabled(enabled)
        if not (enabled or self.alive):
            # What waits to be accepted would be lost when the process ends; what
            # comes later is better refused than left waiting.
            for listener in self.sockets:
                self._accept_all(listener)
                listener.close()
            self.sockets = []  # Gunicorn may call this again

    def _accept_all(self, listener):
        while listener.fileno() >= 0 and self.accept(listener):
            pass

    def _cap_keepalive(self, deadline):
        super()._cap_keepalive(deadline)
        for conn, due in self._silent.items():
            self._silent[conn] = min(due, deadline)

    # --- handling, in a thread --------------------------------------------------

    def handle(self, conn: Connection):
        if not conn.initialized:
            conn.init()
            conn.parser.unreader = BoundedUnreader(conn)
        conn.parser.unreader.deadline = conn.deadline
        conn.parser.unreader.unread(bytes(conn.incoming.data))
        conn.incoming.data.clear()
        return super().handle(conn)

    def handle_request(self, req, conn: Connection):
        # Of writing, the whole answer; reading has its own.
        conn.sock.settimeout(self.settings.read_timeout)
        if conn.incoming.must_close:
            req.force_close()
        return super().handle_request(req, conn)

    def handle_error(self, req, client, addr, exc):
        """Answer a request that could not be handled, without repeating it."""
        status = 400 if isinstance(exc, ParseException) else 500
        log.warning(
            "request not handled",
            extra={"status": status, "error": type(exc).__name__},
        )
        _answer(client, status)


def _expired(due: dict[Connection, float]) -> Iterator[Connection]:
    now = time.monotonic()
    while due:
        conn, when = next(iter(due.items()))
        if when > now:
            return
        yield conn


def _answer(sock, status: int) -> None:
    """Answer without the application; an answer is short enough not to wait."""
    problem = {"title": HTTPStatus(status).phrase, "status": status}
    if status == 408:
        problem = describe(408, "read-timeout")
    body = json.dumps(problem)
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Connection: close",
        f"Content-Type: {MEDIA_TYPE}",
        f"Content-Length: {len(body)}",
    ]
    try:
        util.write_nonblock(sock, "\r\n".join([*head, "", body]).encode())
    except OSError:
        pass  # the client is gone


class Response(wsgi.Response):
    """Does not say which server this is; Gunicorn has no setting for it."""

    def default_headers(self):
        lines = super().default_headers()
        return [line for line in lines if not line.startswith("Server:")]


wsgi.Response = Response


class BoundedUnreader(SocketUnreader):
    """Reads from a socket until a deadline.

    :ivar deadline: on the clock of ``time.monotonic``.
    """

    deadline = 0.0

    def __init__(self, conn: gthread.TConn):
        super().__init__(conn.sock)
        self._parser = conn.parser

    def chunk(self, size_hint=None):
        left = self.deadline - time.monotonic()
        write_timeout = self.sock.gettimeout()
        try:
            if left <= 0:
                raise TimeoutError("the request did not arrive in time")
            self.sock.settimeout(left)
            return super().chunk(size_hint)
        except TimeoutError:
            if self._parser.mesg:
                self._parser.mesg.force_close()  # the rest may still come
            raise
        finally:
            self.sock.settimeout(write_timeout)


class Logger(glogging.Logger):
    """Gunicorn's own messages, as JSON lines beside ours."""

    def setup(self, cfg):
        self.loglevel = logging.INFO
        for logger in (self.error_log, self.access_log):
            logger.propagate = True
            logger.handlers.clear()
        self.error_log.setLevel(logging.INFO)
        self.access_log.disabled = True
