"""What goes wrong in a running server, and that it goes on. See docs/reliability.md."""

import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import threading
import time
from contextlib import ExitStack, suppress

import pytest

from fork_server import Server
from server import wait_until

CANARY = "zebrafish"  # in an exception's message and in every text that is sent
READ_TIMEOUT = 2.0
REQUEST_TIMEOUT = 3.0
FAULTY = ("--pythonpath", "tests")


def sentence(*words: str) -> dict:
    return {"sentence": f"denies [entity] {CANARY} [entity] {' '.join(words)}"}


@pytest.fixture(scope="module")
def poisoned_model(toy_model, tmp_path_factory):
    """The toy, its embedding of "pneumonia" not a number."""
    from safetensors.torch import load_file, save_file

    directory = tmp_path_factory.mktemp("model") / "poisoned"
    shutil.copytree(toy_model, directory)
    weights = load_file(directory / "model.safetensors")
    words = (directory / "vocab.txt").read_text().split("\n")
    embeddings = weights["bert.embeddings.word_embeddings.weight"]
    embeddings[words.index("pneumonia")] = float("nan")
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


@pytest.fixture(scope="module")
def server(poisoned_model):
    env = {
        "WEB_CONCURRENCY": "2",
        "INFERENCE_THREADS": "2",
        "BATCH_TIMEOUT": "1",
        "READ_TIMEOUT": f"{READ_TIMEOUT}",
        "REQUEST_TIMEOUT": f"{REQUEST_TIMEOUT}",
        "MAX_ACTIVE_REQUESTS": "4",
    }
    with Server(poisoned_model, env, "faulty:app", FAULTY) as server:
        yield server
        server.stop()
        assert server.stderr() == ""
        assert CANARY not in str(server.log())


@pytest.fixture(autouse=True)
def still_answers(request):
    """After every fault the next requests are answered, by whichever worker."""
    yield
    server = request.getfixturevalue("server")
    for _ in range(8):
        assert server.post(sentence()).status == 200
        assert server.get("/health").status == 200


def wait_for_log(server, **members) -> None:
    wait_until(lambda: server.log(**members), 20, f"{members} is logged")


# --- the model ----------------------------------------------------------------


@pytest.mark.parametrize(
    "word, error",
    [("chills", "BatchFailed < RuntimeError"), ("pneumonia", "ModelError")],
)
def test_a_failing_model_is_a_500_without_its_reason(server, word, error):
    """A model that gives NaN ("pneumonia") fails too: it never gives a number."""
    reply = server.post(sentence(word))
    assert reply.status == 500
    assert reply.json == {"title": "Internal Server Error", "status": 500}
    line = server.log(event="unexpected error")[-1]
    assert line["request_id"] == reply.headers["x-request-id"]
    assert error in line["error"]


def test_a_dead_inference_thread_is_replaced(server):
    num_threads = 2 * 2
    for _ in range(num_threads + 1):
        assert server.post(sentence("cough")).status == 500
    replaced = {"event": "inference thread died; replaced"}
    wait_until(lambda: len(server.log(**replaced)) > num_threads, 20, "the last")
    assert len(server.log(**replaced)) == num_threads + 1


def test_a_worker_whose_batch_hangs_is_replaced(server):
    before = server.workers()
    with pytest.raises(OSError):
        server.post(sentence("nausea"))
    assert server.log(event="batch hangs", level="critical")
    wait_until(lambda: not set(before) <= set(server.workers()), 20, "a new worker")


def test_a_killed_worker_loses_only_what_it_had_in_flight(server):
    killed_at = 0.0
    stop = threading.Event()
    failures = []  # (client, when it began)
    answers = []  # (status, when it began)

    def client(number):
        while not stop.is_set():
            began = time.monotonic()
            try:
                answers.append((server.post(sentence("history")).status, began))
            except OSError:
                failures.append((number, began))

    threads = [threading.Thread(target=client, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(answers) > 8, 20, "load")
    before = server.workers()
    killed_at = time.monotonic()
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: sum(b > killed_at for _, b in answers) > 16, 20, "load")
    stop.set()
    for thread in threads:
        thread.join()
    assert {status for status, _ in answers} <= {200, 429}
    assert len({number for number, _ in failures}) == len(failures)  # once each
    assert all(began < killed_at for _, began in failures)
    assert before[0] not in server.workers() and len(server.workers()) == 2
    assert (
        len(  # the new worker was forked from the master
            server.log(event="model loaded")
        )
        == 1
    )


# --- clients ------------------------------------------------------------------


def connect(server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def read_all(connection: socket.socket) -> bytes:
    """Read until the server closes."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def head(length: int) -> bytes:
    return (
        f"POST /predict HTTP/1.1\r\nHost: test\r\nX-Note: {CANARY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def test_a_head_that_never_ends_is_a_408(server):
    """Also when a byte comes now and then, as in a slowloris attack."""
    started = time.monotonic()
    with connect(server) as connection:
        connection.sendall(head(10)[:-4])
        connection.settimeout(0.1)
        reply = b""
        while not reply:
            connection.sendall(b"x")
            with suppress(TimeoutError):
                reply = connection.recv(65536)
    assert reply.startswith(b"HTTP/1.1 408 ") and b"/problems/read-timeout" in reply
    assert time.monotonic() - started >= READ_TIMEOUT


@pytest.mark.parametrize("sent", [0, 40])
def test_a_body_that_stops_half_way_is_a_408(server, sent):
    with connect(server) as connection:
        connection.sendall(head(100) + b'{"sentence": "'.ljust(sent, b"x")[:sent])
        reply = read_all(connection)  # the server closes
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert re.search(rb"\r\nConnection: close\r\n", reply)
    assert b"/problems/read-timeout" in reply


def test_a_client_that_ends_its_body_early_harms_nobody(server):
    with connect(server) as connection:
        connection.sendall(head(100) + b"{")
        connection.shutdown(socket.SHUT_WR)
        assert b" 400 " in read_all(connection).split(b"\r\n")[0]


def test_rows_of_a_client_that_hangs_up_are_dropped(server):
    documents = [sentence("history", *["the"] * n) for n in range(60, 100)]
    body = {"documents": documents}
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    headers = {"Content-Type": "application/json", "X-Request-Id": "hung-up"}
    connection.request("POST", "/predict", json.dumps(body), headers)
    time.sleep(0.1)
    connection.close()
    wait_for_log(server, event="request", request_id="hung-up", status=499)


def test_slow_clients_keep_nobody_waiting(server):
    """More of them than threads: a request costs a thread when it is complete."""
    num_threads = 4 + 32
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(server)) for _ in range(4 * num_threads)]
        for number, connection in enumerate(slow):
            connection.sendall([head(100)[:-4], head(100), b""][number % 3])
        assert server.get("/health").status == 200
        assert server.post(sentence()).status == 200
        assert not select.select(slow[-20:], [], [], 0)[0]  # they are still at it


def test_a_client_that_does_not_read_its_answers_costs_no_thread_for_long(server):
    """One answer is more than the connection holds, so that writing it has to wait."""
    num_requests = 2_000
    with connect(server) as connection:
        connection.settimeout(4 * READ_TIMEOUT)
        with suppress(OSError):  # when the server has closed
            connection.sendall(
                b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * num_requests
            )
        time.sleep(2 * READ_TIMEOUT)
        answers = 0
        with suppress(ConnectionResetError):
            while data := connection.recv(1 << 20):
                answers += data.count(b"HTTP/1.1 200 OK")
        assert 0 < answers < num_requests


def test_clients_that_do_not_close_keep_nobody_waiting(server):
    """They were told that the connection ends, and stay."""
    with ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(connect(server))
            connection.sendall(b"nonsense\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
        began = time.monotonic()
        for _ in range(20):
            assert server.get("/health").status == 200
        assert time.monotonic() - began < 10  # where each would have cost 2 s


def test_a_body_over_the_limit_is_refused_before_it_is_sent(server):
    with connect(server) as connection:
        connection.sendall(head(10**9))
        reply = read_all(connection)
    assert reply.startswith(b"HTTP/1.1 413 ") and b"Connection: close" in reply


def test_a_client_that_waits_for_100_continue_gets_it(server):
    body = json.dumps(sentence()).encode()
    with connect(server) as connection:
        expecting = head(len(body)).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue")
        connection.sendall(expecting + b"\r\nConnection: close\r\n\r\n")
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert b"HTTP/1.1 200 OK\r\n" in read_all(connection)


def test_requests_sent_without_waiting_are_answered_in_order(server):
    with connect(server) as connection:
        get = b"GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: %d\r\n"
        requests = [get % n + b"\r\n" for n in range(4)]
        requests.append(get % 4 + b"Connection: close\r\n\r\n")
        stream = b"".join(requests)
        connection.sendall(stream[:100])
        time.sleep(0.1)
        connection.sendall(stream[100:])
        ids = re.findall(rb"X-Request-Id: (\d)\r\n", read_all(connection))
    assert ids == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize(
    "chunks, status",
    [
        (b"7\r\nzebrafi\r\n0\r\n\r\n", 400),
        (b"x\r\nzebrafish\r\n\r\n", 400),
        (b"5\r\nzebrafish\r\n0\r\n\r\n", 400),
        (b"0\r\n\r\n", 400),
        (b"2\r\n{}\r\n0\r\n\r\n", 422),
        (b"2\r\n{}\r\n0\r\nX-Sum: zebrafish\r\n\r\n", 422),
    ],
)
def test_chunks_are_read_or_refused(server, chunks, status):
    start = head(1).replace(b"Content-Length: 1", b"Transfer-Encoding: chunked")
    with connect(server) as connection:
        connection.sendall(start)
        time.sleep(0.05)
        connection.sendall(chunks)
        line = connection.recv(65536).split(b"\r\n")[0]
    assert line.startswith(b"HTTP/1.1 %d " % status)
