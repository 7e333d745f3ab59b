"""Gunicorn reads this from the working directory. Reasons: docs/decisions/."""

import gc
import os
import sys

from negation_api.http import parse_errors
from negation_api.http.telemetry import configure_logging, make_metrics_directory
from negation_api.layout import Layout
from negation_api.model.memory import trim_memory, use_one_arena
from negation_api.server.listening import addresses
from negation_api.settings import SettingError, Settings

try:
    _settings = Settings.from_env()
except SettingError as error:
    sys.exit(f"negation_api cannot start: {error}")

configure_logging()
use_one_arena()

# Before anything imports prometheus_client, which looks once. In memory: it need not
# outlive the master.
os.environ["PROMETHEUS_MULTIPROC_DIR"] = make_metrics_directory()

bind = addresses(_settings.host, _settings.port)
if _settings.metrics_port:
    bind += addresses(_settings.host, _settings.metrics_port)
workers = Layout.of(_settings).workers
worker_class = "negation_api.server.worker.Worker"
# Beside predictions, two requests that are not one yet, and some that are just done.
threads = _settings.max_active_requests + 32
worker_connections = 4 * threads
preload_app = True  # weights in the master, shared with the workers
keepalive = _settings.keepalive
graceful_timeout = _settings.graceful_timeout
timeout = _settings.graceful_timeout + 35  # of the heartbeat; batches have their own
max_requests = 0
limit_request_line = parse_errors.MAX_LINE_BYTES
limit_request_fields = parse_errors.MAX_FIELDS
limit_request_field_size = parse_errors.MAX_FIELD_BYTES
# Nobody's word is taken for the path, the scheme or the client's address, whoever is
# in front: what one proxy sets another passes on from a stranger.
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers = {}
# The heartbeat is a file that is touched once a second: in memory, never on a disk
# that may be slow, full or read-only.
worker_tmp_dir = "/dev/shm"
control_socket_disable = True  # on by default since 25.1; wants a writable path
sendfile = False  # its call wants a thread that waits for the client
accesslog = None  # http/telemetry.py writes a line a request
logger_class = "negation_api.server.worker.Logger"


def when_ready(server):
    """Move what was loaded out of the collector's sight, so that pages stay shared."""
    gc.collect()
    trim_memory()
    gc.freeze()


def pre_fork(server, worker):
    """Give the worker a slot that no living one has."""
    from negation_api.http.service import service_of

    counts = service_of(server.app.wsgi()).connection_counts
    worker.slot = counts.free_slot([each.slot for each in server.WORKERS.values()])


def post_worker_init(worker):
    """Start the threads that a fork would have lost."""
    from negation_api.http import metrics
    from negation_api.http.service import service_of

    service = service_of(worker.wsgi)
    service.cores.pin_to_own(worker.slot)
    service.classifier.after_fork()
    service.batcher.start(worker.slot)
    worker.connection_counts = service.connection_counts
    worker.connection_counts.set(worker.slot, 0)
    metrics.watch(service.batcher)
    worker.lifecycle = service
    worker.tracing = service.tracing
    if worker.tracing:
        worker.tracing.start()


def worker_exit(server, worker):
    """Send the last traces."""
    if worker.tracing:
        worker.tracing.stop()


def child_exit(server, worker):
    """Keep the counts of a worker that ended; let nobody wait for it."""
    from negation_api.http import metrics
    from negation_api.http.service import service_of

    service_of(server.app.wsgi()).connection_counts.deregister(worker.slot)
    try:
        metrics.merge_dead()
    except Exception as error:  # would end the master
        server.log.error("counts of a worker lost: %s", type(error).__name__)
