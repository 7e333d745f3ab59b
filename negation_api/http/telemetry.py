"""What the outside sees of a request: its id, its timing, one log line.

Sizes, times and outcomes; never text, entities, offsets or paths as they came.
"""

import atexit
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import time
import uuid
from functools import lru_cache

from flask import Flask, g, request

# Given ids are logged, and clients may write what they like.
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_TRACE_ID = re.compile(r"(?:.*;)?Root=([A-Za-z0-9-]{1,64})(?:;.*)?")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

access_log = logging.getLogger("negation_api.access")


@lru_cache(maxsize=1)
def make_metrics_directory() -> str:
    """Make the directory where the workers of this master add up their counts.

    Once: a reload reads Gunicorn's configuration again, and keeps what was counted.
    It is gone when this process ends, whether it ever served or not.
    """
    directory = tempfile.mkdtemp(prefix="negation-api-metrics-", dir="/dev/shm")
    atexit.register(_remove, directory, os.getpid())
    return directory


def _remove(directory: str, owner: int) -> None:
    if os.getpid() == owner:  # workers, too, come here when they end
        shutil.rmtree(directory, ignore_errors=True)


class Stopwatch:
    """Times the stages of one request.

    :ivar laps: stage -> seconds; a stage that comes back adds up.
    :param started: by ``time.monotonic``.
    """

    def __init__(self, started: float):
        self.started = self._last = started
        self.laps: dict[str, float] = {}

    def lap(self, stage: str, until: float | None = None) -> None:
        """Book the time since the last lap on *stage*.

        :param until: when the lap ended, by ``time.monotonic``; now if not given.
        """
        until = time.monotonic() if until is None else until
        self.laps[stage] = self.laps.get(stage, 0.0) + until - self._last
        self._last = until

    def total(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def header(self) -> str:
        """Give the laps as a Server-Timing value, in milliseconds.

        https://www.w3.org/TR/server-timing/
        """
        laps = {**self.laps, "total": self.total()}
        return ", ".join(f"{k};dur={1000 * v:.3f}" for k, v in laps.items())


class JSONFormatter(logging.Formatter):
    """One JSON object a line; an exception is told by its type alone."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S")
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "event": record.getMessage(),
        }
        extra = vars(record).items()
        line |= {k: v for k, v in extra if k not in _STANDARD and v is not None}
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line, default=str)

    converter = time.gmtime


def configure_logging() -> None:
    """Send everything to stdout, a JSON line each."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JSONFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


def log_request(status: int, request_id: str, seconds: float | None, **more) -> None:
    """Write the line of one request, be it answered by the application or refused."""
    known = {"route": None, "method": None, "status": status}
    ms = None if seconds is None else round(1000 * seconds, 3)
    line = {**known, "ms": ms, **more, "request_id": request_id}
    access_log.info("request", extra=line)


def _begin() -> None:
    # Our worker knows when the request was all there; it may have waited since.
    connection = request.environ.get("gunicorn.socket")
    g.stopwatch = Stopwatch(getattr(connection, "received", time.monotonic()))
    g.stopwatch.lap("wait")
    g.request_id = _given_id() or uuid.uuid4().hex
    g.rows = g.tokens = 0
    g.answers = {}


def _given_id() -> str | None:
    """Give the request's id if it looks like one."""
    given = request.headers.get("X-Request-Id", "")
    if _REQUEST_ID.fullmatch(given):
        return given
    found = _TRACE_ID.fullmatch(request.headers.get("X-Amzn-Trace-Id", ""))
    return found and found[1]


def _end(response):
    response.headers["X-Request-Id"] = g.request_id
    response.headers["Server-Timing"] = g.stopwatch.header()
    log_request(
        response.status_code,
        g.request_id,
        g.stopwatch.total(),
        route=request.url_rule.rule if request.url_rule else None,
        method=request.method if request.url_rule else None,
        rows=g.rows,
        tokens=g.tokens,
    )
    return response


def init_app(app: Flask) -> None:
    """Called by the application factory, first, so that it times everything."""
    app.before_request(_begin)
    app.after_request(_end)
