"""Early exit: rows leave when they are settled, and nothing else changes."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import samples

from negation_api.contract.labels import AXES
from negation_api.model.artefact import ModelError
from negation_api.settings import Settings

LAYERS = 4
WORDS = (
    "denies any fever chills pain no cough history of mild possible pneumonia".split()
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model with exits after its first and third layer, of random weights."""
    from toy import add_axes, add_exits, write_bert

    shape = dict(num_hidden_layers=LAYERS, initializer_range=0.4)
    directory = write_bert(tmp_path_factory.mktemp("exits") / "toy", **shape)
    return add_exits(add_axes(directory), {1: 0.6, 3: 0.6})


def load(directory, **settings):
    from negation_api.model.classifier import make_classifier

    return make_classifier(Settings(model=str(directory), **settings))


@pytest.fixture(scope="module")
def classifier(model):
    return load(model)


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    chance = random.Random(20261128)

    def words():
        return " ".join(chance.choices(WORDS, k=chance.randint(0, 30)))

    return [f"{words()} [entity] fever [entity] {words()}" for _ in range(120)]


@pytest.fixture(scope="module")
def rows(classifier, sentences):
    return [classifier.encode(each) for each in sentences]


@pytest.fixture(scope="module")
def alone(classifier, rows):
    """What each row is answered alone."""
    return [classifier.classify([row])[0] for row in rows]


def probabilities(prediction) -> list[float]:
    choices = prediction, *(getattr(prediction, axis) for axis in AXES)
    return [score for choice in choices for score in choice.scores.values()]


def test_rows_leave_at_each_exit_and_at_the_end(alone):
    assert {each.layers for each in alone} == {1, 3, LAYERS}


def test_exits_equal_the_reference(model, classifier, rows, alone):
    """transformers' own encoder, and the exits' weights of the file."""
    import torch
    from safetensors.torch import load_file
    from transformers import BertModel

    bert = BertModel.from_pretrained(model).eval()
    middle = classifier.encode("[entity] x [entity]")[2]
    tensors = load_file(model / "model.safetensors")
    for row, given_alone in zip(rows, alone, strict=True):
        with torch.inference_mode():
            found = bert(torch.tensor([row]), output_hidden_states=True)
        for layer in (1, 3):
            x = found.hidden_states[layer][0][torch.tensor(row) == middle].flatten()
            for name in ("pooler", "head"):
                weight, bias = (
                    tensors[f"exits.{layer}.{name}.{part}"]
                    for part in ("weight", "bias")
                )
                x = x @ weight.T + bias
                x = x.tanh() if name == "pooler" else x
            scores = x.view(3, 3).softmax(-1)
            settled = scores.amax(-1).amin() >= 0.6
            assert settled == (given_alone.layers <= layer)
            if settled:
                wanted = scores.flatten().tolist()
                assert probabilities(given_alone) == pytest.approx(wanted, abs=1e-4)
                break


@given(st.lists(st.integers(0, 119), min_size=1, max_size=40))
def test_a_row_is_answered_the_same_in_any_batch(classifier, rows, alone, chosen):
    answers = classifier.classify([rows[place] for place in chosen])
    for place, answer in zip(chosen, answers, strict=True):
        assert answer.layers == alone[place].layers
        wanted = probabilities(alone[place])
        assert probabilities(answer) == pytest.approx(wanted, abs=1e-4)


def test_a_row_without_markers_takes_all_layers(classifier, rows, alone):
    plain = classifier.encode("denies fever and cough", marked=False)
    answers = classifier.classify([rows[0], plain, rows[1], plain])
    assert [answers[1].layers, answers[3].layers] == [LAYERS, LAYERS]
    assert [answers[0].layers, answers[2].layers] == [each.layers for each in alone[:2]]


def test_without_early_exit_every_row_takes_all_layers(model, rows, alone):
    whole = load(model, early_exit=False).classify(rows)
    assert {each.layers for each in whole} == {LAYERS}
    for one, other in zip(whole, alone):
        if other.layers == LAYERS:
            wanted = probabilities(one)
            assert probabilities(other) == pytest.approx(wanted, abs=1e-4)


def test_without_axes_the_label_alone_must_be_settled(model, rows, alone):
    labels = load(model, axes=False).classify(rows)
    for label, other in zip(labels, alone, strict=True):
        assert label.layers <= other.layers
        if label.layers == other.layers:
            assert label.scores == pytest.approx(other.scores, abs=1e-4)
    assert any(label.layers < other.layers for label, other in zip(labels, alone))


def test_beside_another_model_the_axes_alone_must_be_settled(model, rows, alone):
    from negation_api.model.classifier import _load

    beside = _load(Settings(model=str(model)), labelled=False).classify(rows)
    for axes, other in zip(beside, alone, strict=True):
        assert axes.layers <= other.layers
        if axes.layers == other.layers:
            assert probabilities(axes) == pytest.approx(probabilities(other), abs=1e-4)
    assert any(axes.layers < other.layers for axes, other in zip(beside, alone))


@pytest.mark.parametrize(
    "exits", [{"0": 0.9}, {"4": 0.9}, {"x": 0.9}, {"1": 0.0}, {"1": 1.5}, {"2": 0.9}]
)
def test_exits_that_cannot_be_are_refused(model, tmp_path, exits):
    import shutil

    directory = shutil.copytree(model, tmp_path / "toy")
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"exits": exits}))
    with pytest.raises(ModelError, match=rf"exits\.{next(iter(exits))}"):
        load(directory)


def test_a_reply_and_the_metrics_say_after_how_many_layers(classifier):
    from conftest import running

    body = {"text": "Denies fever, has a cough.", "explain": True}
    body["entities"] = [{"start": 7, "end": 12}, {"start": 20, "end": 25}]
    with running(Settings(), classifier) as app:
        client = app.test_client()
        before = counted(client)
        reply = client.post("/predict", json=body).json["predictions"]
        plain = client.post("/predict", json=body | {"explain": False}).json
        after = counted(client)
    assert {each["layers"] for each in reply} <= {1, 3, LAYERS}
    assert not any("layers" in each for each in plain["predictions"])
    gained = {layer: after[layer] - before.get(layer, 0) for layer in after}
    wanted = {str(each["layers"]): 0 for each in reply}
    for each in reply:
        wanted[str(each["layers"])] += 2  # asked twice; trials for cues do not count
    assert {layer: n for layer, n in gained.items() if n} == wanted


def counted(client) -> dict[str, float]:
    found = samples(client.get("/metrics").text, "negation_api_layers_total")
    return {labels["layers"]: number for labels, number in found}
