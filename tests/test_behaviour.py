"""The embedded model on the hand-written cases: the regression guard.

``pytest -s tests/test_behaviour.py`` prints the pass rate of each phenomenon.
"""

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest

from negation_api.commands import evaluate
from negation_api.contract.labels import AXES, LABELS
from negation_api.model.artefact import EMBEDDED
from negation_api.settings import Settings

HERE = Path(__file__).parent
SENTENCES = HERE.parent / "training" / "sentences"
FLOORS = {"cases": 0.975, "axes": 0.945, "text": 0.955}
LABEL_FLOOR = 0.96  # of cases.jsonl
SUITES = {
    name: [
        json.loads(line)
        for line in (HERE / "behaviour" / f"{name}.jsonl").read_text().splitlines()
    ]
    for name in FLOORS
}


@pytest.fixture(scope="module")
def passed():
    """For each suite, which of its cases the embedded model gets right."""
    if not (EMBEDDED / "model.safetensors").exists():
        pytest.skip("no embedded model in this tree")
    from negation_api.model.classifier import load_classifier

    classifier, answers = load_classifier(Settings()), {}

    def passed_of(name):
        if name not in answers:
            found = evaluate.answer_rows(classifier, SUITES[name])
            answers[name] = list(map(is_right, SUITES[name], found))
            for each, share in rates(name, answers[name], "phenomenon").items():
                print(f"{each:<24}{share:6.3f}")
        return answers[name]

    return passed_of


def is_right(case, prediction) -> bool:
    """Tell whether all that *case* says is answered so."""
    given = {"label": prediction.label}
    for axis in AXES:
        given[axis] = getattr(getattr(prediction, axis), "label", None)
    return all(case.get(key) in (None, answer) for key, answer in given.items())


def rates(name, right, member) -> dict[str, float]:
    """Give the pass rate for each value of *member*."""
    groups = defaultdict(list)
    for case, is_passed in zip(SUITES[name], right, strict=True):
        groups[case[member]].append(is_passed)
    return {name: sum(group) / len(group) for name, group in sorted(groups.items())}


@pytest.mark.parametrize("name", FLOORS)
def test_the_overall_pass_rate_holds(passed, name):
    right = passed(name)
    assert sum(right) / len(right) >= FLOORS[name]


@pytest.mark.parametrize("label", LABELS)
def test_each_label_passes(passed, label):
    assert rates("cases", passed("cases"), "label")[label] >= LABEL_FLOOR


def fold(text):
    return " ".join(re.findall(r"[a-z0-9?+]+", text.lower()))


@pytest.mark.parametrize("name", FLOORS)
def test_no_case_stands_in_the_training_sentences(name):
    """training/data.py drops such lines; a fold of the words finds them."""
    written = set()
    for path in SENTENCES.glob("*.txt"):
        for line in path.read_text("utf-8").splitlines():
            line = re.sub(r"\{[+?~-](?:[pfo][chy]\|)?([^{}|]*)\}", r"\1", line)
            written.add(fold(line.replace("\\n", "\n")))
    shared = [case["text"] for case in SUITES[name] if fold(case["text"]) in written]
    assert not shared
