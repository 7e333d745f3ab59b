"""The helper that starts a real Gunicorn for the other tests."""

import pytest

from server import ROOT, Server

STATIC = ROOT / "negation_api" / "http" / "static"


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


ADDRESS = {"docs": "/docs/static", "playground": "/playground"}


def test_files_are_sent_whole():
    env, args = {"WEB_CONCURRENCY": "1"}, ("--pythonpath", "tests")
    with Server(app="light:app", env=env, args=args) as server:
        for path in STATIC.rglob("*.*s"):
            url = ADDRESS[path.parent.name]
            assert server.get(f"{url}/{path.name}").body == path.read_bytes()
