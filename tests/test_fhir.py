"""The FHIR member of a prediction, read by a FHIR R4 library and by FHIR's own list."""

import json
import re
from pathlib import Path

import fhirkit
import pytest

from negation_api.contract import fhir

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


def test_the_documents_example_is_what_is_given_and_valid():
    text = DOCUMENT.read_text()
    (shown,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert json.loads(shown) == fhir.verification_status("ABSENT")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    made = {"prediction": {"fhir": json.loads(shown)}}
    exec(code, made)
    assert faults(made["condition"]) == []


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
