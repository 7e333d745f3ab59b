"""Large answers are gzip for who accepts it, and the same as without."""

import gzip
import json

import pytest

TEXT = "Denies fever. " * 50
ENTITIES = [{"start": 14 * n + 7, "end": 14 * n + 12} for n in range(50)]
LARGE = {"text": TEXT, "entities": ENTITIES}
SMALL = {"sentence": "denies [entity] fever [entity]"}
WRONG = {"text": TEXT, "entities": [{"start": 5, "end": 5}] * 50}
PAGES = ["/docs", "/openapi.json", "/metrics", "/", "/playground/playground.js"]


def post(client, body, accepted="gzip"):
    return client.post("/predict", json=body, headers={"Accept-Encoding": accepted})


def get(client, path, **headers):
    return client.get(path, headers=headers, buffered=True)  # and close the file


def read(reply):
    """Give the JSON of an answer, less what differs from one to the next."""
    data = reply.data
    assert int(reply.headers["Content-Length"]) == len(data)
    if reply.content_encoding == "gzip":
        data = gzip.decompress(data)
    return {k: v for k, v in json.loads(data).items() if k != "time_ms"}


@pytest.mark.parametrize("body", [LARGE, WRONG], ids=["answer", "problem"])
def test_a_large_answer_is_the_same_in_less(client, body):
    packed, plain = post(client, body), post(client, body, "identity")
    assert packed.content_encoding == "gzip" and not plain.content_encoding
    assert len(packed.data) < len(plain.data) / 4
    assert read(packed) == read(plain)
    assert packed.content_type == plain.content_type
    assert "Accept-Encoding" in packed.vary and "Accept-Encoding" in plain.vary
    assert "gzip;dur=" in packed.headers["Server-Timing"]


def test_a_small_answer_stays_as_it_is(client):
    reply = post(client, SMALL)
    assert len(reply.data) < 1024
    assert not reply.content_encoding and not reply.vary


@pytest.mark.parametrize(
    "accepted, packed",
    {
        "gzip": True,
        "GZip": True,
        "deflate, gzip;q=1.0, *;q=0.5": True,
        "br, gzip": True,
        "gzip;q=0.001": True,
        "*": True,
        "identity;q=0.5, *": True,
        "identity;q=0.5, gzip;q=0.5": True,
        "": False,
        "gzip," * 300: False,  # too long to be read
        "br": False,
        "identity": False,
        "gzip;q=0": False,
        "gzip;q=0, *": False,
        "*;q=0": False,
        "identity, gzip;q=0.5": False,
        "gzip;q=nonsense": False,
        ";;,=": False,
    }.items(),
)
def test_what_is_accepted_decides(client, accepted, packed):
    """RFC 9110, 12.4.2 and 12.5.3."""
    reply = post(client, LARGE, accepted)
    assert (reply.content_encoding == "gzip") == packed
    assert len(read(reply)["predictions"]) == 50


def test_who_says_nothing_gets_it_plain(client):
    assert not client.post("/predict", json=LARGE).content_encoding


@pytest.mark.parametrize("path", PAGES)
def test_pages_too(client, path):
    packed, plain = get(client, path, accept_encoding="gzip"), get(client, path)
    assert packed.content_encoding == "gzip" and "Accept-Encoding" in plain.vary
    if path != "/metrics":  # counts
        assert gzip.decompress(packed.data) == plain.data


def test_a_file_is_not_sent_again_in_either_form(client):
    path, tags = "/playground/playground.js", set()
    for accepted in "gzip", "identity":
        tag = get(client, path, accept_encoding=accepted).headers["ETag"]
        tags.add(tag)
        again = get(client, path, accept_encoding=accepted, if_none_match=tag)
        assert (again.status_code, again.data) == (304, b"")
        assert "Accept-Encoding" in again.vary and not again.content_encoding
    assert len(tags) == 2  # RFC 9110, 8.8.3.3


def test_a_part_of_a_file_is_that_part(client):
    path = "/playground/playground.js"
    part = get(client, path, accept_encoding="gzip", range="bytes=0-1999")
    assert part.status_code == 206 and not part.content_encoding
    assert part.data == get(client, path).data[:2000]


def test_the_head_of_a_page_is_that_of_the_page(client):
    headers = {"Accept-Encoding": "gzip"}
    head, page = (
        ask("/openapi.json", headers=headers) for ask in (client.head, client.get)
    )
    names = ["Content-Encoding", "Content-Length", "Vary"]
    assert not head.data and page.data
    assert [head.headers[n] for n in names] == [page.headers[n] for n in names]
