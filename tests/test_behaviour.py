"""The embedded model on the hand-written cases: the regression guard.

``pytest -s tests/test_behaviour.py`` prints the pass rate of each phenomenon.
"""

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest

from negation_api.commands import evaluate
from negation_api.model.artefact import EMBEDDED
from negation_api.settings import Settings

HERE = Path(__file__).parent
SENTENCES = HERE.parent / "training" / "sentences"
CASES = [
    json.loads(line)
    for line in (HERE / "behaviour" / "cases.jsonl").read_text("utf-8").splitlines()
]
OVERALL_FLOOR = 0.97
LABEL_FLOOR = 0.96


@pytest.fixture(scope="module")
def passed():
    """For each case, whether the embedded model is right."""
    if not (EMBEDDED / "model.safetensors").exists():
        pytest.skip("no embedded model in this tree")
    from negation_api.model.classifier import load_classifier

    predictions = evaluate.predict(load_classifier(Settings()), CASES)
    right = [p.label == case["label"] for p, case in zip(predictions, CASES)]
    for phenomenon, share in rates(right, "phenomenon").items():
        print(f"{phenomenon:<20}{share:6.3f}")
    return right


def rates(right, member) -> dict[str, float]:
    """Give the pass rate for each value of *member*."""
    groups = defaultdict(list)
    for case, is_right in zip(CASES, right):
        groups[case[member]].append(is_right)
    return {name: sum(group) / len(group) for name, group in sorted(groups.items())}


def test_the_overall_pass_rate_holds(passed):
    assert sum(passed) / len(passed) >= OVERALL_FLOOR


@pytest.mark.parametrize("label", evaluate.LABELS)
def test_each_label_passes(passed, label):
    assert rates(passed, "label")[label] >= LABEL_FLOOR


def fold(text):
    return " ".join(re.findall(r"[a-z0-9?+]+", text.lower()))


def test_no_case_stands_in_the_training_sentences():
    """training/data.py drops such lines; a fold of the words finds them."""
    written = set()
    for path in SENTENCES.glob("*.txt"):
        for line in path.read_text("utf-8").splitlines():
            line = re.sub(r"\{[+?-]([^{}]*)\}", r"\1", line)
            written.add(fold(line.replace("\\n", "\n")))
    shared = [case["text"] for case in CASES if fold(case["text"]) in written]
    assert not shared
