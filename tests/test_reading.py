"""Where sentences end, and what editors and pages do to a text, changes nothing."""

import html
import re
import string
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from negation_api.text.markers import plain
from negation_api.text.sentences import SegmentedText
from negation_api.text.spans import Span
from reads import entity, reads

READ = {
    # The next line begins with a small letter: wrapped, or a line of its own.
    "No cough\n<metformin> 500 mg bid": "<metformin> 500 mg bid",
    "No cough\n<metformin> daily": "<metformin> daily",
    "no fever\n<temp> 37.2": "<temp> 37.2",
    "asthma\n<gout>\nno diabetes\nlupus": "<gout>",
    "The patient has no\n<fever>": "The patient has no <fever>",
    "Denies fever,\nchills or <cough>": "Denies fever, chills or <cough>",
    "No evidence of pneumonia\nor <effusion>": "No evidence of pneumonia or <effusion>",
    # Two findings that nothing joins.
    "denies fever\n<cough> x 3 days": "<cough> x 3 days",
    "no surgeries\nmild <headache>": "mild <headache>",
    "no knee\n<pain>": "no knee <pain>",
    "no heart failure\n<exacerbation>": "no heart failure <exacerbation>",
    "denies fever\n<cough> or rash": "denies fever <cough> or rash",
    "denies fever\n<chills>\nand cough": "denies fever <chills> and cough",
    "blood type\no negative, <fever>": "blood type o negative, <fever>",
    # A subject and its verb; words that begin or end nothing; a stop for both lines.
    "He\nhas no <asthma>": "He has no <asthma>",
    "The lips\nwere not <cyanotic>": "The lips were not <cyanotic>",
    "possible\n<UTI>": "possible <UTI>",
    "uncertain\nbut leaned toward <gout>": "uncertain but leaned toward <gout>",
    "Suspected UTI\nbut no <sepsis>": "Suspected UTI but no <sepsis>",
    "Her past medical\nhistory is <gout>": "Her past medical history is <gout>",
    "SUSPICIOUS\nFOR <CARCINOMA>": "SUSPICIOUS FOR <CARCINOMA>",
    "<Thrombolysis>\nwas not given.": "<Thrombolysis> was not given.",
    "No cough\nhas <fever>": "has <fever>",
    "no cough\nhas <fever>.": "has <fever>.",
    "No cough\n<metformin> daily.": "<metformin> daily.",
    "FEVER NO\n<COUGH> YES": "<COUGH> YES",
    # A short line that ends with its own status, below one with a cue.
    "negative for flu\n<strep> positive": "<strep> positive",
    "no cough\n<fever> resolved.\nmetformin": "<fever> resolved.",
    "positive for flu\nrapid <strep> neg": "rapid <strep> neg",
    "negative for flu and\n<strep> positive": "negative for flu and <strep> positive",
    "the swab of the boy\n<strep> positive": "the swab of the boy <strep> positive",
    "possible uti\nlongstanding <af> on apixaban": "longstanding <af> on apixaban",
    "no haematuria\nleft <stent> in situ": "left <stent> in situ",
    "Denies recent travel\nknown sick <contacts>\nor rash": (
        "Denies recent travel known sick <contacts> or rash"
    ),
    "denies fever\nlongstanding <cough> or rash": (
        "denies fever longstanding <cough> or rash"
    ),
    "no change of the\nlongstanding <murmur>": "no change of the longstanding <murmur>",
    # A line that denies one finding, above words of another.
    "no fever\n<skin> warm": "<skin> warm",
    "no cough\n<insulin> started last week": "<insulin> started last week",
    "no cough\n<noted> by her mother": "no cough <noted> by her mother",
    "no asthma\n<attacks> since May": "no asthma <attacks> since May",
    "She says that she has never\nhad a <seizure>": (
        "She says that she has never had a <seizure>"
    ),
    # Stops after abbreviations.
    "Neg. for <flu>": "Neg for <flu>",
    "No sig. <edema>": "No sig <edema>",
    "Cannot excl. <abscess>": "Cannot excl <abscess>",
    "No def. <mass>. Lungs clear": "No def <mass>.",
    "No prev. <MI>": "No prev <MI>",
    "Hx. <CHF>.": "Hx <CHF>.",
    "Takes 10 mg. <CHF> stable.": "<CHF> stable.",
    "Vitamin D. <Gout>": "<Gout>",
    "No periph. <edema>.": "No periph <edema>.",
    "no cerv. <LAD>": "no cerv <LAD>",
    "neg. <CVA tenderness>": "neg <CVA tenderness>",
    "CXR neg. <CT> pending": "<CT> pending",
    "<Stroke> vs. migraine.": "<Stroke> vs migraine.",
    # Slips of the pen in a cue; a name.
    "pt deneis <fever>": "pt denies <fever>",
    "Walks withuot <pain>": "Walks without <pain>",
    "<cough> s\u0305 fever": "<cough> without fever",
    "<HIV> non reactive": "<HIV> negative",
    "Hepatitis B, <C> nonreactive.": "Hepatitis B, <C> negative.",
    "<pupils> non-reactive": "<pupils> non-reactive",
    "HIV, <fixed pupils> non-reactive": "HIV, <fixed pupils> non-reactive",
    "Denise <fever>": "Denise <fever>",
    # Artefacts.
    "Denies&nbsp;<fever>": "Denies <fever>",
    "Denies &#39;<fever>&#39;": "Denies '<fever>'",
    "ROS:&nbsp;Denies&nbsp;rash,&nbsp;<gout>.&nbsp;Reports&nbsp;pain.": (
        "ROS: Denies rash, <gout>."
    ),
    "no fe\u00adver, <cou\u200bgh>": "no fever, <cough>",
    "\uff2e\uff4f <\uff46\uff45ver>": "No <fever>",
    "No <e\ufb00usion>": "No <effusion>",
    "Denies\r<fever>\rHas cough": "Denies <fever>",
    "PMH:\x0c- <gout>\x0c": "Past medical history: <gout>",
    "hist0ry of <asthma>": "history of <asthma>",
    "\u00d8 <edema>": "no <edema>",
    "0 <murmurs>": "no <murmurs>",
    "Exam: 0 <clubbing>": "Exam: no <clubbing>",
    # A span that begins with a cue; one that only looks so.
    "has <no headache>": "has no <headache>",
    "is <negative for blood> today": "is negative for <blood> today",
    "<Denies fever, chills>.": "Denies <fever, chills>.",
    "is <no longer febrile>": "is <no longer febrile>",
    "on <no>": "on <no>",
    "<nontender abdomen>": "<nontender abdomen>",
    "\u2796 <fever>\n\u2795 cough": "(-) <fever>",
    "\u2296 fever, \u2295 <cough>": "(-) fever, (+) <cough>",
    "stage 0 <cancer>": "stage 0 <cancer>",
    # A line that is one answer belongs to the line above it.
    "<Fever>\nNo\nCough\nYes\nRash\nNo": "<Fever>: No",
    "Fever\nNo\n<Cough>\nYes\nRash\nNo": "<Cough>: Yes",
    "fever\nn\n<cough>\ny": "<cough>: yes",
    "<Fever>:\nNo": "<Fever>: No",
    "<FEVER>:\nNO\nCOUGH:\nYES": "<FEVER>: NO",
    "<Fever>:\n  No": "<Fever>: No",
    "<Fever>\n- No": "<Fever>: No",
    "- <Fever>\n- No.\n- Cough\n- Yes.": "<Fever>: No.",
    "<HIV Ag/Ab>\nNon-Reactive": "<HIV Ag/Ab>: negative",
    "<Asthma>\n\nNo": "<Asthma>: No",
    "Asthma\n\n\n\nNo <fever>": "No <fever>",
    "Is the patient <diabetic>?\n\nNo": "<diabetic>? No",
    "<Fever>\nDenies\nCough\nEndorses": "<Fever>: Denies",
    "Fever\nDenies\n<Cough>\nEndorses": "<Cough>: Endorses",
    "Flu swab was\nnegative\nfor <flu>": "Flu swab was negative for <flu>",
    "The test was read\nas\nnegative\nfor <flu>": (
        "The test was read as negative for <flu>"
    ),
    "Has gout.\nNo\n<fever>": "No <fever>",
    # When, on the line below.
    "Any <cramps>?\nAt night.": "Any <cramps>? At night.",
    "<Dizziness>?\nWhen standing up\nRash?\nNo": "<Dizziness>? When standing up",
    "Any <cramps>?\nLungs clear.": "Any <cramps>?",
    "Was it <gout>? unclear\nAt night cough": "Was <gout>? unknown",
    # Boxes an empty line below what they answer.
    "Do you have <asthma>?\n\n( ) Yes\n(x) No": "Do you have <asthma>? No",
    "No <cough>\n\n[x] Yes\n[ ] No": "No <cough>",
    # What stands between a question and its answer.
    "Any <fever>? (Yes/No) No": "Any <fever>? No",
    "Any <fever>? (Y/N): N": "Any <fever>? no",
    "Any <fever>? Yes/No: No": "Any <fever>? No",
    "Any <fever>? \u2013 No.": "Any <fever>? No.",
    "Any <fever>? -No": "Any <fever>? No",
    "Any <fever>? ...No": "Any <fever>? No",
    "Any <fever>? Ans: No": "Any <fever>? No",
    "Any <fever>? Response: No": "Any <fever>? No",
    "Any <fever>? A1. No": "Any <fever>? No",
    "Q1: <Fever>?\nA1: No": "<Fever>? No",
    "<Alcohol>? Yes: socially.": "<Alcohol>? Yes: socially.",
    "<Dysphagia>? - none, heartburn? - daily": "<Dysphagia>? none,",
    "Dysphagia? - none, <heartburn>? - daily": "<heartburn>? - daily",
    # An answer in other words is short, and names no other finding.
    "Any <falls>? Zero.": "Any <falls>? Zero.",
    "Any <falls>? 2 in the last month": "Any <falls>? 2 in the last month",
    "Any <headache>? Every morning. Tired": "Any <headache>? Every morning.",
    "Any <fever>? He denies this. Cough? Yes": "Any <fever>? no.",
    "<Fever>? Mom says no.": "<Fever>? no.",
    "Any <fever>? I don't think so.": "Any <fever>? I don't think so.",
    "<Fever>? Absolutely not.": "<Fever>? no.",
    'Itch? "Yes, at night." <Rash>? "No."': '<Rash>? "No."',
    "Any <cough>? No cough.": "Any <cough>? No cough.",
    "Any <rash>? No rash, itching.": "Any <rash>? No rash, itching.",
    "Does he have a <port>? It was placed in May.": (
        "Does he have a <port>? It was placed in May."
    ),
    "Could this be <PE>? No hypoxia or tachycardia.": "Could this be <PE>?",
    "Could it be <gout>? Joint tapped today.": "Could it be <gout>?",
    "<Anemia>? Check CBC.": "<Anemia>?",
    "Any rash? The <stridor> began in the night, and he was taken to us.": (
        "The <stridor> began in the night, and he was taken to us."
    ),
    # Stops after words that are short for others, behind a cue.
    "No obv. <deformity>": "No obv <deformity>",
    "No pul. <edema>": "No pul <edema>",
    "Denies abdom. <pain>": "Denies abdom <pain>",
    "No post-op. <fever>": "No post-op <fever>",
    "No intra-abd. <abscess>": "No intra-abd <abscess>",
    "No asymm. <weakness>": "No asymm <weakness>",
    "Neg. HIV, neg. <RPR>, pos. HSV.": "Neg HIV, neg <RPR>, pos HSV.",
    "no rash. <itchy>.": "<itchy>.",
    "no fever. <cough> present.": "<cough> present.",
    "No cough. <wheeze> heard.": "<wheeze> heard.",
    "No changes. <wheeze> heard.": "<wheeze> heard.",
    # A heading without a colon leads in its items, and one with it unmarked ones.
    "Pertinent negatives\n- fever\n- <rash>": "Pertinent negatives: <rash>",
    "NEGATIVES\n\u2022 <fever>": "NEGATIVES: <fever>",
    "Denies\n- <fever>": "Denies: <fever>",
    "Patient denies the following\n\u2022 <fever>": (
        "Patient denies the following: <fever>"
    ),
    "Negative for\n\u2022 <fever>": "Negative for: <fever>",
    "Differential\n1. <PE>": "Differential: <PE>",
    "The patient has no\n- <fever>": "The patient has no: <fever>",
    "No fever\n- <gout>": "<gout>",
    "Denies fever.\n- <gout>": "<gout>",
    "Denies the following:\nfever\nchills\n<rash>": "Denies the following: <rash>",
    "Denies:\nfever\nHas gout\n<rash>": "<rash>",
    "Denies:\nfever\n\n<rash>": "<rash>",
    "No:\n fever\n <chills>": "No: <chills>",
    "Denies\nchest pain\n<dyspnea>": "Denies: <dyspnea>",
    "Denies\nchest pain\n<Alert> and oriented": "<Alert> and oriented",
    "no acute\nhernia\n<Lungs> clear": "<Lungs> clear",
    # A cue and its adjectives want more, whatever the case.
    "NO ACUTE\n<FRACTURE>": "NO ACUTE <FRACTURE>",
    "NO EVIDENCE OF ACUTE\n<DISEASE>": "NO EVIDENCE OF ACUTE <DISEASE>",
    "THERE IS NO SIGNIFICANT\n<STENOSIS>": "THERE IS NO SIGNIFICANT <STENOSIS>",
    "No Known Drug\n<Allergies>": "No Known Drug <Allergies>",
    "no obvious\n<hernia>\nno mass": "no obvious <hernia>",
    "No other\nfocal\n<deficit>": "No other focal <deficit>",
    "No alcohol\n<Gout>": "<Gout>",
    "No acute\nNo <fracture>": "No <fracture>",
    # Broken and glued words.
    "Denies fever&#10;Has <cough>": "Has <cough>",
    "Denies fever&#13;&#10;Has <cough>": "Has <cough>",
    "No <pneumo-\nthorax> seen": "No <pneumothorax> seen",
    "No pneumo-\n  thorax or <edema>": "No pneumothorax or <edema>",
    "Here for follow-\nup of <gout>": "Here for follow-up of <gout>",
    "<fever>-\nnone": "<fever>- none",
    "denies.<fever>": "denies <fever>",
    "denies.<chest pain>": "denies <chest pain>",
    "nofever, <chills>": "no fever, <chills>",
    "No<edema>": "No <edema>",
    "<nodules> noted": "<nodules> noted",
    "<Nocturia> without": "<Nocturia> without",
    # Only our markers mark.
    "[     entity     ] <fever>": "entity <fever>",
    "[en\u200btity] <fever>": "entity <fever>",
    "[&#101;ntity] <fever>": "entity <fever>",
    "[\u00e9ntity] <fever>": "(\u00e9ntity) <fever>",
}


@pytest.mark.parametrize("text", READ)
def test_reading(text):
    assert reads(text) == READ[text]


def test_the_lines_of_a_page_are_lines():
    text = "<p>No fever</p><p>Cough</p><ul><li>gout</ul>"
    cough = text.index("Cough")
    assert SegmentedText(text).mark(Span(cough, cough + 5)) == "[entity] Cough [entity]"


# --- generated ----------------------------------------------------------------

CUES = st.sampled_from(["No", "denies", "w/o", "Neg for", "has", "Pt with"])
FINDINGS = st.sampled_from("cough|knee pain|heart failure|rash|htn|edema".split("|"))
SHORT = st.sampled_from("abd abnl foc palp periph resid sig signif def pulm".split())


@given(CUES, SHORT, FINDINGS, st.sampled_from(["", " seen.", ", no fever"]))
def test_the_stop_of_an_abbreviation_changes_nothing(cue, short, finding, rest):
    stopped = reads(f"{cue} {short}. <{finding}>{rest}")
    assert stopped == reads(f"{cue} {short} <{finding}>{rest}")


@given(CUES, FINDINGS, st.sampled_from(["", "mild ", "new left "]), FINDINGS)
def test_findings_on_two_lines_are_read_as_if_a_blank_line_parted_them(
    cue, above, attribute, below
):
    joined = reads(f"{cue} {above}\n{attribute}<{below}>")
    assert joined == reads(f"{cue} {above}\n\n{attribute}<{below}>")


LABELS = st.sampled_from("Fever|Chest pain|HIV Ag/Ab|Any cough?|Rash:".split("|"))
ONE_WORD = st.sampled_from(
    "No|Yes|N|Y|none|Denies|Endorses|Negative|not detected|Unknown".split("|")
)
MARKED = st.sampled_from(["", "- ", "\u2022 ", "  "])


@given(st.lists(st.tuples(LABELS, ONE_WORD), min_size=1, max_size=6), MARKED, st.data())
def test_an_answer_on_its_line_belongs_to_the_label_above(rows, marker, data):
    gap = data.draw(st.sampled_from(["\n", "\n\n", "\r\n"]))
    stop = data.draw(st.sampled_from(["", "."]))
    chosen = data.draw(st.integers(0, len(rows) - 1))
    rows = [(f"<{q}>" if n == chosen else q, a) for n, (q, a) in enumerate(rows)]
    text = gap.join(f"{label}{gap}{marker}{answer}{stop}" for label, answer in rows)
    label, answer = rows[chosen]
    assert reads(text) == reads(f"{label}{gap}{marker}{answer}{stop}")
    assert reads(text).startswith(f"{label}:") or label[-2] in "?:"


BETWEEN = ["", "- ", "\u2013 ", "...", "(Yes/No) ", "(Y/N): ", "yes/no: ", "A: "]
BETWEEN += ["Ans: ", "Answer: ", "Response: ", "Reply: ", "A1. ", "A2: ", "(y/n) - "]
REPLIES = ["No", "Yes, at night", "Denies", "never", "Not detected", "Unknown."]


@given(FINDINGS, st.sampled_from(BETWEEN), st.sampled_from(REPLIES))
def test_what_stands_before_an_answer_is_passed_over(finding, between, answer):
    assert reads(f"Any <{finding}>? {between}{answer}") == (
        reads(f"Any <{finding}>? {answer}")
    )


@given(
    st.sampled_from(["Pertinent negatives", "Denies", "She denies the following"]),
    st.lists(FINDINGS, min_size=1, max_size=5),
    st.sampled_from(["- ", "* ", "1. "]),
)
def test_a_lead_in_needs_no_colon(lead, findings, marker):
    *above, last = [f"{marker}{finding}" for finding in findings]
    items = "\n".join([*above, f"{marker}<{last.removeprefix(marker)}>"])
    assert reads(f"{lead}\n{items}") == reads(f"{lead}:\n{items}")


@given(
    st.sampled_from("NO|There is no|denies|without|NO EVIDENCE OF|neg for".split("|")),
    st.sampled_from("acute|focal|significant new|mild bilateral|chronic".split("|")),
    FINDINGS,
    st.sampled_from([str, str.upper, str.title]),
)
def test_a_line_may_be_wrapped_before_a_finding_in_any_case(cue, kind, finding, case):
    start, finding = case(f"{cue} {kind}"), case(finding)
    assert reads(f"{start}\n<{finding}>") == reads(f"{start} <{finding}>")


@given(CUES, st.sampled_from(["knee pain", "chest pain", "heart failure"]))
def test_a_finding_broken_over_two_lines_is_one(cue, finding):
    start, end = finding.split()
    assert reads(f"{cue} {start}\n<{end}>") == reads(f"{cue} {start} <{end}>")


PIECES = st.sampled_from(
    "- * • 1. a) -> [ ] [x] ☐ ☑ ( ) (Y) Yes No Y N : = ? | \t -- === PMH: FH ROS Q: A:"
    " [entity] [ entity &nbsp; &#91; <br> \r\n \n \r \u2028 + -fever 0"
    " A. fib ./ \u00ad é".split(" ") + ["\n", "\n\n", "  ", "[  ] "]
)


@given(st.lists(PIECES | st.text(max_size=4), min_size=1, max_size=30), st.randoms())
@settings(max_examples=150, deadline=None)
def test_any_span_of_any_text_has_two_markers_and_its_letters(pieces, rng):
    text = "".join(pieces) or " "
    start = rng.randrange(len(text))
    span = Span(start, rng.randint(start + 1, len(text)))
    marked = SegmentedText(text).mark(span, headed=True)
    before, inside, after = re.split(r"\[entity\]", marked)
    for part in (before, inside, after):  # nothing else is taken for a marker
        assert plain(part) == part
    given_letters = re.findall("[a-z]", text[span.start : span.end].lower())
    is_form = set("&<:=?|\t0") & set(text) or "  " in text or " - " in text
    if not is_form and text.isascii():  # an answer is read as a word
        assert re.findall("[a-z]", inside.lower()) == given_letters


WORDS = "patient remains stable overnight reporting mild improvement since admission"
PLAIN = st.lists(st.sampled_from(WORDS.split()), min_size=10, max_size=16)
BLANKS = [" ", "  ", "\u00a0", "&nbsp;", "\t", "\u2003", "&#32;"]


def sentence(words, place):
    words = [*words]
    words[place % len(words)] = "<fever>"
    return "The " + " ".join(words) + "."


@given(PLAIN, st.integers(0, 99), st.data())
@settings(max_examples=60, deadline=None)
def test_blanks_and_letters_of_another_kind_change_nothing(words, place, data):
    text = sentence(words, place)
    wide = {ord(c): ord(c) + 0xFEE0 for c in string.ascii_letters}
    blank = data.draw(st.sampled_from(BLANKS[:4] + BLANKS[5:6]))
    assert reads(text.replace(" ", blank)) == text
    assert reads(text.translate(wide)) == text


@given(PLAIN, st.integers(0, 99), st.data())
@settings(max_examples=60, deadline=None)
def test_a_sentence_may_be_wrapped_at_any_blank(words, place, data):
    text = sentence(words, place)
    at = data.draw(st.sampled_from([n for n, c in enumerate(text) if c == " "]))
    end = data.draw(st.sampled_from(("\n", "\r\n", "\r", "\n   ")))
    assert reads(text[:at] + end + text[at + 1 :]) == text


@given(PLAIN, st.integers(0, 99), st.data())
@settings(max_examples=100, deadline=None)
def test_artefacts_between_any_letters_change_nothing(words, place, data):
    text = sentence(words, place)
    plain_text = text.replace("<", "").replace(">", "")
    start, end = text.index("<"), text.index(">") - 1
    drawn = st.sampled_from(["", "", "", "\u00ad", "\u200b\ufeff", "&shy;"])
    blank = st.sampled_from([" ", "&nbsp;", "&#160;", "&#xA0;", "&amp;nbsp;"])
    pieces = [data.draw(blank) if c == " " else c for c in plain_text]
    pieces = [piece + data.draw(drawn) for piece in pieces]
    noisy, places = "".join(pieces), [0, *accumulate(map(len, pieces))]
    span = Span(places[start], places[end])
    assert SegmentedText(noisy).mark(span) == SegmentedText(plain_text).mark(
        Span(start, end)
    )


PAGE = (
    '<note><section title="PMH"><item>gout</item><item>No stroke</item></section>'
    "<table><tr><th>Negative</th><th>Positive</th></tr>"
    "<tr><td>fever</td><td>cough</td></tr></table>"
    "<p>Seen on <DATE>May 3</DATE>, <x:y>Ann</x:y> has no <z>lupus</z>.</p>"
    "<p>Seen by <DOCTOR> for rash.</p><td>open</note>"
)


@pytest.mark.parametrize(
    "words, read",
    [
        ("gout", "[entity] gout [entity]"),
        ("stroke", "No [entity] stroke [entity]"),
        ("fever", "Negative: [entity] fever [entity]"),
        ("cough", "Positive: [entity] cough [entity]"),
        ("lupus", "Seen on May 3, Ann has no [entity] lupus [entity]."),
        ("rash", "Seen by <DOCTOR> for [entity] rash [entity]."),
    ],
)
def test_of_a_page_the_tags_are_not_read(words, read):
    start = PAGE.index(words)
    assert SegmentedText(PAGE).mark(Span(start, start + len(words))) == read


def test_words_of_tags_are_no_words_of_the_text():
    shown = SegmentedText(PAGE).text
    assert len(shown) == len(PAGE) and "title" not in shown and "DOCTOR" in shown


@given(st.text(max_size=60), st.randoms())
@settings(max_examples=60, deadline=None)
def test_offsets_of_sentences_are_those_of_the_text(text, rng):
    text = text + "x"
    start = rng.randrange(len(text))
    found = SegmentedText(html.escape(text)).sentence(Span(start, start + 1))
    assert found.start <= start < found.end <= len(html.escape(text))
    assert entity("a <b> c") == ("a b c", Span(2, 3))
