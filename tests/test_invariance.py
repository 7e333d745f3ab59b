"""Changes of a text keep the entity in sight; a fake model shows what is counted."""

import html
import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from negation_api.commands import evaluate
from negation_api.commands.evaluate import changes
from negation_api.commands.evaluate.changes import DIRECTED, INVARIANT, Case, changed
from negation_api.commands.evaluate.invariance import invariance, invariance_table
from negation_api.commands.evaluate.words import KIND_OF
from negation_api.contract.labels import LABELS, Choice, Prediction
from negation_api.settings import Settings

ALL = INVARIANT | {name: change for name, (change, _, _) in DIRECTED.items()}
WORDS = [
    *(
        "no",
        "denies",
        "Has",
        "mother",
        "if",
        "history",
        "patient",
        "hospital",
        "a",
        "-",
    ),
    *("fever", "chest pain", "hypertension", "appendectomy", "edema", "STROKE", "ß"),
    *('"so"', "it's", "&nbsp;", "1.", "o", "[x]", "ﬁne", "İ", "a/b", "Dr."),
]
GLUE = [
    " ",
    "  ",
    "\n",
    ", ",
    " and ",
    ", or ",
    ". ",
    ":\n",
    "\n- ",
    "? ",
    "\n\n",
    "\t",
]
PIECES = st.lists(
    st.tuples(st.sampled_from(WORDS), st.sampled_from(GLUE)), min_size=1, max_size=12
)


@st.composite
def cases(draw):
    """A text of clinical scraps with any span of it that is not blank."""
    text = "".join(map("".join, draw(PIECES)))
    start = draw(st.integers(0, len(text) - 1))
    end = draw(st.integers(start + 1, len(text)))
    if not text[start:end].strip():
        start, end = 0, len(text)
    return Case(text, start, end)


def case_of(marked: str) -> Case:
    before, entity, after = re.split(r"[\[\]]", marked)
    return Case(before + entity + after, len(before), len(before + entity))


def after(name: str, marked: str, seed=0) -> str | None:
    new = changed(case_of(marked), ALL[name], Random(seed))
    return new and f"{new.text[:new.start]}[{new.entity}]{new.text[new.end:]}"


def seen(text: str) -> str:
    """What a reader takes *text* for, whatever its case, blanks and markers."""
    marker = r"^(?:\s*(?:[-*•·–—>]|\d{1,2}[.)])[ \t]+)+"
    text = re.sub(marker, "", html.unescape(text), flags=re.M)
    text = text.translate(str.maketrans("“”‘’", "\"\"''"))
    return " ".join(text.casefold().replace("\u0307", "").split())


@settings(deadline=None)
@given(case=cases(), seed=st.integers(0, 99))
def test_the_offsets_always_point_at_the_entity(case, seed):
    for name, change in ALL.items():
        new = changed(case, change, Random(seed))
        if new is None:
            continue
        assert new == changed(case, change, Random(seed)) and new.text != case.text
        assert 0 <= new.start < new.end <= len(new.text)
        if name == "another entity of its kind":
            assert new.entity.lower() in KIND_OF[case.entity.lower()]
        else:
            assert seen(new.entity) == seen(case.entity), name


@settings(deadline=None)
@given(case=cases(), seed=st.integers(0, 99))
def test_an_enumeration_keeps_its_words(case, seed):
    new = changed(case, INVARIANT["enumeration turned round"], Random(seed))
    assert new is None or sorted(new.text) == sorted(case.text)


def test_an_edit_across_the_entity_s_edge_is_refused():
    with pytest.raises(ValueError, match="overlaps"):
        changes.edited(Case("no fever", 3, 8), [(2, 4, "")])


@pytest.mark.parametrize(
    "name, given, expected",
    [
        ("dash before the line", "PMH:\n[Gout]", "PMH:\n- [Gout]"),
        ("dash before the line", "PMH:\n- [Gout]", None),
        ("dash before the line", "No evidence of\n[gout]", None),
        ("no list markers", "PMH:\n- [Gout]\n- Lupus", "PMH:\n[Gout]\nLupus"),
        ("no list markers", "No gout\n- [metformin]", None),
        ("upper case", "No&nbsp;[strasse ß].", "NO&nbsp;[STRASSE SS]."),
        ("lower case", "[MI] in 2010", "[mi] in 2010"),
        ("two blanks", "No [chest pain].", "No  [chest  pain]."),
        ("two blanks", "[Gout]: N  Lupus: Y", None),
        ("no final stop", "No [gout].", "No [gout]"),
        ("no final stop", "No gout in [No.]", None),
        ("curly quotes", 'He\'s "no [gout]"', "He’s “no [gout]”"),
        (
            "&nbsp; beside the entity",
            "Has no [gout] now",
            "Has no&nbsp;[gout]&nbsp;now",
        ),
        ("full-width cue", "Has no [gout].", "Has ｎｏ [gout]."),
        ("full-width cue", "Has [gout].", None),
        ("full-width cue", "No pain. Has [gout].", None),
        (
            "abbreviation behind the entity",
            "No [chest pain].",
            "No [chest pain] (CP).",
        ),
        ("abbreviation behind the entity", "No [gout].", None),
        ("abbreviation behind the entity", "No [chest pain] (CP).", None),
        ("another entity of its kind", "No [foo].", None),
        ("another entity of its kind", "No [gout]; gout is out.", None),
        (
            "enumeration turned round",
            "Denies [chest pain], fever, or cough.",
            "Denies cough, fever, or [chest pain].",
        ),
        ("enumeration turned round", "Has [pain] and no fever.", None),
        ("enumeration turned round", "Denies [pain] and feels well.", None),
        ("enumeration turned round", "Has [pain], possible gout and fever.", None),
        (
            "typing error in another word",
            "The patient has [gout].",
            "The ptaient has [gout].",
        ),
        ("typing error in another word", "Mother has [gout].", None),
        ('"no" before a plain finding', "[Fever]. Cough.", "No [Fever]. Cough."),
        (
            '"no" before a plain finding',
            "She has a [fever], cough",
            "She has no [fever], cough",
        ),
        ('"no" before a plain finding', "Mother has a [fever].", None),
        ('"no" before a plain finding', "[Fever]: no", None),
        ('"no" before a plain finding', "[Fever] that never was.", None),
        ('"mother had" before it', "Ill. Pt has [gout].", "Ill. Mother had [gout]."),
        ('"return if you have" before it', "[Fever].", "Return if you have [Fever]."),
    ],
)
def test_a_change_is_made_where_it_keeps_its_meaning(name, given, expected):
    assert after(name, given) == expected


@pytest.mark.parametrize(
    "name", ["unrelated sentence before", "unrelated sentence after"]
)
def test_a_neighbour_stands_in_the_paragraph_or_on_a_line_of_its_own(name):
    assert "\n" not in after(name, "No [gout]")
    assert after(name, "PMH:\n- [gout]").count("\n") == 2


def test_a_blank_is_wrapped_wherever_it_stands():
    wrapped = {
        after("line wrapped at a blank", "No old [chest pain]", s) for s in range(50)
    }
    assert wrapped == {
        "No\nold [chest pain]",
        "No old\n[chest pain]",
        "No old [chest\npain]",
    }


class Layout:
    """Stands in for a model that capitals lead astray."""

    headed, beside, batch_tokens = True, None, 1024

    def encode(self, sentence, marked=True, ours=False):
        return (sentence,)

    def classify(self, rows):
        return [self._answer(sentence) for (sentence,) in rows]

    def _answer(self, sentence):
        absent = re.search(r"\bno\b", sentence, re.I) or sentence[:2].isupper()
        label = "ABSENT" if absent else "PRESENT"
        whose = "FAMILY" if "Her " in sentence else "PATIENT"
        scores = {each: float(each == label) for each in LABELS}
        return Prediction(scores, Choice({whose: 1.0}), Choice({"CURRENT": 1.0}))


ROWS = [
    {"id": "a", "text": "[Fever].", "label": "PRESENT"},
    {"id": "b", "text": "[Cough] since May.", "label": "PRESENT"},
    {"id": "c", "text": "Her mother has [gout].", "label": "PRESENT"},
    {"text": "Call for [pain].", "label": None, "temporality": "HYPOTHETICAL"},
    {"id": "d", "text": "[Rash].", "label": "PRESENT", "debatable": True},
]
ROWS = [row | vars(case_of(row["text"])) for row in ROWS]


@pytest.fixture(scope="module")
def report():
    return invariance(Layout(), ROWS, Settings())


def of(report, name):
    (found,) = (
        each
        for each in report["changes"] + report["directed"]
        if each["change"] == name
    )
    return found


def test_flips_are_counted_of_the_rows_that_a_change_applies_to(report):
    upper = of(report, "upper case")
    assert report["rows"] == upper["rows"] == 4
    assert (upper["label"]["hits"], upper["label"]["of"]) == (1, 3)
    assert upper["label"]["flipped"] == ["c"]
    assert of(report, "dash before the line")["label"]["hits"] == 0


def test_an_axis_can_flip_where_the_label_does_not(report):
    lower = of(report, "lower case")
    assert lower["experiencer"]["flipped"] == ["c"]
    assert lower["label"]["hits"] == 0


def test_a_change_that_applies_to_no_row_has_no_share(report):
    assert of(report, "no list markers") == {"change": "no list markers", "rows": 0}


def test_the_mean_is_over_the_changes_that_apply(report):
    shares = [each["label"]["value"] for each in report["changes"] if "label" in each]
    assert report["mean"]["label"] == pytest.approx(sum(shares) / len(shares))
    assert 0 < report["mean"]["label"] < 1


def test_a_plain_finding_is_turned_one_known_way(report):
    negated = of(report, '"no" before a plain finding')
    assert (negated["rows"], negated["as_expected"]["value"]) == (1, 1.0)
    feared = of(report, '"return if you have" before it')
    assert (feared["as_expected"]["value"], feared["others"]) == (0.0, ["a"])


def test_rows_without_a_name_are_named_by_their_place(report):
    asked = [row | {"temporality": None} for row in ROWS]
    upper = of(invariance(Layout(), asked, Settings()), "upper case")
    assert upper["label"]["flipped"] == ["c", 4]


def test_the_table_names_every_change(report):
    shown = invariance_table(report)
    assert all(name in shown for name in ALL) and "experiencer" in shown


def test_there_are_at_least_fifteen_invariances():
    assert len(INVARIANT) >= 15


def test_a_file_without_entities_is_an_error():
    row = {"text": "Well.", "start": None, "end": None, "label": "PRESENT"}
    with pytest.raises(evaluate.EvaluationError, match="no row has an entity"):
        invariance(Layout(), [row], Settings())
