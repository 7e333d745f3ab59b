"""The API's description: valid, the same as committed, and true."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from negation_api.contract import errors
from negation_api.http import openapi
from negation_api.http.security import NoKey
from negation_api.http.service import service_of
from negation_api.inference.admission import DeadlinePassed, QueueFull

COMMITTED = Path(__file__).parents[1] / "docs" / "openapi.json"


def fits(body, name: str) -> bool:
    """Tell whether *body* is what the description's schema *name* says."""
    spec = openapi.describe()
    schema = {"$ref": f"#/components/schemas/{name}", "components": spec["components"]}
    return Draft202012Validator(schema).is_valid(body)


def schema_of(content) -> str:
    return content["schema"]["$ref"].rpartition("/")[2]


def test_it_is_valid_openapi():
    validate(openapi.describe())


def test_the_committed_copy_is_what_is_generated():
    """`make openapi` writes it anew."""
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == openapi.describe()


def test_it_is_served(client):
    reply = client.get("/openapi.json")
    assert reply.json == openapi.describe()
    assert reply.json["openapi"] == "3.1.0"


@pytest.mark.parametrize("name", openapi.EXAMPLES)
def test_each_example_is_answered_as_described(client, name):
    request = openapi.EXAMPLES[name]
    form = {"sentence": "Sentence", "text": "Note", "documents": "Documents"}
    (form,) = (form[key] for key in request if key in form)
    reply = client.post("/predict", json=request)
    assert reply.status_code == 200
    assert fits(request, f"{form}Request")
    assert fits(reply.json, f"{form}Reply")
    assert not fits(reply.json | {"more": 1}, f"{form}Reply")


def test_entities_and_terms_exclude_each_other(client):
    note, entities, terms = {"text": "x"}, {"entities": []}, {"terms": ["fever"]}
    for given, number in ((note, 0), (note | entities | terms, 2)):
        assert not fits(given, "NoteRequest")
        refusal = client.post("/predict", json=given).json["errors"][0]["detail"]
        assert refusal == f"Must hold exactly one of: entities, terms; given {number}."
    for given in (note | entities, note | terms):
        assert fits(given, "NoteRequest") and fits(given, "Note")
    assert fits(note, "Note") and not fits(note | entities | terms, "Note")


@pytest.mark.parametrize(
    "more, terms, is_valid",
    [({}, {}, False), ({"terms": ["x"]}, {}, True), ({}, {"terms": ["x"]}, True)],
)
def test_a_note_of_several_needs_entities_or_terms(client, more, terms, is_valid):
    sentence = {"sentence": "no [entity] x [entity]"}
    body = {"documents": [sentence, {"text": "x"} | more]} | terms
    assert fits(body, "DocumentsRequest") is is_valid
    _, note = client.post("/predict", json=body).json["documents"]
    assert ("error" not in note) is is_valid


def test_every_problem_type_is_described():
    operation = openapi.describe()["paths"]["/predict"]["post"]
    described = {
        content.get("example", {}).get("type", "about:blank").rpartition("/")[2]
        for response in operation["responses"].values()
        for media_type, content in response["content"].items()
        if media_type == errors.MEDIA_TYPE
    }
    assert described == {*errors.TYPES, "about:blank"}


@pytest.mark.parametrize(
    "status, body, media_type",
    [
        (400, b"{", "application/json"),
        (413, b" " * 2_000_000, "application/json"),
        (415, b"{}", "text/plain"),
        (422, b"{}", "application/json"),
    ],
)
def test_problems_are_as_described(client, status, body, media_type):
    reply = client.post("/predict", data=body, content_type=media_type)
    assert reply.status_code == status
    assert fits(reply.json, "Problem")


@pytest.fixture
def failing(app):
    """A client, and a way to let the next prediction fail with an error."""
    app.config["PROPAGATE_EXCEPTIONS"] = False  # as in production

    def fail(error):
        def refuse(*args):
            raise error

        service_of(app).batcher = SimpleNamespace(permit=refuse)
        return app.test_client()

    batcher = service_of(app).batcher
    yield fail
    service_of(app).batcher = batcher


@pytest.mark.parametrize(
    "status, error",
    [
        (401, NoKey()),
        (429, QueueFull(3)),
        (500, RuntimeError()),
        (504, DeadlinePassed()),
    ],
)
def test_problems_of_the_service_are_the_examples_shown(failing, status, error):
    """400, 413, 415 and 422 are above; 408 needs a slow client: test_faults.py."""
    reply = failing(error).post("/predict", json={"sentence": "x"})
    assert reply.status_code == status
    operation = openapi.describe()["paths"]["/predict"]["post"]
    described = operation["responses"][str(status)]
    (content,) = described["content"].values()
    assert reply.json | content["example"] == reply.json
    assert fits(reply.json, schema_of(content))
    assert described.get("headers", {}).keys() <= dict(reply.headers).keys()


def test_405_is_a_problem_without_a_type(client):
    reply = client.get("/predict")
    assert reply.status_code == 405 and "POST" in reply.headers["Allow"]
    assert fits(reply.json, "Problem")


def test_every_route_is_described(app):
    known = set(openapi.describe()["paths"]) | {"/openapi.json", "/docs", "/metrics"}
    routes = {rule.rule.replace("<", "{").replace(">", "}") for rule in routes_of(app)}
    assert routes - known <= {"/"}


def routes_of(app):
    return [rule for rule in app.url_map.iter_rules() if "path:" not in rule.rule]


def test_docs_name_every_schema_and_load_nothing_from_elsewhere(client):
    reply = client.get("/docs")
    for name in openapi.describe()["components"]["schemas"]:
        assert f'id="schema-{name}"' in reply.text
    assert "://" not in reply.text.replace("http://terminology.hl7.org", "")
    assert "<script" not in reply.text and "style=" not in reply.text
    assert "'unsafe" not in reply.headers["Content-Security-Policy"]


def test_docs_style_is_shipped(client):
    with client.get("/docs/static/docs.css") as reply:
        assert reply.status_code == 200
