"""A list of terms in place of offsets: what is found, and what is answered of it."""

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negation_api.contract.errors import Invalid
from negation_api.contract.request import load_query
from negation_api.settings import Settings
from negation_api.text import terms as listed
from negation_api.text.terms import (
    MAX_WORDS,
    Finder,
    Term,
    TooManyMentions,
    common,
    faults,
    plurals,
)

SETTINGS = Settings()


def terms(*written: str) -> list[Term]:
    return [Term(each, each) for each in written]


def found(text: str, *written: str) -> list[str]:
    """What of *text* is found, as it stands there."""
    mentions = Finder(terms(*written)).find(text)
    return [text[span.start : span.end] for span, _ in mentions]


@pytest.mark.parametrize(
    ("text", "written", "expected"),
    [
        ("No FEVER, feverish, hayfever.", ["fever"], ["FEVER"]),
        ("chest-pain, chest\n  pain, chest\u2011pain", ["Chest pain"], None),
        ("Follow up", ["follow-up"], ["Follow up"]),
        ("chest, pain; chest. Pain", ["chest pain"], []),
        ("no chest\n - pain; chest\n\npain, chest\r\n \r\npain", ["chest pain"], []),
        ("chest-\npain, chest \r\n pain", ["chest pain"], None),
        ("seizures rashes allergies", ["seizure", "rash", "allergy"], None),
        ("metastases of X", ["metastasis"], ["metastases"]),
        ("pains in the chest", ["pain in the chest"], []),
        ("chest pain and pain", ["pain", "chest pain"], ["chest pain", "pain"]),
        (
            "acute chest pain syndrome",
            ["acute chest", "chest pain syndrome"],
            ["chest pain syndrome"],
        ),
        ("a b a b a", ["a b", "b a"], ["a b", "a b"]),
        ("Crohn\u2019s disease", ["crohn's disease"], None),
        ("STRASSE, Straße", ["straße"], ["STRASSE", "Straße"]),
        ("\u0130\u0130 \u0130 fever", ["fever"], ["fever"]),
        ("cafe\u0301 syndrome", ["caf\u00e9 syndrome"], None),
        ("\ufeffpneu\u00admonia\u200b.", ["pneumonia"], ["pneu\u00admonia"]),
        ("___fever__", ["fever"], ["fever"]),
        ("SARS-CoV-2 COVID-19", ["covid 19"], ["COVID-19"]),
        ("", ["fever"], []),
        ("fever", [], []),
    ],
)
def test_a_term_is_found_as_written_about(text, written, expected):
    given = found(text, *written)
    if expected is None:  # everything between the commas
        expected = [part.strip(" ,") for part in re.split(", | (?=rash|aller)", text)]
    assert given == expected


ATOMS = ["pain", "Pains", "ß", "SS", "\u0130", "i", "a", "A", "ab", "e\u0301", "É"]
GAPS = [" ", "  ", "-", "\n", " - ", ", ", ".", "", "_", "\u2011"]
TEXT = st.lists(st.sampled_from(ATOMS + GAPS), max_size=16).map("".join)
TERM = st.lists(st.sampled_from(ATOMS), min_size=1, max_size=3).map(" ".join)


def plain(text: str) -> str:
    """Fold a piece of text, and make what parts words one blank, what ends them |."""
    text = re.sub(r"\n[^\S\n]*[\n\-\u2010-\u2013]", " | ", text)
    folded = unicodedata.normalize(
        "NFKC", unicodedata.normalize("NFKC", text).casefold()
    )
    return re.sub(r"[\s\-\u2010-\u2013]+", " ", folded)


def is_inside(text: str, place: int) -> bool:
    """Tell whether *place* is inside a word."""
    if not 0 < place < len(text):
        return False
    signs = [c.isalnum() or unicodedata.combining(c) > 0 for c in text[place - 1 :][:2]]
    return all(signs)


def naive(text: str, written: list[str]) -> list[tuple[int, int]]:
    """Compare each piece of *text* with each form of each term."""
    forms = set()
    for term in map(plain, written):
        head, _, last = term.rpartition(" ")
        forms |= {term, *(f"{head} {p}".strip() for p in plurals(last))}
    pieces = [
        (start, end)
        for start in range(len(text))
        for end in range(start + 1, len(text) + 1)
        if plain(text[start:end]) in forms
        and not is_inside(text, start)
        and not is_inside(text, end)
    ]
    chosen = []
    for start, end in sorted(pieces, key=lambda p: (p[0] - p[1], p[0])):
        if all(end <= other[0] or other[1] <= start for other in chosen):
            chosen.append((start, end))
    return sorted(chosen)


def test_the_longest_counts_by_its_characters():
    finder = Finder(terms("upper lobe", "lobe pneumonia", "Crohn's"))
    assert [m.term.name for m in finder.find("upper lobe pneumonia; crohn’s")] == [
        "lobe pneumonia",
        "Crohn's",
    ]


def test_no_word_of_every_note_is_taken_for_a_plural():
    finder = Finder(terms("HA", "HI", "DOE", "DVT", "stomach"))
    found = finder.find("He has and does this; his wife: DVTs, upset stomachs, HA.")
    assert [m.term.name for m in found] == ["DVT", "stomach", "HA"]


def test_what_blanks_make_longer_than_an_entity_may_be_is_not_found(client):
    for blanks, number in ((991, 1), (992, 0)):
        body = {"text": f"chest{' ' * blanks}pain", "terms": ["chest pain"]}
        assert len(client.post("/predict", json=body).json["predictions"]) == number


@given(TEXT, st.lists(TERM, min_size=1, max_size=6))
def test_what_is_found_is_what_a_naive_search_finds(text, written):
    mentions = Finder(terms(*written)).find(text)
    assert [(m.span.start, m.span.end) for m in mentions] == naive(text, written)


def test_terms_that_end_with_one_another_cannot_hold_up_a_thread():
    finder = Finder(terms(*(" ".join("a" * n) for n in range(1, 400))))
    with pytest.raises(TooManyMentions, match="At most 2000000 .*; given 3999975"):
        finder.find("a " * 10_000 + ". " * 25)


def test_a_list_holds_as_many_words_as_there_are_characters(monkeypatch):
    assert listed._character(MAX_WORDS) == chr(sys.maxunicode)
    monkeypatch.setattr(listed, "MAX_WORDS", 5)
    given = terms("fever", "high fever", "chest pain", "pain")
    assert list(faults(given[:2], 100)) == []
    message = "At most 5 different words and plurals; given 6."
    assert list(faults(given, 100)) == [(2, message)]
    with pytest.raises(Invalid) as caught:
        load_query({"text": "No.", "terms": [term.name for term in given]}, SETTINGS)
    assert caught.value.errors == [{"pointer": "#/terms/2", "detail": message}]


def test_the_common_findings_can_all_be_sought_and_hold_the_plainest():
    assert list(faults(common().terms, SETTINGS.max_entity_chars)) == []
    assert len(common().terms) >= 10
    names = [term.name for _, term in common().find("No fevers, chest pain or coughs.")]
    assert names == ["fever", "chest pain", "cough"]


# --- requests ------------------------------------------------------------------

NOTE = "Denies fever. Chest\npain \N{SNEEZING FACE} since Monday, fevers."


def entities(body: dict, settings: Settings = SETTINGS):
    """The entities that a body is loaded to, document by document."""
    documents = load_query(body, settings).documents
    return [
        [(e.start, e.end, e.term, e.code) for e in document.entities]
        for document in documents
    ]


def test_a_note_with_terms_has_their_mentions_as_entities():
    body = {"text": NOTE, "terms": ["chest pain", {"term": "Fever", "code": 386661006}]}
    fever = ("Fever", 386661006)
    assert entities(body) == [
        [(7, 12, *fever), (14, 24, "chest pain", None), (41, 47, *fever)]
    ]
    (utf16,) = entities({**body, "offset_unit": "utf16"})
    assert utf16[2][:2] == (42, 48)


def test_terms_of_a_request_are_sought_where_a_note_says_nothing_itself():
    body = {
        "documents": [
            {"text": NOTE},
            {"text": NOTE, "terms": ["Monday"]},
            {"text": NOTE, "entities": [{"start": 0, "end": 6, "code": "X"}]},
        ],
        "terms": "common",
    }
    first, second, third = entities(body)
    assert [e[2] for e in first] == ["fever", "chest pain", "fever"]
    assert [e[2] for e in second] == ["Monday"]
    assert third == [(0, 6, None, "X")]


LONG = "a" * 1001
FAULTS = [
    ({"terms": ["fever", " - "]}, "#/terms/1", "Must hold a letter or a digit."),
    ({"terms": [""]}, "#/terms/0", "Must hold a letter or a digit."),
    (
        {"terms": [LONG]},
        "#/terms/0",
        "At most 1000 characters in an entity; given 1001.",
    ),
    (
        {"terms": ["x", {"term": "a b", "code": 1}, {"term": "A-B", "code": 2}]},
        "#/terms/2",
        "Has another code than the same term at 1.",
    ),
    ({"terms": [7]}, "#/terms/0", "Must be a string, or an object with term and code."),
    ({"terms": [{"code": 7}]}, "#/terms/0/term", "Missing data for required field."),
    ({"terms": ["a\0"]}, "#/terms/0", "Holds a NUL character, at 1."),
    ({"terms": "all"}, "#/terms", 'Must be a list of terms, or "common".'),
    ({"terms": None}, "#/terms", "Field may not be null."),
    (
        {"terms": ["a"] * 10_001},
        "#/terms",
        "At most 10000 terms in a request; given 10001.",
    ),
    (
        {"terms": ["a"], "text": "a " * 1001},
        "#/terms",
        "At most 1000 entities in a request; given 1001.",
    ),
    (
        {"terms": ["a"], "entities": []},
        "#/terms",
        "Must hold exactly one of: entities, terms; given 2.",
    ),
    ({}, "#/entities", "Must hold exactly one of: entities, terms; given 0."),
]


@pytest.mark.parametrize(("body", "pointer", "detail"), FAULTS)
def test_what_is_wrong_with_terms_is_said_with_its_place(body, pointer, detail):
    with pytest.raises(Invalid) as caught:
        load_query({"text": NOTE, **body}, SETTINGS)
    assert caught.value.errors == [{"pointer": pointer, "detail": detail}]


def test_terms_of_all_documents_count_together():
    documents = [{"text": NOTE, "terms": ["a"] * 3}] * 2
    settings = Settings(max_terms=8)
    with pytest.raises(Invalid, match="At most 8 terms in a request; given 9"):
        load_query({"documents": documents, "terms": ["a"] * 3}, settings)
    load_query({"documents": documents, "terms": ["a"] * 2}, settings)
