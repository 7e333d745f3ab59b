"""The context fed to the model."""

import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from negation_api.contract.labels import Prediction
from negation_api.text.markers import EntityTooLong, MarkerError, fit_window, is_marked
from negation_api.text.offsets import OFFSET_UNITS, Offsets
from negation_api.text.sentences import MAX_SIDE_CHARS, SegmentedText
from negation_api.text.spans import Span


def mark(text: str) -> str:
    """Mark what stands between ``<`` and ``>`` in *text*."""
    start = text.index("<")
    end = text.index(">") - 1
    return SegmentedText(text.replace("<", "").replace(">", "")).mark(Span(start, end))


CONTEXTS = {
    # The paper's own cut: a sentence, its line breaks made spaces.
    "No pain. Denies any <shortness of breath>. Has cough.": (
        "Denies any [entity] shortness of breath [entity]."
    ),
    "Denies chest pain,\r\nnausea or <fever> today.": (
        "Denies chest pain, nausea or [entity] fever [entity] today."
    ),
    "No cough! <Fever>\n\nChills": "[entity] Fever [entity]",
    "No cough?\n<Fever> since Monday": "[entity] Fever [entity] since Monday",
    # At the very start and end, and the whole text.
    "<Fever> today.": "[entity] Fever [entity] today.",
    "Denies <fever>": "Denies [entity] fever [entity]",
    "<Fever>": "[entity] Fever [entity]",
    # Stops that end nothing.
    "Seen by Dr. Smith for <pain>.": "Seen by Dr Smith for [entity] pain [entity].",
    "No relief of <pain> with 1.5 mg p.o. b.i.d. so far.": (
        "No relief of [entity] pain [entity] with 1.5 mg p.o. b.i.d. so far."
    ),
    "Takes ASA q.d. Denies <pain>.": "Denies [entity] pain [entity].",
    "No signs, e.g. Murphy's, of <colic>.": (
        "No signs, e.g. Murphy's, of [entity] colic [entity]."
    ),
    "Admitted with John F. Kennedy's <back pain>.": (
        "Admitted with John F. Kennedy's [entity] back pain [entity]."
    ),
    "Hepatitis C. No <jaundice>.": "No [entity] jaundice [entity].",
    "Temp. 38.5. No <rash>.": "No [entity] rash [entity].",
    "The pt. denies <fever>.": "The pt denies [entity] fever [entity].",
    "r/o DVT, ? <PE>. Start heparin.": "r/o DVT, ? [entity] PE [entity].",
    "? <TIA>": "? [entity] TIA [entity]",
    "Chest pain? <Fever>? No. Cough? Yes.": "[entity] Fever [entity]? No.",
    # De-identification brackets hide stops.
    "Seen by **NAME[AAA M. BBB] for <pain>.": (
        "Seen by **NAME[AAA M. BBB] for [entity] pain [entity]."
    ),
    "On [**2105-3-4 at 5 p.m. Xx**] denied <pain>.": (
        "On [**2105-3-4 at 5 p.m. Xx**] denied [entity] pain [entity]."
    ),
    # Headings and lists.
    "ROS: negative for <fever>.\nPMH: asthma": (
        "ROS: negative for [entity] fever [entity]."
    ),
    "PMH: <asthma>\nALLERGIES: none": "PMH: [entity] asthma [entity]",
    "PMH:\n- no CHF\n- <asthma>\n- gout": "PMH: [entity] asthma [entity]",
    "Patient denies the following:\n 1. fever\n 2. <chest pain>\n\nHas cough.": (
        "Patient denies the following: [entity] chest pain [entity]"
    ),
    "Denies:\n- fever\n\n- <cough> for a week": "[entity] cough [entity] for a week",
    "DIAGNOSES 1. CAD 2. <HTN> COMPLICATIONS: None": "[entity] HTN [entity]",
    "A. <TUBULAR ADENOMA>. B. NO DYSPLASIA.": "[entity] TUBULAR ADENOMA [entity].",
    # Line breaks: a list of statements, or a paragraph wrapped by a program.
    "No fever\nHas <cough>": "Has [entity] cough [entity]",
    "denies chest pain and\nShortness of <breath>": (
        "denies chest pain and Shortness of [entity] breath [entity]"
    ),
    "He has no history of diabetes, hypertension, stroke, kidney disease\n"
    "Crohn disease or <asthma>.": (
        "He has no history of diabetes, hypertension, stroke, kidney disease"
        " Crohn disease or [entity] asthma [entity]."
    ),
    # White space of every kind.
    "Denies\t<chest\u00a0pain>,\u2003cough.": (
        "Denies [entity] chest pain [entity], cough."
    ),
    # An entity across a sentence end keeps both sentences.
    "Has <pain. Denies> fever. Cough.": "Has [entity] pain. Denies [entity] fever.",
    # Emoji and combining characters count as code points.
    "😀 Denies <fi\u0301evre> 😀.": "😀 Denies [entity] fi\u0301evre [entity] 😀.",
    # Only our markers mark: a literal one loses its brackets.
    "[entity] denies <fever> [ENTITY] [ entity ].": (
        "entity denies [entity] fever [entity] ENTITY entity."
    ),
    # Inside a word.
    "non<febrile>!": "non[entity] febrile [entity]!",
}


@pytest.mark.parametrize("text", CONTEXTS)
def test_context(text):
    assert mark(text) == CONTEXTS[text]


def test_a_sentence_without_end_is_bounded_on_word_boundaries():
    text = "word " * 5_000 + "pain" + " after" * 5_000
    marked = SegmentedText(text).mark(Span(25_000, 25_004))
    before, entity, after = marked.split("[entity]")
    assert entity == " pain "
    assert 0.9 * MAX_SIDE_CHARS < len(before) <= MAX_SIDE_CHARS
    assert set(before.split()) == {"word"} and set(after.split()) == {"after"}


def test_window_keeps_the_entity_and_is_full():
    rng = random.Random(1)
    for _ in range(1_000):
        num_tokens = rng.randint(1, 2_000)
        start = rng.randrange(num_tokens)
        entity = Span(start, rng.randint(start + 1, num_tokens))
        limit = rng.randint(1, 600)
        if entity.end - entity.start > limit:
            with pytest.raises(EntityTooLong, match=f"at most {limit}"):
                fit_window(num_tokens, entity, limit)
            continue
        window = fit_window(num_tokens, entity, limit)
        assert 0 <= window.start <= entity.start
        assert entity.end <= window.end <= num_tokens
        assert window.end - window.start == min(limit, num_tokens)


@pytest.mark.parametrize(
    "sentence, message",
    [
        ("denies [entity] pain", "given 1"),
        ("[entity] a [entity] b [entity]", "given 3"),
        ("no [entity] [Entity] pain", "between"),
    ],
)
def test_wrong_markers_are_refused(sentence, message):
    with pytest.raises(MarkerError, match=message):
        is_marked(sentence)


def test_markers_count_in_any_case():
    assert is_marked("denies [ENTITY] pain [Entity]")
    assert not is_marked("denies [ entity ] pain")


def test_prediction_is_the_most_probable_label():
    prediction = Prediction({"PRESENT": 0.2, "ABSENT": 0.7, "POSSIBLE": 0.1})
    assert (prediction.label, prediction.score) == ("ABSENT", 0.7)


# --- offsets ------------------------------------------------------------------

TEXT = "a\u00e9\u20ac😀e\u0301z"  # 1, 2, 3, 4, 1, 2, 1 bytes


@pytest.mark.parametrize(
    "unit, codec, width", [("utf16", "utf-16-le", 2), ("utf8", "utf-8", 1)]
)
def test_offsets_agree_with_the_encoding(unit, codec, width):
    offsets = Offsets(TEXT, unit)
    boundaries = [len(TEXT[:n].encode(codec)) // width for n in range(len(TEXT) + 1)]
    assert offsets.length == boundaries[-1]
    for offset in range(offsets.length + 1):
        expected = boundaries.index(offset) if offset in boundaries else None
        assert offsets.to_code_points(offset) == expected


def test_code_points_are_what_python_counts():
    offsets = Offsets(TEXT, "codepoint")
    assert offsets.length == len(TEXT)
    assert [offsets.to_code_points(n) for n in range(8)] == list(range(8))


@given(st.text("a\u00e9\u20ac😀e\u0301", min_size=1, max_size=8), st.data())
@settings(max_examples=200, deadline=None)
def test_the_unit_that_fits_is_found(text, data):
    """What was counted in one unit stands there in it, and in whichever agrees."""
    meant, said = (data.draw(st.sampled_from(OFFSET_UNITS)) for _ in range(2))
    first, last = sorted(data.draw(st.integers(0, len(text))) for _ in range(2))
    ends = [Offsets(text, meant).from_code_point(n) for n in (first, last)]
    quoted, offsets = text[first:last], Offsets(text, said)
    fitting = offsets.fitting_units(quoted, *ends)
    fitting += [said] if offsets.hold(quoted, *ends) else []
    assert meant in fitting
    for unit in fitting:
        points = [Offsets(text, unit).to_code_points(n) for n in ends]
        assert text[slice(*points)] == quoted and None not in points


# --- anything at all ----------------------------------------------------------

PIECES = st.sampled_from(
    ". ? ! \n \r\n \t : - * 1. A. Dr. p.o. [entity] [ entity ] [** **] **NAME[ ] No"
    " COMPLICATIONS: PMH: \u00a0 \u2028 😀 e\u0301 ,".split(" ")
    + [" ", "\n", "\r\n", "\n\n"]
)


@given(st.lists(PIECES | st.text(max_size=5), max_size=40), st.randoms())
@settings(max_examples=300, deadline=None)
def test_every_text_gives_a_context_with_our_two_markers(pieces, rng):
    text = "".join(pieces) or " "
    start = rng.randrange(len(text))
    entity = Span(start, rng.randint(start + 1, len(text)))
    note = SegmentedText(text)
    sentence = note.sentence(entity)
    assert sentence.start <= entity.start < entity.end <= sentence.end
    marked = note.mark(entity)
    assert marked.lower().count("[entity]") == 2
    if not set(text) & set(FORMS) and text.isascii() and text.isprintable():
        inside = marked.lower().split("[entity]")[1]
        assert letters(inside) == letters(text[start : entity.end])


FORMS = ":=?|\t&<0"  # what is read as something else


def letters(piece):
    """Give the English letters of *piece*."""
    return re.findall("[a-z]", piece.lower())


HOSTILE = ["a. ", "\n", " ", "A ", "A", "?", "[ ", "**NAME[", "1. ", "\r\n- x:", "A:\n"]
HOSTILE += ["e.g. ", "past medical ", "[**", "x\n", '."""', "No. ", "A, ", "?) "]
HOSTILE += ["No\n", "a\nNo\n\n", "A? b c. ", "? - ", "Q1: a? A1. No ", "no x. y "]
HOSTILE += ["Denies\n", "a:\nb\n", "No acute\n", "? (y/n/", "no ", "Any a? no, "]
HOSTILE += ["nofever", "ab-\n", "&#13;", "no.a "]


@pytest.mark.parametrize("piece", HOSTILE)
def test_cutting_a_text_takes_time_linear_in_its_length(piece):
    """Four times the text takes far less than the sixteen times of a square."""

    def seconds(length):
        text = piece * (length // len(piece))
        started = time.process_time()
        note = SegmentedText(text)
        for start in range(0, length - 200, length // 100):
            note.mark(Span(start, start + 5))
        return time.process_time() - started

    small, large = (min(seconds(n) for _ in range(3)) for n in (40_000, 160_000))
    assert large < 10 * small + 0.05
