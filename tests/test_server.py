"""The helper that starts a real Gunicorn for the other tests."""

import pytest

from server import Server


def test_a_server_answers_logs_and_stops(toy_model):
    with Server(model=toy_model, env={"WEB_CONCURRENCY": "1"}) as server:
        assert server.post({"sentence": "denies [entity] pain [entity]"}).status == 200
        (worker,) = server.workers()
        assert server.stop() == 0
        (line,) = server.log(event="request", route="/predict")
        assert line["status"] == 200 and line["tokens"] == 10
        assert server.log(event=f"Booting worker with pid: {worker}")
        assert server.stderr() == ""


def test_a_server_that_cannot_start_says_why():
    with pytest.raises(RuntimeError, match="PRECISION='int3' must be one of"):
        Server(env={"PRECISION": "int3"}).start()
