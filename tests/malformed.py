"""Requests that are wrong, by the thousand: for tests and the soak."""

import json
import random
import re
import socket

CANARY = "zebrafish"  # in all of them; must be found nowhere
TEXT = f"Denies {CANARY} but has a cough."
NOTE = {"text": TEXT, "entities": [{"start": 7, "end": 16, "id": CANARY}]}
SENTENCE = {"sentence": f"denies [entity] {CANARY} [entity]"}
DOCUMENTS = {"documents": [SENTENCE, NOTE]}
WRONG = (None, True, -1, 10**30, 1.5, [], {}, [[]], CANARY, "\ud800", "\0", [None])

HEADS = (
    b"POST /predict",
    b"POST /predict HTTP/9.9\r\n\r\n",
    b"POST  /predict HTTP/1.1\r\n\r\n",
    b"P\xc3\x96ST /predict HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost x zebrafish\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost: x\r\nX-\x00: zebrafish\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nHost: x\r\n folded: zebrafish\r\n\r\n",
    b"POST /predict HTTP/1.1\nHost: x\n\n",
    b"POST /predict HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nContent-Length: zebrafish\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    b"POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    b"POST /predict HTTP/1.1\r\nTransfer-Encoding: zebrafish\r\n\r\n{}",
    b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzebrafish\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\nzebrafish",
    b"POST /predict HTTP/1.1\r\nHost: x\r\nX: " + b"zebrafish" * 2000 + b"\r\n\r\n",
    b"POST /predict HTTP/1.1\r\n" + b"X: zebrafish\r\n" * 200 + b"\r\n",
    b"GET /zebrafish HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%00%ff/../zebrafish?zebrafish HTTP/1.1\r\nHost: x\r\n\r\n",
    b"DELETE /health HTTP/1.1\r\nHost: x\r\n\r\n",
    b"ZEBRAFISH /predict HTTP/1.1\r\nHost: x\r\n\r\n",
    b"zebrafish\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03zebrafish\r\n\r\n",
)


def malformed(rng: random.Random) -> bytes:
    """Make one request that can only be refused."""
    return rng.choice((_head, _json, _json, _cut, _noise, _wrong_type))(rng)


def _head(rng: random.Random) -> bytes:
    return rng.choice(HEADS)


def _json(rng: random.Random) -> bytes:
    """Well-formed JSON with something wrong somewhere."""
    body = json.loads(json.dumps(rng.choice((NOTE, SENTENCE))))
    holder = body["entities"][0] if "entities" in body and rng.random() < 0.5 else body
    names = [name for name in holder if name != "id"]
    if rng.random() < 0.3:
        holder[f"{CANARY}{rng.random()}"] = rng.choice(WRONG)
    elif rng.random() < 0.3:
        del holder[rng.choice(names)]
    else:
        wrong = [value for value in (*WRONG, 99) if value not in ([], CANARY)]
        holder[rng.choice(names)] = rng.choice(wrong)
    return _post(json.dumps(body).encode())


def _cut(rng: random.Random) -> bytes:
    """JSON that ends too early; sometimes the request does, too."""
    raw = json.dumps(rng.choice((NOTE, SENTENCE, DOCUMENTS))).encode()
    end = rng.randrange(len(raw))
    return _post(raw[:end], length=rng.choice((end, len(raw))))


def _noise(rng: random.Random) -> bytes:
    noise = rng.randbytes(rng.randint(1, 200))
    if noise[0] in b"{[" or noise.strip().isdigit():
        noise = b"\xff" + noise
    return _post(noise + CANARY.encode())


def _wrong_type(rng: random.Random) -> bytes:
    kind = rng.choice(
        ("text/plain", "", f"application/{CANARY}", "multipart/form-data")
    )
    return _post(json.dumps(SENTENCE).encode(), kind=kind)


def _post(body: bytes, length: int | None = None, kind="application/json") -> bytes:
    length = len(body) if length is None else length
    head = (
        f"POST /predict HTTP/1.1\r\nHost: x\r\nX-Note: {CANARY}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    )
    return head.encode() + body


def send(port: int, request: bytes) -> int | None:
    """Send *request* and nothing more; give the status, or None without an answer.

    :raises OSError: when there is no connection.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            head = connection.recv(65536)
            while connection.recv(65536):
                pass
        except ConnectionError:
            return None  # refused before it was all sent
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
    return int(found[1]) if found else None
