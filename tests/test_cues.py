"""The words that decided, found by taking words out."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from negation_api import cues
from negation_api.contract.labels import Choice, Prediction
from negation_api.contract.request import Document, Entity, load_query
from negation_api.scoring import Scorer, contexts_of, encode_contexts
from negation_api.settings import Settings
from negation_api.text.spans import Span


class Reader:
    """Stands in for BERT: a row is the words that it reads.

    ABSENT with "no" or "denies", POSSIBLE with "cannot" and "exclude" both; FAMILY with
    "family" or "mother"; HYPOTHETICAL with "if".
    """

    headed, beside = True, None

    def encode(self, sentence, marked=True, ours=False):
        return tuple(re.sub("[,:.]", " ", sentence.lower()).split())

    def classify(self, rows):
        return [self._predict(set(row)) for row in rows]

    def _predict(self, words):
        label = "ABSENT" if words & {"no", "denies"} else "PRESENT"
        label = "POSSIBLE" if {"cannot", "exclude"} <= words else label
        whose = "FAMILY" if words & {"family", "mother"} else "PATIENT"
        when = "HYPOTHETICAL" if "if" in words else "CURRENT"
        return Prediction(
            scores(label, "PRESENT ABSENT POSSIBLE"),
            experiencer=Choice(scores(whose, "PATIENT FAMILY OTHER")),
            temporality=Choice(scores(when, "CURRENT HISTORICAL HYPOTHETICAL")),
        )


def scores(best, values):
    return {value: 0.8 if value == best else 0.1 for value in values.split()}


def found(document, max_tokens=40_000):
    """Give the cues of each row, as words of the text."""
    reader = Reader()
    contexts = contexts_of(document, reader, axes=True)
    predictions = reader.classify(list(encode_contexts(document, contexts, reader)))
    answered = [(document, contexts, predictions)]
    (rows,) = cues.find(answered, reader, reader.classify, max_tokens)
    text = document.text
    return [
        {
            question: [text[s.start : s.end] for s in spans]
            for question, spans in r.items()
        }
        for r in rows
    ]


def note(text):
    """Make the document whose entities stand between ``<`` and ``>``."""
    entities = []
    while "<" in text:
        start, end = text.index("<"), text.index(">") - 1
        text = text.replace("<", "", 1).replace(">", "", 1)
        entities.append(Entity(None, start, end, Span(start, end)))
    return Document(None, text, tuple(entities))


FOUND = {
    "Patient denies <fever> today.": {"label": ["denies"]},
    "Has <fever> today.": {},
    "Mother had no <gout>.": {"label": ["no"], "experiencer": ["Mother"]},
    "We cannot quite exclude <gout>.": {"label": ["exclude"]},
    "Return if <fever>.": {"temporality": ["if"]},
    "There is no fever and no <gout>.": {"label": ["no", "no"]},
    "Denies:\n- cough\n- <gout>": {"label": ["Denies"]},
    "FHx\n\n- cough\n- <gout>\n": {"experiencer": ["FHx"]},
    "Fever: N  <Gout>: N  Rash: Y": {"label": ["N"]},
    "Denies&nbsp;<gout>.": {"label": ["Denies"]},
}


@pytest.mark.parametrize("text", FOUND)
def test_cues_of_a_note(text):
    assert found(note(text)) == [FOUND[text]]


def test_cues_of_a_sentence_are_places_in_it():
    sentence = "She denies [entity] gout [entity] if asked."
    assert found(Document(None, sentence, None)) == [
        {"label": ["denies"], "temporality": ["if"]}
    ]


def test_an_unmarked_sentence_has_cues():
    document = Document(None, "No gout in the family.", None, marked=False)
    assert found(document) == [{"label": ["No"], "experiencer": ["family"]}]


def test_what_would_exceed_the_bound_has_no_cues():
    document = note("No <gout>. No <fever>.")
    rows = found(document, max_tokens=4)
    assert rows == [{"label": ["No"]}, {}]


WORDS = st.lists(
    st.sampled_from("no denies mother if cannot exclude the has was , and".split()),
    max_size=8,
)


@given(WORDS, WORDS)
@settings(max_examples=200, deadline=None)
def test_without_its_cues_an_answer_is_the_default(before, after):
    text = " ".join([*before, "<gout>", *after])
    document = note(text)
    (row,) = found(document)
    for question, words in row.items():
        if len(" ".join(words).split()) == cues.MAX_CUE_WORDS:
            continue  # there may be more
        gone = " ".join(w for w in text.split() if w not in " ".join(words).split())
        reader, left = Reader(), note(gone)
        contexts = contexts_of(left, reader, axes=True)
        (prediction,) = reader.classify(list(encode_contexts(left, contexts, reader)))
        default = cues.DEFAULTS[question]
        assert prediction.choice(question).label == default


@pytest.mark.parametrize("unit, start", [("codepoint", 2), ("utf16", 3), ("utf8", 5)])
def test_cues_are_counted_in_the_requests_unit(client, unit, start):
    text = "😀 denies fever"
    offset = start + len("denies ")
    entity = {"start": offset, "end": offset + len("fever")}
    body = {"text": text, "entities": [entity], "offset_unit": unit, "explain": True}
    (prediction,) = client.post("/predict", json=body).json["predictions"]
    place = {"start": start, "end": start + len("denies")}
    assert prediction["cues"] == {"label": [place]}


def test_cues_are_given_with_explain_only(client):
    body = {"sentence": "denies [entity] fever [entity]"}
    assert "cues" not in client.post("/predict", json=body).json
    assert load_query(body, Settings()).explain is False


def test_axes_that_are_not_asked_for_have_no_cues(axes_client):
    body = {"sentence": "mother denies [entity] fever [entity]", "explain": True}
    whole = axes_client.post("/predict", json=body).json["cues"]
    without = axes_client.post("/predict", json=body | {"axes": False}).json["cues"]
    assert whole.keys() == {"label", "experiencer"}
    assert without == {"label": whole["label"]}


def test_a_row_that_fails_while_cues_are_sought_costs_its_document_only(classifier):
    compute = classifier.classify

    def classify(rows):
        read = [classifier._sentence(row) for row in rows]
        if "[entity] fever [entity]" in read:
            raise RuntimeError("fever")
        return compute(rows)

    classifier.classify = classify
    bodies = [
        {"sentence": f"denies [entity] {word} [entity]", "explain": True}
        for word in ("fever", "pain")
    ]
    failed, answered = Scorer(classifier, Settings()).score(bodies)
    assert failed.errors == [
        {"pointer": "#", "detail": "The model failed (RuntimeError)."}
    ]
    assert answered.cues == [{"label": [Span(0, 6)]}]
