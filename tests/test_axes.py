"""Whose and when beside the label: in every form, from one model or from two."""

import json
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from conftest import AxesClassifier, KeywordClassifier, running
from negation_api.contract.labels import AXES, LABELS, Choice, Prediction
from negation_api.model.artefact import ModelError
from negation_api.model.beside import Beside
from negation_api.settings import Settings

MEMBERS = {"experiencer", "temporality", "holds"}
MARKED = {"sentence": "her mother denies [entity] pain [entity]"}
NOTE = {
    "text": "Her mother has asthma.\nReturn for fever.\nHistory of gout.\nHas a cough.",
    "entities": [
        {"start": 15, "end": 21},
        {"start": 34, "end": 39},
        {"start": 52, "end": 56},
        {"start": 64, "end": 69},
    ],
}
FAMILY_NOTE = {
    "text": "FAMILY HISTORY\n\n- Diabetes\n- Stroke",
    "entities": [{"start": 18, "end": 26}, {"start": 29, "end": 35}],
}


def post(client, body, status=200):
    reply = client.post("/predict", json=body)
    assert reply.status_code == status
    return reply.json


# --- the three forms -------------------------------------------------------------


def told(answer) -> tuple:
    axes = answer["experiencer"]["label"], answer["temporality"]["label"]
    return answer["label"], *axes, answer["holds"]


def test_each_form_has_them(axes_client):
    sentence, note = post(axes_client, MARKED), post(axes_client, NOTE)
    documents = post(axes_client, {"documents": [MARKED, NOTE]})["documents"]
    assert told(sentence) == ("ABSENT", "FAMILY", "CURRENT", False)
    assert list(map(told, note["predictions"])) == [
        ("PRESENT", "FAMILY", "CURRENT", False),
        ("PRESENT", "PATIENT", "HYPOTHETICAL", False),
        ("PRESENT", "PATIENT", "HISTORICAL", True),
        ("PRESENT", "PATIENT", "CURRENT", True),
    ]
    assert documents[0].items() <= sentence.items()
    assert documents[1]["predictions"] == note["predictions"]


@pytest.mark.parametrize("axis", AXES)
def test_an_axis_gives_the_probability_of_each_value(axes_client, axis):
    answer = post(axes_client, MARKED)[axis]
    assert set(answer) == {"label", "score", "scores"}
    assert tuple(answer["scores"]) == AXES[axis]
    assert sum(answer["scores"].values()) == pytest.approx(1)
    assert answer["score"] == answer["scores"][answer["label"]]
    assert answer["score"] == max(answer["scores"].values())


def without(value, members: set):
    """Give JSON without *members*, at any depth."""
    if isinstance(value, list):
        return [without(each, members) for each in value]
    if isinstance(value, dict):
        kept = value.keys() - members
        return {key: without(value[key], members) for key in kept}
    return value


@pytest.mark.parametrize("body", [MARKED, {"documents": [MARKED, NOTE]}, NOTE])
def test_nothing_else_changes_when_they_are_left_out(axes_client, body):
    plain = post(axes_client, body | {"axes": False})
    assert without(plain, MEMBERS) == plain
    full = post(axes_client, body)
    gone = {"time_ms"}
    assert without(full, MEMBERS | gone) == without(plain, gone) != without(full, gone)


def test_a_model_of_labels_alone_says_nothing_of_them(client):
    assert not MEMBERS & set(post(client, MARKED))


@pytest.mark.parametrize("value", ["no", 0, None, "false"])
def test_the_option_is_a_json_boolean(axes_client, value):
    reply = post(axes_client, MARKED | {"axes": value}, 422)
    assert reply["errors"][0]["pointer"] == "#/axes"


def certain(values, value) -> dict:
    return {each: float(each == value) for each in values}


@pytest.mark.parametrize("label, whose, when", [*product(LABELS, *AXES.values())])
def test_what_holds_is_present_the_patient_s_and_not_hypothetical(label, whose, when):
    prediction = Prediction(
        certain(LABELS, label),
        Choice(certain(AXES["experiencer"], whose)),
        Choice(certain(AXES["temporality"], when)),
    )
    holding = {("PRESENT", "PATIENT", "CURRENT"), ("PRESENT", "PATIENT", "HISTORICAL")}
    assert prediction.holds is ((label, whose, when) in holding)


def test_without_both_axes_nothing_is_said_to_hold():
    whose = Choice(certain(AXES["experiencer"], "PATIENT"))
    assert Prediction(certain(LABELS, "PRESENT")).holds is None
    assert Prediction(certain(LABELS, "PRESENT"), experiencer=whose).holds is None


# --- two models -------------------------------------------------------------------


def load(directory, **settings):
    from negation_api.model.classifier import load_classifier

    return load_classifier(Settings(model=str(directory), **settings))


def classify(classifier, sentences) -> list[Prediction]:
    return classifier.classify([classifier.encode(each) for each in sentences])


SENTENCES = [
    f"{before} [entity] {entity} [entity]{after}"
    for before in ("denies any", "the patient has had", "no", "history of", "possible")
    for entity in ("fever", "chest pain", "severe shortness of breath")
    for after in ("", " and cough.", " on the left, ruled out " * 9)
]


def test_labels_are_those_of_the_same_model_without_axes(toy_model, labels_model):
    one, other = load(toy_model), load(labels_model, axes=False)
    for a, b in zip(classify(one, SENTENCES), classify(other, SENTENCES), strict=True):
        assert a.label == b.label
        assert a.scores == pytest.approx(b.scores, abs=1e-6)
        assert a.holds is not None and b.holds is None


def test_axes_equal_the_reference(toy_model):
    """transformers' own encoder and pooler, below the last layers of the file."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, BertModel

    bert = BertModel.from_pretrained(toy_model).eval()
    tokenizer = AutoTokenizer.from_pretrained(toy_model)
    tensors = load_file(toy_model / "model.safetensors")
    given = classify(load(toy_model), SENTENCES)
    answered = set()
    for sentence, prediction in zip(SENTENCES, given, strict=True):
        with torch.inference_mode():
            pooled = bert(**tokenizer(sentence, return_tensors="pt")).pooler_output
        for axis, values in AXES.items():
            weight, bias = (tensors[f"axes.{axis}.{n}"] for n in ("weight", "bias"))
            scores = (pooled @ weight.T + bias).softmax(-1)[0].tolist()
            wanted = dict(zip(values, scores))
            choice = getattr(prediction, axis)
            assert choice.scores == pytest.approx(wanted, abs=1e-4)
            answered.add(choice.label)
    assert len(answered) >= 4


@pytest.fixture(scope="module")
def beside(labels_model, tmp_path_factory) -> Beside:
    """A model of labels, and another one that answers the axes beside it."""
    from toy import add_axes, write_bert

    other = write_bert(tmp_path_factory.mktemp("other") / "toy", hidden_size=48)
    return Beside(load(labels_model, axes=False), load(add_axes(other)))


def test_beside_the_label_is_the_first_s_and_the_axes_the_second_s(beside):
    first, second = classify(beside._first, SENTENCES), classify(
        beside.beside, SENTENCES
    )
    pairs = [beside.encode(each, each) for each in SENTENCES]
    for pair, one, other in zip(beside.classify(pairs), first, second, strict=True):
        assert pair.scores == pytest.approx(one.scores, abs=1e-6)
        for axis in AXES:
            wanted = getattr(other, axis).scores
            assert getattr(pair, axis).scores == pytest.approx(wanted, abs=1e-6)


def test_beside_in_a_reply(settings):
    """A client is told what answered what, and computes nothing it has not asked."""
    first, second = KeywordClassifier(), AxesClassifier()
    with running(settings, Beside(first, second)) as app:
        client = app.test_client()
        entities = [{"start": 0, "end": 8}]
        body = {"text": "Diabetes.", "entities": entities, "section": "FHx"}
        reply = post(client, body)
        assert reply["model"]["axes"]["name"] == "keyword"
        assert "axes" not in reply["model"]["axes"]
        asked = len(second.sentences)
        plain = post(client, body | {"axes": False})
        assert not MEMBERS & set(plain["predictions"][0])
        assert len(second.sentences) == asked == 1
    assert first.sentences[0] == "[entity] diabetes [entity]."
    assert second.sentences[0] == "family history: [entity] diabetes [entity]."


def test_switched_off_there_is_one_model_and_no_axes(toy_model, labels_model):
    for directory in (toy_model, labels_model):
        classifier = load(directory, axes=False)
        assert classifier.beside is None and not classifier.headed
        assert classifier.axes == {}
        (prediction,) = classify(classifier, SENTENCES[:1])
        assert prediction.holds is None


def test_a_model_with_axes_needs_no_other(toy_model):
    assert load(toy_model).beside is None


@pytest.mark.parametrize(
    "axes",
    [
        {"experiencer": AXES["experiencer"]},
        {**AXES, "temporality": AXES["temporality"][::-1]},
        {**AXES, "experiencer": ["PATIENT", "FAMILY"]},
    ],
)
def test_other_axes_are_refused_by_name(toy_model, tmp_path, axes):
    import shutil

    from toy import edit_config

    directory = shutil.copytree(toy_model, tmp_path / "toy")
    edit_config(directory, axes=axes)
    with pytest.raises(ModelError, match=r"config.json: axes\.\w+ must be \w+, "):
        load(directory)


def test_a_file_that_lacks_what_its_config_promises_is_refused(labels_model, tmp_path):
    import shutil

    from toy import edit_config

    directory = shutil.copytree(labels_model, tmp_path / "toy")
    edit_config(directory, axes=AXES)
    with pytest.raises(ModelError, match="axes.experiencer.weight") as refused:
        load(directory)
    assert str(refused.value).startswith(f"{directory / 'model.safetensors'}: ")


# --- whatever the batch -----------------------------------------------------------


def choices(prediction) -> dict:
    return {axis: getattr(prediction, axis) for axis in AXES}


@pytest.mark.parametrize("two_models", [False, True])
def test_neighbours_in_a_batch_change_nothing(toy_model, beside, two_models):
    classifier = beside if two_models else load(toy_model)
    more = (SENTENCES,) if two_models else ()
    rows = [classifier.encode(*each) for each in zip(SENTENCES, *more)]
    for row, together in zip(rows, classifier.classify(rows), strict=True):
        (alone,) = classifier.classify([row])
        assert together.scores == pytest.approx(alone.scores, abs=1e-5)
        for axis, choice in choices(together).items():
            wanted = getattr(alone, axis).scores
            assert choice.scores == pytest.approx(wanted, abs=1e-5)


def test_int8_is_close(toy_model):
    exact = classify(load(toy_model), SENTENCES)
    near = classify(load(toy_model, precision="int8"), SENTENCES)
    apart = [
        abs(choice.scores[value] - score)
        for a, b in zip(near, exact, strict=True)
        for axis, choice in choices(a).items()
        for value, score in getattr(b, axis).scores.items()
    ]
    assert 0 < sum(apart) / len(apart) < 0.05  # not 0, or this would say nothing


# --- sections -----------------------------------------------------------------------

HEADED = "[entity] pain [entity]."


def headings(classifier) -> list[str]:
    return [each.partition("[")[0].strip() for each in classifier.sentences]


@pytest.mark.parametrize(
    "of_note, of_entity, read",
    [
        (None, None, ""),
        ("FHx", None, "family history:"),
        (None, "Past Medical History", "past medical history:"),
        ("FHx", "PMH:", "past medical history:"),
        ("Impression", None, ""),
        ("no such heading", None, ""),
        ("", None, ""),
        ("[entity]", None, ""),
    ],
)
def test_a_section_that_the_client_gives_is_read_and_given_back(
    settings, of_note, of_entity, read
):
    entity = {"start": 0, "end": 4} | ({"section": of_entity} if of_entity else {})
    body = {"text": "Pain.", "entities": [entity], "explain": True}
    body |= {} if of_note is None else {"section": of_note}
    classifier = AxesClassifier()
    with running(settings, classifier) as app:
        (prediction,) = post(app.test_client(), body)["predictions"]
    assert headings(classifier)[0] == read
    section = of_entity or of_note
    assert prediction.get("section") == (section or None)
    assert prediction["context"].lower().startswith(read)


def test_a_section_mends_the_answer(toy_model, settings):
    text = "Diabetes in 1980."
    bare = {"text": text, "entities": [{"start": 0, "end": 8}]}
    with running(settings, load(toy_model)) as app:
        client = app.test_client()
        scores = {
            section: json.dumps(
                post(client, bare | {"section": section})["predictions"]
            )
            for section in ("Family history", "FHx:", "ROS", "nothing known")
        }
        (plain,) = {json.dumps(post(client, bare)["predictions"])}
    assert scores["Family history"] == scores["FHx:"] != plain
    assert scores["ROS"] == scores["nothing known"] == plain


def test_a_heading_of_the_note_is_given_by_explain(axes_client):
    reply = post(axes_client, FAMILY_NOTE | {"explain": True})
    assert [each["section"] for each in reply["predictions"]] == ["FAMILY HISTORY"] * 2


@pytest.mark.parametrize(
    "body, pointer",
    [
        ({"section": "x" * 201}, "#/section"),
        (
            {"entities": [{"start": 0, "end": 4, "section": "x" * 201}]},
            "#/entities/0/section",
        ),
    ],
)
def test_a_section_that_is_too_long_is_refused_with_both_numbers(
    axes_client, body, pointer
):
    note = {"text": "Pain.", "entities": [{"start": 0, "end": 4}]}
    (error,) = post(axes_client, note | body, 422)["errors"]
    assert error["pointer"] == pointer
    assert "At most 200 characters" in error["detail"]
    assert error["detail"].endswith("given 201.")


@pytest.mark.parametrize("section", [5, None, ["FHx"], "\0"])
def test_a_section_is_text(axes_client, section):
    note = {"text": "Pain.", "entities": [{"start": 0, "end": 4}], "section": section}
    (error,) = post(axes_client, note, 422)["errors"]
    assert error["pointer"] == "#/section"


# --- what is no entity, and what reads as a marker ------------------------------------

INVISIBLE = [
    "    ",
    "\t\n",
    "\u200b",
    "\u00ad\u2060",
    "\ufeff",
    "\u00a0\u3000",
    "&nbsp;",
]


@pytest.mark.parametrize("piece", INVISIBLE)
def test_an_entity_in_which_nothing_is_seen_is_refused(client, piece):
    text = f"No {piece} pain."
    entities = [{"start": 3, "end": 3 + len(piece)}]
    (error,) = post(client, {"text": text, "entities": entities}, 422)["errors"]
    assert error["pointer"] == "#/entities/0/start"
    assert error["detail"] == "Must hold more than blanks."


THIRD = {
    "zero-width": "[ent\u200bity]",
    "soft hyphen": "[enti\u00adty]",
    "accents": "[\u00e9ntity\u0301]",
    "nine spaces": "[         entity         ]",
    "control": "[\x01entity\x02]",
    "accents on brackets": "[\u0301entity]\u0301",
    "dotted capital": "[ENT\u0130TY]",
    "line breaks": "[\n\n\nentity\r\n]",
}


@pytest.fixture(scope="module")
def toy(labels_model):
    return load(labels_model, axes=False)


@pytest.fixture
def toy_client(toy, settings):
    with running(settings, toy) as app:
        yield app.test_client()


@pytest.mark.parametrize("kind", THIRD)
@pytest.mark.parametrize(
    "form", ["{} [entity] pain [entity]", "[entity] pain {}[entity]"]
)
def test_a_third_marker_is_refused_however_it_is_written(toy_client, kind, form):
    reply = post(toy_client, {"sentence": form.format(THIRD[kind])}, 422)
    assert reply["errors"] == [
        {
            "pointer": "#/sentence",
            "detail": "Must hold exactly 2 [entity] markers or none; given 3.",
        }
    ]


@pytest.mark.parametrize("kind", THIRD)
def test_in_a_note_it_is_text_like_any_other(toy, toy_client, kind):
    text = f"{THIRD[kind]} denies pain {THIRD[kind]}"
    start = text.index("pain")
    entities = [{"start": start, "end": start + 4}, {"start": 0, "end": len(text)}]
    reply = post(toy_client, {"text": text, "entities": entities, "explain": True})
    for prediction in reply["predictions"]:
        row = toy.encode(prediction["context"], ours=True)
        assert num_markers(toy, row) == 2


@pytest.mark.parametrize("kind", [*THIRD, "words taken out"])
def test_what_we_marked_has_no_third_marker_whatever_became_of_it(toy, kind):
    """Cues are sought by taking words out: "[ any entity ]" becomes a marker."""
    third = THIRD.get(kind, "[ entity ]")
    for sentence in (f"{third} [entity] pain [entity]", f"[entity] {third} [entity]"):
        assert num_markers(toy, toy.encode(sentence, ours=True)) == 2


def num_markers(classifier, row) -> int:
    size = len(classifier._marker)
    row = list(row)
    return sum(row[i : i + size] == classifier._marker for i in range(len(row)))


PIECES = st.one_of(
    st.text(max_size=20),
    st.sampled_from([*THIRD.values(), "[entity]", "[", "]", "[[", "entity", "]]"]),
    st.sampled_from([" ", "\u200b", "\u0301", "\t", "pain", "\u00ad", "\uff3b"]),
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)


@hypothesis_settings(max_examples=400, deadline=None)
@given(before=TEXTS, inside=TEXTS, after=TEXTS)
def test_any_text_has_exactly_two_markers_as_the_model_sees_it(
    toy, before, inside, after
):
    from negation_api.text.reading import is_blank
    from negation_api.text.sentences import SegmentedText
    from negation_api.text.spans import Span

    assume(not is_blank(inside))
    note = SegmentedText(before + inside + after)
    entity = Span(len(before), len(before) + len(inside))
    for headed in (False, True):
        row = toy.encode(note.mark(entity, headed=headed), ours=True)
        assert num_markers(toy, row) == 2
