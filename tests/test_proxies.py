"""Behind real proxies nothing is lost, mixed up or unpacked on the way."""

import gzip
import json
import re
import threading
import time
from contextlib import ExitStack
from urllib.parse import urljoin

import pytest

from balancer import connected
from proxies import KINDS, Proxy
from server import Server, read_reply

pytestmark = pytest.mark.system

MAX_BODY_BYTES = 400_000
ENV = {"WEB_CONCURRENCY": "1", "INFERENCE_THREADS": "1"}
ENV |= {"MAX_BODY_BYTES": str(MAX_BODY_BYTES)}
JSON = {"Content-Type": "application/json"}
NUM_CLIENTS, NUM_ROUNDS = 4, 5

ENTITIES = [{"start": 14 * n + 7, "end": 14 * n + 12} for n in range(100)]
NOTE = json.dumps({"text": "Denies fever. " * 5_000, "entities": ENTITIES}).encode()
assert len(NOTE) > 70_000


def sentence(number: int) -> bytes:
    return json.dumps(
        {"sentence": "denies [entity] pain [entity]", "id": number}
    ).encode()


@pytest.fixture(scope="module")
def servers():
    """Two of a moment's work for an answer; one whose routes have a prefix."""
    with ExitStack() as stack:
        args = ("--pythonpath", "tests")
        envs = ENV, ENV, ENV | {"URL_PREFIX": "/nlp"}
        servers = [Server(env=env, app="keywords:app", args=args) for env in envs]
        starts = [threading.Thread(target=server.start) for server in servers]
        for start in starts:
            start.start()
        for start in starts:
            start.join()
        for server in servers:
            stack.push(server)
        yield servers


@pytest.fixture(scope="module")
def proxies(servers, tmp_path_factory):
    ports = tuple(server.port for server in servers)
    with ExitStack() as stack:
        yield {
            kind: stack.enter_context(Proxy(kind, tmp_path_factory.mktemp(kind), ports))
            for kind in KINDS
        }


@pytest.fixture(params=KINDS)
def proxy(request, proxies):
    return proxies[request.param]


def ask(connection, method, path, body=None, **headers):
    """Ask once; a body that is no bytes is sent in chunks."""
    connection.request(method, path, body, {**JSON, **headers})
    return read_reply(connection)


def in_chunks(body: bytes):
    """Give *body* in pieces, so that its length is not known when it begins."""
    return (body[n : n + 7_000] for n in range(0, len(body), 7_000))


def test_a_large_answer_is_gzip_for_who_accepts_it_only(proxy):
    with connected(proxy.port) as connection:
        packed = ask(
            connection, "POST", "/predict", NOTE, **{"Accept-Encoding": "gzip"}
        )
        plain = ask(connection, "POST", "/predict", NOTE)
    assert packed.status == plain.status == 200
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert "Accept-Encoding" in packed.headers["vary"]
    answers = json.loads(gzip.decompress(packed.body)), plain.json
    labels = [[p["label"] for p in answer["predictions"]] for answer in answers]
    assert labels == [["ABSENT"] * len(ENTITIES)] * 2


def test_a_body_in_chunks_comes_whole(proxy):
    with connected(proxy.port) as connection:
        reply = ask(connection, "POST", "/api/predict", in_chunks(NOTE))
    assert len(reply.json["predictions"]) == len(ENTITIES)


def test_a_body_that_is_gzip_comes_as_it_is(proxy):
    body = gzip.compress(NOTE)
    with connected(proxy.port) as connection:
        for sent in body, in_chunks(body):
            coding = {"Content-Encoding": "gzip"}
            reply = ask(connection, "POST", "/predict", sent, **coding)
            assert len(reply.json["predictions"]) == len(ENTITIES)


def test_a_prefix_that_the_proxy_strips_is_not_seen(proxy):
    with connected(proxy.port) as connection:
        for path in "/health", "/openapi.json", "/problems/no-key":
            reply, other = (ask(connection, "GET", p) for p in (path, f"/api{path}"))
            assert reply.status == 200 and reply.json == other.json


def test_a_prefix_that_the_proxy_keeps_is_the_service_s(proxy):
    with connected(proxy.port) as connection:
        reply = ask(connection, "POST", "/nlp/predict", sentence(7))
        assert (reply.status, reply.json["id"]) == (200, 7)
        page = ask(connection, "GET", "/nlp/")
        loaded = re.findall(rb'(?:href|src)="([^"#]+)"', page.body)
        assert len(loaded) > 5
        for path in loaded:
            place = urljoin("/nlp/", path.decode())
            assert ask(connection, "GET", place).status == 200, place


def test_a_proxy_of_http_1_0_is_answered(proxies):
    """nginx's default until 1.29: a connection for each request."""
    with connected(proxies["nginx"].port) as connection:
        for accepted in "identity", "gzip":
            headers = {"Accept-Encoding": accepted}
            reply = ask(connection, "POST", "/old/predict", in_chunks(NOTE), **headers)
            assert reply.headers.get("content-encoding", "identity") == accepted
            body = gzip.decompress(reply.body) if accepted == "gzip" else reply.body
            assert len(json.loads(body)["predictions"]) == len(ENTITIES)


def test_each_gets_its_own_answer_out_of_the_pool(proxy, servers):
    """Whatever was asked before on the same connection, and refused."""
    too_large = b" " * (MAX_BODY_BYTES + 1)
    found, wanted = [], []

    def run(client: int):
        with connected(proxy.port) as connection:
            for number in range(client, client + NUM_ROUNDS):
                steps = [
                    ("POST", "/predict", sentence(number), (200, number)),
                    ("POST", "/predict", b'{"text": 5}', (422, None)),
                    ("POST", "/predict", in_chunks(sentence(-number)), (200, -number)),
                    ("POST", "/predict", b"{", (400, None)),
                    ("GET", "/health", None, (200, None)),
                    ("POST", "/predict", too_large, (413, None)),
                    ("POST", "/nowhere", sentence(number), (404, None)),
                ]
                for method, path, body, expected in steps:
                    reply = ask(connection, method, path, body)
                    wanted.append((client, expected))
                    found.append((client, (reply.status, reply.json.get("id"))))
                    if reply.headers.get("connection") == "close":
                        connection.close()

    clients = [threading.Thread(target=run, args=(100 * n,)) for n in range(1, 5)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert len(found) == 7 * NUM_ROUNDS * NUM_CLIENTS
    assert sorted(map(str, found)) == sorted(map(str, wanted))


def test_connections_to_the_servers_are_kept(proxy, servers):
    """So that the next test stops a server that has some."""
    before = sum(map(num_open, servers[:2]))
    for _ in range(20):
        with connected(proxy.port) as connection:
            assert ask(connection, "GET", "/health").status == 200
    after = sum(map(num_open, servers[:2]))
    assert after <= before + 2  # one for each server
    assert after >= 2


def num_open(server) -> int:
    """Count the connections that *server* holds."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    return sum(
        row[1].endswith(f":{server.port:04X}") and row[3] == "01" for row in rows
    )


def test_a_server_that_stops_while_pools_are_open_loses_nothing(proxies, servers):
    """Last, as one is gone then. No proxy was told before.

    Without Caddy 2.6, which has no body left to send to the other server.
    """
    failures, counts, done = [], dict.fromkeys(proxies, 0), threading.Event()
    del counts["caddy"]

    def run(proxy):
        number = 0
        with connected(proxy.port) as connection:
            while not done.wait(0.05):
                number += 1
                reply = ask(connection, "POST", "/predict", sentence(number))
                if reply.status == 200 and reply.json["id"] == number:
                    counts[proxy.kind] += 1
                else:
                    failures.append((proxy.kind, reply.status))

    clients = [threading.Thread(target=run, args=(proxies[kind],)) for kind in counts]
    for client in clients:
        client.start()
    time.sleep(0.5)
    before = dict(counts)
    assert servers[1].stop() == 0 and servers[1].stderr() == ""
    after = dict(counts)
    time.sleep(0.5)
    done.set()
    for client in clients:
        client.join()
    assert failures == []
    assert all(0 < before[k] < after[k] < counts[k] for k in counts)
