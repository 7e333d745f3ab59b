"""What is answered of an entity in the words of FHIR R4.

What they cannot say, and what to do with each member: docs/fhir.md.
"""

import unicodedata

from negation_api.contract.labels import Prediction
from negation_api.text.reading import is_blank

SYSTEM = "http://terminology.hl7.org/CodeSystem/condition-ver-status"

# label -> code and display, of
# https://hl7.org/fhir/R4/valueset-condition-ver-status.html
CODES = {
    "PRESENT": ("confirmed", "Confirmed"),
    "ABSENT": ("refuted", "Refuted"),
    "POSSIBLE": ("unconfirmed", "Unconfirmed"),
}


def members(prediction: Prediction, entity: str | None) -> dict:
    """Give what says the same: ``verificationStatus``, ``condition``, or nothing.

    Nothing is said of what is hypothetical, of others than the patient and relatives,
    and of what a relative does not have or may have: FamilyMemberHistory has no place
    for these.

    :param entity: as written; None where it is not known.
    """
    if prediction.holds is None:
        return verification_status(prediction.label)
    if prediction.temporality.label == "HYPOTHETICAL":
        return {}
    if prediction.experiencer.label == "PATIENT":
        return verification_status(prediction.label)
    is_relative_s = prediction.experiencer.label == "FAMILY"
    if is_relative_s and prediction.label == "PRESENT" and entity:
        return family_condition(entity)
    return {}


def verification_status(label: str) -> dict:
    """Give the member of a Condition that says what *label* says.

    >>> verification_status("ABSENT")["verificationStatus"]["coding"][0]["code"]
    'refuted'
    """
    code, display = CODES[label]
    coding = {"system": SYSTEM, "code": code, "display": display}
    return {"verificationStatus": {"coding": [coding]}}


def family_condition(entity: str) -> dict:
    """Give the member of a FamilyMemberHistory that says what a relative has.

    FHIR asks for a code, of which only the words are known. They are one line without
    control characters, as a FHIR string is; nothing is given where none is seen.

    >>> family_condition("type 2\\n diabetes")
    {'condition': [{'code': {'text': 'type 2 diabetes'}}]}
    """
    if is_blank(entity):
        return {}
    seen = (" " if unicodedata.category(c) == "Cc" else c for c in entity)
    return {"condition": [{"code": {"text": " ".join("".join(seen).split())}}]}
