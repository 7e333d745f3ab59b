"""Negative words that only tell what an entity is like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negation_api.settings import Settings
from negation_api.text.pseudo_cues import without_pseudo_cue
from reads import reads

READ = {
    # A test and its result, before what was found all the same.
    "Gram-negative <sepsis>": "<sepsis>",
    "gram -ve <bacteraemia>": "<bacteraemia>",
    "coagulase-negative staphylococcal <bacteremia>": "staphylococcal <bacteremia>",
    "ER+, HER2 negative invasive <carcinoma>": "ER+, invasive <carcinoma>",
    "ER negative, PR negative <breast cancer>": "<breast cancer>",
    "HER2-positive and ER-negative <cancer>": "HER2-positive <cancer>",
    "biopsy-negative giant cell <arteritis>": "giant cell <arteritis>",
    "Seronegative <arthritis>": "<arthritis>",
    # What it is not like, or free of.
    "No non-bloody <diarrhea>": "No <diarrhea>",
    "nonbloody, nonbilious <emesis>": "<emesis>",
    "non-bloody, watery <diarrhea>": "watery <diarrhea>",
    "nonbloody/nonbilious <emesis>": "<emesis>",
    "non-ST elevation <MI>": "<MI>",
    "possible free intraperitoneal <air>": "possible intraperitoneal <air>",
    "drug-free <remission>": "<remission>",
    # Words of a name.
    "Absence <seizures>": "<seizures>",
    "on negative <inotropes>": "on <inotropes>",
    # Of nobody but the patient.
    "Familial adenomatous <polyposis>": "adenomatous <polyposis>",
    "liver with daughter <cysts>": "liver with <cysts>",
    "donor site <pain>": "site <pain>",
}
# These deny the entity, or might.
KEPT = (
    "negative <stress test>",
    "CV-negative <chest pain>, palpitations",
    "Blood culture negative <growth>",
    "CXR in ER neg <pneumonia>",
    "Culture negative <MRSA>",
    "Lungs: nonlabored <wheezing>",
    "Stool non-bloody <mucus>",
    "Urine culture negative <UTI>",
    "EGFR negative <T790M mutation>",
    "Non known <drug allergies>",
    "non-elicited <reflexes>",
    "Margins free <tumor>",
    "negative <pressure ulcers>",
    "absence <seizure activity>",
    "familial <breast cancer>",
    "Daughter <asthma>",
    "donor <hepatitis C>",
    "Negative for <flu>",
    "CT negative <PE>",
    "absence of <seizures>",
    "absence <pulses>",
    "free of <pain>",
    "pain free, <nausea>",
    "non-palpable <spleen>",
    "nonadherent <insulin>",
    "non-compliant with <CPAP>",
    "Flu neg and <COVID> neg",
    "None <fever>",
    "poorly/non-healing <wound>",
    "nonetheless <fever>",
    "gram-negative sepsis and <fever>",
    "<HER2>-negative",
    "<Gram-negative sepsis>",
)
MARKERS = "HER2 HER-2 her2/neu ER EBV JAK2 BCR-ABL triple".split()
ASKED = {
    "Triple negative <breast cancer> in 2019.": "PRESENT",
    "She was treated for gram-negative <sepsis>.": "PRESENT",
    "Culture-negative <endocarditis>, on ceftriaxone.": "PRESENT",
    "Two days of non-bloody <diarrhea>.": "PRESENT",
    "Free <air> under the diaphragm.": "PRESENT",
    "Non-traumatic <subarachnoid hemorrhage>.": "PRESENT",
    "No evidence of gram-negative <sepsis>.": "ABSENT",
    "Denies non-exertional <chest pain>.": "ABSENT",
    "Possible culture-negative <endocarditis>.": "POSSIBLE",
}


@pytest.mark.parametrize("text", READ)
def test_a_pseudo_cue_is_not_read(text):
    assert reads(text) == READ[text]


@pytest.mark.parametrize("text", KEPT)
def test_a_cue_is_read(text):
    assert reads(text) == text


@given(
    before=st.sampled_from(["", "No ", "Possible ", "Denies any ", "Mother had "]),
    markers=st.lists(st.sampled_from(MARKERS), min_size=1, max_size=4),
    sign=st.sampled_from(["-", " ", "\u2013", " - "]),
    word=st.sampled_from(["negative", "neg", "Negative"]),
    joint=st.sampled_from([" ", ", ", " and ", "/", " & "]),
    words=st.sampled_from(["", "locally advanced ", "late-onset "]),
)
def test_no_result_of_a_marker_is_read(before, markers, sign, word, joint, words):
    modifiers = joint.join(f"{marker}{sign}{word}" for marker in markers)
    known = without_pseudo_cue(f"{before}{modifiers} {words}", "breast cancer")
    assert known == before + words


@given(st.text(), st.text())
def test_nothing_is_read_that_was_not_there(before, inside):
    pieces = iter(before)
    assert all(character in pieces for character in without_pseudo_cue(before, inside))


@pytest.fixture(scope="module")
def classifier():
    from negation_api.model.classifier import load_classifier

    return load_classifier(Settings())


@pytest.mark.parametrize("text", ASKED)
def test_what_has_a_negated_modifier_has_the_status_of_its_sentence(classifier, text):
    marked = reads(text).replace("<", "[entity] ").replace(">", " [entity]")
    (prediction,) = classifier.classify([classifier.encode(marked)])
    assert prediction.label == ASKED[text]
