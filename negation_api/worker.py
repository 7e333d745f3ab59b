"""Gunicorn's gthread worker, with bounded reading, draining and silent errors.

Three things that Gunicorn 27 leaves open: a client may take for ever over a request
once its first byte is there; ``/health`` cannot know that the worker is stopping;
and an error about a malformed request repeats it, in the answer and in the log.
"""

import logging
import time

from gunicorn import glogging, util
from gunicorn.http.errors import ParseException
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers import gthread

log = logging.getLogger("negation_api.worker")


class Worker(gthread.ThreadWorker):
    """A gthread worker for clients that cannot be trusted to be quick."""

    lifecycle = None  # set by post_worker_init in gunicorn.conf.py

    @property
    def _read_timeout(self) -> float:
        return self.wsgi.extensions["settings"].read_timeout

    def handle_exit(self, sig, frame):
        """On SIGTERM, stop taking work and let ``/health`` say so."""
        self.lifecycle.draining = True
        super().handle_exit(sig, frame)

    def handle(self, conn):
        """Handle one request, all of which must arrive within the read time-out."""
        if not conn.initialized and not conn.data_ready and not conn.wait_for_data(0):
            # The poller waits for the first byte, so that no thread need do it.
            return gthread._DEFER
        if not conn.initialized:
            conn.sock.setblocking(True)
            conn.init()
            conn.parser.unreader = BoundedUnreader(conn, self._read_timeout)
        conn.parser.unreader.deadline = time.monotonic() + self._read_timeout
        return super().handle(conn)

    def handle_error(self, req, client, addr, exc):
        """Answer a request that could not be handled, without repeating it."""
        if isinstance(exc, ParseException):
            status, reason = 400, "Bad Request"
        else:
            status, reason = 500, "Internal Server Error"
        log.warning(
            "request not handled",
            extra={"status": status, "error": type(exc).__name__},
        )
        try:
            util.write_error(client, status, reason, "")
        except OSError:
            pass  # the client is gone


class BoundedUnreader(SocketUnreader):
    """Reads from a socket until a deadline.

    :ivar deadline: on the clock of ``time.monotonic``.
    :param write_timeout: seconds the client may take to read its answer.
    """

    deadline = 0.0

    def __init__(self, conn: gthread.TConn, write_timeout: float):
        super().__init__(conn.sock)
        self._parser = conn.parser
        self._write_timeout = write_timeout

    def chunk(self, size_hint=None):
        left = self.deadline - time.monotonic()
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
            self.sock.settimeout(self._write_timeout)


class Logger(glogging.Logger):
    """Gunicorn's own messages, as JSON lines beside ours."""

    def setup(self, cfg):
        self.loglevel = logging.INFO
        for logger in (self.error_log, self.access_log):
            logger.propagate = True
            logger.handlers.clear()
        self.error_log.setLevel(logging.INFO)
        self.access_log.disabled = True
