"""Compare our reading of requests with Gunicorn's, on random streams of them.

python scripts/compare_readings.py 100000

A stream is read twice: cut by ``server/receiving.py``, each cut parsed as the worker
does; and whole, by Gunicorn's parser alone. Every request that we take and after which
we keep the connection must be the one that Gunicorn reads there: else what follows is
another request to a proxy than to us (request smuggling).
"""

import random
import sys
from pathlib import Path

from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from negation_api.http import parse_errors  # noqa: E402
from negation_api.server.parsing import Parser  # noqa: E402
from negation_api.server.receiving import Incoming  # noqa: E402

MAX_BODY_BYTES = 1000
CLIENT = ("127.0.0.1", 1)

LINES = [b"POST /a HTTP/1.1", b"GET /b HTTP/1.1", b"GET http://x/c HTTP/1.1"]
ODD_LINES = [b"POST /d HTTP/1.0", b"get /e HTTP/1.1", b"GET  /f HTTP/1.1", b"GET /g"]
FIELDS = [b"Host: x", b"X: y", b"Connection: keep-alive", b"Accept: */*"]
ODD_FIELDS = [
    b"Content-Length: %d" % 3,
    b"content-length:3",
    b"Content-Length: +3",
    b"Content-Length: 0x3",
    b"Content-Length: 3, 3",
    b"Content-Length: 03",
    b"Content-Length: \xb3",
    b"Content-Length : 3",
    b"Content-Length\t: 3",
    b"Content-Length: 3\x0b",
    b"Content-Length: 3\r",
    b"Content_Length: 3",
    b" Content-Length: 3",
    b"X: y\rContent-Length: 3",
    b"X: y\nContent-Length: 3",
    b"X: y\r\n Content-Length: 3",
    b"Content-Length: 9999",
    b"Transfer-Encoding: chunked",
    b"transfer-encoding:\tCHUNKED ",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked\x0b",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding : chunked",
    b"Transfer_Encoding: chunked",
    b"Transfer-Encoding: \r\n chunked",
    b"Connection: close",
    b"Host: y",
    b"Expect: 100-continue",
]
ENDS = [b"\r\n"] * 40 + [b"\n", b"\r", b"\r\r\n", b"\n\r\n"]
CHUNKS = [
    b"3\r\nabc\r\n",
    b"003 \r\nabc\r\n",
    b"3;a=b\r\nabc\r\n",
    b'3 ; a="\\"b"\r\nabc\r\n',
    b"3;a\rb\r\nabc\r\n",
    b"3;\r\nabc\r\n",
    b"+3\r\nabc\r\n",
    b"0x3\r\nabc\r\n",
    b"3\nabc\r\n",
    b"3\r\nabcd\r\n",
    b"3\r\nabc",
    b"4\r\n\r\n\r\n\r\n",
    b"ffffffffffffffffff\r\n",
]
LAST = [b"0\r\n\r\n"] * 8 + [
    b"0\r\nA: b\r\n\r\n",
    b"0\r\nContent-Length: 3\r\n\r\n",
    b"0\r\nA: b\n\r\n",
    b"000;x\r\n\r\n",
    b"0\r\n",
    b"0\n\n",
]


def config() -> Config:
    """Give Gunicorn's settings as ``gunicorn.conf.py`` has them."""
    made = Config()
    made.set("limit_request_line", parse_errors.MAX_LINE_BYTES)
    made.set("limit_request_fields", parse_errors.MAX_FIELDS)
    made.set("limit_request_field_size", parse_errors.MAX_FIELD_BYTES)
    made.set("forwarded_allow_ips", "")
    made.set("forwarder_headers", "")
    return made


def stream(rng: random.Random) -> bytes:
    """Make a few requests on one connection; in one of two something is odd."""
    return b"".join(_request(rng) for _ in range(rng.randint(1, 4)))


def _request(rng: random.Random) -> bytes:
    odd = rng.random() < 0.5
    lines = [rng.choice(ODD_LINES if odd and rng.random() < 0.1 else LINES)]
    lines += [FIELDS[0], *rng.sample(FIELDS[1:], rng.randint(0, 2))]
    body = rng.choice([b"", b"length", b"chunks"])
    if body == b"length":
        lines.append(b"Content-Length: 3")
    elif body:
        lines.append(b"Transfer-Encoding: chunked")
    if odd:
        for field in rng.sample(ODD_FIELDS, rng.randint(0, 2)):
            lines.insert(rng.randint(1, len(lines)), field)
    ends = [rng.choice(ENDS) if odd else b"\r\n" for _ in lines]
    head = b"".join(map(b"".join, zip(lines, ends, strict=True))) + b"\r\n"
    before = b"\r\n" * (rng.random() < 0.1)
    return before + head + _body(rng, body, odd)


def _body(rng: random.Random, kind: bytes, odd: bool) -> bytes:
    if kind == b"length":
        return b"abc"
    if kind != b"chunks":
        return b"abc" * (odd and rng.random() < 0.2)
    chunks = [
        rng.choice(CHUNKS if odd else CHUNKS[:2]) for _ in range(rng.randint(0, 3))
    ]
    return b"".join(chunks) + (rng.choice(LAST) if odd else LAST[0])


def ours(data: bytes, cfg: Config, rng: random.Random) -> tuple[list, str]:
    """Give the requests that we read, and where we close or wait."""
    incoming, parser, found = Incoming(MAX_BODY_BYTES), Parser(cfg, CLIENT), []
    while data or incoming.data:
        size = rng.choice([1, 7, 100, 10_000])
        incoming.data += data[:size]
        data = data[size:]
        while incoming.data and incoming.is_complete():
            must_close = incoming.must_close
            parser.put(incoming.take(), must_close)
            try:
                request = next(parser)
                found.append((request.method, request.uri, request.body.read()))
            except (ParseException, StopIteration, OSError):
                return found, "closed"
            done = parser.finish_body() and parser.is_done()
            if request.should_close() or not done:
                return found, "closed"
        if incoming.refusal:
            return found, "closed"
        if not data:
            break
    return found, "in a request" if incoming.has_begun else "between requests"


def gunicorns(data: bytes, cfg: Config) -> list:
    """Give the requests that Gunicorn's parser reads by itself."""
    parser, found = RequestParser(cfg, [data], CLIENT), []
    try:
        for request in parser:
            request._expected_100_continue = False
            found.append((request.method, request.uri, request.body.read()))
    except (ParseException, OSError):
        pass  # what was read before stands
    return found


def difference(data: bytes, cfg: Config, rng: random.Random) -> str | None:
    """Say how the two readings of *data* differ, if that could be used."""
    mine, end = ours(data, cfg, rng)
    theirs = gunicorns(data, cfg)
    kept = mine[:-1] if end == "closed" else mine
    if kept != theirs[: len(kept)]:
        return f"we read {mine}, Gunicorn {theirs}: {data!r}"
    # One that is cut off Gunicorn reads as far as it goes.
    most = {"in a request": len(mine) + 1, "between requests": len(mine)}
    if len(theirs) > most.get(end, len(theirs)):
        return f"we wait {end} after {mine}, Gunicorn reads {theirs}: {data!r}"
    return None


def main(count: int) -> None:
    rng, cfg, read = random.Random(20261128), config(), 0
    for number in range(count):
        data = stream(rng)
        found = difference(data, cfg, rng)
        if found:
            sys.exit(f"stream {number}: {found}")
        read += data.count(b" HTTP/")
    print(f"{count} streams, {read} requests: no difference")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
