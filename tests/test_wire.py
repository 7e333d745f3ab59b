"""What real proxies and clients send, and what is refused before the application."""

import hashlib
import json
import re
import socket
import time
from contextlib import suppress

import pytest

from server import Reply, Server

KEY = "a key"
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()
LIGHT = ("--pythonpath", "tests")
BODY = json.dumps({"sentence": "denies [entity] pain [entity]"}).encode()
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nX-API-Key: a key\r\n"
JSON = POST + b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
EXPECT = b"Expect: 100-continue\r\n"
SIZE = b"Content-Length: %d\r\n" % len(BODY)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE = b"Connection: close\r\n"
SOON = 5  # seconds; half of the read time-out


@pytest.fixture(scope="module")
def server():
    env = {"WEB_CONCURRENCY": "1", "API_KEYS_SHA256": DIGEST}
    with Server("", env, "light:app", LIGHT) as server:
        yield server
        server.stop()
        assert server.stderr() == ""


def connect(server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def exchange(server, raw: bytes) -> tuple[list[Reply], bool]:
    """Send *raw*; give all replies, and whether the server closed the connection."""
    with connect(server) as connection:
        connection.sendall(raw)
        return read_replies(connection)


def read_replies(connection: socket.socket) -> tuple[list[Reply], bool]:
    received, closed = b"", False
    with suppress(TimeoutError, ConnectionResetError):
        while data := connection.recv(65536):
            received += data
            connection.settimeout(0.3)
        closed = True
    replies = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        fields = (line.split(": ", 1) for line in lines[1:])
        headers = {name.lower(): value for name, value in fields}
        length = int(headers.get("content-length", 0))
        reply = Reply(int(lines[0].split()[1]), headers, received[:length])
        received = received[length:]
        replies.append(reply)
    return replies, closed


def is_problem(reply: Reply) -> bool:
    kind = reply.headers["content-type"] == "application/problem+json"
    return kind and reply.json["status"] == reply.status and "detail" in reply.json


# --- heads that are long, or none ---------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        b"X-Amzn-Oidc-Data: %b\r\n" % (b"x" * 8_200),
        b"Authorization: Negotiate %b\r\n" % (b"x" * 60_000),
        b"Cookie: a=b\r\n" * 150,
        b"".join(b"X-%d: %b\r\n" % (n, b"x" * 300) for n in range(200)),
    ],
)
def test_headers_of_64_kilobytes_are_read(server, fields):
    replies, closed = exchange(server, GET + fields + b"\r\n")
    assert [reply.status for reply in replies] == [200] and not closed


HOST = b"Host: x\r\n\r\n"
REFUSED = {
    "one header of 70 kB": (GET + b"X: %b\r\n\r\n" % (b"x" * 70_000), 431),
    "a head without end": (GET + b"X: %b" % (b"x" * 80_000), 431),
    "64 kB in many headers": (GET + b"X: %b\r\n" % (b"x" * 990) * 80 + b"\r\n", 431),
    "more than a thousand headers": (GET + b"X: y\r\n" * 1001 + b"\r\n", 431),
    "a path of 9 kB": (b"GET /%b HTTP/1.1\r\n" % (b"x" * 9_000) + HOST, 414),
    "a path without end": (b"GET /%b" % (b"x" * 9_000), 414),
    "no Host": (b"GET /health HTTP/1.1\r\n\r\n", 400),
    "no Host, and a body": (b"POST /predict HTTP/1.1\r\n" + SIZE + b"\r\n" + BODY, 400),
    "two Hosts": (GET + HOST, 400),
    "a Host that is none": (b"GET /health HTTP/1.1\r\nHost: x/y\r\n\r\n", 400),
    "an expectation": (GET + b"Expect: 200-ok\r\n\r\n", 417),
    "an expectation of a body to come": (
        JSON + b"Expect: 200-ok\r\n" + SIZE + b"\r\n",
        417,
    ),
    "two expectations": (JSON + EXPECT + b"Expect: 200-ok\r\n" + SIZE + b"\r\n", 417),
    "a coding of transfer": (JSON + b"Transfer-Encoding: gzip, x\r\n\r\n", 400),
    "a coding below the chunks": (
        JSON + b"Transfer-Encoding: GZIP, chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "more than a thousand trailers": (
        JSON + CHUNKED + b"\r\n0\r\n" + b"X: y\r\n" * 1001 + b"\r\n",
        431,
    ),
    "trailers without end": (
        JSON + CHUNKED + b"\r\n0\r\n" + b"X: y\r\n" * 11_000,
        431,
    ),
    "both lengths": (JSON + CHUNKED + SIZE + b"\r\n0\r\n\r\n", 400),
    "both lengths, nothing after": (JSON + SIZE + CHUNKED + b"\r\n", 400),
    "two lengths": (JSON + SIZE + SIZE + b"\r\n" + BODY, 400),
    "a list of lengths": (JSON + b"Content-Length: 2, 2\r\n\r\n{}", 400),
    "chunks that are none": (JSON + CHUNKED + b"\r\n5\r\n{}\r\n0\r\n\r\n", 400),
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_refused_with_a_reason_and_the_connection_closed(
    server, kind
):
    raw, status = REFUSED[kind]
    began = time.monotonic()
    replies, closed = exchange(server, raw + GET + b"\r\n")
    assert [reply.status for reply in replies] == [status] and closed
    assert is_problem(replies[0])
    assert time.monotonic() - began < SOON


SAID = {
    "one header of 70 kB": "65536 bytes",
    "a head without end": "65536 bytes",
    "more than a thousand headers": "1000 headers",
    "more than a thousand trailers": "of trailers as much",
    "trailers without end": "of trailers as much",
    "a path of 9 kB": "8190 bytes",
    "a coding of transfer": "read is chunked. A gzip body is read with Content-",
    "a coding below the chunks": "A gzip body is read with Content-Encoding",
}


@pytest.mark.parametrize("kind", SAID)
def test_a_refusal_says_what_is_taken(server, kind):
    (reply,), _ = exchange(server, REFUSED[kind][0])
    assert SAID[kind] in reply.json["detail"]


@pytest.mark.parametrize("kind", ["no Host", "an expectation", "a path of 9 kB"])
def test_a_refusal_of_head_has_no_body(server, kind):
    raw, status = REFUSED[kind]
    (reply,), closed = exchange(server, raw.replace(b"GET", b"HEAD", 1))
    assert reply.status == status and closed
    assert int(reply.headers["content-length"]) > 0 and reply.body == b""


def test_http_1_0_needs_no_host(server):
    replies, closed = exchange(server, b"GET /health HTTP/1.0\r\n\r\n")
    assert [reply.status for reply in replies] == [200] and closed


def test_an_empty_line_before_a_request_is_passed_over(server):
    """Old clients send one after a body; it is no request that is late."""
    raw = JSON + SIZE + b"\r\n" + BODY + b"\r\n"
    replies, closed = exchange(server, raw + GET + b"\r\n\r\n")
    assert [reply.status for reply in replies] == [200, 200] and not closed


@pytest.mark.parametrize("size", [100, 65_535, 65_537, 500_000])
@pytest.mark.parametrize("status", [404, 405, 415])
def test_a_body_that_is_refused_unread_is_passed_over(server, status, size):
    """What comes after it on the connection is answered."""
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size)
    for framing, body in (
        (b"Content-Length: %d\r\n" % size, b"x" * size),
        (CHUNKED, chunk),
    ):
        raw = UNWANTED[status] + framing + b"\r\n" + body
        replies, closed = exchange(server, raw + GET + b"\r\n")
        assert [reply.status for reply in replies] == [status, 200] and not closed


# --- 100 Continue -------------------------------------------------------------


@pytest.mark.parametrize(
    "framing, body",
    [(SIZE, BODY), (CHUNKED, b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("sent", [0, 5])
def test_a_client_that_waits_is_told_once_to_go_on(server, framing, body, sent):
    with connect(server) as connection:
        connection.sendall(JSON + EXPECT + framing + b"\r\n" + body[:sent])
        assert connection.recv(65536) == CONTINUE
        connection.sendall(body[sent:] + GET + CLOSE + b"\r\n")
        replies, closed = read_replies(connection)
    assert [reply.status for reply in replies] == [200, 200] and closed


UNWANTED = {
    401: b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n",
    404: JSON.replace(b"/predict", b"/nowhere"),
    405: JSON.replace(b"/predict", b"/health"),
    413: JSON,
    415: POST,
}


@pytest.mark.parametrize("status", UNWANTED)
def test_no_body_is_asked_for_that_is_refused(server, status):
    size = b"Content-Length: %d\r\n" % (10**7 if status == 413 else 100)
    began = time.monotonic()
    replies, closed = exchange(server, UNWANTED[status] + EXPECT + size + b"\r\n")
    assert [reply.status for reply in replies] == [status] and closed
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize(
    "raw",
    [
        JSON + EXPECT + SIZE + b"\r\n" + BODY,
        JSON.replace(b"1.1", b"1.0") + EXPECT + SIZE + b"\r\n" + BODY,
        GET + EXPECT + b"\r\n",
    ],
    ids=["its body is there", "HTTP/1.0", "it has no body"],
)
def test_nobody_is_told_to_go_on_who_does_not_wait(server, raw):
    replies, _ = exchange(server, raw)
    assert [reply.status for reply in replies] == [200]


def test_an_old_client_s_expectation_is_passed_over(server):
    with connect(server) as connection:
        head = JSON.replace(b"1.1", b"1.0") + EXPECT + SIZE
        connection.sendall(head + b"\r\n")
        time.sleep(0.3)
        connection.sendall(BODY)
        replies, closed = read_replies(connection)
    assert [reply.status for reply in replies] == [200] and closed


# --- nobody's word for the path -----------------------------------------------


@pytest.mark.parametrize(
    "name",
    "SCRIPT_NAME Script-Name SCRIPT-NAME PATH_INFO Path-Info path_info"
    " X-Forwarded-Prefix X_Forwarded_Prefix X-Script-Name HTTP_SCRIPT_NAME".split(),
)
def test_a_header_does_not_change_the_path(server, name):
    field = b"%b: /inner\r\n" % name.encode()
    inner = GET.replace(b"/health", b"/inner/health") + field + b"\r\n"
    replies, _ = exchange(server, inner + GET + field + b"\r\n")
    assert [reply.status for reply in replies] == [404, 200]


def test_headers_of_a_proxy_that_contradict_each_other_are_nothing_to_us(server):
    field = b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n"
    replies, _ = exchange(server, GET + field + b"\r\n")
    assert [reply.status for reply in replies] == [200]


def test_what_is_refused_is_logged_without_what_was_sent(server):
    exchange(server, b"GET /zebrafish HTTP/1.1\r\nX-Zebrafish : y\r\n\r\n")
    assert not re.search("(?i)zebrafish", str(server.log()))
