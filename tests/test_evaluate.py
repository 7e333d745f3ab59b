"""Metrics worked by hand; no torch."""

import json

import numpy as np
import pytest

from negation_api.commands import evaluate
from negation_api.contract.labels import Prediction

PRESENT, ABSENT, POSSIBLE = range(3)


def prediction(present, absent, possible):
    return Prediction({"PRESENT": present, "ABSENT": absent, "POSSIBLE": possible})


def test_confusion_counts_gold_by_guess():
    table = evaluate.confusion([PRESENT, PRESENT, ABSENT], [PRESENT, ABSENT, ABSENT])
    assert table.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    """PRESENT: precision 1, recall 1/2; ABSENT: precision 1/2, recall 1."""
    table = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]])
    assert evaluate.f1_scores(table)[:2] == pytest.approx([2 / 3, 2 / 3])


def test_a_label_that_never_occurs_is_left_out_of_macro_f1():
    assert evaluate.macro_f1(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]])) == (
        pytest.approx(2 / 3)
    )


def test_wilson_of_nothing_is_everything():
    assert evaluate.wilson(0, 0) == (0.0, 1.0)


def test_reliability_bins_have_equal_mass():
    bins = evaluate.reliability([0.9, 0.5, 0.8, 0.6], [1, 0, 1, 1], num_bins=2)
    assert [one["rows"] for one in bins] == [2, 2]
    assert [one["confidence"] for one in bins] == pytest.approx([0.55, 0.85])
    assert [one["correct"] for one in bins] == [0.5, 1.0]


def test_calibration_error_weighs_gaps_by_rows():
    bins = [
        {"rows": 1, "confidence": 0.6, "correct": 1.0},
        {"rows": 3, "confidence": 0.9, "correct": 0.7},
    ]
    assert evaluate.calibration_error(bins) == pytest.approx(0.25)


def test_perfect_predictions_have_an_interval_up_to_one():
    assert (
        evaluate.bootstrap_f1([0, 1, 2] * 9, [0, 1, 2] * 9)[:, 1].tolist() == [1.0] * 4
    )


def test_a_possible_counts_as_not_negated():
    rows = [{"label": "AFFIRMED"}, {"label": "NEGATED"}]
    report = evaluate.evaluate(rows, [prediction(0, 0, 1), prediction(0, 0, 1)])
    assert report["negated_or_not"]["hits"] == 1
    assert "labels" not in report


def test_three_classes_are_reported_with_intervals():
    rows = [{"label": label} for label in evaluate.LABELS]
    guesses = [prediction(1, 0, 0), prediction(0, 1, 0), prediction(1, 0, 0)]
    report = evaluate.evaluate(rows, guesses)
    assert report["confusion"] == [[1, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert report["macro_f1"]["value"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert report["labels"]["POSSIBLE"]["precision"]["value"] is None
    assert "PRESENT" in evaluate.table(report)


GOOD = '{"text": "no pain", "start": 3, "end": 7, "label": "ABSENT"}'


@pytest.mark.parametrize(
    "line, message",
    [
        ("{", "not JSON"),
        ("[]", "needs an object"),
        ('{"start": 0}', "needs an object"),
        ('{"text": "pain", "start": 0, "end": 4, "label": "X"}', "label must be"),
        ('{"text": "pain", "start": 0, "end": 5, "label": "ABSENT"}', "4 code points"),
        ('{"text": "pain", "start": 2, "end": 2, "label": "ABSENT"}', "must be a span"),
        ('{"text": "pain", "start": 0, "label": "ABSENT"}', "must be a span"),
    ],
)
def test_a_bad_row_is_named_by_its_line_and_without_its_text(tmp_path, line, message):
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{GOOD}\n{line}\n")
    with pytest.raises(evaluate.EvaluationError, match=message) as error:
        evaluate.read_rows(path)
    assert "rows.jsonl:2" in str(error.value) and "pain" not in str(error.value)


def test_an_empty_file_is_an_error(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n")
    with pytest.raises(evaluate.EvaluationError, match="no rows"):
        evaluate.read_rows(path)


class KeywordClassifier:
    """Stands in for BERT: ABSENT where "no" is read; one token a word."""

    def __init__(self):
        self.batches = []

    def encode(self, sentence, marked=True, ours=False):
        return tuple(word == "no" for word in sentence.split())

    def classify(self, rows):
        self.batches.append([len(row) for row in rows])
        return [prediction(not any(r), any(r), 0) for r in rows]


def test_predictions_come_in_the_order_of_the_rows():
    texts = ["no pain", "has a very bad pain", "pain", "no pain no"]
    rows = [
        {"text": t, "start": t.index("pain"), "end": t.index("pain") + 4} for t in texts
    ]
    classifier = KeywordClassifier()
    labels = [p.label for p in evaluate.predict(classifier, rows)]
    assert labels == ["ABSENT", "PRESENT", "PRESENT", "ABSENT"]
    assert classifier.batches == [[3, 4, 5, 7]]


def test_predictions_are_written_one_a_line(tmp_path):
    path = tmp_path / "predictions.jsonl"
    evaluate.write_predictions(path, [prediction(1, 0, 0), prediction(0, 1, 0)])
    labels = [json.loads(line)["label"] for line in path.read_text().splitlines()]
    assert labels == ["PRESENT", "ABSENT"]


def test_the_worst_errors_come_first():
    rows = [{"label": "ABSENT"}, {"label": "ABSENT"}, {"label": "PRESENT"}]
    guesses = [prediction(0.6, 0.4, 0), prediction(0.9, 0.1, 0), prediction(1, 0, 0)]
    assert [e["row"] for e in evaluate.worst(rows, guesses)] == [2, 1]
