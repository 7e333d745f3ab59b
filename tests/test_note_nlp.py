"""Rows of OMOP's NOTE_NLP: what they say, and that they fit its table."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from datetime import datetime
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forked import Command
from negation_api.batch import note_nlp
from negation_api.batch.note_nlp import COLUMNS, MAX_BYTES, MAX_INTEGER
from negation_api.batch.note_nlp import check, cut, is_rule_out, rows, squeeze
from negation_api.batch.note_nlp import system_of
from negation_api.contract.errors import Invalid
from negation_api.contract.labels import AXES, LABELS, Choice, Prediction
from negation_api.contract.request import load_query
from negation_api.scoring import Answered
from negation_api.settings import Settings
from notes import write_jsonl
from postgres import Postgres

ROOT = Path(__file__).parent.parent
NOON = datetime(2026, 11, 28, 12)
# What the published script for PostgreSQL makes: name, type, whether it must be there.
TABLE = [
    ("note_nlp_id", "integer", True),
    ("note_id", "integer", True),
    ("section_concept_id", "integer", False),
    ("snippet", "varchar(250)", False),
    ('"offset"', "varchar(50)", False),
    ("lexical_variant", "varchar(250)", True),
    ("note_nlp_concept_id", "integer", False),
    ("note_nlp_source_concept_id", "integer", False),
    ("nlp_system", "varchar(250)", False),
    ("nlp_date", "date", True),
    ("nlp_datetime", "timestamp", False),
    ("term_exists", "varchar(1)", False),
    ("term_temporal", "varchar(50)", False),
    ("term_modifiers", "varchar(2000)", False),
]


def sure(values, value: str) -> dict[str, float]:
    return {each: float(each == value) for each in values}


def predicted(label: str, experiencer: str, temporality: str) -> Prediction:
    axes = zip(AXES.values(), (experiencer, temporality))
    return Prediction(
        sure(LABELS, label), *(Choice(sure(every, own)) for every, own in axes)
    )


def row_of(body: dict, prediction: Prediction) -> dict:
    query = load_query({"id": 1, **body}, Settings())
    (row,) = rows(Answered(query, [prediction], True), "system", NOON)
    return row


def terms(text: str, entity: str, prediction: Prediction) -> tuple:
    start = text.index(entity)
    body = {"text": text, "entities": [{"start": start, "end": start + len(entity)}]}
    row = row_of(body, prediction)
    return row.get("term_exists"), row.get("term_temporal"), row["term_modifiers"]


# --- what is asserted ------------------------------------------------------------


@pytest.mark.parametrize(
    "answer, exists, temporal, modifiers",
    [
        ("PRESENT PATIENT CURRENT", "Y", "present", "Positive Patient Present"),
        ("POSSIBLE PATIENT CURRENT", "Y", "present", "Possible Patient Present"),
        ("ABSENT PATIENT CURRENT", "N", "present", "Negated Patient Present"),
        ("PRESENT PATIENT HISTORICAL", "Y", "past", "Positive Patient HistoryOf"),
        ("ABSENT PATIENT HISTORICAL", "N", "past", "Negated Patient HistoryOf"),
        ("PRESENT PATIENT HYPOTHETICAL", "N", None, "Hypothetical Patient Present"),
        ("ABSENT PATIENT HYPOTHETICAL", "N", None, "Hypothetical Patient Present"),
        ("PRESENT FAMILY CURRENT", "N", "present", "Positive Other Present"),
        ("PRESENT FAMILY HISTORICAL", "N", "past", "Positive Other FamilyHistoryOf"),
        ("POSSIBLE OTHER HISTORICAL", "N", "past", "Possible Other HistoryOf"),
    ],
)
def test_an_answer_is_said_as_omop_and_medtagger_say_it(
    answer, exists, temporal, modifiers
):
    form = "certainty={},experiencer={},status={}".format(*modifiers.split())
    answered = terms("Gout.", "Gout", predicted(*answer.split()))
    assert answered == (exists, temporal, form)


def test_what_holds_exists_and_nothing_exists_that_is_absent():
    for answer in product(LABELS, *AXES.values()):
        prediction = predicted(*answer)
        exists, _, modifiers = terms("Gout.", "Gout", prediction)
        assert exists == "Y" if prediction.holds else exists in ("Y", "N")
        if answer[0] == "ABSENT" or answer[1] != "PATIENT":
            assert exists == "N"
        assert modifiers.count("=") == 3


def test_without_axes_only_the_certainty_is_said():
    for label, word in note_nlp.CERTAINTY.items():
        answered = terms("Gout.", "Gout", Prediction(sure(LABELS, label)))
        assert answered == (None, None, f"certainty={word}")


RULE_OUTS = [
    ("R/O [entity] PE [entity].", True),
    ("CT to rule out [entity] PE [entity].", True),
    ("Rule-out: MI, [entity] PE [entity]", True),
    ("Ruling out [entity] sepsis [entity] with cultures", True),
    ("Possible [entity] PE [entity] in the left lung, to be ruled out.", True),
    ("[entity] PE [entity] should be formally ruled out.", True),
    ("CT to r/o PE; likely [entity] CHF [entity].", False),
    ("Likely [entity] CHF [entity], r/o PE.", False),
    ("Possible [entity] PE [entity].", False),
    ("Cannot rule out [entity] PE [entity].", False),
    ("[entity] PE [entity] cannot be ruled out.", False),
    ("Unable to r/o [entity] PE [entity].", False),
    ("[entity] CHF [entity] is likely; PE is to be ruled out.", False),
    ("Error/out [entity] PE [entity]", False),
]


@pytest.mark.parametrize("sentence, expected", RULE_OUTS)
def test_what_is_to_be_ruled_out_does_not_exist(sentence, expected):
    assert is_rule_out(sentence) == expected
    row = row_of({"sentence": sentence}, predicted("POSSIBLE", "PATIENT", "CURRENT"))
    assert row["term_exists"] == ("N" if expected else "Y")
    assert row["term_modifiers"].startswith("certainty=Possible,")
    before, entity, after = sentence.split("[entity]")
    answered = terms(
        f"Seen. {before}{entity.strip()}{after}",
        entity.strip(),
        predicted("POSSIBLE", "PATIENT", "CURRENT"),
    )
    assert answered[0] == row["term_exists"]


# --- the other columns -----------------------------------------------------------


def test_a_row_has_the_columns_of_the_table():
    assert list(COLUMNS) == [name.strip('"') for name, *_ in TABLE]
    text = "Denies\n\tchest\r\npain \N{PILL} since\x0bMonday."
    entity = {"start": 8, "end": 19}
    row = row_of(
        {"id": "17", "text": text, "entities": [entity]},
        predicted("ABSENT", "PATIENT", "CURRENT"),
    )
    assert row.keys() < COLUMNS.keys()
    assert row["note_id"] == 17
    assert row["snippet"] == "Denies chest pain \N{PILL} since Monday."
    assert (row["lexical_variant"], row["offset"]) == ("chest pain", "8")
    concepts = row["note_nlp_concept_id"], row["note_nlp_source_concept_id"]
    assert concepts == (0, 0)
    assert (row["nlp_date"], row["nlp_datetime"]) == (NOON.date(), NOON)


def test_offsets_are_code_points_whatever_was_asked_in():
    pill = "\N{PILL} pain"
    entity = {"start": 3, "end": 7}
    body = {"text": pill, "entities": [entity], "offset_unit": "utf16"}
    row = row_of(body, predicted("PRESENT", "PATIENT", "CURRENT"))
    assert (row["offset"], row["lexical_variant"]) == ("2", "pain")


def test_blanks_at_the_edge_are_not_of_the_entity():
    body = {"text": "No  pain  .", "entities": [{"start": 2, "end": 10}]}
    row = row_of(body, predicted("ABSENT", "PATIENT", "CURRENT"))
    assert (row["offset"], row["lexical_variant"]) == ("4", "pain")
    assert row["snippet"] == "No pain ."


def test_markers_are_not_of_the_text():
    body = {"sentence": "Denies any [Entity] chest pain [ENTITY]."}
    row = row_of(body, predicted("ABSENT", "PATIENT", "CURRENT"))
    assert (row["offset"], row["lexical_variant"]) == ("11", "chest pain")
    assert row["snippet"] == "Denies any chest pain."


def test_a_snippet_is_whole_words_alike_on_both_sides():
    words = [f"w{number}" for number in range(1000)]
    text = " ".join(words[:500]) + " pain " + " ".join(words[500:])
    start = text.index("pain")
    body = {"text": text, "entities": [{"start": start, "end": start + 4}]}
    snippet = row_of(body, predicted("PRESENT", "PATIENT", "CURRENT"))["snippet"]
    before, after = snippet.split(" pain ")
    assert MAX_BYTES - 5 < len(snippet) <= MAX_BYTES
    assert abs(len(before) - len(after)) <= 5
    assert set(snippet.split()) <= {*words, "pain"}
    late = {"text": text, "entities": [{"start": len(text) - 4, "end": len(text)}]}
    snippet = row_of(late, predicted("PRESENT", "PATIENT", "CURRENT"))["snippet"]
    assert snippet.endswith("w998 w999") and len(snippet) > MAX_BYTES - 5


# What notes may be made of: letters, and what has bytes of its own in UTF-8, in CSV and
# to a loader; no NUL and no half of a surrogate pair, which are refused.
SPECIAL = '"|,|\n|\r\n|\\.|\t|\x07|\u2028|\xa0|\x1e|a\u0301'.split("|")
WORDS = ["pain", "r/o", "é", "\N{PILL}", "中文", "x" * 90, " ", " ", " " * 40]
PIECES = st.sampled_from([*WORDS, *SPECIAL])


@given(
    st.lists(PIECES, max_size=60),
    st.lists(PIECES, min_size=1, max_size=30),
    st.lists(PIECES, max_size=60),
    st.tuples(*(st.sampled_from(values) for values in (LABELS, *AXES.values()))),
)
def test_a_row_fits_the_table_whatever_is_in_the_note(before, entity, after, answer):
    before, entity, after = map("".join, (before, entity, after))
    span = {"start": len(before), "end": len(before) + len(entity)}
    body = {"text": before + entity + after, "entities": [span]}
    try:
        row = row_of(body, predicted(*answer))
    except Invalid:  # blank or too long
        return
    for name, type_, required in TABLE[1:]:
        value = row.get(name.strip('"'))
        if type_.startswith("varchar") and value is not None:
            assert len(value.encode()) <= int(type_[8:-1])
            assert value and value == squeeze(value)
        assert value is not None or not required
    written = squeeze(entity)
    assert written.startswith(row["lexical_variant"])
    assert row["lexical_variant"] in row["snippet"]
    place = int(row["offset"])
    assert squeeze(body["text"][place:]).startswith(row["lexical_variant"])
    if len(written.encode()) <= MAX_BYTES:
        assert row["lexical_variant"] == written
        assert row["snippet"] in squeeze(body["text"])
        if {before[-1:] or " ", after[:1] or " "} == {" "}:
            assert f" {row['snippet']} " in f" {squeeze(body['text'])} "


def test_what_is_too_long_is_cut_between_words_or_characters():
    assert cut("x" * 300) == "x" * MAX_BYTES
    assert cut("é" * 200) == "é" * (MAX_BYTES // 2)
    assert cut("ab " * 100) == "ab " * 82 + "ab"
    assert cut("x" * 125 + " " + "x" * 124) == "x" * 125 + " " + "x" * 124


@pytest.mark.parametrize("id, number", [(7, 7), ("7", 7), (" -7 ", -7), ("7.0", 7)])
def test_a_whole_number_is_the_note_s(id, number):
    body = {"id": id, "text": "Gout.", "entities": [{"start": 0, "end": 4}]}
    check(*load_query(body, Settings()).documents)
    row = row_of(body, predicted("PRESENT", "PATIENT", "CURRENT"))
    assert row["note_id"] == number


@pytest.mark.parametrize(
    "id",
    [None, "n7", "", "7.5", "0x7", "7e3", "\u0667", 2**31, -(2**31) - 1, "9" * 200],
)
def test_what_is_no_note_s_number_is_refused(id):
    body = {"text": "Gout.", "entities": []} | ({} if id is None else {"id": id})
    (document,) = load_query(body, Settings()).documents
    with pytest.raises(Invalid) as refused:
        check(document)
    (error,) = refused.value.errors
    assert error["pointer"] == "#/id" and str(MAX_INTEGER) in error["detail"]
    is_number = isinstance(id, int)
    assert (f"given {id}." in error["detail"]) == is_number


def test_a_sentence_without_an_entity_is_refused():
    (document,) = load_query({"id": 1, "sentence": "Gout."}, Settings()).documents
    with pytest.raises(Invalid, match="markers"):
        check(document)


@pytest.mark.parametrize(
    "code, concept",
    [("4329847", 4329847), (4329847, 4329847), ("C0038454", 0), ("I21.9", 0)]
    + [(None, 0), ("-1", 0), (str(2**31), 0), ("21.90", 0)],
)
def test_a_code_that_is_a_concept_s_number_is_the_concept(code, concept):
    entity = {"start": 0, "end": 4} | ({} if code is None else {"code": code})
    body = {"text": "Gout.", "entities": [entity]}
    row = row_of(body, predicted("PRESENT", "PATIENT", "CURRENT"))
    assert row["note_nlp_concept_id"] == concept


def test_a_system_names_each_model_and_its_hash():
    one = {"name": "m" * 20, "revision": "r" * 40, "sha256": "a" * 64}
    one |= {"precision": "fp32"}
    other = {"name": "n\n" * 120, "revision": None, "sha256": "b" * 64}
    other |= {"precision": "int8"}
    alone = system_of(one)
    assert alone.endswith(f" {'m' * 20}@{'r' * 40} sha256:{'a' * 64} fp32")
    for models in (one | {"axes": other}, other | {"axes": one}, other):
        system = system_of(models)
        assert len(system.encode()) <= MAX_BYTES and system == squeeze(system)
        assert "sha256:" + "b" * 16 in system and "int8" in system
        assert ("a" * 16 in system) == ("axes" in models)


# --- the table -------------------------------------------------------------------

LONG = "chronic " * 60 + "pain"
HARD = [
    {"id": 1, "text": 'He said "no chest pain", \\. and\\n\r\n\\.\r\nleft; \N{PILL}'},
    {"id": 2, "text": f"Has {LONG}, é.", "entity": LONG},
    {"id": 3, "text": "Has chest\n\n   pain.", "entity": "chest\n\n   pain"},
    {"id": 4, "text": "x" * 900 + " pain " + "é" * 900, "entity": "pain"},
    {"id": 5, "text": "\\N NULL pain\x07\x1b[0m\u2028\ufeff", "entity": "NULL"},
    {"id": 6, "text": "中" * 300 + "疼" * 200, "entity": "疼" * 200},
    {"id": 7, "text": "A\0 pain", "entity": "pain"},
    {"id": "n8", "text": "No pain", "entity": "pain"},
]


def body_of(id, text: str, entity: str = "pain") -> dict:
    start = text.index(entity)
    return {
        "id": id,
        "text": text,
        "entities": [{"start": start, "end": start + len(entity)}],
    }


@pytest.fixture(scope="module")
def table():
    """An empty NOTE_NLP, with the keys that the published scripts give it."""
    with Postgres() as postgres:
        columns = (f"{n} {t} {'not ' * is_needed}null" for n, t, is_needed in TABLE)
        postgres.run("create schema cdm")
        postgres.run("alter role tests set search_path to cdm")
        postgres.run(f"create table note_nlp ({', '.join(columns)})")
        postgres.run("create table concept (concept_id integer primary key)")
        postgres.run("insert into concept values (0)")
        postgres.run("alter table note_nlp add primary key (note_nlp_id)")
        for name, *_ in TABLE:
            if name.endswith("concept_id"):
                postgres.run(
                    f"alter table note_nlp add foreign key ({name}) references concept"
                )
        yield postgres


def written(toy_model, *args) -> tuple[int, str]:
    command = ("predict", *args, "--to", "note_nlp", "--workers", "1")
    code, _, err = Command(command, env={"MODEL": str(toy_model)}).finish()
    return code, err


def run_page(table: Postgres, directory: Path, model: Path, rows: int) -> None:
    """Do what the page shows, with *rows* that can be answered."""
    page = (ROOT / "docs" / "omop.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    notes = (directory / "in.jsonl").read_bytes().splitlines(keepends=True)
    (directory / "notes.jsonl").write_bytes(b"".join(notes[:rows]))
    python = Path(sys.executable).parent
    paths = {"PATH": f"{python}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    env = os.environ | table.environ | paths | {"MODEL": str(model)}
    done = subprocess.run(
        ["sh", "-ec", commands], cwd=directory, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.system
def test_files_load_into_the_table_of_cdm_5_4(table, toy_model, tmp_path):
    load = (
        "copy cdm.note_nlp from stdin with (format csv, header match, encoding 'utf8')"
    )
    path = write_jsonl(tmp_path / "in.jsonl", [body_of(**each) for each in HARD])
    output = tmp_path / "a.csv"
    assert written(toy_model, path, "-o", output)[0] == 3
    table.run(load, output.read_bytes())
    rejects = Path(f"{output}.rejects.jsonl").read_text().splitlines()
    assert [json.loads(reject)["line"] for reject in rejects] == [7, 8]
    run_page(table, tmp_path, toy_model, rows=6)
    shown = table.run(
        "select note_nlp_id, note_id, lexical_variant, length(snippet), term_exists,"
        ' "offset" from note_nlp order by 1'
    )
    rows = [line.split("\t") for line in shown.splitlines()]
    assert [int(row[0]) for row in rows] == list(range(1, 13))
    assert [int(row[1]) for row in rows] == [1, 2, 3, 4, 5, 6] * 2
    variants = [row[2] for row in rows[:6]]
    assert variants[0] == "pain" and variants[2] == "chest pain"
    assert variants[1] == ("chronic " * 31).strip() and variants[5] == "疼" * 83
    assert all(0 < int(row[3]) <= 250 and row[4] in "YN" for row in rows)
    (snippet,) = table.run(
        "select snippet from note_nlp where note_nlp_id = 1"
    ).splitlines()
    assert snippet == 'He said "no chest pain", \\. and\\n \\. left; \N{PILL}'
    nulls = "section_concept_id is null and nlp_datetime::date = nlp_date"
    assert table.run(f"select count(*) from note_nlp where {nulls}") == "12\n"


def test_csv_and_parquet_hold_the_same(toy_model, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = write_jsonl(tmp_path / "in.jsonl", [body_of(**each) for each in HARD])
    for name in ("a.csv", "a.parquet"):
        assert written(toy_model, path, "-o", tmp_path / name)[0] == 3
    found = parquet.read_table(tmp_path / "a.parquet")
    types = {field.name: str(field.type) for field in found.schema}
    expected = {"integer": "int32", "date": "date32[day]", "timestamp": "timestamp[us]"}
    for name, type_, _ in TABLE:
        assert types[name.strip('"')] == expected.get(type_, "string")
    text = (tmp_path / "a.csv").read_bytes().decode()
    assert len(text.splitlines()) == text.count("\r\n") == 7
    cells = list(csv.DictReader(io.StringIO(text, newline="")))
    for row, line in zip(found.to_pylist(), cells, strict=True):
        assert row.keys() == line.keys() == COLUMNS.keys()
        for name in row.keys() - {"nlp_date", "nlp_datetime"}:
            assert line[name] == ("" if row[name] is None else str(row[name]))


# --- the command -----------------------------------------------------------------
