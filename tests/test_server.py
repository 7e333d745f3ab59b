"""The helpers that start a real Gunicorn for the other tests."""

import pytest

import fork_server
from server import ROOT, Server

STATIC = ROOT / "negation_api" / "http" / "static"


KINDS = pytest.mark.parametrize("kind", [Server, fork_server.Server])


@KINDS
def test_a_server_answers_logs_and_stops(kind, toy_model):
    with kind(model=toy_model, env={"WEB_CONCURRENCY": "1"}) as server:
        assert server.post({"sentence": "denies [entity] pain [entity]"}).status == 200
        (worker,) = server.workers()
        assert server.stop() == 0
        (line,) = server.log(event="request", route="/predict")
        assert line["status"] == 200 and line["tokens"] == 10
        assert server.log(event=f"Booting worker with pid: {worker}")
        assert server.stderr() == ""


@KINDS
def test_a_server_that_cannot_start_says_why(kind):
    with pytest.raises(RuntimeError, match="PRECISION='int3' must be one of"):
        kind(env={"PRECISION": "int3"}).start()


@pytest.mark.parametrize(
    "given", [{"prefix": ("nice",)}, {"env": {"OMP_NUM_THREADS": "1"}}]
)
def test_a_fork_refuses_what_comes_too_late(given):
    with pytest.raises(ValueError, match="too late"):
        fork_server.Server(**given).start()


ADDRESS = {"docs": "/docs/static", "playground": "/playground"}


def test_files_are_sent_whole():
    env, args = {"WEB_CONCURRENCY": "1"}, ("--pythonpath", "tests")
    with Server(app="light:app", env=env, args=args) as server:
        for path in STATIC.rglob("*.*s"):
            url = ADDRESS[path.parent.name]
            assert server.get(f"{url}/{path.name}").body == path.read_bytes()
