"""Gunicorn's gthread worker, for clients that cannot be trusted to be quick.

What Gunicorn 27 leaves open, and is done here:

- A request is received by the main thread, whatever its size, and gets a thread when
  all of it is there (``receiving.py``) and few others run (``turns.py``). Health checks
  have a thread of their own, and what only reads two. Requests that are not to be
  refused wait for a thread of theirs, however many they are.
- An answer is sent by the main thread as far as the client does not take it at once.
- No thread waits for a client: slow ones cost a buffer. All of a request must arrive,
  and all of its answer be taken, within the read time-out.
- At the limit of connections there is room for one more: the oldest that has not sent
  its request goes.
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
import logging
import selectors
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf

from gunicorn import glogging
from gunicorn.http import wsgi
from gunicorn.workers import gthread

from negation_api.contract.cnlpt import QUESTIONS
from negation_api.http.service import service_of
from negation_api.inference.admission import MAX_WAIT, QueueFull, retry_after
from negation_api.server.connection import MAX_BODIES, Connection, Total, Waiting
from negation_api.server.parsing import BodyWanted
from negation_api.server.refusals import answer_error, refuse
from negation_api.server.turns import REQUEST_COST, Turns

RECEIVE_BYTES = 256 * 1024  # at a time, of one connection
LINGER_SECONDS = 2.0
STOPPING_SECONDS = 2.0  # that an idle connection is kept, for what may be on its way
ACCEPT_AT_ONCE = 16
GIVE_WAY_SECONDS = 0.002  # to a worker that has fewer connections
NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
NO_ROOM_SECONDS = 0.01  # until the listener, which stays readable, is tried again
NO_LISTENER = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK}
# lane -> threads; requests that may be in it
LANES = {"health": (1, inf), "read": (2, 64), "patient": (16, inf)}

LANE_BYTES = 256  # of a request's first line, which may be long
PATIENT = {question.path.encode() for question in QUESTIONS}

log = logging.getLogger("negation_api.worker")


class Worker(gthread.ThreadWorker):
    """See above. Runs in the main thread, but for ``handle`` and what it calls."""

    # Set in gunicorn.conf.py: by pre_fork, and by post_worker_init.
    slot = None
    connection_counts = None
    lifecycle = None
    tracing = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.max_connections = self.worker_connections
        self.worker_connections = inf  # Gunicorn would stop accepting
        self._waiting = Waiting("silent idle receiving sending lingering".split())
        self._held = Total()  # bytes of all requests, from the first to the answer
        self._num_unsent = 0  # bytes of all answers that are being sent
        self._in_lane = Counter()
        self._patient_turn = threading.Lock()  # of the patient, beside the other turns

    @property
    def settings(self):
        return service_of(self.wsgi).settings

    @property
    def max_bytes(self) -> int:
        """How much all requests may hold, and as much all answers."""
        return MAX_BODIES * self.settings.max_body_bytes

    @property
    def nr_conns(self) -> int:
        """Connections that are open, as Gunicorn counts them."""
        return self._num_connections

    @nr_conns.setter
    def nr_conns(self, count: int):
        self._num_connections = count
        if self.connection_counts and self.alive:
            self.connection_counts.set(self.slot, count)

    def init_process(self):
        self._lanes = {
            name: ThreadPoolExecutor(threads) for name, (threads, _) in LANES.items()
        }
        super().init_process()

    def run(self):
        self._waiting.poller = self.poller
        pool = partial(self._submit, self.tpool)
        most = self.settings.max_active_requests
        self._turns = Turns(pool, most, MAX_WAIT * self.settings.request_timeout)
        super().run()

    # --- accepting --------------------------------------------------------------

    def accept(self, listener) -> None:
        """Accept connections, as long as no other worker has fewer."""
        counts = self.connection_counts
        if self.alive and counts.another_has_fewer(self.slot):
            time.sleep(GIVE_WAY_SECONDS)
        for _ in range(ACCEPT_AT_ONCE):
            if not self._accept(listener) or counts.another_has_fewer(self.slot):
                return

    def _accept(self, listener) -> bool:
        """Accept a connection; False when none waits that could be accepted."""
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno in NO_LISTENER:
                raise
            if error.errno in NO_ROOM:
                log.error("connection not accepted", extra={"error": error.strerror})
                self._make_room()
                time.sleep(NO_ROOM_SECONDS)
            # Linux hands on what befell a connection that waited (accept(2)).
            return error.errno not in NO_ROOM | {errno.EAGAIN}
        self.nr_conns += 1
        if self.nr_conns - self._waiting.count("lingering") > self.max_connections:
            self._make_room()
        conn = Connection(self, sock, client, listener.getsockname())
        self._try(self._receive, conn)
        return True

    def _make_room(self) -> None:
        """Drop the oldest that has asked nothing, of those whose request we await."""
        found = [self._waiting.oldest(name) for name in ("silent", "receiving")]
        found = sorted(filter(None, found), key=lambda conn: conn.opened)
        found += [self._waiting.oldest(name) for name in ("sending", "idle")]
        conn = next(filter(None, found), None)
        if conn and self._waiting.what(conn) == "receiving":
            self._refuse(conn, 503)
        elif conn:
            self._drop(conn)

    # --- receiving --------------------------------------------------------------

    def _try(self, call, conn: Connection) -> None:
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
        self._waiting.put(conn, name, due, event, partial(self._try, call))

    def _receive(self, conn: Connection) -> None:
        try:
            data = conn.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            self._await_more(conn)
            return
        conn.incoming.data += data
        self._held.add(len(data))
        if data:
            self._go_on(conn)
        elif conn.incoming.head:
            self._refuse(conn, 400)  # broken off
        else:
            self._drop(conn)

    def _go_on(self, conn: Connection) -> None:
        """See whether there is a request in what was received."""
        if conn.incoming.is_complete():
            if self._held.count > self.max_bytes:
                self._refuse(conn, 429)
            else:
                self._take(conn)
        elif conn.incoming.refusal:
            self._refuse(conn, conn.incoming.refusal)
        elif conn.incoming.expects_continue:
            self._ask_about_head(conn)
        else:
            self._await_more(conn)
            while self._held.count > self.max_bytes:
                if not (oldest := self._waiting.oldest("receiving")):
                    break
                self._refuse(oldest, 503)

    def _await_more(self, conn: Connection) -> None:
        before = self._waiting.what(conn)
        if not conn.incoming.has_begun:
            name = "idle" if conn.parser else "silent"
            stays = self.cfg.keepalive if self.alive else STOPPING_SECONDS
            if before != name:
                self._wait(conn, name, stays, self._receive)
        elif before != "receiving":
            self._wait(conn, "receiving", self.settings.read_timeout, self._receive)

    def _ask_about_head(self, conn: Connection) -> None:
        """See whether the application refuses the request before its body is sent."""
        conn.incoming.expects_continue = False
        conn.is_head = True
        conn.request = conn.incoming.head
        self._hand_on(conn)

    def _continue(self, conn: Connection) -> None:
        """Ask for the body, as nothing is wrong with the head."""
        conn.is_head = conn.wants_body = False
        conn.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.sock.flush()
        self._go_on(conn)

    def _take(self, conn: Connection) -> None:
        conn.must_close = conn.incoming.must_close
        conn.request = conn.incoming.take()
        conn.num_held = len(conn.request)
        self._hand_on(conn)

    def _hand_on(self, conn: Connection) -> None:
        """Let a thread handle what was received, when it is its turn."""
        self._waiting.remove(conn)
        conn.sock.received = time.monotonic()
        conn.lane = _lane(conn.request, self.settings.url_prefix.encode())
        if conn.lane:
            has_room = self._in_lane[conn.lane] < LANES[conn.lane][1]
            if has_room:
                self._in_lane[conn.lane] += 1
                self._submit(self._lanes[conn.lane], conn)
        else:
            conn.cost = REQUEST_COST + conn.num_held
            has_room = self._turns.ask(conn)
        if not has_room:
            self._refuse(conn, 429)

    def _submit(self, pool, conn: Connection) -> None:
        try:
            pool.submit(self._run, conn)
        except RuntimeError as error:  # no more threads; those that are there do it
            log.error("no thread", extra={"error": type(error).__name__})

    # --- ending -----------------------------------------------------------------

    def _forget(self, conn: Connection) -> None:
        """Take *conn* off the books, all but the one of open connections."""
        self._waiting.remove(conn)
        self._note_unsent(conn, 0)
        self._held.add(-conn.num_held - len(conn.incoming.data))
        conn.num_held = 0
        conn.request = b""
        conn.incoming.data.clear()

    def _drop(self, conn: Connection) -> None:
        if conn.is_open:
            conn.is_open = False
            self._forget(conn)
            self.nr_conns -= 1
            conn.sock.close()

    def _note_unsent(self, conn: Connection, count: int) -> None:
        self._num_unsent += count - conn.num_unsent
        conn.num_unsent = count

    def _refuse(self, conn: Connection, status: int) -> None:
        conn.note_method()
        self._forget(conn)
        refuse(conn.sock, status, self.settings, conn.opened)
        conn.keeps_open = False
        self._try(self._send, conn)

    def _finish(self, conn: Connection) -> None:
        """Go on when a thread has handled a request."""
        if conn.lane:
            self._in_lane[conn.lane] -= 1
        self._held.add(-conn.num_held)
        conn.num_held = 0
        self._try(self._continue if conn.wants_body else self._send, conn)

    def _send(self, conn: Connection) -> None:
        """Send what is left of an answer; then the next, or the end."""
        conn.sock.flush()
        self._note_unsent(conn, len(conn.sock.unsent))
        if not conn.sock.unsent:
            (self._go_on if conn.keeps_open else self._linger)(conn)
            return
        if self._waiting.what(conn) != "sending":
            seconds = self.settings.read_timeout
            self._wait(conn, "sending", seconds, self._send, selectors.EVENT_WRITE)
        if self._num_unsent > self.max_bytes:
            self._drop(self._waiting.oldest("sending"))

    def murder_pending(self):
        """Close what has waited too long; called at least once a second."""
        for name in ("silent", "idle", "sending", "lingering"):
            for conn in self._waiting.expired(name):
                self._drop(conn)
        for conn in self._waiting.expired("receiving"):
            self._refuse(conn, 408)
        for conn in self._turns.take_late():
            self._refuse(conn, 429)

    def _linger(self, conn: Connection) -> None:
        """Close our side; wait for the client's, as RFC 9112, 9.6 asks.

        Closing at once while the client still sends would make its kernel throw
        away the answer.
        """
        self._forget(conn)
        conn.sock.shutdown(socket.SHUT_WR)
        self._wait(conn, "lingering", LINGER_SECONDS, self._discard)
        if self._waiting.count("lingering") > self.max_connections:
            self._drop(self._waiting.oldest("lingering"))

    def _discard(self, conn: Connection) -> None:
        try:
            if conn.sock.recv(RECEIVE_BYTES):
                return
        except BlockingIOError:
            return
        self._drop(conn)

    # --- draining ---------------------------------------------------------------

    def handle_exit(self, sig, frame):
        """On SIGTERM, stop taking work and let ``/health`` say so."""
        if self.lifecycle:
            self.lifecycle.draining = True
        super().handle_exit(sig, frame)
        if self.connection_counts:
            self.connection_counts.deregister(self.slot)

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
        while listener.fileno() >= 0 and self._accept(listener):
            pass

    def _cap_keepalive(self, deadline):
        for name in ("silent", "idle"):
            self._waiting.cap(name, deadline)

    # --- handling, in a thread --------------------------------------------------

    def _run(self, conn: Connection) -> None:
        conn.keeps_open = False
        conn.sock.hold = partial(self._hold, conn)
        if conn.lane is None:
            conn.sock.end_turn = _once(self._turns.end, conn)
        elif conn.lane == "patient":
            self._patient_turn.acquire()
            conn.sock.end_turn = _once(self._patient_turn.release)
        try:
            conn.keeps_open = self.handle(conn)
            conn.sock.flush()
        except BodyWanted:
            conn.wants_body = True
        except OSError:
            conn.sock.unsent.clear()
            conn.keeps_open = False
        finally:
            conn.sock.end_turn()
            self.method_queue.defer(self._finish, conn)

    def _hold(self, conn: Connection, count: int) -> None:
        """Count what came out of a body that was compressed.

        :raises QueueFull: when all requests together hold too much.
        """
        conn.num_held += count
        if conn.lane is None:
            self._turns.add(conn, count)
        if self._held.add(count) > self.max_bytes:
            raise QueueFull(retry_after(1))

    def handle(self, conn: Connection) -> bool:
        conn.init()
        conn.note_method()
        conn.parser.put(conn.request, conn.must_close, conn.is_head)
        conn.request = b""
        return super().handle(conn) and conn.parser.is_done()

    def handle_error(self, req, client, addr, exc):
        """Answer a request that could not be handled, without repeating it."""
        answer_error(client, exc, self.settings)


def _lane(request: bytes, prefix: bytes) -> str | None:
    """Name the lane of a request that has one; others wait for their turn."""
    method, target, *_ = request[:LANE_BYTES].lstrip(b"\r\n").split(b" ", 2) + [b""]
    path = target.partition(b"?")[0].removeprefix(prefix).rstrip(b"/")
    path = b"/" + path.lstrip(b"/")  # as the router has it
    if method == b"POST" and path in PATIENT:
        return "patient"
    if method not in (b"GET", b"HEAD", b"OPTIONS"):
        return None
    return "health" if path == b"/health" else "read"


def _once(call, *args):
    """Make a function that calls the first time only; of one thread."""
    calls = [partial(call, *args)]
    return lambda: calls and calls.pop()()


class Response(wsgi.Response):
    """Does not say which server this is; Gunicorn has no setting for it."""

    def default_headers(self):
        lines = super().default_headers()
        return [line for line in lines if not line.startswith("Server:")]


wsgi.Response = Response


class Logger(glogging.Logger):
    """Gunicorn's own messages, as JSON lines beside ours."""

    def setup(self, cfg):
        self.loglevel = logging.INFO
        for logger in (self.error_log, self.access_log):
            logger.propagate = True
            logger.handlers.clear()
        self.error_log.setLevel(logging.INFO)
        self.access_log.disabled = True
