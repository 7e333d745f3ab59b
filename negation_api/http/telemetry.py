"""What the outside sees of a request: its id, its timing, one log line.

Sizes, times and outcomes; never text, entities, offsets or paths as they came.
"""

import json
import logging
import re
import sys
import tempfile
import time
import uuid
from functools import lru_cache

from flask import Flask, g, request

_REQUEST_ID = re.compile(r"[\w.:;=+/-]{1,128}", re.ASCII)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

access_log = logging.getLogger("negation_api.access")


@lru_cache(maxsize=1)
def make_metrics_directory() -> str:
    """Make the directory where the workers of this master add up their counts.

    Once: a reload reads Gunicorn's configuration again, and keeps what was counted.
    """
    return tempfile.mkdtemp(prefix="negation-api-metrics-", dir="/dev/shm")


class Stopwatch:
    """Times the stages of one request.

    :ivar laps: stage -> seconds; a stage that comes back adds up.
    """

    def __init__(self):
        self.started = self._last = time.monotonic()
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


def _begin() -> None:
    g.stopwatch = Stopwatch()
    given = request.headers.get("X-Request-Id") or request.headers.get(
        "X-Amzn-Trace-Id", ""
    )
    g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    g.rows = g.tokens = 0
    g.labels = []


def _end(response):
    response.headers["X-Request-Id"] = g.request_id
    response.headers["Server-Timing"] = g.stopwatch.header()
    access_log.info(
        "request",
        extra={
            "route": request.url_rule.rule if request.url_rule else None,
            "method": request.method if request.url_rule else None,
            "status": response.status_code,
            "ms": round(1000 * g.stopwatch.total(), 3),
            "rows": g.rows,
            "tokens": g.tokens,
            "request_id": g.request_id,
        },
    )
    return response


def init_app(app: Flask) -> None:
    """Called by the application factory, first, so that it times everything."""
    app.before_request(_begin)
    app.after_request(_end)
