"""Gunicorn's main loop in a worker: no client ends it, and it counts right."""

import errno
import os
import selectors
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from math import inf
from types import SimpleNamespace

import pytest
from gunicorn.config import Config

from negation_api.inference.admission import QueueFull
from negation_api.inference.connection_counts import ConnectionCounts
from negation_api.server.connection import ByteBudget
from negation_api.server.executor import Executor
from negation_api.server.worker import Worker
from negation_api.settings import Settings
from server import wait_until

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"
EXPECTING = POST + b"Expect: 100-continue\r\n\r\n"
TO_ARRIVE = 0.1  # seconds, on the loopback


class Application:
    """Does what is put into *run*."""

    extensions = {"negation_api": SimpleNamespace(settings=Settings())}

    def __call__(self, environ, start_response):
        return self.run(environ, start_response)


@pytest.fixture
def make_worker():
    """A function that makes a worker with its main loop's listener, not running."""
    made = []

    def make(connections: int = 100):
        config = Config()
        config.set("worker_connections", connections)
        config.set("worker_tmp_dir", "/dev/shm")
        log = SimpleNamespace(debug=print, info=print, exception=print)
        log.access = lambda *args: None
        worker = Worker(1, os.getpid(), [], None, 30, config, log)
        worker.wsgi = Application()
        worker.slot, worker.connection_counts = 0, ConnectionCounts(1)
        worker.poller = selectors.DefaultSelector()
        worker.tpool = worker.get_thread_pool()
        worker.method_queue.init()
        queue = worker.method_queue
        worker.poller.register(
            queue.fileno(), selectors.EVENT_READ, queue.run_callbacks
        )
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        worker.sockets = [listener]
        worker.poller.register(listener, selectors.EVENT_READ, worker.accept)
        worker.make_reactor()
        worker._accepting = True
        made.append(worker)
        return worker

    yield make
    for worker in made:
        for conn in worker.reactor._waiting:
            worker.reactor._drop(conn)
        for file in worker.tmp, worker.poller, worker.method_queue, *worker.sockets:
            file.close()


def connect(worker, data: bytes = b"") -> socket.socket:
    client = socket.create_connection(worker.sockets[0].getsockname())
    client.sendall(data)
    time.sleep(TO_ARRIVE)
    return client


def reset(client: socket.socket) -> None:
    """Close *client* so that the other side is told of an error."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    time.sleep(TO_ARRIVE)


def test_a_client_that_is_gone_when_told_to_continue_is_dropped(make_worker):
    """A thread has seen that nothing is wrong with the head."""
    worker, submitted = make_worker(), []
    worker.reactor._executor.submit = lambda conn: submitted.append(conn) or True
    client = connect(worker, EXPECTING)
    worker.wait_for_and_dispatch_events(5)
    (conn,) = submitted
    assert conn.request == EXPECTING and worker.nr_conns == 1
    reset(client)
    conn.wants_body = True
    worker.reactor.finish(conn)
    assert worker.nr_conns == 0
    files = worker.method_queue, *worker.sockets
    assert list(worker.poller.get_map()) == [file.fileno() for file in files]


def test_a_full_worker_asks_for_no_body(make_worker):
    worker = make_worker()
    worker.reactor._executor.submit = lambda conn: False
    with connect(worker, EXPECTING) as client:
        worker.wait_for_and_dispatch_events(5)
        assert client.recv(65536).startswith(b"HTTP/1.1 429 ")


def answer(worker, data: bytes, run) -> bytes:
    """Send *data* and have it handled by *run*; give what is answered."""
    worker.wsgi.run = run
    with connect(worker, data) as client:
        client.shutdown(socket.SHUT_WR)
        worker.wait_for_and_dispatch_events(5)  # accepts
        for _ in range(10):
            if worker.nr_conns:
                worker.wait_for_and_dispatch_events(1)
        client.settimeout(5)
        return b"".join(iter(partial(client.recv, 65536), b""))


def healthy(environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    return []


@pytest.mark.parametrize("request_", [GET + b"\r\n", POST + b"\r\n0123456789"])
def test_a_worker_without_threads_left_answers_with_one(
    make_worker, monkeypatch, request_
):
    def start(thread):
        raise RuntimeError("can't start new thread")

    worker = make_worker()
    monkeypatch.setattr(threading.Thread, "start", start)
    assert answer(worker, request_, healthy).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("name", ["health", "docs"])
def test_full_memory_refuses_no_request_without_a_body(make_worker, name):
    """All of it may be bodies that are half sent."""
    worker = make_worker()
    worker.reactor._held.add(worker.reactor._held.most)
    get = GET.replace(b"health", name.encode()) + b"\r\n"
    assert answer(worker, get, healthy).startswith(b"HTTP/1.1 200 ")
    post = POST + b"\r\n0123456789"
    assert answer(worker, post, healthy).startswith(b"HTTP/1.1 429 ")


def test_an_answer_that_fails_midway_leaves_no_connection_behind(make_worker):
    def fail(environ, start_response):
        start_response("200 OK", [("Content-Length", "9")])
        yield b"begun"
        raise RuntimeError

    worker = make_worker()
    answer(worker, GET + b"\r\n", fail)
    for conn in worker.reactor._waiting:  # for the client to close, if not closed
        worker.reactor._discard(conn)
    assert worker.nr_conns == 0


@pytest.mark.parametrize("count, status", [(64, 200), (65, 429)])
def test_what_comes_out_of_bodies_is_held_by_all_together(make_worker, count, status):
    """Those before are in the model's queue, say."""
    worker, seen = make_worker(), []

    def unpack(environ, start_response):
        try:
            for _ in range(count):
                environ["gunicorn.socket"].hold(worker.settings.max_body_bytes - 10)
            seen.append(200)
        except QueueFull:
            seen.append(429)
        start_response("200 OK", [])
        return []

    answer(worker, POST + b"Connection: close\r\n\r\n0123456789", unpack)
    assert seen == [status]
    assert worker.reactor._held.count == 0  # it is answered


def test_a_refusal_of_head_has_no_body(make_worker):
    worker = make_worker()
    worker.reactor._executor._in_lane["read"] = inf
    for raw, status in (b"HEAD /docs", 429), (b"HEAD /%b" % bytes(9_000), 414):
        found = [
            answer(worker, line + b" HTTP/1.1\r\nHost: x\r\n\r\n", None)
            for line in (raw, raw.replace(b"HEAD", b"GET"))
        ]
        (head, nothing), (same, body) = (each.split(b"\r\n\r\n") for each in found)
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert b"Content-Length: %d\r\n" % len(body) in head and body
        assert nothing == b""


class Listener:
    """Has nothing to accept but *error*."""

    def __init__(self, error: int):
        self.error = error

    def accept(self):
        raise OSError(self.error, os.strerror(self.error))


def test_a_worker_without_files_left_goes_on(make_worker):
    worker = make_worker()
    with connect(worker):
        worker.wait_for_and_dispatch_events(5)
        assert worker.nr_conns == 1
        worker.accept(Listener(errno.EMFILE))
        assert worker.nr_conns == 0  # makes room


@pytest.mark.parametrize(
    "name",
    "ECONNABORTED EPROTO ENETDOWN ENOPROTOOPT EHOSTDOWN EHOSTUNREACH EOPNOTSUPP"
    " ENETUNREACH EPERM ETIMEDOUT ENONET".split(),
)
def test_what_befell_a_connection_that_waited_ends_no_worker(make_worker, name):
    make_worker().accept(Listener(getattr(errno, name)))


def test_a_connection_dropped_in_the_same_round_is_counted_once(make_worker):
    """It has sent something, and must go for one that is accepted."""
    worker = make_worker(connections=1)
    with connect(worker) as first:
        worker.wait_for_and_dispatch_events(5)
        with connect(worker):
            first.sendall(GET)
            time.sleep(TO_ARRIVE)
            worker.wait_for_and_dispatch_events(5)
            assert worker.nr_conns == 1


def test_what_is_too_many_goes_as_soon_as_it_can(make_worker):
    """Requests that are being handled cannot, and patient ones have no limit."""
    worker, submitted = make_worker(connections=1), []
    worker.reactor._executor.submit = lambda conn: submitted.append(conn) or True
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connect(worker, GET + b"\r\n"))
        worker.wait_for_and_dispatch_events(5)
        for conn in submitted:
            conn.keeps_open = True
            worker.reactor.finish(conn)
        assert worker.nr_conns == 3
        stack.enter_context(connect(worker))
        worker.wait_for_and_dispatch_events(5)
        assert worker.nr_conns == 1


def test_a_draining_worker_accepts_what_waits_behind_a_closed_connection(make_worker):
    worker = make_worker()
    reset(connect(worker))
    with connect(worker, GET):
        worker.alive = False
        (listener,) = worker.sockets
        worker.set_accept_enabled(False)
        assert worker.nr_conns == 1
        assert listener.fileno() == -1 and not worker.sockets


def test_patient_requests_run_one_at_a_time_until_they_wait():
    """Their threads would hold up `/health` otherwise, see `turns.py`."""
    begun, ended, go_on = [], [], threading.Event()

    def handle(conn):
        begun.append(conn)
        conn.go_on.wait(20)
        conn.sock.end_turn()
        go_on.wait(20)

    def request():
        sock = SimpleNamespace(flush=lambda: None, end_turn=lambda: None)
        return SimpleNamespace(
            request=b"POST /negation/process", sock=sock, go_on=threading.Event()
        )

    pool = ThreadPoolExecutor(1)
    executor = Executor(pool, handle, ended.append, ByteBudget(0), Settings())
    assert all(executor.submit(request()) for _ in range(3))
    for number in range(1, 4):
        wait_until(lambda: len(begun) >= number, 20, "the next begins")
        time.sleep(TO_ARRIVE)
        assert len(begun) == number
        begun[-1].go_on.set()
    go_on.set()
    wait_until(lambda: len(ended) == 3, 20, "all are finished")
