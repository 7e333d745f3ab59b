"""GET /metrics: right across processes, and nothing in it that a client sent."""

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import Counter, Gauge, Histogram

from fork_server import Server
from negation_api.http import metrics
from negation_api.http.service import service_of
from negation_api.inference.admission import DeadlinePassed, QueueFull
from server import free_port, samples, wait_until

CANARY = "zebrafish"
DASHBOARD = Path(__file__).parents[1] / "infra" / "grafana.json"


def value(text: str, name: str, **labels) -> float:
    """Give the sum of the samples *name* that have *labels*."""
    found = samples(text, name)
    return sum(n for given, n in found if labels.items() <= given.items())


@pytest.fixture(scope="module")
def server(toy_model):
    with Server(model=toy_model, env={"WEB_CONCURRENCY": "2"}) as server:
        yield server


def scrape(server) -> str:
    reply = server.get("/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain")
    return reply.body.decode()


def post_many(server, count: int) -> set[int]:
    """Post from eight clients; give the workers that have answered so far."""
    body = {"sentence": f"denies [entity] {CANARY} [entity]"}
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(server.post, [body] * count))
    assert {reply.status for reply in replies} == {200}
    lines = server.log(event="request", route="/predict", status=200)
    return {line["pid"] for line in lines}


def post_until_all_answered(server) -> int:
    posted = 0
    while not set(server.workers()) <= post_many(server, 16):
        posted += 16
    return posted + 16


def files(pid: int) -> list[Path]:
    return list(Path("/dev/shm").glob(f"negation-api-metrics-*/*_{pid}.db"))


def test_all_workers_are_counted_and_the_dead_stay_counted(server):
    def done():
        return value(scrape(server), "negation_api_requests_total", route="/predict")

    before = done()
    posted = post_until_all_answered(server)
    assert done() - before == posted
    victim, *_ = workers = server.workers()
    assert files(victim)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: not files(victim), 30, "the dead worker's files are gone")
    assert done() - before == posted
    wait_until(lambda: len(server.workers()) == 2, 30, "a new worker")
    assert set(server.workers()) != set(workers)
    posted += post_until_all_answered(server)
    text = scrape(server)
    assert done() - before == posted
    assert value(text, "negation_api_request_seconds_count", route="/predict") >= posted
    assert value(text, "negation_api_predictions_total") >= posted
    assert value(text, "negation_api_batch_rows_sum") > 0
    assert value(text, "negation_api_batch_tokens_sum") > 0
    assert value(text, "negation_api_model_info", precision="fp32") == 1


def directories() -> set[Path]:
    return set(Path("/dev/shm").glob("negation-api-metrics-*"))


def test_a_reload_keeps_what_was_counted_and_leaves_no_files(toy_model):
    before = directories()
    with Server(model=toy_model, env={"WEB_CONCURRENCY": "2"}) as server:
        (directory,) = directories() - before
        posted = post_until_all_answered(server)
        old = set(server.workers())
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: not old & set(server.workers()), 60, "new workers")
        wait_until(lambda: not any(map(files, old)), 30, "the old ones' files are gone")
        posted += post_until_all_answered(server)
        text = scrape(server)
        name = "negation_api_requests_total"
        assert value(text, name, route="/predict") == posted
        assert value(text, "negation_api_model_info") == 1
        assert directories() - before == {directory}
    assert directories() <= before


def test_a_worker_killed_before_its_file_had_a_size_can_be_merged(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    (tmp_path / "counter_99999999.db").touch()
    metrics.merge_dead()
    assert not (tmp_path / "counter_99999999.db").exists()


def test_the_master_does_not_wait_for_a_worker_that_is_stopped_at_the_lock(
    tmp_path, monkeypatch
):
    """What it leaves is added with the next."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    dead = tmp_path / "counter_99999999.db"
    living = tmp_path / f"counter_{os.getpid()}.db"
    dead.touch(), living.touch()
    with open(tmp_path / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        metrics.merge_dead()
        assert dead.exists()
    metrics.merge_dead()
    assert living.exists() and not dead.exists()


def test_the_queue_is_noted_again_after_a_failure(caplog):
    class Queue:
        computing = 7

        def __init__(self):
            self.asked = 0

        @property
        def waiting(self):
            self.asked += 1
            if self.asked == 1:
                raise OSError("zebrafish")
            return 5, 50

    queue = Queue()
    metrics.watch(queue)
    wait_until(lambda: queue.asked > 2, 10, "it is noted again")
    assert value(metrics.collect().decode(), "negation_api_queue_rows") == 5
    assert value(metrics.collect().decode(), "negation_api_computing_rows") == 7
    assert CANARY not in caplog.text


REFUSED = {
    400: b"nonsense zebrafish\r\n\r\n",
    408: b"POST /predict HTTP/1.1\r\nX: zebrafish\r\n",
    413: b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
    431: b"GET / HTTP/1.1\r\n" + b"X: zebrafish\r\n" * 6_000,
}


def test_what_the_worker_refuses_itself_is_counted_and_logged():
    env = {"WEB_CONCURRENCY": "1", "READ_TIMEOUT": "1"}
    with Server("", env, "light:app", ("--pythonpath", "tests")) as server:
        for status, raw in REFUSED.items():
            with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
                connection.sendall(raw)
                answer = connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 %d " % status)
            given = re.search(rb"X-Request-Id: (\w+)\r\n", answer)[1].decode()
            (line,) = server.log(event="request", request_id=given)
            assert line["status"] == status
            text = scrape(server)
            labels = {"route": "none", "status": str(status)}
            assert value(text, "negation_api_requests_total", **labels) == 1
        assert value(text, "negation_api_wait_seconds_count", route="/metrics") >= 1
        assert CANARY not in str(server.log())


def test_looking_at_the_configuration_leaves_no_directory():
    before = directories()
    command = [sys.executable, "-m", "gunicorn", "--check-config", "light:app"]
    root = Path(__file__).parents[1]
    env = os.environ | {"MODEL": "/nowhere", "PYTHONPATH": "tests"}
    subprocess.run(command, cwd=root, env=env, check=True)
    assert directories() <= before


def test_a_file_that_a_new_worker_has_only_opened_is_no_error(server):
    worker, *_ = server.workers()
    server.post({"sentence": "x"})
    posted = value(scrape(server), "negation_api_requests_total", route="/predict")
    file = files(worker)[0].parent / "counter_0.db"
    file.touch()
    text = scrape(server)
    file.unlink()
    assert value(text, "negation_api_requests_total", route="/predict") == posted


def test_what_clients_send_is_in_no_label(server):
    server.get(f"/{CANARY}")
    server.post(CANARY.encode())
    server.request(CANARY.upper(), "/predict", None, {})
    text = scrape(server)
    assert CANARY not in text.lower()
    assert value(text, "negation_api_requests_total", route="none", status="404") >= 1


def test_a_server_that_ends_leaves_no_files(toy_model):
    with Server(model=toy_model, env={"WEB_CONCURRENCY": "1"}) as server:
        (worker,) = server.workers()
        server.post({"sentence": "x"})
        (directory,) = {file.parent for file in files(worker)}
    assert not directory.exists()


def test_they_can_have_a_port_of_their_own(toy_model):
    port, own = free_port(), free_port()
    env = {
        "WEB_CONCURRENCY": "1",
        "METRICS_PORT": str(own),
        "API_KEYS_SHA256": "a" * 64,
    }
    args = ("--bind", f"127.0.0.1:{own}")
    with Server(model=toy_model, env=env, args=args, port=port) as server:
        assert server.get("/metrics").status == 401
        assert server.post({"sentence": "x"}).status == 401
        server.port = own
        assert value(scrape(server), "negation_api_requests_total", status="401") == 2
        assert server.get("/health").status == 200
        assert server.post({"sentence": "x"}).status == 404
        server.port = port


@pytest.mark.parametrize(
    "error, status, name",
    [
        (QueueFull(3), 429, "negation_api_rejected_total"),
        (DeadlinePassed(), 504, "negation_api_deadline_passed_total"),
    ],
)
def test_refusals_are_counted(app, error, status, name):
    def refuse(*args):
        raise error

    batcher = service_of(app).batcher
    service_of(app).batcher = SimpleNamespace(permit=refuse)
    before = value(metrics.collect().decode(), name)
    reply = app.test_client().post("/predict", json={"sentence": "x"})
    service_of(app).batcher = batcher
    assert reply.status_code == status
    assert value(metrics.collect().decode(), name) == before + 1


WHOSE = "negation_api_experiencers_total"
WHEN = "negation_api_temporalities_total"
RETURNS = {"sentence": "his mother to return with [entity] fever [entity]"}


@pytest.mark.parametrize("asked, more", [(True, 2), (False, 0)])
def test_whose_and_when_are_counted_where_they_are_answered(axes_client, asked, more):
    def counts():
        text = metrics.collect().decode()
        return (
            value(text, WHOSE, experiencer="FAMILY"),
            value(text, WHEN, temporality="HYPOTHETICAL"),
            value(text, "negation_api_predictions_total", label="PRESENT"),
        )

    before = counts()
    body = {"documents": [RETURNS, RETURNS], "axes": asked}
    assert axes_client.post("/predict", json=body).status_code == 200
    assert [b - a for a, b in zip(before, counts())] == [more, more, 2]


def test_the_dashboard_asks_for_metrics_that_exist():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {
        name
        for panel in panels
        for target in panel["targets"]
        for name in re.findall(r"negation_api_\w+", target["expr"])
    }
    exist = set()
    for metric in vars(metrics).values():
        if isinstance(metric, (Counter, Gauge, Histogram)):
            (family,) = metric.describe()
            ends = {Counter: ["_total"], Gauge: [""]}
            histogram = ["_bucket", "_sum", "_count"]
            exist |= {family.name + end for end in ends.get(type(metric), histogram)}
    assert len(asked) >= 8
    assert asked <= exist
