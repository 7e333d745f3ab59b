"""Connections: shared evenly among the workers, whoever is quicker."""

import http.client
import os
import signal
from pathlib import Path

from server import Server, wait_until
from test_serving import ask_until_all_answer

from negation_api.inference.seats import Seats

NUM_CONNECTIONS = 60
MAX_DIFFERENCE = 6  # now and then a process is not scheduled in time


def test_a_worker_gets_a_seat_that_is_free():
    seats = Seats(3)
    assert [seats.choose(taken) for taken in ([], [0], [0, 2], [1, 2])] == [0, 1, 1, 0]


def test_after_a_reload_a_dead_worker_s_seat_is_filled_by_one_like_it():
    seats = Seats(2)
    assert seats.choose([0, 1]) == 2
    assert seats.choose([0, 1, 2]) == 3
    assert seats.choose([2]) == 1  # 0 is like 2
    assert seats.choose([3]) == 0


def test_more_workers_than_seats_share_them():
    assert Seats(1).choose([0, 1]) in (0, 1)


def test_the_worker_with_more_connections_gives_way():
    seats = Seats(2)
    seats.note(0, 3)
    assert not seats.has_less_busy(0)  # alone
    seats.note(1, 3)
    assert not seats.has_less_busy(0) and not seats.has_less_busy(1)
    seats.note(1, 2)
    assert seats.has_less_busy(0) and not seats.has_less_busy(1)


def test_nobody_waits_for_a_worker_that_left():
    seats = Seats(2)
    seats.note(0, 3)
    seats.note(1, 0)
    seats.leave(1)
    assert not seats.has_less_busy(0)


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
    links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
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
