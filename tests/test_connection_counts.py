"""Connections: shared evenly among the workers, whoever is quicker."""

import http.client
import os
import signal
from contextlib import suppress
from pathlib import Path

from test_serving import ask_until_all_answer

from fork_server import Server
from negation_api.inference.connection_counts import ConnectionCounts
from server import wait_until

NUM_CONNECTIONS = 60
MAX_DIFFERENCE = 6  # now and then a process is not scheduled in time


def test_a_worker_gets_a_slot_that_is_free():
    counts = ConnectionCounts(3)
    taken = [], [0], [0, 2], [1, 2]
    assert [counts.free_slot(slots) for slots in taken] == [0, 1, 1, 0]


def test_after_a_reload_a_dead_worker_s_slot_goes_to_one_with_its_cores():
    counts = ConnectionCounts(2)
    assert counts.free_slot([0, 1]) == 2
    assert counts.free_slot([0, 1, 2]) == 3
    assert counts.free_slot([2]) == 1  # 0 and 2 have the same cores
    assert counts.free_slot([3]) == 0


def test_more_workers_than_slots_share_them():
    assert ConnectionCounts(1).free_slot([0, 1]) in (0, 1)


def test_the_worker_with_more_connections_gives_way():
    counts = ConnectionCounts(2)
    counts.set(0, 3)
    assert not counts.another_has_fewer(0)  # alone
    counts.set(1, 3)
    assert not counts.another_has_fewer(0) and not counts.another_has_fewer(1)
    counts.set(1, 2)
    assert counts.another_has_fewer(0) and not counts.another_has_fewer(1)


def test_nobody_waits_for_a_worker_that_is_deregistered():
    counts = ConnectionCounts(2)
    counts.set(0, 3)
    counts.set(1, 0)
    counts.deregister(1)
    assert not counts.another_has_fewer(0)


def open_connections(server, count):
    """Open *count* connections at once, then make a request on each; give them."""
    address = "127.0.0.1", server.port
    connections = [http.client.HTTPConnection(*address) for _ in range(count)]
    for connection in connections:
        connection.connect()
    for connection in connections:
        connection.request("GET", "/health")
        assert connection.getresponse().read()
    return connections


def sockets(pid: int) -> int:
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            links.append(os.readlink(link))
    return sum(link.startswith("socket:") for link in links)


def test_connections_are_shared_evenly_also_after_a_worker_died(toy_model):
    with Server(model=toy_model, env={"WEB_CONCURRENCY": "2"}) as server:
        for _ in range(2):
            ask_until_all_answer(server)
            wait_until(lambda: set(map(sockets, server.workers())) == {1}, 30, "rest")
            connections = open_connections(server, NUM_CONNECTIONS)
            shares = [sockets(pid) - 1 for pid in server.workers()]
            assert sum(shares) == NUM_CONNECTIONS
            assert max(shares) - min(shares) <= MAX_DIFFERENCE
            for connection in connections:
                connection.close()
            before = set(server.workers())
            os.kill(min(before), signal.SIGKILL)
            wait_until(lambda: len(set(server.workers()) - before) == 1, 30, "a worker")
