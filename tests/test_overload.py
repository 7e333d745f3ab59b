"""Ten times what the service can carry: ``bench/overload.py``, for a moment."""

import pytest

from fork_server import Server
from overload import overload_server, problems

pytestmark = pytest.mark.system

# A row or two a batch, so that some twenty a second are too many.
ENV = {
    "WEB_CONCURRENCY": "2",
    "INFERENCE_THREADS": "1",
    "BATCH_TOKENS": "64",
    "REQUEST_TIMEOUT": "20",
}


def test_what_does_not_fit_is_refused_and_health_answers(toy_model):
    """429 with Retry-After, no 5xx; how soon is measured in docs/reliability.md."""
    args = ("--pythonpath", "tests")
    with Server(toy_model, ENV, app="slow:app", args=args) as server:
        workers = server.workers()
        found = overload_server(server, seconds=8)
        assert problems(found, goals={}) == []
        assert found["statuses"]["predict 429"] > found["statuses"]["predict 200"] > 0
        assert found["statuses"]["health 200"] > 100
        assert server.workers() == workers
        assert server.stderr() == ""
