"""Stopping a server loses nothing: alone, and behind a load balancer.

HAProxy stands in for the ALB. Times are shortened in proportion: the balancer's 60 s
of idleness to 4 s, our keep-alive of 75 s to 5 s.
"""

import http.client
import os
import random
import select
import signal
import socket
import threading
import time
from contextlib import ExitStack, suppress

import pytest

from balancer import HEADERS, NUM_CLIENTS, SLOW_BODY, Balancer, Load, connected
from fork_server import Server
from server import read_reply, wait_until

IDLE_SECONDS = 4  # of the balancer, towards both sides
KEEPALIVE_SECONDS = 5  # of the server; 60:75 = 4:5
ENV = {"WEB_CONCURRENCY": "1", "INFERENCE_THREADS": "1"}


def start(model, **settings) -> Server:
    """A server that takes 0.2 s and more over the word "history"."""
    env = {**ENV, **{name: str(value) for name, value in settings.items()}}
    return Server(model, env, "faulty:app", ("--pythonpath", "tests"))


# --- alone --------------------------------------------------------------------


def test_a_stopping_server_finishes_what_it_has(toy_model):
    with start(toy_model) as server, ExitStack() as stack:
        kept, asked, silent = (
            stack.enter_context(connected(server.port)) for _ in range(3)
        )
        kept.request("GET", "/health")
        assert read_reply(kept).status == 200
        silent.connect()
        asked.request("POST", "/predict", SLOW_BODY, HEADERS)
        wait_until(lambda: _in_flight(server.port) >= 3, 10, "connections accepted")
        os.kill(server.pid, signal.SIGTERM)
        wait_until(lambda: server.log(event="Handling signal: term"), 10, "SIGTERM")
        time.sleep(0.05)

        kept.request("GET", "/health")
        reply = read_reply(kept)
        assert (reply.status, reply.json) == (503, {"status": "draining"})
        assert reply.headers["connection"] == "close"
        assert read_reply(asked).status == 200
        # A connection without a request holds it up for no more than a moment.
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < KEEPALIVE_SECONDS
        assert server.stderr() == ""


def _in_flight(port: int) -> int:
    """Count the connections to *port* that the server holds."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


# --- behind a load balancer ---------------------------------------------------


@pytest.mark.system
def test_five_rolling_replacements_fail_no_request(toy_model, tmp_path):
    with ExitStack() as stack:
        servers = {name: stack.enter_context(start(toy_model)) for name in "ab"}
        ports = [server.port for server in servers.values()]
        balancer = stack.enter_context(Balancer(tmp_path, ports))
        with Load(balancer.port) as load:  # ends before the servers do
            for name in "ab" * 5:
                before = load.num_answered
                _replace(servers, name, balancer, stack)
                wait_until(lambda: load.num_answered > before + NUM_CLIENTS, 20, "load")
                assert load.failures == []
        assert load.failures == []


def _replace(servers, name: str, balancer: Balancer, stack: ExitStack) -> None:
    """As on ECS: it leaves the rotation, then it is stopped; another takes over.

    While one is away the other has the whole load.
    """
    old = servers[name]
    balancer.drain(name)
    assert old.stop() == 0 and old.stderr() == ""
    servers[name] = new = stack.enter_context(start(old.model))
    balancer.admit(name, new.port)


@pytest.mark.system
def test_a_server_killed_while_in_rotation_fails_requests(toy_model, tmp_path):
    """What the test above would see if something failed."""
    with ExitStack() as stack:
        servers = [stack.enter_context(start(toy_model)) for _ in "ab"]
        ports = [server.port for server in servers]
        balancer = stack.enter_context(Balancer(tmp_path, ports))
        load = stack.enter_context(Load(balancer.port))
        wait_until(lambda: load.num_answered > NUM_CLIENTS, 20, "load")
        servers[0].stop(signal.SIGKILL)
        wait_until(lambda: load.failures, 20, "failures")


class Distance:
    """A network between the balancer and a server: it delays every packet.

    On one machine the close of an idle connection is seen at once, and the race
    between that and the next request is over before it can be lost.
    """

    SECONDS = 0.1

    def __init__(self, target: int):
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *exception):
        for end in self._sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in self._sockets:
            end.close()

    def _start(self, function, *args):
        self._threads.append(threading.Thread(target=function, args=args))
        self._threads[-1].start()

    def _accept(self):
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._sockets.append(near)
                far = socket.create_connection(("127.0.0.1", self._target))
                self._sockets.append(far)
                self._start(self._carry, near, far)
                self._start(self._carry, far, near)

    def _carry(self, source, sink):
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(self.SECONDS)
                sink.sendall(data)
        with suppress(OSError):
            time.sleep(self.SECONDS)
            sink.shutdown(socket.SHUT_WR)


def _requests_after_silence(port: int, silences) -> list:
    """Send two requests on each of many connections, so many seconds apart.

    A client that finds its connection closed opens another. One that has asked
    and finds it closed then has lost a request: that is how HAProxy reports a
    server that closes a kept-alive connection while a request is on its way.
    """
    outcomes = []

    def ask_twice(silence):
        with connected(port) as connection:
            connection.request("GET", "/health")
            outcomes.append(read_reply(connection).status)
            time.sleep(silence)
            if select.select([connection.sock], [], [], 0)[0]:
                connection.close()
            try:
                connection.request("GET", "/health")
                outcomes.append(read_reply(connection).status)
            except (http.client.RemoteDisconnected, ConnectionError):
                outcomes.append("lost")

    threads = [threading.Thread(target=ask_twice, args=(s,)) for s in silences]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def _silences(shortest: float, longest: float) -> list[float]:
    """So many that some hit the race, and none hits the balancer's own."""
    dice = random.Random(20261123)
    silences = [dice.uniform(shortest, longest) for _ in range(200)]
    return [s for s in silences if abs(s - IDLE_SECONDS) > 0.05]


@pytest.mark.system
@pytest.mark.parametrize(
    "keepalive, shortest, longest",
    [(KEEPALIVE_SECONDS, IDLE_SECONDS - 0.5, KEEPALIVE_SECONDS + 1.5), (2, 1.5, 3.5)],
    ids=["longer than the balancer's", "shorter"],
)
def test_silence_costs_no_request_if_the_servers_keepalive_is(
    toy_model, tmp_path, keepalive, shortest, longest
):
    with ExitStack() as stack:
        server = stack.enter_context(start(toy_model, KEEPALIVE=keepalive))
        distance = stack.enter_context(Distance(server.port))
        ports = [distance.port] * 2
        balancer = Balancer(tmp_path, ports, reuse="never", idle=IDLE_SECONDS)
        stack.enter_context(balancer)
        silences = _silences(shortest, longest)
        outcomes = _requests_after_silence(balancer.port, silences)
    if keepalive > IDLE_SECONDS:
        assert set(outcomes) == {200}
    else:
        assert {502, "lost"} & set(outcomes)  # what the rule is for
