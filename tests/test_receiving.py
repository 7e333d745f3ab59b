"""Finding where a request ends, however its bytes arrive."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negation_api.server.receiving import CHUNKING_BYTES, MAX_HEAD_BYTES, Incoming

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


CHUNKED = LINE + b"Transfer-Encoding: chunked\r\n\r\n"


def test_endless_chunks_are_not_waited_for():
    incoming = Incoming(10_000, CHUNKED)
    while not incoming.refusal:
        assert len(incoming.data) < 20_000
        incoming.data += b"1000\r\n" + bytes(4096) + b"\r\n"
        assert not incoming.is_complete()
    assert incoming.refusal == 413


@pytest.mark.parametrize("piece", [b"5;" + b"x" * 9000 + b"\r\nabcde\r\n", b"0" * 9000])
def test_chunks_that_are_mostly_chunking_have_an_end(piece):
    incoming = Incoming(10_000, CHUNKED)
    while not incoming.refusal and not incoming.is_complete():
        assert len(incoming.data) < MAX_HEAD_BYTES + CHUNKING_BYTES
        incoming.data += piece


def test_chunks_are_followed_no_further_than_they_are_taken():
    """All others wait meanwhile; one byte in a chunk comes with five of chunking."""
    incoming = Incoming(10**6, CHUNKED + b"1\r\n{\r\n" * 40_000)
    assert not incoming.is_complete() and incoming.refusal == 413
    assert incoming._chunks.held == CHUNKING_BYTES // 5 + 1


def test_a_head_has_a_longest_length():
    incoming = Incoming(10, LINE)
    while not incoming.refusal:
        assert len(incoming.data) <= MAX_HEAD_BYTES
        incoming.data += b"X-Filler: " + b"x" * 1000 + b"\r\n"
        assert not incoming.is_complete()
    assert incoming.refusal == 431


def by_length(body: bytes) -> bytes:
    return LINE + b"Content-Length: %d\r\n\r\n" % len(body) + body


def in_chunks(body: bytes, size: int) -> bytes:
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts]
    return CHUNKED + b"".join(chunks) + b"0\r\n\r\n"


FRAMINGS = {
    "by length": by_length,
    "one chunk": lambda body: in_chunks(body, 10**6),
    "chunks of one byte": lambda body: in_chunks(body, 1),
    "chunks": lambda body: in_chunks(body, 7),
}


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("step", [1, 100_000])
def test_a_body_may_be_as_long_as_is_allowed_and_not_longer(framing, step):
    for length in (999, 1000, 1001):
        incoming = Incoming(max_body_bytes=1000)
        raw = FRAMINGS[framing](b"\r" * length)
        for start in range(0, len(raw), step):
            incoming.data += raw[start : start + step]
            if incoming.is_complete() or incoming.refusal:
                break
        is_refused = incoming.refusal == 413 or incoming.must_close
        assert is_refused is (length > 1000)
        if not is_refused:
            assert incoming.take() == raw


BODY = st.binary(max_size=50) | st.text("\r\n0;", max_size=20).map(str.encode)
REQUEST = st.one_of(
    BODY.map(by_length),
    st.builds(in_chunks, BODY, st.integers(1, 9)),
    st.just(LINE + b"\r\n"),
    st.just(CHUNKED + b"0\r\nA: b\r\nC: d\r\n\r\n"),
    st.just(CHUNKED + b"00002 ; a=b\r\n{}\r\n000\r\n\r\n"),
)


@given(st.lists(REQUEST, max_size=5), st.lists(st.integers(0, 300)))
def test_requests_are_told_apart_in_whatever_pieces_they_come(requests, cuts):
    stream, found, incoming = b"".join(requests), [], Incoming(100)
    cuts = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    for start, end in pairwise(cuts):
        incoming.data += stream[start:end]
        while incoming.data and incoming.is_complete():
            assert not incoming.must_close
            found.append(incoming.take())
    assert found == requests
    assert not incoming.data


@given(st.lists(st.binary(max_size=30) | st.sampled_from([CHUNKED, b"\r\n", b"1\r\n"])))
def test_whatever_comes_is_taken_whole_or_waited_for(pieces):
    incoming, taken = Incoming(20), b""
    for piece in pieces:
        incoming.data += piece
        while incoming.data and incoming.is_complete():
            taken += incoming.take()
    assert taken + bytes(incoming.data) == b"".join(pieces)


@pytest.mark.parametrize("length, expects", [(10, True), (11, False)])
def test_100_continue_is_expected_only_for_a_body_that_is_read(length, expects):
    head = LINE + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % length
    incoming = Incoming(10, head)
    incoming.is_complete()
    assert incoming.expects_continue is expects
