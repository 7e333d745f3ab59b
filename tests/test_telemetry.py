"""What a client learns of where the time of its request went."""

import re

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
