"""Metrics worked by hand; no torch."""

import argparse
import json

import numpy as np
import pytest

from negation_api.commands import evaluate
from negation_api.commands.evaluate import command, figures
from negation_api.commands.evaluate import recipe as recipes
from negation_api.commands.evaluate import rows
from negation_api.contract.labels import AXES, LABELS, Choice, Prediction
from negation_api.model.artefact import Artefact
from negation_api.settings import Settings

PRESENT, ABSENT, POSSIBLE = range(3)


def prediction(present, absent, possible, **axes):
    return Prediction(
        {"PRESENT": present, "ABSENT": absent, "POSSIBLE": possible}, **axes
    )


def answered(label, experiencer, temporality):
    """A model that is sure of all three."""
    choices = [
        {value: float(value == given) for value in values}
        for given, values in zip(
            (label, experiencer, temporality), (LABELS, *AXES.values()), strict=True
        )
    ]
    return Prediction(choices[0], *map(Choice, choices[1:]))


def row(label, experiencer, temporality, **more):
    axes = {"experiencer": experiencer, "temporality": temporality}
    return {"label": label, **axes, **more}


def test_confusion_counts_gold_by_guess():
    table = figures.confusion([PRESENT, PRESENT, ABSENT], [PRESENT, ABSENT, ABSENT])
    assert table.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    """PRESENT: precision 1, recall 1/2; ABSENT: precision 1/2, recall 1."""
    table = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]])
    assert figures.f1_scores(table)[:2] == pytest.approx([2 / 3, 2 / 3])


def test_a_label_that_never_occurs_is_left_out_of_macro_f1():
    assert figures.macro_f1(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]])) == (
        pytest.approx(2 / 3)
    )


def test_wilson_of_nothing_is_everything():
    assert figures.wilson(0, 0) == (0.0, 1.0)


def test_reliability_bins_have_equal_mass():
    bins = figures.reliability([0.9, 0.5, 0.8, 0.6], [1, 0, 1, 1], num_bins=2)
    assert [one["rows"] for one in bins] == [2, 2]
    assert [one["confidence"] for one in bins] == pytest.approx([0.55, 0.85])
    assert [one["correct"] for one in bins] == [0.5, 1.0]


def test_calibration_error_weighs_gaps_by_rows():
    bins = [
        {"rows": 1, "confidence": 0.6, "correct": 1.0},
        {"rows": 3, "confidence": 0.9, "correct": 0.7},
    ]
    assert figures.calibration_error(bins) == pytest.approx(0.25)


def test_perfect_predictions_have_an_interval_up_to_one():
    assert (
        figures.bootstrap_f1([0, 1, 2] * 9, [0, 1, 2] * 9)[:, 1].tolist() == [1.0] * 4
    )


def test_a_possible_counts_as_not_negated():
    rows = [{"label": "AFFIRMED"}, {"label": "NEGATED"}]
    report = evaluate.evaluate(rows, [prediction(0, 0, 1), prediction(0, 0, 1)])
    assert report["negated_or_not"]["hits"] == 1
    assert "labels" not in report


def test_three_classes_are_reported_with_intervals():
    rows = [{"label": label} for label in LABELS]
    guesses = [prediction(1, 0, 0), prediction(0, 1, 0), prediction(1, 0, 0)]
    report = evaluate.evaluate(rows, guesses)
    assert report["confusion"] == [[1, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert report["macro_f1"]["value"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert report["labels"]["POSSIBLE"]["precision"]["value"] is None
    assert "PRESENT" in evaluate.table(report)


FATHERS = ("PRESENT", "FAMILY", "HISTORICAL")
OWN = ("PRESENT", "PATIENT", "CURRENT")
FEARED = ("PRESENT", "PATIENT", "HYPOTHETICAL")


def test_each_axis_is_measured_where_the_file_says_it():
    rows = [row(*OWN), row("ABSENT", None, "CURRENT"), row(None, "FAMILY", None)]
    report = evaluate.evaluate(rows, [answered(*OWN), answered(*OWN), answered(*OWN)])
    assert report["negated_or_not"]["of"] == 2
    assert report["experiencer"]["accuracy"]["value"] == 0.5
    assert report["experiencer"]["not_the_patient"]["recall"]["hits"] == 0
    assert report["temporality"]["accuracy"]["hits"] == 2
    assert report["temporality"]["ece"] == 0


def test_a_debatable_row_counts_nowhere():
    rows = [row(*OWN), row(*FATHERS, debatable=True)]
    report = evaluate.evaluate(rows, [answered(*OWN), answered(*OWN)])
    assert report["rows"] == 1
    assert report["experiencer"]["accuracy"]["value"] == 1
    assert not evaluate.worst(rows, [answered(*OWN), answered(*OWN)])


@pytest.mark.parametrize(
    "given, expected",
    [
        (OWN, True),
        (("PRESENT", "PATIENT", "HISTORICAL"), True),
        (("ABSENT", "PATIENT", "CURRENT"), False),
        (("POSSIBLE", "PATIENT", "CURRENT"), False),
        (("NEGATED", "PATIENT", "CURRENT"), False),
        (FATHERS, False),
        ((None, "PATIENT", "HYPOTHETICAL"), False),
        ((None, "NOT_PATIENT", "CURRENT"), False),
        ((None, "PATIENT", "CURRENT"), None),
        (("PRESENT", None, "CURRENT"), None),
        (("PRESENT", "PATIENT", None), None),
    ],
)
def test_what_holds_follows_from_the_three(given, expected):
    assert rows.holds(row(*given)) is expected
    assert rows.holds(row(*given, holds=True)) is True


def test_holds_has_precision_and_recall():
    """Two hold, one is found; one of two that are said to hold does not."""
    given = [row(*OWN), row(*OWN), row(*FATHERS), row(None, "PATIENT", "HYPOTHETICAL")]
    guesses = [answered(*each) for each in (OWN, FEARED, OWN, FEARED)]
    report = evaluate.evaluate(given, guesses)["holds"]
    assert (report["precision"]["value"], report["recall"]["value"]) == (0.5, 0.5)
    assert report["f1"]["value"] == 0.5


def test_not_the_patient_is_one_class_where_the_source_knows_no_more():
    given = [row("PRESENT", "NOT_PATIENT", None), row("PRESENT", "PATIENT", None)]
    guesses = [answered("PRESENT", "OTHER", "CURRENT"), answered(*OWN)]
    report = evaluate.evaluate(given, guesses)
    assert report["experiencer"]["not_the_patient"]["f1"]["value"] == 1
    assert "labels" not in report["experiencer"]
    assert not evaluate.worst(given, guesses)
    assert "not the patient" in evaluate.table(report)


def test_a_model_without_axes_is_measured_on_the_label_alone():
    report = evaluate.evaluate([row(*OWN)], [prediction(1, 0, 0)])
    assert report.keys().isdisjoint({"experiencer", "temporality", "holds"})
    with pytest.raises(evaluate.EvaluationError, match="no row says"):
        evaluate.evaluate([row(None, "FAMILY", None)], [prediction(1, 0, 0)])


def test_the_table_shows_every_axis():
    shown = evaluate.table(evaluate.evaluate([row(*OWN)], [answered(*OWN)]))
    for word in (
        "experiencer: 1",
        "temporality: 1",
        "holds: 1",
        *sum(AXES.values(), ()),
    ):
        assert word in shown


GOOD = '{"text": "no pain", "start": 3, "end": 7, "label": "ABSENT"}'


@pytest.mark.parametrize(
    "line, message",
    [
        ("{", "not JSON"),
        ("[]", "needs an object"),
        ('{"start": 0}', "needs an object"),
        ('{"text": "pain", "start": 0, "end": 4, "label": "X"}', "label must be"),
        ('{"text": "pain", "start": 0, "end": 4}', "needs a label"),
        (
            '{"text": "pain", "start": 0, "end": 4, "label": null, "experiencer": 1}',
            "experiencer must be one of PATIENT, FAMILY, OTHER",
        ),
        ('{"text": "pain", "start": 0, "end": 4, "holds": "yes"}', "true or false"),
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

    headed, beside, batch_tokens = False, None, 1024

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
    labels = [p.label for p in evaluate.answer_rows(classifier, rows)]
    assert labels == ["ABSENT", "PRESENT", "PRESENT", "ABSENT"]
    assert classifier.batches == [[3, 4, 5, 7]]


class HeadedClassifier(KeywordClassifier):
    """A model with axes: FAMILY where it reads so."""

    headed = True

    def encode(self, sentence, marked=True, ours=False):
        return ("Family" in sentence,)

    def classify(self, rows):
        return [answered(*(FATHERS if family else OWN)) for (family,) in rows]


def test_a_model_with_axes_reads_the_heading_too():
    text = "Family history:\n1. gout\n\nExam:\nno gout"
    given = [
        {"text": text, "start": start, "end": start + 4}
        for start in (text.index("gout"), text.rindex("gout"))
    ]
    given.append({"text": "An unmarked Family.", "start": None, "end": None})
    predictions = evaluate.answer_rows(HeadedClassifier(), given)
    assert [p.experiencer.label for p in predictions] == ["FAMILY", "PATIENT", "FAMILY"]


def test_a_row_that_the_service_refuses_is_named():
    pain = {"text": "no pain", "start": 3, "end": 7}
    long = {"text": "pain " * 999, "start": 5, "end": 4995}
    bad = {"text": "pain " * 999, "start": 0, "end": 4}
    with pytest.raises(evaluate.EvaluationError, match="row 3: At most 1000 char"):
        evaluate.answer_rows(KeywordClassifier(), [pain, bad, long])


def test_predictions_are_written_one_a_line(tmp_path):
    path = tmp_path / "predictions.jsonl"
    evaluate.write_predictions(path, [prediction(1, 0, 0), prediction(0, 1, 0)])
    labels = [json.loads(line)["label"] for line in path.read_text().splitlines()]
    assert labels == ["PRESENT", "ABSENT"]


def test_predictions_are_written_with_the_axes_there_are(tmp_path):
    path = tmp_path / "predictions.jsonl"
    evaluate.write_predictions(path, [answered(*FATHERS)])
    written = json.loads(path.read_text())
    assert [written[axis]["label"] for axis in AXES] == ["FAMILY", "HISTORICAL"]
    assert written["holds"] is False


def test_the_worst_errors_come_first():
    rows = [{"label": "ABSENT"}, {"label": "ABSENT"}, {"label": "PRESENT"}]
    guesses = [prediction(0.6, 0.4, 0), prediction(0.9, 0.1, 0), prediction(1, 0, 0)]
    assert [e["row"] for e in evaluate.worst(rows, guesses)] == [2, 1]


# --- command ------------------------------------------------------------------


def run(*argv):
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    return evaluate.main(parser.parse_args(argv), Settings())


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_recipe_gives_only_what_a_file_may_hold(name, capsys):
    assert run("--recipe", name) == 0
    shown = capsys.readouterr().out
    for kind, values in recipes.RECIPES[name].classes.items():
        assert kind in shown and "https://" in shown
        given = dict(zip((*rows.QUESTIONS, "holds"), values, strict=True))
        said = {key: value for key, value in given.items() if value != "-"}
        if "holds" in said:
            said["holds"] = json.loads(said["holds"])
        line = json.dumps({"text": "x", "label": None} | said)
        assert rows.row_of(line, "here").items() >= said.items()


def test_the_command_says_in_a_line_what_it_lacks(capsys, tmp_path):
    assert run() == 1
    assert "needs a file" in capsys.readouterr().err
    assert run("f", "--invariance", "--show-text") == 1
    assert "--json only" in capsys.readouterr().err


def test_the_command_measures_and_writes(monkeypatch, capsys, tmp_path):
    classifier = HeadedClassifier()
    classifier.artefact = Artefact("fake", None, "0" * 64)
    classifier.precision = "fp32"
    monkeypatch.setattr(command, "_load", lambda settings: classifier)
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row(*FATHERS, text="Family: gout", start=8, end=12)))

    assert run(str(path), "--predictions", str(tmp_path / "out")) == 0
    assert "not the patient" in capsys.readouterr().out
    assert json.loads((tmp_path / "out").read_text())["holds"] is False
    assert run(str(path), "--json") == 0
    assert json.loads(capsys.readouterr().out)["model"]["name"] == "fake"
    assert run(str(path), "--invariance") == 0
    assert "lower case" in capsys.readouterr().out
