"""What RFC 9112 demands of a server, as docs/http.md has it."""

import random
import re
import subprocess
import sys

import pytest

from compare_readings import config, difference, stream
from negation_api.server.parsing import Parser
from server import ROOT, Server
from test_wire import BODY, CHUNKED, JSON, LIGHT, exchange

NUM_STREAMS = 2_000  # scripts/compare_readings.py reads 100,000
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"
IN_CHUNKS = JSON.replace(b"X-API-Key: a key\r\n", b"") + CHUNKED
BY_LENGTH = JSON + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNK = b"%x\r\n%b\r\n" % (len(BODY), BODY)
NEXT = GET + b"\r\n"
KEPT, CLOSED = [200, 200], [400]

# section and words of docs/http.md -> what is sent before NEXT, and all answers
MUSTS = {
    "2.2 a line ends with a bare LF": (b"GET /health HTTP/1.1\nHost: x\n\n", CLOSED),
    "2.2 a bare CR": (GET + b"X: a\rb\r\n\r\n", CLOSED),
    "2.2 a blank before the first header": (
        b"GET /health HTTP/1.1\r\n Host: x\r\n\r\n",
        CLOSED,
    ),
    "2.2 an empty line before a request": (b"\r\n" + GET + b"\r\n", KEPT),
    "2.3 another version": (b"GET /health HTTP/2.0\r\nHost: x\r\n\r\n", CLOSED),
    "3 two blanks in the first line": (
        b"GET  /health HTTP/1.1\r\nHost: x\r\n\r\n",
        CLOSED,
    ),
    "3.1 a method in small letters": (
        b"get /health HTTP/1.1\r\nHost: x\r\n\r\n",
        CLOSED,
    ),
    "3.1 a method that is not known": (
        b"BREW /health HTTP/1.1\r\nHost: x\r\n\r\n",
        [405, 200],
    ),
    "3.2 no Host, two, or one that is none": (GET + b"Host: y\r\n\r\n", CLOSED),
    "3.2.2 an absolute target": (
        b"GET http://y/health HTTP/1.1\r\nHost: x\r\n\r\n",
        KEPT,
    ),
    "3.2.3 an authority as target": (b"GET x:80 HTTP/1.1\r\nHost: x\r\n\r\n", CLOSED),
    "3.2.4 OPTIONS of the whole server": (
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        [404, 200],
    ),
    "5.1 a blank before the colon": (GET + b"X : y\r\n\r\n", CLOSED),
    "5.2 a header folded over lines": (GET + b"X: a\r\n b\r\n\r\n", CLOSED),
    "6.1 Transfer-Encoding and Content-Length": (
        IN_CHUNKS + b"Content-Length: 3\r\n\r\n" + CHUNK + b"0\r\n\r\n",
        CLOSED,
    ),
    "6.1 Transfer-Encoding in HTTP/1.0": (
        IN_CHUNKS.replace(b"1.1", b"1.0") + b"\r\n" + CHUNK + b"0\r\n\r\n",
        CLOSED,
    ),
    "6.1 a transfer coding but chunked, such as gzip": (
        JSON + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        CLOSED,
    ),
    "6.3 chunked is not the last coding": (
        JSON + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        CLOSED,
    ),
    "6.3 Content-Length twice": (
        GET + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
        CLOSED,
    ),
    "6.3 Content-Length that is no number": (
        GET + b"Content-Length: +0\r\n\r\n",
        CLOSED,
    ),
    "7.1 chunks": (IN_CHUNKS + b"\r\n" + CHUNK + b"0\r\n\r\n", KEPT),
    "7.1 a chunk of another size than it says": (
        IN_CHUNKS + b"\r\n2\r\n" + BODY + b"\r\n0\r\n\r\n",
        CLOSED,
    ),
    "7.1 a chunk size beyond counting": (
        IN_CHUNKS + b"\r\n" + b"f" * 20 + b"\r\n",
        [413],
    ),
    "7.1.1 an extension of a chunk": (
        IN_CHUNKS + b"\r\n" + CHUNK.replace(b"\r\n", b";a=b\r\n", 1) + b"0\r\n\r\n",
        KEPT,
    ),
    "7.1.2 trailers": (IN_CHUNKS + b"\r\n" + CHUNK + b"0\r\nA: b\r\n\r\n", KEPT),
    "9.3 requests sent without waiting": (BY_LENGTH, KEPT),
    "9.6 Connection: close": (GET + b"Connection: close\r\n\r\n", [200]),
}


@pytest.fixture(scope="module")
def server():
    with Server("", {"WEB_CONCURRENCY": "1"}, "light:app", LIGHT) as server:
        yield server


@pytest.mark.parametrize("must", MUSTS)
def test_the_server_does_as_the_rfc_demands(server, must):
    raw, statuses = MUSTS[must]
    replies, closed = exchange(server, raw + NEXT)
    assert [reply.status for reply in replies] == statuses
    assert closed == (len(statuses) == 1)


def test_the_table_of_the_documents_is_what_is_tested():
    table = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d[\d.]*) \| ([^|]+) \|", table, re.MULTILINE)
    assert {f"{section} {what}" for section, what in rows} == set(MUSTS)


def test_no_request_is_another_to_gunicorn_than_to_us():
    rng, cfg = random.Random(20261128), config()
    for _ in range(NUM_STREAMS):
        assert difference(stream(rng), cfg, rng) is None


def test_a_request_that_only_we_see_the_end_of_closes_the_connection():
    parser = Parser(config(), ("127.0.0.1", 1))
    parser.put(BY_LENGTH[:-1], must_close=False)
    with pytest.raises(Exception, match="CONTENT-LENGTH"):
        next(parser)


def test_the_comparison_runs_as_the_page_says(tmp_path):
    """From any directory, whether or not the package is installed."""
    page = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"`python (scripts/compare_\S+) \d+`", page)
    run = subprocess.run(
        [sys.executable, ROOT / command, "20"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"20 streams, \d+ requests: no difference\n", run.stdout)
