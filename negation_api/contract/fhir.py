"""The assertion status in the words of FHIR R4. What it cannot say: docs/fhir.md."""

SYSTEM = "http://terminology.hl7.org/CodeSystem/condition-ver-status"

# label -> code and display, of
# https://hl7.org/fhir/R4/valueset-condition-ver-status.html
CODES = {
    "PRESENT": ("confirmed", "Confirmed"),
    "ABSENT": ("refuted", "Refuted"),
    "POSSIBLE": ("unconfirmed", "Unconfirmed"),
}


def verification_status(label: str) -> dict:
    """Give the member of a Condition that says what *label* says.

    >>> verification_status("ABSENT")["verificationStatus"]["coding"][0]["code"]
    'refuted'
    """
    code, display = CODES[label]
    coding = {"system": SYSTEM, "code": code, "display": display}
    return {"verificationStatus": {"coding": [coding]}}
