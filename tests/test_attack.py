"""Whatever is sent: an answer or a refusal, soon, and never a 500."""

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from negation_api import create_app
from negation_api.contract.labels import Prediction
from negation_api.http.service import service_of
from negation_api.settings import Settings
from negation_api.text.sentences import MAX_ENDS, count_ends

# A second where nothing else runs; the clock of the thread runs on while a neighbour
# slows the core down.
MAX_SECONDS = 3.0
WORD = re.compile(r"\S")


class Hurried:
    """The embedded model's tokenizer, and answers that cost nothing."""

    def __init__(self, classifier):
        self._classifier = classifier

    def __getattr__(self, name):
        return getattr(self._classifier, name)

    def classify(self, rows):
        return [Prediction(dict.fromkeys(self.labels, 1 / 3)) for _ in rows]


@pytest.fixture(scope="module")
def app():
    from negation_api.model.classifier import load_classifier

    settings = Settings(inference_threads=1)
    app = create_app(settings, Hurried(load_classifier(settings)))
    service_of(app).batcher.start()
    yield app
    service_of(app).batcher.stop()


@pytest.fixture(scope="module")
def client(app):
    return app.test_client()


# --- long texts ---------------------------------------------------------------

HOSTILE = (
    "a|.|a. |[|[ |[entity]|[  entity |[**|**A[|1|1. | |\n|- x\n|-\n|A:\n|A "
    "|past medical |e\u0301|中|😀|J. |Denies:\n- a\n"
).split("|")
# What stands above, and a row of it.
FORMS = [
    ("", "- Hypertension\n"),
    ("", "No cough\nmetformin 500 mg\n"),
    ("", "Fever [ ] Yes [x] No\n"),
    ("", "Fever \u2610 Yes \u2611 No "),
    ("", "Asthma: N  Stroke: Y\n"),
    ("", "Asthma: N; stroke: Y; "),
    ("", "HPI: no fever  "),
    ("", "Asthma NO COPD YES\n"),
    ("", "Any fever?\nNo\n"),
    ("", "1. Denies:\n  a. fever\n"),
    ("", "| Asthma | N |\n"),
    ("Symptom  Yes  No\n", "Fever    x\n"),
    ("Positive        Denies\n", "fever           chills\n"),
]
NUM_BYTES = 1024 * 1024 - 100_000  # the rest is for the offsets


def sentence(text):
    return {"sentence": text}


def marked(text):
    half = len(text) // 2
    return {"sentence": f"{text[:half]} [entity] x [entity] {text[half:]}"}


def note(text):
    """A thousand entities, all over the text."""
    places = [(len(text) - 2) * n // 1000 for n in range(1000)]
    words = (WORD.search(text, place) for place in places)
    entities = [{"start": w.start(), "end": w.start() + 1} for w in words if w]
    return {"text": text, "entities": entities, "explain": True}


def giant_entities(text):
    """Of all lengths up to the longest."""
    entities = [{"start": 0, "end": n + 1} for n in range(1000)]
    return {"text": text, "entities": entities}


def documents(text):
    part = text[: len(text) // 100]
    entities = [{"start": 10 * n, "end": 10 * n + 5} for n in range(10)]
    return {"documents": [{"text": part, "entities": entities}] * 100}


def sentences(text):
    return {"documents": [sentence(text[: len(text) // 100])] * 100}


SHAPES = [sentence, marked, note, giant_entities, documents, sentences]


def assert_is_soon_answered(client, body):
    raw = json.dumps(body, ensure_ascii=False).encode()
    assert len(raw) <= 1024 * 1024
    started = time.thread_time()  # of this thread: the service's own code
    reply = client.post("/predict", data=raw, content_type="application/json")
    assert time.thread_time() - started < MAX_SECONDS
    assert reply.status_code in (200, 422)
    return reply


def of_a_mebibyte(row, head=""):
    """Give *row* as often as its JSON fits."""
    num_bytes = len(json.dumps(row, ensure_ascii=False).encode()) - len('""')
    return head + row * (NUM_BYTES // num_bytes)


@pytest.mark.system
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@pytest.mark.parametrize("piece", HOSTILE, ids=ascii)
def test_a_mebibyte_is_answered_or_refused_within_a_second(client, piece, shape):
    assert_is_soon_answered(client, shape(of_a_mebibyte(piece)))


@pytest.mark.system
@pytest.mark.parametrize("head, row", FORMS, ids=ascii)
def test_the_longest_form_is_answered_within_a_second(client, head, row):
    text = of_a_mebibyte(row, head)
    text = text[: len(text) * MAX_ENDS // max(MAX_ENDS, count_ends(text))]
    assert assert_is_soon_answered(client, note(text)).status_code == 200


@pytest.mark.system
def test_a_long_line_to_write_on_is_read_within_a_second(client):
    body = {
        "text": "Fever (Y) N\n" + "_" * 160_000,
        "entities": [{"start": 0, "end": 5}],
    }
    assert assert_is_soon_answered(client, body).status_code == 200


@pytest.mark.system
def test_many_cells_between_two_answers_are_read_within_a_second(client):
    text = "Edema none | " + "a | " * 90_000 + "Rub no"
    assert assert_is_soon_answered(client, note(text)).status_code == 200


LIMITS = {
    "At most 100000 sentence ends, colons, cells, questions (2 each), line breaks": {
        "text": "ab.\n[ ] ☐\t" * 20_001,
        "entities": [{"start": 0, "end": 1}],
    },
    "At most 480000 characters in all sentences that the entities stand in;": {
        "text": "a" * 5_000,
        "entities": [{"start": 2_500, "end": 2_501 + n} for n in range(200)],
    },
    "At most 1000 characters in an entity; given 1002.": {
        "sentence": f"[entity] {'a' * 1000} [entity]"
    },
    "The sentence has 100000 characters; at most 81920 are read.": {
        "sentence": "a" * 100_000
    },
    "The sentence has at least 640 tokens; at most 510 fit.": {
        "sentence": "." * 100_000
    },
}


@pytest.mark.parametrize("detail", LIMITS)
def test_each_limit_on_texts_tells_both_numbers(client, detail):
    reply = client.post("/predict", json=LIMITS[detail])
    assert reply.status_code == 422
    (error,) = reply.json["errors"]
    assert error["detail"].startswith(detail)


@pytest.mark.parametrize("most", ["a: " * 100_000, "a\n" * 50_000, "☐a" * 33_333 + ":"])
def test_as_many_ends_as_allowed_are_answered_and_one_more_refused(client, most):
    for text, status in ((most, 200), (f"{most}:", 422)):
        body = {"text": text, "entities": [{"start": 0, "end": 1}]}
        assert client.post("/predict", json=body).status_code == status


def test_notes_as_they_are_written_are_far_from_the_limits(client):
    """Three hundred pages, sixty lines each."""
    line = "Glucose: 110 mg/dL (70-99). Denies pain, no fever.\n"
    text = line * (NUM_BYTES // len(line))
    entities = [{"start": 35 + 8 * n * len(line)} for n in range(1000)]
    for entity in entities:
        entity["end"] = entity["start"] + 6
    body = {"text": text, "entities": entities}
    assert client.post("/predict", json=body).status_code == 200


# --- anything at all ----------------------------------------------------------

ANY_TEXT = st.text(max_size=20) | st.text("[]entiyENTITY .\n\x00\ud800", max_size=40)
ANY_NUMBER = st.integers(-5, 30) | st.integers() | st.floats()
ANY_JSON = st.recursive(
    st.none() | st.booleans() | ANY_NUMBER | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
ENTITY = st.fixed_dictionaries(
    {"start": ANY_NUMBER, "end": ANY_NUMBER}, optional={"id": ANY_JSON}
)
OPTIONS = {
    "offset_unit": st.sampled_from(["codepoint", "utf16", "utf8"]) | ANY_JSON,
    "explain": st.booleans() | ANY_JSON,
    "fhir": st.booleans() | ANY_JSON,
    "id": ANY_JSON,
}
SENTENCE = st.fixed_dictionaries({"sentence": ANY_TEXT | ANY_JSON}, optional=OPTIONS)
NOTE = st.fixed_dictionaries(
    {"text": ANY_TEXT | ANY_JSON, "entities": st.lists(ENTITY, max_size=4) | ANY_JSON},
    optional=OPTIONS,
)
DOCUMENTS = st.fixed_dictionaries(
    {"documents": st.lists(SENTENCE | NOTE | ANY_JSON, max_size=4) | ANY_JSON},
    optional=OPTIONS,
)


def post(client, raw: bytes):
    return client.post("/predict", data=raw, content_type="application/json")


@given(SENTENCE | NOTE | DOCUMENTS | ANY_JSON)
@hypothesis_settings(max_examples=200, deadline=None)
def test_any_json_is_answered_or_refused(client, body):
    reply = post(client, json.dumps(body).encode())
    assert reply.status_code in (200, 400, 422)
    if reply.status_code == 200:
        for document in reply.json.get("documents", []):
            assert document.get("error", {}).get("status", 422) == 422


@given(st.binary(max_size=200), SENTENCE | NOTE, st.randoms())
@hypothesis_settings(max_examples=100, deadline=None)
def test_any_bytes_are_answered_or_refused(client, noise, body, rng):
    """Noise alone, and in the midst of what might have been valid."""
    raw = json.dumps(body).encode()
    place = rng.randrange(len(raw))
    for damaged in (noise, raw[:place] + noise + raw[place:], raw[:place]):
        assert post(client, damaged).status_code in (200, 400, 422)
