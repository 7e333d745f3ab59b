"""Gunicorn's gthread worker, for clients that cannot be trusted to be quick.

What Gunicorn 27 leaves open, and is done here:

- Connections are served by the main thread (``reactor.py``), and no thread waits for a
  client.
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
import time
from functools import partial
from math import inf

from gunicorn import glogging
from gunicorn.http import wsgi
from gunicorn.workers import gthread

from negation_api.http.service import service_of
from negation_api.server.connection import MAX_BODIES, ByteBudget, Connection
from negation_api.server.executor import Executor
from negation_api.server.reactor import Reactor
from negation_api.server.refusals import answer_error

ACCEPT_AT_ONCE = 16
GIVE_WAY_SECONDS = 0.002  # to a worker that has fewer connections
NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
NO_ROOM_SECONDS = 0.01  # until the listener, which stays readable, is tried again
NO_LISTENER = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK}

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
        self.worker_connections = inf  # Gunicorn would stop accepting

    @property
    def settings(self):
        return service_of(self.wsgi).settings

    def run(self):
        self.make_reactor()
        super().run()

    def make_reactor(self) -> None:
        """Make what serves connections, once there is a poller and an application."""
        held = ByteBudget(MAX_BODIES * self.settings.max_body_bytes)
        finish = partial(self.method_queue.defer, self._finish)
        executor = Executor(self.tpool, self.handle, finish, held, self.settings)
        self.reactor = Reactor(
            self.poller, executor, held, self._note_count, self.cfg, self.settings
        )

    def _finish(self, conn: Connection) -> None:
        self.reactor.finish(conn)

    def _note_count(self, count: int) -> None:
        self.nr_conns = count
        if self.alive:
            self.connection_counts.set(self.slot, count)

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
            accepted, client = listener.accept()
        except OSError as error:
            if error.errno in NO_LISTENER:
                raise
            if error.errno in NO_ROOM:
                log.error("connection not accepted", extra={"error": error.strerror})
                self.reactor.make_room()
                time.sleep(NO_ROOM_SECONDS)
            # Linux hands on what befell a connection that waited (accept(2)).
            return error.errno not in NO_ROOM | {errno.EAGAIN}
        self.reactor.open(accepted, client, listener.getsockname())
        return True

    def murder_pending(self):
        """Close what has waited too long; called at least once a second."""
        self.reactor.close_expired()

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
                while listener.fileno() >= 0 and self._accept(listener):
                    pass
                listener.close()
            self.sockets = []  # Gunicorn may call this again

    def _cap_keepalive(self, deadline):
        self.reactor.drain(deadline)

    # --- handling, in a thread --------------------------------------------------

    def handle(self, conn: Connection) -> bool:
        conn.init()
        conn.note_method()
        conn.parser.put(conn.request, conn.must_close, conn.is_head)
        conn.request = b""
        return super().handle(conn) and conn.parser.is_done()

    def handle_error(self, req, client, addr, exc):
        """Answer a request that could not be handled, without repeating it."""
        answer_error(client, exc)


class Response(wsgi.Response):
    """Does not say which server this is; Gunicorn has no setting for it."""

    def default_headers(self):
        lines = super().default_headers()
        return [line for line in lines if not line.startswith("Server:")]


wsgi.Response = Response


class Logger(glogging.Logger):
    """Gunicorn's own messages, as JSON lines beside ours."""

    def setup(self, cfg):
        for logger in (self.error_log, self.access_log):
            logger.propagate = True
            logger.handlers.clear()
        self.error_log.setLevel(logging.INFO)
        self.access_log.disabled = True
