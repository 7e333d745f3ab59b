"""What is said to a question instead of yes and no, and how the question begins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reads import reads

REPLIES = {
    "no": """Not at all|Absolutely not|Certainly not|None at all|None whatsoever|No sir
        |No, ma'am|Nah|No way|Not really|Not once|Not recently|Not currently|Not yet
        |Not anymore|Not at present|Not to my knowledge|Not that I know of
        |Not that she is aware of|Not that he can recall|Nothing like that
        |None of those|Never has|He never has|She has never|Has not|She hasn't
        |He does not|They don't|I have not|I haven't had any|It did not|He denies
        |She denies it|Pt denied this|The patient denies|Denies it|Mum says no
        |Pt says no|He said never|Mother reports none|Wife states: no
        |No, not at all|Nope, never|He wasnt""",
    "yes": """Absolutely|Definitely|Of course|Sure|Affirmative|Indeed|All the time
        |Very much so|I do|She does|He has|They did|It is|There was|Mum says yes
        |Pt said yes|He admits to it|She endorses this|Yes sir|That's right""",
    "possible": """Perhaps|It could be|Might be|I think so|He believes so
        |Mum thinks so|Maybe so""",
    "unknown": """I don't know|She doesn't remember|He cannot recall
        |Can't say for sure|Pt could not tell|I am not certain|She's not sure
        |Not really sure|Uncertain|Unclear|Hard to say|It is hard to tell|No idea
        |Patient is unsure""",
}
CASES = [
    (reply.strip(), read)
    for read, replies in REPLIES.items()
    for reply in replies.split("|")
]
# How a question begins, and what of it is read.
LEADS = {
    "Do you have": "have",
    "Does he have": "have",
    "Did the patient have": "Did have",
    "Is there any": "any",
    "Were there any": "Were any",
    "Has the child had a": "Has had a",
    "Have you ever had": "Have ever had",
    "Has she been": "Has been",
    "Are you": "",
    "Can you tell me if you have": "have",
    "Have you been told you have": "",
    "- Did they see": "Did see",
    "2. Do you have": "have",
    "Q: Do you have": "have",
    # Another person's, or more than whether it is there.
    "Does your child have": "Does your child have",
    "Does your mother have": "Does your mother have",
    "Has anyone in the family had": "Has anyone in the family had",
    "Do you want": "Do you want",
    "Have you stopped": "Have you stopped",
    "Are you free of": "Are you free of",
    "Could this be": "Could this be",
    "Has the": "Has the",
}


@pytest.mark.parametrize("reply, read", CASES)
@pytest.mark.parametrize(
    "behind", [". Alert.", "", " - twice", "\nAlert", ", he said."]
)
def test_a_reply_is_read_as_what_it_says(reply, read, behind):
    kept = "" if behind[:1] in "\n" else behind.split(" A")[0]
    text = f"Do you have <cough>? {reply}{behind}"
    if behind[:1] == "," and ("enie" in reply):  # "denies this, chills and rash"
        assert reads(text).endswith(f"<cough>? {reply}{behind}")
    else:
        assert reads(text) == f"have <cough>? {read}{kept}"


@pytest.mark.parametrize("reply, read", CASES)
def test_a_reply_has_the_line_below_its_question(reply, read):
    text = f"Rash?\nNo\nDo you have <cough>?\n{reply}\nAny fever?\nYes"
    assert reads(text) == f"have <cough>? {read}"
    assert reads(text.lower()) == f"have <cough>? {read}"


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("answer", ["No", "Yes", "Unknown"])
def test_of_an_answered_question_the_patient_is_not_read(lead, answer):
    before = LEADS[lead]
    read = f"{before} <cough>? {answer}".strip()
    for text in f"{lead} <cough>? {answer}", f"{lead} <cough>?\n{answer}":
        assert reads(text) == read


@given(
    st.sampled_from([each for each in LEADS if each[1] not in " .:"]),
    st.sampled_from([" in the last week", " at night,\nor at rest", " (ever)", ""]),
    st.sampled_from(
        ["Fever? No. ", "Rash? Mum says no.\n", "Alert. ", "Gout: N\n", ""]
    ),
    st.sampled_from([(reply, read) for reply, read in CASES if read == "unknown"]),
)
def test_questions_end_where_they_are_answered(lead, rest, above, case):
    reply, read = case
    before = f"{LEADS[lead]} " if LEADS[lead] else ""
    line = rest.replace("\n", " ")
    text = f"{above}{lead} <cough>{rest}? {reply}. Do you smoke? Yes."
    if before.strip() == lead:  # it asks for something else
        assert reads(text).startswith(f"{before}<cough>{line}?")
    else:
        assert reads(text) == f"{before}<cough>{line}? {read}."


@pytest.mark.parametrize(
    "text",
    [
        "Any <fever>? He denies chills.",
        "<PE>? He has no risk factors.",
        "Do you have <gout>? Allopurinol was started in May by his own doctor.",
        # It goes on in the next line.
        "Any <rash>? She does\nnot.",
        "Any <pain>? He has\nno pain at present.",
        "<PE>? She was\ntachycardic and a scan has been requested.",
        "Anything else? He does not\nhave <pain>.",
        "Any concerns? She denies any\n<pain>.",
        "Why so tired? It could be\n<anemia>, await bloods.",
        # Another person has it.
        "Any <gout>? My mother does.",
        "Any history of <epilepsy>? His brother has.",
        # A doctor wonders.
        "<Pneumonia>? The patient is, however, afebrile.",
        "<Stroke>? Patient is - per wife - confused.",
        # What is asked is another thing.
        "Is your <hypertension> well controlled? Not really.",
        "Has the <cough> gone away? Not at all.",
        "Are you managing your <pain>? Not really.",
        "Did you get rid of the <cough>? I did.",
        "Are you over the <flu>? I am.",
        "Is the <cough> better? It isn't.",
        "Why are you <depressed>? I don't know.",
        "When did you first feel <dizzy>? I don't remember.",
        "How often does he <wheeze>? Mum is not sure.",
        "Does your baby have <reflux>? She does.",
    ],
)
def test_what_is_no_reply_is_read_as_it_is(text):
    line = text.replace("\n", " ")
    question, _, rest = line.partition("? ")
    whole = [line, f"{question}?", rest, f"{question}? {rest.split('.')[0]}."]
    assert reads(text) in whole
