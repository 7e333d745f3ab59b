"""Answers do not depend on what a row is computed with."""

import random

import pytest

from negation_api.model.classifier import load_classifier
from negation_api.scoring import Scorer
from negation_api.settings import Settings
from notes import make_notes


def answers(model: str, bodies: list[dict], window: int, **settings) -> dict:
    """Give the scores of every entity, by note and place."""
    settings = Settings(model=model, **settings)
    scorer = Scorer(load_classifier(settings), settings)
    found = {}
    for first in range(0, len(bodies), window):
        bodies_of_window = bodies[first : first + window]
        for body, answer in zip(bodies_of_window, scorer.score(bodies_of_window)):
            for place, prediction in enumerate(answer.predictions):
                found[body["id"], place] = prediction
    return found


class Failing:
    """Fails on what holds a zebrafish: when it is read, or when it is computed."""

    def __init__(self, classifier, when: str):
        self._classifier = classifier
        self._when = when
        self._zebrafish = tuple(classifier.encode(sentence("zebrafish")))

    def __getattr__(self, name):
        return getattr(self._classifier, name)

    def encode(self, sentence, marked=True, ours=False):
        if self._when == "read" and "zebrafish" in sentence:
            raise IndexError(sentence)
        return self._classifier.encode(sentence, marked, ours)

    def classify(self, rows):
        if self._zebrafish in map(tuple, rows):
            raise RuntimeError("zebrafish")
        return self._classifier.classify(rows)


def sentence(entity: str) -> str:
    return f"no [entity] {entity} [entity]"


@pytest.mark.parametrize(
    "when, pointer, detail",
    [
        ("read", "#", "Cannot be read (IndexError)."),
        ("computed", "#/sentence", "The model failed (RuntimeError)."),
    ],
)
def test_a_row_on_which_our_code_fails_stops_no_other(toy_model, when, pointer, detail):
    settings = Settings(model=str(toy_model), axes=False)
    scorer = Scorer(Failing(load_classifier(settings), when), settings)
    good = [{"sentence": sentence(f"pain {number}")} for number in range(9)]
    bad = {"sentence": sentence("zebrafish"), "id": "a"}
    first, failed, *others = scorer.score([good[0], bad, *good[1:]])
    assert all(answer.predictions for answer in (first, *others))
    assert failed.id == "a"
    assert failed.errors == [{"pointer": pointer, "detail": detail}]


def test_an_entity_on_which_the_model_fails_is_pointed_at(toy_model):
    settings = Settings(model=str(toy_model), axes=False)
    scorer = Scorer(Failing(load_classifier(settings), "computed"), settings)
    text = "No pain.\nno zebrafish"
    entities = [{"start": 3, "end": 7}, {"start": 12, "end": 21}]
    (failed,) = scorer.score([{"text": text, "entities": entities}])
    detail = "The model failed (RuntimeError)."
    assert failed.errors == [{"pointer": "#/entities/1", "detail": detail}]


def choices(prediction) -> tuple:
    """Give the answers to all three questions."""
    return prediction, prediction.experiencer, prediction.temporality


def shuffled(bodies: list[dict]) -> list[dict]:
    return random.Random(1).sample(bodies, len(bodies))


@pytest.mark.parametrize("window, batch_tokens", [(1, 256), (7, 64), (500, 2048)])
def test_fp32_gives_the_same_in_any_order_and_batch(toy_model, window, batch_tokens):
    bodies = list(make_notes(1_000))
    wanted = answers(str(toy_model), bodies, 128)
    given = answers(str(toy_model), shuffled(bodies), window, batch_tokens=batch_tokens)
    assert given.keys() == wanted.keys() and len(wanted) > 3_000
    for key, prediction in wanted.items():
        for one, other in zip(choices(given[key]), choices(prediction), strict=True):
            assert one.label == other.label
            assert one.scores == pytest.approx(other.scores, abs=1e-4)


@pytest.mark.system
def test_int8_gives_nearly_always_the_same_label_in_any_order_and_batch():
    """As slow as the embedded model is."""
    bodies = list(make_notes(400))
    wanted = answers("embedded", bodies, 128, precision="int8")
    given = answers(
        "embedded", shuffled(bodies), 16, precision="int8", batch_tokens=512
    )
    pairs = [
        pair
        for key, prediction in wanted.items()
        for pair in zip(choices(given[key]), choices(prediction), strict=True)
    ]
    agree = sum(one.label == other.label for one, other in pairs)
    furthest = max(
        abs(one.scores[label] - score)
        for one, other in pairs
        for label, score in other.scores.items()
    )
    print(f"{agree} of {len(pairs)} answers agree; scores differ by {furthest:.4f}")
    assert len(wanted) > 1_000 and agree >= 0.999 * len(pairs)
    assert 0 < furthest < 0.02  # not 0, or this would say nothing
