"""The FHIR member of a prediction, read by a FHIR R4 library and by FHIR's own list."""

import re
from pathlib import Path

import fhirkit
import pytest

from negation_api import fhir

# All codes of https://hl7.org/fhir/R4/valueset-condition-ver-status.html, with their
# displays; the library checks a resource's form, not its codes.
R4_CODES = {
    "unconfirmed": "Unconfirmed",
    "provisional": "Provisional",
    "differential": "Differential",
    "confirmed": "Confirmed",
    "refuted": "Refuted",
    "entered-in-error": "Entered in Error",
}
DOCUMENT = Path(__file__).parents[1] / "docs" / "fhir.md"


@pytest.mark.parametrize("label", ["PRESENT", "ABSENT", "POSSIBLE"])
def test_a_condition_with_it_is_valid_r4(label):
    condition = {
        "resourceType": "Condition",
        "subject": {"reference": "Patient/1"},
        "code": {"text": "chest pain"},
        **fhir.verification_status(label),
    }
    assert fhirkit.validate(condition) == []
    coding = condition["verificationStatus"]["coding"][0]
    assert R4_CODES[coding["code"]] == coding["display"]


def test_the_library_notices_a_condition_that_is_not_valid():
    wrong = {"resourceType": "Condition", "verificationStatus": {"coding": {"a": 1}}}
    assert fhirkit.validate(wrong)


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
