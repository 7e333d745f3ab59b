"""Finding where a request ends, however its bytes arrive."""

import pytest

from negation_api.server.receiving import MAX_HEAD_BYTES, Incoming

LINE = b"POST /predict HTTP/1.1\r\n"
COMPLETE = [
    LINE + b"\r\n",
    LINE + b"Content-Length: 0\r\n\r\n",
    LINE + b"content-length:3 \r\nHost: x\r\n\r\n123",
    LINE + b"Transfer-Encoding: chunked\r\n\r\n3\r\n123\r\n0\r\n\r\n",
    LINE + b"Transfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n",
    LINE + b"Content-Length: 11\r\n\r\n",  # more than allowed: the body is not read
    LINE + b"Content-Length: 9" + b"9" * 17 + b"\r\n\r\n",
    LINE + b"Content-Length: 3x\r\n\r\n",  # for the parser to refuse
    LINE + b"Content-Length : 3\r\n\r\n",
    b"\r\n\r\n",
]


@pytest.mark.parametrize("raw", COMPLETE)
@pytest.mark.parametrize("step", [1, 2, 3, 5, 1000])
def test_a_request_is_complete_with_its_last_byte(raw, step):
    incoming = Incoming(max_body_bytes=10)
    parts = [raw[i : i + step] for i in range(0, len(raw), step)]
    for part in parts[:-1]:
        incoming.data += part
        assert not incoming.is_complete()
    incoming.data += parts[-1]
    assert incoming.is_complete()


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("raw", [b"GET / HTTP/1.1\n\n", LINE + b"Host: x\nA: b\r\n"])
def test_a_bare_line_feed_is_for_the_parser_to_refuse(raw, step):
    incoming = Incoming(max_body_bytes=10)
    for start in range(0, len(raw), step):
        incoming.data += raw[start : start + step]
        if incoming.is_complete():
            return
    raise AssertionError("waits for more")


def test_a_body_over_the_limit_is_not_waited_for():
    incoming = Incoming(10, LINE + b"Content-Length: 11\r\n\r\n")
    assert incoming.is_complete() and incoming.must_close


def test_endless_chunks_are_not_waited_for():
    incoming = Incoming(10, LINE + b"Transfer-Encoding: chunked\r\n\r\n")
    while not incoming.is_complete():
        assert len(incoming.data) < 100_000
        incoming.data += b"1000\r\n" + bytes(4096) + b"\r\n"
    assert incoming.must_close


def test_a_head_has_a_longest_length():
    incoming = Incoming(10, LINE)
    while not incoming.is_head_too_long:
        assert len(incoming.data) <= MAX_HEAD_BYTES
        assert not incoming.is_complete()
        incoming.data += b"X-Filler: " + b"x" * 1000 + b"\r\n"


@pytest.mark.parametrize("length, expects", [(10, True), (11, False)])
def test_100_continue_is_expected_only_for_a_body_that_is_read(length, expects):
    head = LINE + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % length
    incoming = Incoming(10, head)
    incoming.is_complete()
    assert incoming.expects_continue is expects
