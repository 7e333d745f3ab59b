"""POST /predict: the three forms, and one table of everything that is refused."""

import json

import pytest

from negation_api import create_app
from negation_api.settings import Settings

CANARY = "zebrafish"  # stands for clinical text; must come back from nowhere


def post(client, body, **kwargs):
    return client.post("/predict", json=body, **kwargs)


def test_sentence(client):
    reply = post(client, {"sentence": "denies [entity] chest pain [entity]."}).json
    assert reply["label"] == "ABSENT"
    assert reply["score"] == reply["scores"]["ABSENT"] == 0.75
    assert set(reply["scores"]) == {"PRESENT", "ABSENT", "POSSIBLE"}
    assert reply["marked"] is True
    assert reply["time_ms"] > 0
    assert reply["model"] == {
        "name": "keyword",
        "revision": None,
        "sha256": "0" * 64,
        "precision": "fp32",
    }


def test_sentence_without_markers_is_answered_and_says_so(client):
    assert post(client, {"sentence": "denies chest pain"}).json["marked"] is False


def test_sentence_gives_its_id_back(client):
    assert post(client, {"sentence": "x", "id": "s1"}).json["id"] == "s1"


def test_note(client):
    text = "Has cough. Denies fever, but reports pain."
    body = {
        "text": text,
        "entities": [{"start": 18, "end": 23, "id": 7}, {"start": 4, "end": 9}],
    }
    predictions = post(client, body).json["predictions"]
    assert [(p["start"], p["end"], p.get("id"), p["label"]) for p in predictions] == [
        (18, 23, 7, "ABSENT"),
        (4, 9, None, "PRESENT"),
    ]
    assert "id" not in predictions[1]


def test_a_whole_number_may_be_written_with_a_point(client):
    """JSON Schema's integers are numbers without a fraction, however written."""
    raw = '{"text": "No pain.", "entities": [{"start": 3.0, "end": 7.0, "id": 1.0}]}'
    reply = client.post("/predict", data=raw, content_type="application/json")
    (prediction,) = reply.json["predictions"]
    found = [prediction[key] for key in ("start", "end", "id")]
    assert found == [3, 7, 1] and set(map(type, found)) == {int}


@pytest.mark.parametrize("unit, start", [("codepoint", 9), ("utf16", 10), ("utf8", 12)])
def test_offsets_are_counted_in_the_unit_asked_for_both_ways(
    client, classifier, unit, start
):
    body = {
        "text": "😀 Denies fever",
        "entities": [{"start": start, "end": start + 5}],
        "offset_unit": unit,
    }
    assert post(client, body).json["predictions"][0]["start"] == start
    assert classifier.sentences == ["😀 denies [entity] fever [entity]"]


def test_what_stands_at_its_offsets_may_be_sent_beside_them(client):
    text, units = "😀 Denies fever", {"codepoint": 9, "utf16": 10, "utf8": 12}
    for unit, start in units.items():
        entity = {"start": start, "end": start + 5, "text": "fever"}
        body = {"text": text, "entities": [entity], "offset_unit": unit}
        (prediction,) = post(client, body).json["predictions"]
        assert prediction["label"] == "ABSENT" and "text" not in prediction


def test_note_without_entities(client):
    assert post(client, {"text": "x", "entities": []}).json["predictions"] == []


def test_each_document_is_answered_or_refused_on_its_own(client):
    documents = [
        {"id": "a", "sentence": "denies [entity] pain [entity]"},
        {"id": "b", "text": "pain", "entities": [{"start": 0, "end": 9}]},
        {"id": "c", "text": "pain", "entities": [{"start": 0, "end": 4}]},
        {"id": "a", "sentence": "x"},
        {"sentence": "x", "text": "y"},
        17,
    ]
    response = post(client, {"documents": documents})
    a, b, c, again, both, number = response.json["documents"]
    assert response.status_code == 200
    assert (a["id"], a["label"], a["marked"]) == ("a", "ABSENT", True)
    assert (b["id"], b["error"]["status"]) == ("b", 422)
    assert b["error"]["errors"] == [
        {
            "pointer": "#/entities/0/end",
            "detail": "At most 4, the text's length; given 9.",
        }
    ]
    assert c["predictions"][0]["label"] == "PRESENT"
    assert again["error"]["errors"][0]["pointer"] == "#/id"
    assert both["error"]["errors"][0]["detail"].endswith("given 2.")
    assert number["error"]["errors"][0]["detail"] == "Must be a JSON object."
    assert response.json["model"]["name"] == "keyword"


def test_the_original_contract_holds(client):
    reply = post(client, {"sentence": "denies [entity] pain [entity]"}).json
    assert isinstance(reply["label"], str)
    assert isinstance(reply["score"], float)
    assert isinstance(reply["time_ms"], float)


def test_identical_rows_are_computed_once(client, classifier):
    text = "Denies fever.\nDenies fever."
    entities = [{"start": 7, "end": 12}, {"start": 21, "end": 26}]
    reply = post(client, {"text": text, "entities": entities}).json
    assert [p["label"] for p in reply["predictions"]] == ["ABSENT", "ABSENT"]
    assert sum(map(len, classifier.batches)) == 1


# --- refused ------------------------------------------------------------------

E = {"start": 0, "end": 4}
UNKNOWN = (
    "#",
    "1 unknown fields; known are: id, sentence, offset_unit, explain, fhir, axes.",
)
# body -> pointer, detail
INVALID = [
    ([], "#", "Must be a JSON object."),
    (f'"{CANARY}"', "#", "Must be a JSON object."),
    ("null", "#", "Must be a JSON object."),
    ({}, "#", "Must hold exactly one of: sentence, text, documents; given 0."),
    ({CANARY: 1}, "#", "Must hold exactly one of: sentence, text, documents; given 0."),
    ({"sentence": CANARY, CANARY: CANARY}, *UNKNOWN),
    (
        {"sentence": CANARY, "text": CANARY, "entities": []},
        "#",
        "Must hold exactly one of: sentence, text, documents; given 2.",
    ),
    ({"sentence": ""}, "#/sentence", "Must not be blank."),
    ({"sentence": " \n\u00a0"}, "#/sentence", "Must not be blank."),
    ({"sentence": 5}, "#/sentence", "Not a valid string."),
    ({"sentence": None}, "#/sentence", "Field may not be null."),
    ({"sentence": [CANARY]}, "#/sentence", "Not a valid string."),
    (
        {"sentence": f"{CANARY} [entity]"},
        "#/sentence",
        "Must hold exactly 2 [entity] markers or none; given 1.",
    ),
    (
        {"sentence": f"[entity] [entity] {CANARY}"},
        "#/sentence",
        "Must have an entity between the two [entity] markers.",
    ),
    (
        {"sentence": f"{CANARY} " * 513},
        "#/sentence",
        "513 tokens; at most 512 fit.",
    ),
    (
        {"text": CANARY},
        "#/entities",
        "Must hold exactly one of: entities, terms; given 0.",
    ),
    ({"entities": [E]}, "#/text", "Missing data for required field."),
    ({"text": CANARY, "entities": None}, "#/entities", "Field may not be null."),
    ({"text": CANARY, "entities": {}}, "#/entities", "Not a valid list."),
    ({"text": CANARY, "entities": [5]}, "#/entities/0", "Must be a JSON object."),
    (
        {"text": CANARY, "entities": [E, {"start": 4, "end": 4}]},
        "#/entities/1/end",
        "Must be above start, 4; given 4.",
    ),
    (
        {"text": CANARY, "entities": [{"start": 5, "end": 4}]},
        "#/entities/0/end",
        "Must be above start, 5; given 4.",
    ),
    (
        {"text": CANARY, "entities": [{"start": -1, "end": 4}]},
        "#/entities/0/start",
        "Must be at least 0; given -1.",
    ),
    (
        {"text": CANARY, "entities": [{"start": 0, "end": 10}]},
        "#/entities/0/end",
        "At most 9, the text's length; given 10.",
    ),
    (
        {"text": CANARY, "entities": [{"start": 0, "end": 10**30}]},
        "#/entities/0/end",
        f"At most 9, the text's length; given {10**30}.",
    ),
    (
        {"text": CANARY, "entities": [{"start": CANARY, "end": 4}]},
        "#/entities/0/start",
        "Not a valid integer.",
    ),
    (
        {"text": CANARY, "entities": [{"start": 0.5, "end": 4}]},
        "#/entities/0/start",
        "Not a valid integer.",
    ),
    (
        {"text": CANARY, "entities": [{"start": True, "end": 4}]},
        "#/entities/0/start",
        "Not a valid integer.",
    ),
    (
        {"text": CANARY, "entities": [{"start": 0}]},
        "#/entities/0/end",
        "Missing data for required field.",
    ),
    (
        {"text": CANARY, "entities": [{**E, CANARY: CANARY}]},
        "#/entities/0",
        "1 unknown fields; known are: id, start, end, text, section, code.",
    ),
    (
        {"text": CANARY, "entities": [{**E, "id": CANARY}, {**E, "id": CANARY}]},
        "#/entities/1/id",
        "Is the id of entity 0 too.",
    ),
    (
        {"text": CANARY, "entities": [{**E, "id": [CANARY]}]},
        "#/entities/0/id",
        "Must be a string or an integer.",
    ),
    (
        {"text": CANARY, "entities": [{**E, "id": CANARY * 100}]},
        "#/entities/0/id",
        "At most 256 characters; given 900.",
    ),
    (
        {"text": "a😀", "entities": [{"start": 0, "end": 2}], "offset_unit": "utf16"},
        "#/entities/0/end",
        "2 is inside a character.",
    ),
    (
        {"text": "é", "entities": [{"start": 1, "end": 2}], "offset_unit": "utf8"},
        "#/entities/0/start",
        "1 is inside a character.",
    ),
    (
        {"text": f"é {CANARY}", "entities": [{"start": 3, "end": 12, "text": CANARY}]},
        "#/entities/0/text",
        'Does not stand there in codepoint; it does with "offset_unit": "utf8".',
    ),
    (
        {
            "text": f"😀{CANARY} x",
            "entities": [{"start": 2, "end": 11, "text": CANARY}],
        },
        "#/entities/0/text",
        'Does not stand there in codepoint; it does with "offset_unit": "utf16".',
    ),
    (
        {
            "text": f"éé {CANARY}",
            "entities": [{"start": 3, "end": 12, "text": CANARY}],
            "offset_unit": "utf8",
        },
        "#/entities/0/text",
        "Does not stand there in utf8; it does with"
        ' "offset_unit": "codepoint" or "utf16".',
    ),
    (
        {"text": f"x {CANARY}", "entities": [{"start": 1, "end": 10, "text": CANARY}]},
        "#/entities/0/text",
        "Stands there in none of: codepoint, utf16, utf8.",
    ),
    (
        {"text": CANARY, "entities": [{**E, "text": CANARY.upper()[:4]}]},
        "#/entities/0/text",
        "Stands there in none of: codepoint, utf16, utf8.",
    ),
    (
        {"text": CANARY, "entities": [{"start": 0, "end": 10, "text": CANARY}]},
        "#/entities/0/end",
        "At most 9, the text's length; given 10.",
    ),
    (
        {"text": CANARY, "entities": [{**E, "text": 5}]},
        "#/entities/0/text",
        "Not a valid string.",
    ),
    (
        {"text": CANARY, "entities": [E], "offset_unit": CANARY},
        "#/offset_unit",
        "Must be one of: codepoint, utf16, utf8.",
    ),
    (
        {"text": CANARY * 200, "entities": [{"start": 0, "end": 1001}]},
        "#/entities/0/end",
        "At most 1000 characters in an entity; given 1001.",
    ),
    (
        {"text": CANARY, "entities": [E] * 1001},
        "#/entities",
        "At most 1000 entities in a request; given 1001.",
    ),
    (
        {"documents": [{"text": CANARY, "entities": [E] * 501}] * 2},
        "#/documents",
        "At most 1000 entities in a request; given 1002.",
    ),
    (
        {"documents": [{"sentence": CANARY}] * 101},
        "#/documents",
        "At most 100 documents in a request; given 101.",
    ),
    ({"documents": CANARY}, "#/documents", "Not a valid list."),
    (
        {"documents": [], "offset_unit": 5},
        "#/offset_unit",
        "Not a valid string.",
    ),
    (
        {"text": f"{CANARY} " * 400, "entities": [E] * 200},
        "#/text",
        "At most 40000 tokens in a request; given 40198 or more.",
    ),
    (
        '{"sentence": "zebrafish \\ud83d"}',
        "#/sentence",
        "Holds half of a surrogate pair, at 10.",
    ),
    (
        '{"sentence": "zebrafish \\u0000"}',
        "#/sentence",
        "Holds a NUL character, at 10.",
    ),
    (
        '{"text": "\\udc00", "entities": []}',
        "#/text",
        "Holds half of a surrogate pair, at 0.",
    ),
]


@pytest.mark.parametrize("body, pointer, detail", INVALID)
def test_invalid(client, caplog, body, pointer, detail):
    data = body if isinstance(body, str) else json.dumps(body)
    response = client.post("/predict", data=data, content_type="application/json")
    assert response.status_code == 422
    assert response.content_type == "application/problem+json"
    assert response.json["type"] == "/problems/validation-error"
    assert {"pointer": pointer, "detail": detail} in response.json["errors"]
    assert CANARY not in response.text + str(response.headers) + caplog.text


NOT_JSON = [
    (b"", "line 1, column 1"),
    (b"zebrafish", "line 1, column 1"),
    (b'{"sentence": "zebrafish}', "line 1, column 14"),
    (b'{"sentence": NaN}', "NaN is not JSON."),
    (b'{"sentence": -Infinity}', "-Infinity is not JSON."),
    (b'{"sentence": "zebrafish\xff"}', "Not UTF-8 at byte 23."),
    (b"[" * 50_000, "Nested too deeply."),
    (b"[" * 65 + b"]" * 65, "Nested too deeply."),
    (b'{"a":[' * 33 + b"]}" * 33, "Nested too deeply."),
    (b'{"a":' * 30_000, "Nested too deeply."),
    (b'{"sentence": ' + b"1" * 5_000 + b"}", "A number is too long."),
]


@pytest.mark.parametrize("body, detail", NOT_JSON)
def test_not_json(client, caplog, body, detail):
    response = client.post("/predict", data=body, content_type="application/json")
    assert response.status_code == 400
    assert response.content_type == "application/problem+json"
    assert detail in response.json["detail"]
    assert CANARY not in response.text + caplog.text


@pytest.mark.parametrize(
    "media_type", ["text/plain", None, "application/x-www-form-urlencoded"]
)
def test_another_media_type_is_415(client, media_type):
    response = client.post("/predict", data="{}", content_type=media_type)
    assert (response.status_code, response.json["status"]) == (415, 415)


def test_a_body_over_the_limit_is_413_with_both_numbers(classifier):
    client = create_app(Settings(max_body_bytes=100), classifier).test_client()
    response = post(client, {"sentence": CANARY * 100})
    assert response.status_code == 413
    assert response.json["detail"] == "At most 100 bytes are read; given 916."
    assert CANARY not in response.text


def test_all_that_is_wrong_is_said_at_once(client):
    entities = [{"start": -1, "end": "x"}, {"start": 3, "end": 1}]
    errors = post(client, {"text": "abc", "entities": entities}).json["errors"]
    assert [error["pointer"] for error in errors] == [
        "#/entities/0/start",
        "#/entities/0/end",
        "#/entities/1/end",
    ]
