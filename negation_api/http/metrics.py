"""GET /metrics for Prometheus: one view of all workers.

Each process counts in files of its own, which prometheus_client maps into memory
(https://prometheus.github.io/client_python/multiprocess/); whichever worker is asked
adds them up. ``gunicorn.conf.py`` makes their directory before anything is imported.
When a worker ends, the master adds its files to one of the dead, so that totals never
fall and files never pile up.

Labels are routes, statuses and what is answered of entities: never anything that a
client sent.
"""

import collections
import fcntl
import logging
import os
import threading
import time
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path

from flask import Blueprint, Flask, Response, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from werkzeug.exceptions import NotFound

from negation_api import __version__
from negation_api.http.service import service

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"  # the library's own variable
WATCH_SECONDS = 0.25
LOCK_SECONDS = 0.01
MERGE_LOCK_SECONDS = 1.0
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50)

requests = Counter(
    "negation_api_requests", "Requests by route and status.", ["route", "status"]
)
request_seconds = Histogram(
    "negation_api_request_seconds",
    "Seconds from a request's last byte to its answer.",
    ["route"],
    buckets=_SECONDS,
)
wait_seconds = Histogram(
    "negation_api_wait_seconds",
    "Seconds from a request's last byte to the first line of code: for a turn.",
    ["route"],
    buckets=_SECONDS,
)
rejected = Counter("negation_api_rejected", "Requests answered 429: no room.")
deadline_passed = Counter(
    "negation_api_deadline_passed", "Requests answered 504: not done in time."
)
predictions = Counter("negation_api_predictions", "Entities answered.", ["label"])
experiencers = Counter(
    "negation_api_experiencers", "Entities answered with whose.", ["experiencer"]
)
temporalities = Counter(
    "negation_api_temporalities", "Entities answered with when.", ["temporality"]
)
layers = Counter(
    "negation_api_layers",
    "Entities answered, by after how many of the model's layers.",
    ["layers"],
)
answered = {
    "label": predictions,
    "experiencer": experiencers,
    "temporality": temporalities,
    "layers": layers,
}
batch_rows = Histogram(
    "negation_api_batch_rows",
    "Rows of a forward pass.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)
batch_tokens = Histogram(
    "negation_api_batch_tokens",
    "Tokens of a forward pass; the sum is what was computed.",
    buckets=(16, 32, 64, 128, 256, 512, 1024),
)
batch_seconds = Histogram(
    "negation_api_batch_seconds", "Seconds of a forward pass.", buckets=_SECONDS
)
queue_rows = Gauge(
    "negation_api_queue_rows", "Rows that wait.", multiprocess_mode="livesum"
)
queue_tokens = Gauge(
    "negation_api_queue_tokens", "Tokens that wait.", multiprocess_mode="livesum"
)
computing_rows = Gauge(
    "negation_api_computing_rows",
    "Rows in the model.",
    multiprocess_mode="livesum",
)
model_info = Gauge(
    "negation_api_model_info",
    "1; its labels say which model answers.",
    ["version", "name", "revision", "sha256", "precision"],
    multiprocess_mode="max",
)

bp = Blueprint("metrics", __name__)
log = logging.getLogger(__name__)


@bp.get("/metrics")
def metrics():
    """Give the metrics of all workers, in Prometheus' text format."""
    settings = service().settings
    if settings.metrics_port and not is_on_own_port():
        raise NotFound
    return Response(collect(), content_type=CONTENT_TYPE_LATEST)


def is_on_own_port() -> bool:
    """Tell whether the request came on the port that is for metrics alone."""
    port = service().settings.metrics_port
    return bool(port) and request.environ["SERVER_PORT"] == str(port)


def collect() -> bytes:
    """Add up what all processes have counted."""
    directory = os.environ.get(DIRECTORY)
    if not directory:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    registry.register(_Files(Path(directory)))
    with _lock(directory, fcntl.LOCK_SH):
        return generate_latest(registry)


class _Files:
    """The collector of all processes' files that hold something."""

    def __init__(self, directory: Path):
        self.directory = directory

    def collect(self):
        # A worker that has just begun opens its file before it gives it a size,
        # and MultiProcessCollector.collect fails on an empty one.
        files = [str(f) for f in self.directory.glob("*.db") if f.stat().st_size]
        return MultiProcessCollector.merge(files)


def observe_batch(rows: int, tokens: int, seconds: float) -> None:
    """Count one forward pass."""
    batch_rows.observe(rows)
    batch_tokens.observe(tokens)
    batch_seconds.observe(seconds)


def watch(batcher) -> None:
    """Note the depth of *batcher*'s queue now and then, from a thread; in a worker."""

    def run():
        while True:
            try:
                note_queue(batcher)
            except Exception as error:  # such as a full disk; the next may succeed
                log.error("queue not noted", extra={"error": type(error).__name__})
            time.sleep(WATCH_SECONDS)

    threading.Thread(target=run, name="metrics", daemon=True).start()


def note_queue(batcher) -> None:
    """Set the gauges to what waits in *batcher*, and what is computed."""
    rows, tokens = batcher.waiting
    queue_rows.set(rows)
    queue_tokens.set(tokens)
    computing_rows.set(batcher.computing)


def merge_dead() -> None:
    """Add the counts of workers that ended to those of the dead; in the master.

    A worker that reads them may have been stopped with its lock; the master does not
    wait for that. What is left out is added with the next.
    """
    directory = Path(os.environ[DIRECTORY])
    with suppress(TimeoutError), _lock(directory, fcntl.LOCK_EX, MERGE_LOCK_SECONDS):
        for own in directory.glob("*_*.db"):
            kind, _, pid = own.stem.rpartition("_")
            if not pid.isdigit() or _is_alive(int(pid)):
                continue
            if not kind.startswith("gauge") and own.stat().st_size:
                _add(own, directory / f"{kind}_dead.db")
            own.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _add(source: Path, target: Path) -> None:
    total = MmapedDict(str(target))
    for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(str(source)):
        total.write_value(key, total.read_value(key)[0] + value, timestamp)
    total.close()


@contextmanager
def _lock(directory, kind: int, seconds: float = inf):
    """Keep apart the merging of dead workers and the adding up.

    :raises TimeoutError: when that cannot be had within *seconds*.
    """
    deadline = time.monotonic() + seconds
    with open(Path(directory) / "lock", "w") as file:
        while True:
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError("the lock is held") from None
                time.sleep(LOCK_SECONDS)
        yield


def count(route: str | None, status: int) -> None:
    """Count a request that was answered, by the application or without it."""
    requests.labels(route or "none", status).inc()
    if status == 429:
        rejected.inc()
    elif status == 504:
        deadline_passed.inc()


def _count(response):
    route = request.url_rule.rule if request.url_rule else "none"
    count(route, response.status_code)
    request_seconds.labels(route).observe(g.stopwatch.total())
    wait_seconds.labels(route).observe(g.stopwatch.laps["wait"])
    for question, values in g.answers.items():
        for value, number in collections.Counter(values).items():
            answered[question].labels(value).inc(number)
    return response


def init_app(app: Flask, classifier) -> None:
    """Called by the application factory, after telemetry."""
    artefact = classifier.artefact
    if artefact:
        model = artefact.name, artefact.revision or "", artefact.sha256
        model_info.labels(__version__, *model, classifier.precision).set(1)
    app.after_request(_count)
    app.register_blueprint(bp)
