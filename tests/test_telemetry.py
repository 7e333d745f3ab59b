"""What a client learns of where the time of its request went."""

import re

import pytest

STAGES = "wait parse validate context tokenize queue forward dump total".split()


def stages(response) -> dict[str, float]:
    found = re.findall(r"(\w+);dur=([\d.]+)", response.headers["Server-Timing"])
    return {stage: float(ms) for stage, ms in found}


def test_server_timing_tells_each_stage_and_the_stages_add_up(client):
    laps = stages(
        client.post("/predict", json={"sentence": "denies [entity] a [entity]"})
    )
    assert list(laps) == STAGES
    parts = sum(ms for stage, ms in laps.items() if stage != "total")
    assert 0 < parts <= laps["total"] + 0.01


def test_a_request_without_entities_was_in_no_queue(client):
    laps = stages(client.post("/predict", json={"text": "No fever.", "entities": []}))
    assert "queue" not in laps


@pytest.mark.parametrize(
    "header, given, taken",
    [
        ("X-Request-Id", "0b5e4d7c-ABC", "0b5e4d7c-ABC"),
        ("X-Request-Id", "a" * 64, "a" * 64),
        ("X-Request-Id", "a" * 65, None),
        ("X-Request-Id", "Jane_Doe", None),
        ("X-Request-Id", "Jane.Doe", None),
        ("X-Amzn-Trace-Id", "Self=1-6-a;Root=1-67891233-abcdef", "1-67891233-abcdef"),
        ("X-Amzn-Trace-Id", "Root=1-67891233-abcdef;Sampled=1", "1-67891233-abcdef"),
        ("X-Amzn-Trace-Id", "Jane Doe", None),
    ],
)
def test_an_id_is_taken_over_if_it_looks_like_one(client, header, given, taken):
    reply = client.get("/health", headers={header: given})
    found = reply.headers["X-Request-Id"]
    assert found == taken if taken else re.fullmatch("[0-9a-f]{32}", found)
