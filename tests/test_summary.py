"""``predict --terms``: what is found in the notes of a file, and how it is counted."""

import csv
import io
import json
import os
import re
import signal
import time
from collections import defaultdict
from pathlib import Path

import pytest

from conftest import KeywordClassifier
from forked import Command
from negation_api.batch.summary import COLUMNS, Summary, kinds_of
from negation_api.batch.term_list import read_terms
from negation_api.contract.labels import EXPERIENCERS, LABELS, TEMPORALITIES
from negation_api.contract.labels import Choice, Prediction
from negation_api.model.classifier import load_classifier
from negation_api.scoring import Scorer
from negation_api.settings import Settings
from negation_api.text.terms import Term
from notes import write_jsonl

SAID = [
    "Denies fever.",
    "Fevers!",
    "Likely gout, chest-\npain.",
    "FH of gout.",
    "Well.",
]
TABLE = "term,code,note\nfever,F1,x\npyrexia,F1,\nChest pain,,\ngout,G,\nmigraine,M,\n"


@pytest.fixture(scope="module")
def environ(toy_model) -> dict[str, str]:
    environ = {"MODEL": str(toy_model), "MAX_ENTITIES": "3"}
    load_classifier(Settings.from_env(os.environ | environ))
    return environ


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """400 notes of 100 patients; some with more entities than a request may have."""
    notes = [
        {"id": n, "text": " ".join(SAID[: n % 6]) * (1 + n % 3), "patient_id": n % 100}
        for n in range(400)
    ]
    return write_jsonl(tmp_path_factory.mktemp("notes") / "notes.jsonl", notes)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("terms") / "terms.csv"
    path.write_text(TABLE)
    return path


@pytest.fixture
def predict(environ):
    def predict(*args, code: int = 0) -> tuple[str, str]:
        given, out, errors = Command(("predict", *args), env=environ).finish()
        assert given == code, errors
        return out.decode(), errors.decode() if isinstance(errors, bytes) else errors

    return predict


def count(rows: list[dict]) -> dict[tuple, tuple]:
    """What the table is to hold, from the answers: notes, patients."""
    found = defaultdict(set)
    for row in rows:
        for answer in row["predictions"]:
            key = answer.get("code", answer["term"])
            label, whose = answer["label"], answer["experiencer"]["label"]
            when = answer["temporality"]["label"]
            said = {
                "": True,
                "_holding": answer["holds"],
                "_denying": label == "ABSENT" and whose == "PATIENT",
                "_possible": (label, whose) == ("POSSIBLE", "PATIENT")
                and when != "HYPOTHETICAL",
                "_family": label != "ABSENT" and whose == "FAMILY",
                "_past": answer["holds"] and when == "HISTORICAL",
            }
            for kind in (kind for kind, is_said in said.items() if is_said):
                found[key, kind].add(row["id"])
    return {
        key: (len(ids), len({number % 100 for number in ids}))
        for key, ids in found.items()
    }


def test_the_summary_counts_what_the_answers_say(predict, source, table, tmp_path):
    output = tmp_path / "out.jsonl"
    printed, errors = predict(source, "-o", output, "--terms", table, "--summary")
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(rows) == 400 and max(len(row["predictions"]) for row in rows) > 3
    expected, given = count(rows), {}
    for row in csv.DictReader(io.StringIO(printed)):
        key = row["code"] or row["term"]
        for kind in ("", "_holding", "_denying", "_possible", "_family", "_past"):
            pair = int(row[f"notes{kind}"]), int(row[f"patients{kind}"])
            given[key, kind] = pair
    assert {key for key, _ in given} == {"F1", "Chest pain", "G", "M"}
    assert {key: pair for key, pair in given.items() if any(pair)} == expected
    alone, _ = predict(source, "--terms", table, "--summary")
    assert alone == printed


def test_a_summary_counts_the_notes_of_a_killed_run_too(
    environ, predict, source, table, tmp_path
):
    args = source, "-o", tmp_path / "a.jsonl", "--terms", table, "--summary"
    started = Command(("predict", *args, "--workers", "1"), env=environ)
    journal = tmp_path / "a.jsonl.journal"
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 0):
        time.sleep(0.005)
    os.kill(started.pid, signal.SIGKILL)
    started.finish()
    printed, errors = predict(*args)
    assert printed == predict(source, "--terms", table, "--summary")[0]
    assert json.loads(errors.splitlines()[-1])["resumed"] > 0


@pytest.mark.parametrize("to", ["jsonl", "csv", "parquet"])
def test_term_and_code_are_handed_through_to_every_format(predict, table, tmp_path, to):
    source, output = tmp_path / "in.csv", tmp_path / f"out.{to}"
    source.write_text('id,text\n1,"No fever, chest pain."\n')
    predict(source, "-o", output, "--terms", table, "--flat")
    if to == "parquet":
        import pyarrow.parquet

        rows = pyarrow.parquet.read_table(output).to_pylist()
    elif to == "csv":
        rows = list(csv.DictReader(io.StringIO(output.read_text())))
    else:
        rows = [json.loads(line) for line in output.read_text().splitlines()]
    named = [(row["term"], row.get("code") or None) for row in rows]
    assert named == [("fever", "F1"), ("Chest pain", None)]


def test_a_code_given_for_an_entity_is_handed_through(predict, tmp_path):
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("id,text,start,end,code\n1,No fever.,3,8,R50.9\n")
    predict(source, "-o", output, "--rows", "entity")
    (row,) = csv.DictReader(io.StringIO(output.read_text()))
    assert (row["term"], row["code"]) == ("", "R50.9")


FILES = [
    ("t.csv", "name,code\na,1\n", "line 1: no column term; read are: term, code"),
    ("t.csv", "term,code\na\n", "line 2: must have 2 cells; given 1"),
    ("t.csv", "term,code\na b,1\nx,2\nA-B,3\n", "line 4: Has another code than the same"
     " term in line 2."),
    ("t.csv", "term,code\n,1\n", "line 2: Must hold a letter or a digit."),
    ("t.txt", f"a\n\n{'b' * 1001}\n", "line 3: At most 1000 characters in an entity;"
     " given 1001."),
    ("t.txt", "\n", "holds no term"),
    ("t.csv", "term,code,Term\na,1,b\n", "line 1: two columns are called term"),
    ("t.csv", "code,term,code\n1,b,2\n", "line 1: two columns are called code"),
    ("t.csv", "term,code\na,1\nb\0,2\n", "line 3: Holds a NUL character, which no text"
     " has."),
    ("t.csv", "term,code\na,1\0\n", "line 2: Holds a NUL character, which no text"
     " has."),
    ("t.txt", "a\nb\0\n", "line 2: Holds a NUL character, which no text has."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), FILES)
def test_what_is_wrong_with_a_list_is_said_with_its_line(
    predict, source, tmp_path, name, text, message
):
    (tmp_path / name).write_text(text)
    _, errors = predict(source, "--terms", tmp_path / name, code=2)
    assert errors == f"negation_api: {tmp_path / name}: {message}\n"


def test_a_list_may_be_a_term_a_line(predict, tmp_path):
    (tmp_path / "in.csv").write_text("id,text\n1,No Fevers or chest pain.\n")
    (tmp_path / "terms.txt").write_text("\ufefffever\n\nchest pain\n")
    answers, _ = predict(tmp_path / "in.csv", "--terms", tmp_path / "terms.txt")
    found = json.loads(answers)["predictions"]
    assert [each["term"] for each in found] == ["fever", "chest pain"]


def test_the_readme_s_command_counts(environ, tmp_path, monkeypatch):
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^python -m negation_api (.*--summary)$", readme, re.M)
    page = (Path(__file__).parents[1] / "docs" / "terms.md").read_text("utf-8")
    assert f"```sh\npython -m negation_api {command}\n```" in page
    files = re.findall(r"^```csv\n(.*?)^```", readme, re.M | re.S)
    monkeypatch.chdir(tmp_path)
    for name, text in zip(("notes.csv", "terms.csv"), files, strict=True):
        Path(name).write_text(text)
    code, out, errors = Command(tuple(command.split()), env=environ).finish()
    rows = csv.DictReader(io.StringIO(out.decode()))
    assert code == 0, errors
    assert {(row["term"], row["notes"], row["patients"]) for row in rows} == {
        ("fever", "2", "1"),
        ("chest pain", "1", "1"),
    }


def certain(label: str, whose: str | None = None, when: str | None = None):
    if whose is None:
        return Prediction({each: float(each == label) for each in LABELS})
    axes = (EXPERIENCERS, whose), (TEMPORALITIES, when)
    choices = [Choice({v: float(v == chosen) for v in all_}) for all_, chosen in axes]
    return Prediction({each: float(each == label) for each in LABELS}, *choices)


@pytest.mark.parametrize(
    ("said", "kinds"),
    [
        (("PRESENT", "PATIENT", "CURRENT"), {"holding"}),
        (("PRESENT", "PATIENT", "HISTORICAL"), {"holding", "past"}),
        (("PRESENT", "PATIENT", "HYPOTHETICAL"), set()),
        (("POSSIBLE", "PATIENT", "HISTORICAL"), {"possible"}),
        (("POSSIBLE", "PATIENT", "HYPOTHETICAL"), set()),
        (("ABSENT", "PATIENT", "HISTORICAL"), {"denying"}),
        (("ABSENT", "FAMILY", "HISTORICAL"), set()),
        (("PRESENT", "FAMILY", "HISTORICAL"), {"family"}),
        (("PRESENT", "OTHER", "CURRENT"), set()),
        (("POSSIBLE",), {"possible"}),
    ],
)
def test_a_mention_counts_where_the_page_says(said, kinds):
    assert kinds_of(certain(*said)) == kinds


def test_a_code_is_no_term_and_a_number_is_its_digits():
    summary = Summary([("fever", None), ("pyrexia", "fever"), ("gout", "7")])
    summary.add([("fever", None, None, [], False, 1), ("gout", 7, None, [], False, 2)])
    assert [row[:3] for row in summary.rows()] == [
        ["gout", "7", 2],
        ["fever", None, 1],
        ["pyrexia", "fever", 0],
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_cell_of_a_list_of_terms_may_hold_a_line_break(tmp_path, end):
    path = tmp_path / "terms.csv"
    path.write_text(
        f'term,code{end}"chest{end}pain",1{end}fever\x0b,2{end}', newline=""
    )
    finder = read_terms(str(path), 1000)
    assert [(m.term.code) for m in finder.find("Chest pain, fever.")] == ["1", "2"]


@pytest.mark.parametrize("head", ["term,code", '"term","code"', '\ufeff"Term",code'])
def test_a_table_is_known_by_its_header_whatever_it_is_called(tmp_path, head):
    path = tmp_path / "terms.txt"
    path.write_text(f"{head}\nfever,F1\n", encoding="utf-8")
    assert read_terms(str(path), 1000).sought == (Term("fever", "fever", "F1"),)


def test_a_patient_is_one_however_its_id_is_written():
    summary = Summary()
    ids = 7, "7", " 7", "7 ", "8", None, " "
    summary.add([("fever", None, each, ["holding"], False, 1) for each in ids])
    (row,) = summary.rows()
    assert dict(zip(COLUMNS, row))["notes"] == 7
    assert dict(zip(COLUMNS, row))["patients"] == 2


@pytest.mark.parametrize("unknown", [None, ""])
def test_a_note_of_nobody_known_is_answered(unknown):
    row = {"text": "No fever.", "patient_id": unknown, "terms": ["fever"]}
    (answered,) = Scorer(KeywordClassifier(), Settings()).score([row])
    assert answered.query.patient is None


def test_a_summary_counts_no_entities(predict, source):
    _, errors = predict(source, "--rows", "entity", "--summary", code=2)
    assert "--summary counts notes" in errors


def test_the_table_leaves_out_what_nobody_knows():
    summary = Summary()
    summary.add(
        [("fever", None, None, ["holding"], False, 2), ("a\nb", 7, None, [], False, 1)]
    )
    head, first, second, note = summary.table().splitlines()
    assert head.split() == [
        "term",
        "code",
        *"notes holding denying possible family past".split(),
    ]
    assert first.split() == ["fever", "2", "2", "0", "0"]
    assert second.split() == ["a", "b", "7", "1", "0", "0", "0"]
    assert summary.csv().splitlines()[1] == "fever,,2,2,0,0,,,,,,,,"
    assert summary.csv().splitlines()[0] == ",".join(COLUMNS)
