"""Everything at once for a while, and wrong requests by the thousand."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

import fork_server
from malformed import CANARY, malformed, send
from server import Server
from soak import ENV, Soak

pytestmark = pytest.mark.system

NUM_MALFORMED = 20_000


def test_a_minute_of_everything_leaves_memory_files_and_threads_flat():
    """``bench/soak.py`` for a minute: docs/reliability.md has half an hour of it."""
    with Server(env=ENV) as server:
        soak = Soak(server, 60)
        soak.run()
        assert soak.problems == []
        assert soak.counts["restarts", ""] >= 2
        assert soak.counts["sentence", "200"] > 100


def test_twenty_thousand_malformed_requests_are_refused_and_forgotten(toy_model):
    """Never a 5xx, never a worker lost, and no word of them anywhere."""
    rng = random.Random(20261125)
    wrong = [malformed(rng) for _ in range(NUM_MALFORMED)]
    with fork_server.Server(toy_model, {"WEB_CONCURRENCY": "2"}) as server:
        workers = server.workers()
        with ThreadPoolExecutor(8) as pool:
            statuses = Counter(pool.map(lambda raw: send(server.port, raw), wrong))
        assert server.post({"sentence": "denies [entity] pain [entity]"}).status == 200
        assert server.workers() == workers
        metrics = server.get("/metrics").body.decode()
        assert CANARY not in metrics.lower()
        assert CANARY not in str(server.log()).lower()
        assert server.stderr() == ""
    assert all(400 <= status < 500 for status in statuses if status)
    assert statuses[None] < NUM_MALFORMED / 20  # cut off before all was sent
