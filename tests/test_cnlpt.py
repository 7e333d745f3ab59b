"""The endpoints of cnlp_transformers: both forms, refusals, its client, overload."""

import asyncio
import json
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from ctakesclient.transformer import TransformerModel, list_polarity, map_polarity
from ctakesclient.typesystem import Polarity
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from conftest import KeywordClassifier, running
from fork_server import Server
from negation_api.contract.cnlpt import NEGATION, QUESTIONS, TERM_EXISTS, exists
from negation_api.contract.labels import AXES, LABELS, Choice, Prediction
from negation_api.http import openapi
from negation_api.settings import Settings
from server import ROOT
from test_openapi import fits

CANARY = "zebrafish"  # stands for clinical text
TEXT = "Has cough. Denies fever 😀 or pain."
SPANS = [[18, 23], [4, 9], [18, 23], [18, 33], [29, 33]]
PATHS = [question.path for question in QUESTIONS]


def old(text=TEXT, spans=SPANS) -> dict:
    return {"doc_text": text, "entities": spans}


def new(text=TEXT, spans=SPANS) -> dict:
    return {"text": text, "entity_spans": spans}


def post(client, path, body, status=200):
    reply = client.post(path, json=body)
    assert reply.status_code == status, reply.text
    return reply.json


# --- forms ------------------------------------------------------------------------


def test_the_old_form_gives_statuses_in_the_order_asked(client):
    reply = post(client, NEGATION.path, old())
    assert reply == {"statuses": [1, -1, 1, 1, 1]}
    assert fits(old(), "StatusesRequest") and fits(reply, "Statuses")
    assert post(client, TERM_EXISTS.path, old())["statuses"] == [-1, 1, -1, -1, -1]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: each.name)
def test_the_new_form_gives_records(client, question):
    reply = post(client, question.path, new())
    one = 0.75 if question is NEGATION else 0.25
    assert reply[0] == {
        "text": "Has cough. Denies <e>fever</e> 😀 or pain.",
        question.name: {
            "prediction": "1" if question is NEGATION else "-1",
            "probs": {"-1": 1 - one, "1": one},
        },
    }
    statuses = post(client, question.path, old())["statuses"]
    assert [int(each[question.name]["prediction"]) for each in reply] == statuses
    assert all(fits(record, "Record") for record in reply)
    assert fits(new(), "RecordsRequest")


def test_a_record_has_a_hundred_characters_on_either_side(client):
    text = "a" * 150 + " cough " + "b" * 150
    (record,) = post(client, NEGATION.path, new(text, [[151, 156]]))
    assert record["text"] == "a" * 99 + " <e>cough</e> " + "b" * 99


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", openapi.CNLPT_EXAMPLES)
def test_each_example_of_the_description_is_answered(client, path, name):
    reply = post(client, path, openapi.CNLPT_EXAMPLES[name])
    assert len(reply) == 3 or len(reply["statuses"]) == 3


@pytest.mark.parametrize("path", PATHS)
def test_no_entities_have_no_answers(client, path):
    assert post(client, path, old(spans=[])) == {"statuses": []}
    assert post(client, path, new(spans=[])) == []


# --- what is answered -------------------------------------------------------------

SPREAD = st.lists(st.integers(1, 100), min_size=3, max_size=3)


def choice(values, weights, kind=Choice):
    return kind({v: w / sum(weights) for v, w in zip(values, weights)})


@given(SPREAD, SPREAD, SPREAD)
@hypothesis_settings(deadline=None)
def test_a_term_exists_if_all_it_takes_is_so(label, whose, when):
    whose, when = (choice(AXES[a], w) for a, w in zip(AXES, (whose, when)))
    alone = choice(LABELS, label, Prediction)
    both = replace(alone, experiencer=whose, temporality=when)
    assert exists(alone) == (alone.label in ("PRESENT", "POSSIBLE"))
    assert exists(both) == (
        exists(alone) and whose.label == "PATIENT" and when.label != "HYPOTHETICAL"
    )
    assert both.holds <= exists(both)
    for question in QUESTIONS:
        assert 0 <= question.probability(both) <= 1
        if question.probability(both) < 1 / 3:  # no value has less, if it is chosen
            assert not question.holds(both)


def test_whose_and_when_bear_on_existence_not_on_negation(axes_client):
    text = "Her mother has asthma.\nReturn for fever.\nHistory of gout."
    note = old(text, [[15, 21], [34, 39], [52, 56]])
    assert post(axes_client, TERM_EXISTS.path, note)["statuses"] == [-1, -1, 1]
    assert post(axes_client, NEGATION.path, note)["statuses"] == [-1, -1, -1]


# --- refused ----------------------------------------------------------------------

NEITHER = "Must hold doc_text and entities or text and entity_spans; holds"
UNKNOWN = "1 unknown fields; known are: doc_text, entities."
TWO = "Must hold 2 numbers, start and end; given"
# body -> pointer, detail
INVALID = [
    ([], "#", "Must be a JSON object."),
    ({}, "#", f"{NEITHER} 0 of the two."),
    ({CANARY: CANARY}, "#", f"{NEITHER} 0 of the two."),
    ({**old(), **new()}, "#", f"{NEITHER} 2 of the two."),
    ({"text": CANARY, "entities": []}, "#", f"{NEITHER} 2 of the two."),
    ({**old(), CANARY: 1}, "#", UNKNOWN),
    ({"doc_text": CANARY}, "#/entities", "Missing data for required field."),
    ({"entities": []}, "#/doc_text", "Missing data for required field."),
    ({"text": CANARY}, "#/entity_spans", "Missing data for required field."),
    (old(5), "#/doc_text", "Not a valid string."),
    (old("a\0"), "#/doc_text", "Holds a NUL character, at 1."),
    (old(CANARY, {}), "#/entities", "Not a valid list."),
    (old(CANARY, [[0, 3], CANARY]), "#/entities/1", "Not a valid list."),
    (old(CANARY, [{"start": 0}]), "#/entities/0", "Not a valid list."),
    (old(CANARY, [[0, 3], [4]]), "#/entities/1", f"{TWO} 1."),
    (new(CANARY, [[0, 3, 5]]), "#/entity_spans/0", f"{TWO} 3."),
    (old(CANARY, [[CANARY, 3]]), "#/entities/0/0", "Not a valid integer."),
    (old(CANARY, [[0, 2.5]]), "#/entities/0/1", "Not a valid integer."),
    (old(CANARY, [[-1, 3]]), "#/entities/0/0", "Must be at least 0; given -1."),
    (
        old(CANARY, [[0, 3], [2, 99]]),
        "#/entities/1/1",
        "At most 9, the text's length; given 99.",
    ),
    (new(CANARY, [[4, 2]]), "#/entity_spans/0/1", "Must be above start, 4; given 2."),
    (new(CANARY, [[4, 4]]), "#/entity_spans/0/1", "Must be above start, 4; given 4."),
    (old("a  b", [[1, 3]]), "#/entities/0/0", "Must hold more than blanks."),
    (
        old(CANARY, [[0, 3]] * 10_001),
        "#/entities",
        "At most 10000 entities in a request; given 10001.",
    ),
    (
        new("x" * 1001, [[0, 1001]]),
        "#/entity_spans/0/1",
        "At most 1000 characters in an entity; given 1001.",
    ),
    (
        old("Has cough.\n" + "x " * 511, [[4, 9], [11, 12]]),
        "#/entities/1/1",
        "513 tokens; at most 512 fit.",
    ),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body, pointer, detail", INVALID)
def test_refused_with_the_place_as_it_came(client, path, body, pointer, detail):
    reply = client.post(path, json=body)
    assert reply.status_code == 422
    assert reply.content_type == "application/problem+json"
    (error,) = reply.json["errors"]
    assert (error["pointer"], error["detail"]) == (pointer, detail)
    assert CANARY not in reply.text


def test_what_is_wrong_with_the_note_is_told_of_its_member(client):
    for body, pointer in ((old, "#/doc_text"), (new, "#/text")):
        text = ":" * 200_000 + "x"
        refused = post(client, NEGATION.path, body(text, [[200_000, 200_001]]), 422)
        (error,) = refused["errors"]
        assert error["pointer"] == pointer and "given 200000" in error["detail"]


def test_all_bad_spans_are_told(client):
    errors = post(client, NEGATION.path, old(CANARY, [[3, 1], [0, 2], [0, 10]]), 422)
    pointers = [error["pointer"] for error in errors["errors"]]
    assert pointers == ["#/entities/0/1", "#/entities/2/1"]


def test_a_dense_note_is_answered_whole(client):
    """As cTAKES has it: a run-on list, each mention under several concepts."""
    spans = [[7 + 7 * n, 12 + 7 * n] for n in range(280)] * 3
    reply = client.post(
        "/negation/process", json=old("denies " + "cough, " * 280, spans)
    )
    assert reply.json == {"statuses": [1] * 840}


def test_the_rest_of_http_is_as_elsewhere(client):
    assert client.get(NEGATION.path).status_code == 405
    assert post(client, NEGATION.path + "/", old(spans=[])) == {"statuses": []}
    assert client.post(NEGATION.path, data=b"{").status_code == 415
    reply = client.post(NEGATION.path, data=b"{", content_type="application/json")
    assert reply.status_code == 400


@pytest.mark.parametrize("path", PATHS)
def test_off_there_is_no_such_route(path):
    settings = Settings.from_env({"CNLPT": "off", "INFERENCE_THREADS": "1"})
    with running(settings, KeywordClassifier()) as app:
        assert app.test_client().post(path, json=old()).status_code == 404


# --- ctakesclient, unchanged ------------------------------------------------------

NOTE = """\
The patient has a sore knee and headache but denies nausea and has no anosmia.
Her mother had breast cancer. 😀 Return if you develop chest pain.
Possible pneumonia."""
EXISTS = {
    "sore knee": True,
    "headache": True,
    "nausea": False,
    "anosmia": False,
    "breast cancer": False,
    "chest pain": False,
    "pneumonia": True,
}
NEGATED = {"nausea", "anosmia"}


def span(text: str) -> tuple[int, int]:
    return NOTE.index(text), NOTE.index(text) + len(text)


@pytest.fixture(scope="module")
def server():
    with Server(env={"WEB_CONCURRENCY": "1", "INFERENCE_THREADS": "1"}) as server:
        yield server
        server.stop()
        assert server.stderr() == ""
        assert "nausea" not in str(server.log())


@pytest.fixture
def addresses(server, monkeypatch):
    """The one thing that Cumulus ETL has to be told."""
    monkeypatch.setenv("URL_CNLP_NEGATION", server.url + NEGATION.path)
    monkeypatch.setenv("URL_CNLP_TERM_EXISTS", server.url + TERM_EXISTS.path)


async def asked(spans, model):
    async with httpx.AsyncClient(timeout=60) as client:
        return await list_polarity(NOTE, spans, client=client, model=model)


def test_ctakesclient_gets_polarities(addresses):
    spans = [span(text) for text in EXISTS]
    found = asyncio.run(asked(spans, TransformerModel.NEGATION))
    assert found == [
        Polarity.neg if text in NEGATED else Polarity.pos for text in EXISTS
    ]
    found = asyncio.run(asked(spans, TransformerModel.TERM_EXISTS))
    assert found == [
        Polarity.pos if holds else Polarity.neg for holds in EXISTS.values()
    ]
    assert asyncio.run(asked([], TransformerModel.NEGATION)) == []


def test_ctakesclient_maps_polarities_of_spans_that_overlap(addresses):
    spans = [span("nausea"), span("denies nausea"), span("headache")]

    async def mapped():
        async with httpx.AsyncClient(timeout=60) as client:
            return await map_polarity(NOTE, spans, client=client)

    found = asyncio.run(mapped())
    assert list(found.values()) == [Polarity.neg, Polarity.neg, Polarity.pos]


def test_ctakesclient_is_told_of_a_bad_span(addresses):
    with pytest.raises(httpx.HTTPStatusError) as refused:
        asyncio.run(asked([(5, 5000)], TransformerModel.NEGATION))
    assert refused.value.response.status_code == 422


def test_statuses_are_the_labels_of_predict(server):
    spans = [span(text) for text in EXISTS]
    entities = [{"start": start, "end": end} for start, end in spans]
    found = server.post({"text": NOTE, "entities": entities}).json["predictions"]
    records = server.post(new(NOTE, spans), NEGATION.path).json
    for own, record in zip(found, records, strict=True):
        binary = record["Negation"]
        assert (binary["prediction"] == "1") == (own["label"] == "ABSENT")
        assert binary["probs"]["1"] == pytest.approx(own["scores"]["ABSENT"], abs=1e-4)
    counts = server.get("/metrics").body.decode()
    assert f'route="{NEGATION.path}",status="200"' in counts


# --- overload ---------------------------------------------------------------------


def test_a_full_service_lets_them_wait_and_refuses_others():
    """Many times what may be under way, from as many clients, each asking once."""
    env = {
        "WEB_CONCURRENCY": "1",
        "INFERENCE_THREADS": "1",
        "MAX_ACTIVE_REQUESTS": "2",
        "LIGHT_BATCH_SECONDS": "0.1",
    }
    args = ("--pythonpath", "tests")
    with (
        Server(env=env, app="light:app", args=args) as server,
        ThreadPoolExecutor(60) as clients,
    ):

        def ask(number: int) -> int:
            if number % 3 == 2:
                body = {"sentence": f"denies [entity] pain [entity] {number}"}
                return server.post(body).status
            note = old(f"Denies pain for {number} days.", [[7, 11]])
            return server.post(note, PATHS[number % 2]).status

        statuses = list(clients.map(ask, range(60)))
        assert {statuses[n] for n in range(60) if n % 3 != 2} == {200}
        assert 429 in {statuses[n] for n in range(60) if n % 3 == 2}
        assert server.get("/health").status == 200


# --- docs/cnlpt.md ----------------------------------------------------------------

DOCUMENT = (ROOT / "docs" / "cnlpt.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


def test_the_forms_are_as_shown(server):
    requests = [json.loads(block) for block in blocks("json")]
    for body, shown in zip(requests[::2], requests[1::2], strict=True):
        reply = server.post(body, NEGATION.path).json
        if isinstance(shown, list):
            for own, wanted in zip(reply, shown, strict=True):
                probs = wanted["Negation"]["probs"]
                wanted["Negation"]["probs"] = pytest.approx(probs, abs=0.05)
                assert own == wanted
        else:
            assert reply == shown


def test_the_python_shown_works(server):
    """In a process of its own: ctakesclient closes no client that it makes."""
    (code,) = blocks("python")
    code = code.replace("http://localhost:8000", server.url)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == re.search(r"# (\[.*\])", code)[1] + "\n", done.stderr


def test_the_overrides_shown_point_here():
    images, addresses = (yaml.safe_load(block) for block in blocks("yaml"))
    build = shlex.split(blocks("sh")[0])
    for service in images["services"].values():
        assert service == {
            "image": build[build.index("-t") + 1],
            "pull_policy": "never",
        }
    urls = dict(
        line.split("=") for line in addresses["services"]["cumulus-etl"]["environment"]
    )
    paths = {name: urlsplit(url).path for name, url in urls.items()}
    assert paths == {
        "URL_CNLP_NEGATION": NEGATION.path,
        "URL_CNLP_TERM_EXISTS": TERM_EXISTS.path,
    }
