"""What a body may be in, and how much of it is read."""

import gzip
import json
import socket
import time
import tracemalloc
import zlib

import pytest

from negation_api.server.connection import ClientSocket
from negation_api.settings import Settings

BODY = json.dumps({"sentence": "denies [entity] pain [entity]"}).encode()
MAX = Settings().max_body_bytes


def ask(client, body: bytes, **headers):
    headers = {"Content-Type": "application/json", **headers}
    return client.post("/predict", data=body, headers=headers)


def gzipped(client, body: bytes, coding: str = "gzip"):
    return ask(client, body, **{"Content-Encoding": coding})


@pytest.mark.parametrize(
    "coding", ["gzip", "GZIP", "x-gzip", " gzip ", "identity,gzip"]
)
def test_a_body_may_be_gzip(client, coding):
    assert gzipped(client, gzip.compress(BODY), coding).json["label"] == "ABSENT"


@pytest.mark.parametrize(
    "raw",
    [
        gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]),  # cat a.gz b.gz
        gzip.compress(BODY) + bytes(100),  # padded, as from a tape
        gzip.compress(b"\xef\xbb\xbf" + BODY),
    ],
)
def test_gzip_may_be_of_several_members_and_padded(client, raw):
    assert gzipped(client, raw).json["label"] == "ABSENT"


@pytest.mark.parametrize("coding", ["", "identity", "Identity"])
def test_a_body_may_say_that_it_is_in_no_coding(client, coding):
    assert gzipped(client, BODY, coding).status_code == 200


@pytest.mark.parametrize(
    "raw",
    [BODY, zlib.compress(BODY), gzip.compress(BODY)[:-4], gzip.compress(BODY) + b"x"],
    ids=["plain", "deflate", "cut", "followed"],
)
def test_what_is_no_gzip_is_no_json(client, raw):
    reply = gzipped(client, raw)
    assert reply.status_code == 400
    assert reply.json["type"] == "/problems/not-json"
    assert "gzip" in reply.json["detail"]


@pytest.mark.parametrize("coding", ["deflate", "br", "zstd", "gzip, gzip", "br,gzip"])
def test_another_coding_is_refused_with_the_one_that_is_read(client, coding):
    reply = gzipped(client, b"", coding)
    assert reply.status_code == 415
    assert reply.headers["Accept-Encoding"] == "gzip"  # RFC 7694
    assert "gzip" in reply.json["detail"]


def test_as_much_may_come_out_as_may_come_in(client):
    assert gzipped(client, gzip.compress(BODY.ljust(MAX))).status_code == 200
    reply = gzipped(client, gzip.compress(BODY.ljust(MAX + 1)))
    assert reply.status_code == 413
    assert reply.json["detail"] == f"At most {MAX} bytes are read; given more."


def test_a_bomb_costs_no_more_than_a_body(client):
    """A mebibyte that would be a gibibyte."""
    bomb = b"".join(gzip.compress(bytes(10**7)) for _ in range(100))
    tracemalloc.start()
    reply = gzipped(client, bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reply.status_code == 413
    assert peak < len(bomb) * 3 + 3 * MAX


def test_the_worker_is_told_what_came_out(client):
    ours, theirs = socket.socketpair()
    held = []
    with ClientSocket(ours) as sock, theirs:
        sock.hold, sock.received = held.append, time.monotonic()
        client.environ_base["gunicorn.socket"] = sock
        assert gzipped(client, gzip.compress(BODY.ljust(MAX))).status_code == 200
        assert ask(client, BODY).status_code == 200
    assert held == [MAX]


def test_a_gzip_body_has_no_more_than_a_hundred_members(client):
    """Those of which nothing comes cost time and meet no other limit."""
    empty, last = gzip.compress(b""), gzip.compress(BODY)
    assert gzipped(client, empty * 99 + last).status_code == 200
    assert gzipped(client, empty * 100 + last).status_code == 400


@pytest.mark.parametrize(
    "kind", [None, "application/x-www-form-urlencoded", "text/plain"]
)
def test_a_body_that_is_not_said_to_be_json_is_told_the_header(client, kind):
    reply = client.post("/predict", data=BODY, content_type=kind)
    assert reply.status_code == 415
    assert "Content-Type: application/json" in reply.json["detail"]
    assert reply.headers["Accept"] == "application/json"
    assert "Accept-Encoding" not in reply.headers  # RFC 7694: it is not the coding


def test_a_body_may_begin_with_a_byte_order_mark(client):
    assert ask(client, b"\xef\xbb\xbf" + BODY).json["label"] == "ABSENT"
    assert ask(client, b"\xef\xbb\xbf" * 2 + BODY).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b'{"documents":[' + b",".join([b"{}"] * 100_000) + b"]}",
        b"[" + b",".join([b'""'] * 40_000) + b"]",
        b'""' * 80_000,
    ],
)
def test_more_parts_than_could_be_valid_are_not_read(client, body):
    (error,) = ask(client, body).json["errors"]
    assert error["detail"].startswith("At most 70400 brackets, braces, commas and")


@pytest.mark.parametrize("text", [",{[" * 100_000, '\\"' * 200_000, "\\\\" * 200_000])
def test_what_stands_in_a_text_is_no_part(client, text):
    note = b'{"text": "denies pain%b", "entities": [{"start": 7, "end": 11}]}'
    reply = ask(client, note % text.encode())
    assert reply.status_code == 200 and reply.json["predictions"]
