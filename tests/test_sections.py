"""Headings in all their forms, and what stands under them."""

import pytest

from negation_api.text.sentences import SegmentedText
from negation_api.text.spans import Span
from reads import entity, reads

PAST, FAMILY = "Past medical history", "Family history"
HEADINGS = """
PMH:|pmh:|PMHx:|PMH|P.M.H.:|Past Medical History|PAST   MEDICAL HISTORY:|**PMH**|__PMH__
**PMH:**|*PMH*:|## Past medical history|### PMH ###|[PMH]|2. PMH:
2) Past Medical History|II. PMH:|(3) PMH:|PMH::|PMH :|- PMH:|\u2022 PMH:
PAST MEDICAL HISTORY (PMH):|<b>PMH:</b>|PMH -
""".strip().replace("\n", "|").split("|") + [
    "PMH\n----",
    "Past Medical History\n======",
]


@pytest.mark.parametrize("heading", HEADINGS)
@pytest.mark.parametrize("between", ("\n", "\n\n", "\r\n"))
def test_a_heading_in_any_form_is_read(heading, between):
    text = f"Denies fever.\n\n{heading.replace(chr(10), between[-1:])}{between}"
    item = Span(len(text), len(text) + 4)
    marked = SegmentedText(text + "Gout\nStroke").mark(item, headed=True)
    assert marked == f"{PAST}: [entity] Gout [entity]"


READ = {
    "FAMILY HISTORY:\n1. Diabetes\n2. <Stroke>": f"{FAMILY}: <Stroke>",
    "FHx\nDM\n<gout>\nSocial History\nsmoker": f"{FAMILY}: <gout>",
    # Within a line.
    "Fit. FAMILY HISTORY: <gout>.": "FAMILY HISTORY: <gout>.",
    "PMH: gout; FH: <MI>; SH: smoker": "FH: <MI>;",
    "PMH: <asthma>\nALLERGIES: none": "PMH: <asthma>",
    # Sub-headings go on with the section.
    "Family History:\nMother: <gout>\nFather: HTN": f"{FAMILY}: Mother: <gout>",
    "Family History:\nMother:\n- gout\nFather:\n- <HTN>": f"{FAMILY}: Father: <HTN>",
    "PMH:\nCardiac: AF\nPulm: <COPD>": f"{PAST}: Pulm: <COPD>",
    # The next section ends it, known or not.
    "FAMILY HISTORY:\n1. MI\n\nASSESSMENT:\n1. <Gout>": "ASSESSMENT: <Gout>",
    "PMH:\nGout\n\nVisit Notes:\n<flu>": "Visit Notes: <flu>",
    "FAMILY HISTORY\nMI\nREVIEW OF SYSTEMS\n<fever>": "REVIEW OF SYSTEMS: <fever>",
    "PMH: gout\nLungs: <wheeze>": "Lungs: <wheeze>",
    # Words that are no headings.
    "PMH:\n- PE\n- <gout>": f"{PAST}: <gout>",
    "Family history of <gout>": "Family history of <gout>",
    "FH:\nMI\nThere is pain in the\nchest, <worse> today": (
        f"{FAMILY}: There is pain in the chest, <worse> today"
    ),
    "CT-guided <biopsy>": "CT-guided <biopsy>",
}


@pytest.mark.parametrize("text", READ)
def test_the_section_of_an_entity_is_read(text):
    assert reads(text) == READ[text]


def test_a_client_that_knows_better_says_the_section():
    text, span = entity("PMH:\n- <gout>")
    assert SegmentedText(text).mark(span, headed=True, section="FHx").startswith(FAMILY)


def test_a_section_is_where_the_text_has_it():
    text, span = entity("CC: pain\n\n** Family Hx: **\n- <gout>")
    section = SegmentedText(text).section(span)
    assert text[section.start : section.body].startswith("** Family Hx:")
    assert section.kind == FAMILY and "Family Hx" in section.name
