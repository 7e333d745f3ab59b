"""Gunicorn for real: one model in memory, several processes that answer from it."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import fork_server
from server import ROOT, Server, private_mb, wait_until

MAX_PRIVATE_MB = 60  # of a worker
SENTENCE = {"sentence": "The patient denies any [entity] chest pain [entity]."}
NUM_REQUESTS = 200


@pytest.fixture(scope="module")
def bert_base(tmp_path_factory) -> Path:
    from toy import write_bert_base

    return write_bert_base(tmp_path_factory.mktemp("models") / "base")


def note(num_entities: int) -> dict:
    """A note with as many entities, each in a sentence of its own."""
    lines = [f"Denies pain in finger {n}.\n" for n in range(num_entities)]
    starts = [sum(map(len, lines[:n])) + 7 for n in range(num_entities)]
    entities = [{"start": start, "end": start + 4} for start in starts]
    return {"text": "".join(lines), "entities": entities}


def answering(server) -> set[int]:
    """Process ids that have answered a prediction."""
    lines = server.log(event="request", route="/predict", status=200)
    return {line["pid"] for line in lines}


def sentence_of(num_words: int) -> dict:
    return {"sentence": "no " * num_words + "[entity] pain [entity]"}


def ask_until_all_answer(server) -> None:
    """Ask, eight at a time, until each worker of now has answered."""

    def ask_and_look():
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(server.post, [SENTENCE] * 16))
        assert {reply.status for reply in replies} == {200}
        return set(server.workers()) <= answering(server)

    wait_until(ask_and_look, 60, "an answer of each worker")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_workers_share_one_model(bert_base, precision):
    env = {"WEB_CONCURRENCY": "2", "PRECISION": precision}
    with Server(model=bert_base, env=env) as server:
        ask_until_all_answer(server)
        lengths = [1 + 7 * n % 60 for n in range(NUM_REQUESTS)]
        with ThreadPoolExecutor(16) as pool:
            replies = list(pool.map(server.post, map(sentence_of, lengths)))
        assert {reply.status for reply in replies} == {200}
        loaded = server.log(event="model loaded")  # and what answers the axes beside it
        assert len(loaded) == 2
        assert {each["pid"] for each in loaded} == {server.pid}  # the master
        workers = server.workers()
        assert len(workers) == 2

        def at_rest():
            """What batches needed for a moment is returned two seconds later."""
            return max(map(private_mb, workers)) <= MAX_PRIVATE_MB

        wait_until(at_rest, 20, "weights that are shared")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_it_does_not_take_memory_for_every_length(precision):
    env = {"WEB_CONCURRENCY": "1", "INFERENCE_THREADS": "1", "PRECISION": precision}
    with Server(env=env) as server:
        (worker,) = server.workers()
        for length in range(1, 300):
            assert server.post(sentence_of(length)).status == 200
        assert private_mb(worker) <= MAX_PRIVATE_MB  # at int8 it was 560


def test_a_killed_worker_is_replaced_and_answers(toy_model):
    with fork_server.Server(toy_model, {"WEB_CONCURRENCY": "2"}) as server:
        before = set(server.workers())
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: len(set(server.workers()) - before) == 1, 30, "a new worker")
        ask_until_all_answer(server)
        assert len(server.log(event="model loaded")) == 1


def test_sigterm_lets_a_request_finish():
    replies = []
    body = note(400)
    env = {"WEB_CONCURRENCY": "1", "INFERENCE_THREADS": "1"}
    with fork_server.Server(env=env) as server:
        client = threading.Thread(target=lambda: replies.append(server.post(body)))
        client.start()
        (worker,) = server.workers()
        wait_until(lambda: busy(worker), 30, "the worker is busy")
        assert not replies
        assert server.stop(signal.SIGTERM) == 0
        client.join()
    assert replies[0].status == 200
    assert len(replies[0].json["predictions"]) == 400


def busy(pid: int, seconds: float = 0.1) -> bool:
    """Tell whether *pid* has begun to use the CPU in earnest."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11]
    return int(ticks) / os.sysconf("SC_CLK_TCK") >= seconds


def test_workers_answer_whatever_number_of_threads_openmp_is_told(bert_base):
    """A pool of threads that the master started would be dead in the workers.

    They would hang in the first forward pass that wants more than one thread. A
    model must be of some size before torch starts the pool.
    """
    env = {"WEB_CONCURRENCY": "2", "OMP_NUM_THREADS": "4", "REQUEST_TIMEOUT": "20"}
    with Server(model=bert_base, env=env) as server:
        large = {"sentence": f"denies [entity] pain [entity] {'chest pain ' * 50}"}
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(server.post, [large] * 8))
        assert {reply.status for reply in replies} == {200}


@pytest.mark.parametrize(
    "env, line",
    [
        ({"PORT": "many"}, "PORT='many' is not a whole number"),
        ({"MODEL": "/nowhere"}, "/nowhere: no such model directory"),
        ({"MODEL": "a/b"}, "fetch it: make model, or negation-api model fetch"),
    ],
)
def test_what_cannot_be_served_stops_the_start_in_one_line(env, line):
    start = [sys.executable, "-m", "gunicorn", "wsgi:app"]
    run = subprocess.run(
        start, env={**os.environ, **env}, cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode != 0
    assert len(run.stderr.splitlines()) == 1
    assert run.stderr.startswith("negation_api cannot start: ")
    assert run.stderr.rstrip().endswith(line)


def test_thirty_two_clients_see_no_error():
    env = {"WEB_CONCURRENCY": "2"}
    with fork_server.Server(env=env) as server, ThreadPoolExecutor(32) as pool:
        replies = list(pool.map(server.post, [SENTENCE, note(3)] * 320))
        assert {reply.status for reply in replies} == {200}
        assert {reply.json.get("label", "ABSENT") for reply in replies} == {"ABSENT"}
        assert server.stderr() == ""
