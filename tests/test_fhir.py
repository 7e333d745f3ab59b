"""The FHIR member of a prediction, read by a FHIR R4 library and by FHIR's own list."""

import json
import re
from itertools import product
from pathlib import Path

import fhirkit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from negation_api.contract import fhir
from negation_api.contract.labels import AXES, LABELS, Choice, Prediction
from negation_api.text.reading import is_blank

# All codes of https://hl7.org/fhir/R4/valueset-condition-ver-status.html, with their
# displays; the library checks a resource's form, not its codes.
SYSTEM = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
R4_CODES = {
    "unconfirmed": "Unconfirmed",
    "provisional": "Provisional",
    "differential": "Differential",
    "confirmed": "Confirmed",
    "refuted": "Refuted",
    "entered-in-error": "Entered in Error",
}
DOCUMENT = Path(__file__).parents[1] / "docs" / "fhir.md"


def faults(condition: dict) -> list[str]:
    """Give what is wrong with a Condition: its form, and the required binding."""
    found = [str(issue) for issue in fhirkit.validate(condition)]
    for coding in condition["verificationStatus"]["coding"]:
        if coding["system"] != SYSTEM:
            found.append(f"system {coding['system']}")
        if R4_CODES.get(coding["code"]) != coding["display"]:
            found.append(f"code {coding['code']}, display {coding['display']}")
    return found


def condition(label: str) -> dict:
    return {
        "resourceType": "Condition",
        "subject": {"reference": "Patient/1"},
        "code": {"text": "chest pain"},
        **fhir.verification_status(label),
    }


@pytest.mark.parametrize("label", ["PRESENT", "ABSENT", "POSSIBLE"])
def test_a_condition_with_it_is_valid_r4(label):
    assert fhirkit.FHIR_VERSION.startswith("4.0")
    assert faults(condition(label)) == []


@pytest.mark.parametrize(
    "member, value",
    [
        ("code", "negated"),
        ("code", "Refuted"),
        ("display", "Absent"),
        ("system", "http://hl7.org/fhir/ValueSet/condition-ver-status"),
        ("kode", "refuted"),
    ],
)
def test_a_wrong_coding_is_noticed(member, value):
    wrong = condition("ABSENT")
    wrong["verificationStatus"]["coding"][0][member] = value
    assert faults(wrong)


@pytest.mark.parametrize(
    "change", [{"subject": None}, {"verified": True}, {"code": "x"}]
)
def test_a_condition_of_another_form_is_noticed(change):
    wrong = condition("ABSENT") | change
    assert faults({k: v for k, v in wrong.items() if v is not None})


def test_the_documents_examples_are_what_is_given_and_valid():
    text = DOCUMENT.read_text()
    shown = list(map(json.loads, re.findall(r"```json\n(.*?)```", text, re.DOTALL)))
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert shown == [
        fhir.verification_status("ABSENT"),
        fhir.family_condition("breast cancer"),
    ]
    made = {}
    for member, example in zip(shown, code, strict=True):
        exec(example, {"prediction": {"fhir": member}}, made)
    assert faults(made["condition"]) == []
    assert not list(fhirkit.validate(made["history"]))


def test_it_is_given_on_request_only(client):
    body = {"text": "Denies fever.", "entities": [{"start": 7, "end": 12}]}
    plain = client.post("/predict", json=body).json["predictions"][0]
    asked = client.post("/predict", json=body | {"fhir": True}).json["predictions"][0]
    assert "fhir" not in plain
    assert asked == plain | {"fhir": fhir.verification_status(plain["label"])}


def test_it_is_given_in_all_three_forms(client):
    sentence = {"sentence": "denies [entity] pain [entity]"}
    single = client.post("/predict", json=sentence | {"fhir": True}).json
    many = client.post("/predict", json={"documents": [sentence], "fhir": True}).json
    assert single["fhir"] == many["documents"][0]["fhir"]


@pytest.mark.parametrize("value", ["yes", 1, None, "true"])
def test_it_is_a_json_boolean(client, value):
    reply = client.post("/predict", json={"sentence": "x", "fhir": value})
    assert reply.status_code == 422
    assert reply.json["errors"][0]["pointer"] == "#/fhir"


def test_the_document_has_the_mapping():
    rows = re.findall(r"^\| `(\w+)` \| `([a-z-]+)` \|", DOCUMENT.read_text(), re.M)
    assert dict(rows) == {label: code for label, (code, _) in fhir.CODES.items()}


# --- whose and when --------------------------------------------------------------


def answer(label, whose, when) -> Prediction:
    questions = (LABELS, label), *zip(AXES.values(), (whose, when))
    scores = [{value: float(value == v) for v in values} for values, value in questions]
    return Prediction(scores[0], *map(Choice, scores[1:]))


@pytest.mark.parametrize("label, whose, when", [*product(LABELS, *AXES.values())])
def test_no_status_is_given_of_what_is_hypothetical_or_another_s(label, whose, when):
    given = fhir.members(answer(label, whose, when), "gout")
    if when == "HYPOTHETICAL" or whose == "OTHER":
        assert given == {}
    elif whose == "PATIENT":
        assert given == fhir.verification_status(label)
    else:
        condition = {"condition": [{"code": {"text": "gout"}}]}
        assert given == (condition if label == "PRESENT" else {})


def history(entity: str) -> dict:
    return {
        "resourceType": "FamilyMemberHistory",
        "status": "partial",
        "patient": {"reference": "Patient/1"},
        "relationship": {"text": "mother"},
        **fhir.members(answer("PRESENT", "FAMILY", "HISTORICAL"), entity),
    }


@given(st.text(min_size=1).filter(lambda text: not is_blank(text)))
def test_a_family_history_with_any_entity_is_valid_r4(entity):
    made = history(entity)
    assert made["condition"] and not list(fhirkit.validate(made))


@pytest.mark.parametrize("entity", [None, "", " ", "\u200b\n"])
def test_of_an_entity_that_is_not_known_nothing_is_said(entity):
    assert "condition" not in history(entity)


@pytest.mark.parametrize("condition", [{}, {"code": {"text": ""}}, {"kode": {}}])
def test_a_family_history_of_another_form_is_noticed(condition):
    assert list(fhirkit.validate(history("gout") | {"condition": [condition]}))


def test_it_is_in_a_reply_as_the_entity_is_written(axes_client):
    text = "Her mother has type 2\n diabetes. Return for fever. Has gout."
    spans = [(text.index(e), text.index(e) + len(e)) for e in ENTITIES]
    entities = [{"start": start, "end": end} for start, end in spans]
    body = {"text": text, "entities": entities, "fhir": True}
    given = [p["fhir"] for p in axes_client.post("/predict", json=body).json[KEY]]
    assert given == [
        {"condition": [{"code": {"text": "type 2 diabetes"}}]},
        {},
        fhir.verification_status("PRESENT"),
    ]
    body |= {"axes": False}
    given = [p["fhir"] for p in axes_client.post("/predict", json=body).json[KEY]]
    assert given == [fhir.verification_status("PRESENT")] * 3


ENTITIES, KEY = ("type 2\n diabetes", "fever", "gout"), "predictions"


@pytest.mark.parametrize(
    "sentence, given",
    [
        ("his mother has [entity] gout [ENTITY]", fhir.family_condition("gout")),
        ("his mother has gout", {}),
    ],
)
def test_of_a_sentence_it_is_what_stands_between_the_markers(
    axes_client, sentence, given
):
    body = {"sentence": sentence, "fhir": True}
    assert axes_client.post("/predict", json=body).json["fhir"] == given
