"""``python -m negation_api predict``, run as its users run it, on a toy model."""

import csv
import importlib
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forked import Command
from negation_api import create_app
from negation_api.batch import bulk
from negation_api.batch.bulk import BLOCK_ENTITIES, blocks
from negation_api.contract.fhir import members
from negation_api.contract.labels import AXES, LABELS, Choice, Prediction
from negation_api.batch.tables import ROW_GROUP_ROWS
from negation_api.http.service import service_of
from negation_api.model.classifier import load_classifier
from negation_api.settings import Settings
from notes import make_notes, write_jsonl
from server import wait_until

ROOT = Path(__file__).parent.parent
NUM_NOTES, FEW = 1_000, 100

# Rows that cannot be answered, and one thing that is wrong with each.
BAD_ROWS = [
    b"{",
    b"[]",
    b"NaN",
    b'{"text": "\xff"}',
    {},
    {"text": "No pain."},
    {"text": "No pain.", "entities": [{"start": 3, "end": 99}]},
    {"text": "No pain.", "entities": [{"start": 3, "end": 3}]},
    {"text": "No pain.", "entities": [{"start": "3", "end": 7}]},
    {"text": "No pain.", "entities": [{"start": 3, "end": 7}], "who": "Smith"},
    {"text": "No pain.", "entities": [{"start": 3, "end": 7}] * 1001},
    {"text": "No pain.", "entities": [], "offset_unit": "utf32"},
    {"text": "x" * 1100, "entities": [{"start": 0, "end": 1100}]},
    {"sentence": "one [entity] marker"},
    {"sentence": " "},
    {"sentence": "pain " * 600},
    {"sentence": "a", "text": "b"},
]


@pytest.fixture(scope="module")
def environ(toy_model) -> dict[str, str]:
    """The settings, under which the toy is loaded already."""
    environ = {"MODEL": str(toy_model), "INFERENCE_THREADS": "1"}
    load_classifier(Settings.from_env(os.environ | environ))
    return environ


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    path = tmp_path_factory.mktemp("notes") / "notes.jsonl"
    return write_jsonl(path, make_notes(NUM_NOTES))


@pytest.fixture(scope="module")
def few_notes(notes, tmp_path_factory):
    path = tmp_path_factory.mktemp("notes") / "few.jsonl"
    return write_jsonl(path, notes.read_bytes().splitlines()[:FEW])


@pytest.fixture
def start(environ):
    """Start the command in the background, on the toy model."""
    started = []

    def start(*args, **options):
        started.append(Command(("predict", *args), env=environ, **options))
        return started[-1]

    yield start
    for command in started:
        if command.runs():
            command.signal(signal.SIGKILL)
        command.finish()


@pytest.fixture
def run(start):
    """Run the command to its end; give its exit code, output and errors."""
    return lambda *args, **options: start(*args, **options).finish()


@pytest.fixture
def client(environ):
    settings = Settings.from_env(os.environ | environ)
    app = create_app(settings, load_classifier(settings))
    service_of(app).batcher.start()
    yield app.test_client()
    service_of(app).batcher.stop()


def load(path_or_bytes) -> list[dict]:
    data = path_or_bytes
    if isinstance(data, Path):
        data = data.read_bytes()
    return [json.loads(line) for line in data.splitlines()]


def summary(err: str) -> dict:
    return json.loads(err.splitlines()[-1])


def near(a, b) -> bool:
    """Tell whether JSON is the same, numbers with a fraction to 1e-4."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(near(a[key], b[key]) for key in a)
    return abs(a - b) < 1e-4 if isinstance(a, float) else a == b


# --- same answers -------------------------------------------------------------


def test_answers_are_those_of_the_service(run, notes, client, tmp_path):
    """By the command that docs/bulk.md shows."""
    page = (ROOT / "docs" / "bulk.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^python -m negation_api predict (.*)$", page, re.MULTILINE)
    places = {"notes.jsonl": notes, "out.jsonl": tmp_path / "out.jsonl"}
    assert run(*(places.get(word, word) for word in shown.split()))[0] == 0
    answers = load(tmp_path / "out.jsonl")
    bodies = load(notes)
    assert [answer["id"] for answer in answers] == [body["id"] for body in bodies]
    num_entities = 0
    for at in range(0, len(bodies), 100):
        reply = client.post("/predict", json={"documents": bodies[at : at + 100]})
        assert reply.status_code == 200
        for ours, theirs in zip(answers[at:], reply.json["documents"]):
            for a, b in zip(ours["predictions"], theirs["predictions"], strict=True):
                num_entities += 1
                assert near(a, b)
                assert {"experiencer", "temporality", "holds"} < set(a)
    assert num_entities > 3_000


def test_rejects_have_the_pointers_and_messages_of_the_service(run, client, tmp_path):
    path = write_jsonl(tmp_path / "bad.jsonl", BAD_ROWS)
    assert run(path, "-o", tmp_path / "out.jsonl")[0] == 3
    rejects = load(tmp_path / "out.jsonl.rejects.jsonl")
    assert [reject["line"] for reject in rejects] == list(range(1, len(BAD_ROWS) + 1))
    for row, reject in zip(BAD_ROWS, rejects):
        data = row if isinstance(row, bytes) else json.dumps(row)
        reply = client.post("/predict", data=data, content_type="application/json")
        whole = [{"pointer": "#", "detail": reply.json.get("detail")}]
        assert reject["errors"] == reply.json.get("errors", whole)
    assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_a_bad_row_keeps_nothing_from_its_neighbours(run, tmp_path):
    good = {"id": 1, "sentence": "denies [entity] pain [entity]"}
    rows = [good, b"{", b"", {**good, "id": 2}, {"documents": [good]}]
    path = write_jsonl(tmp_path / "in.jsonl", rows)
    code, _, err = run(path, "-o", tmp_path / "out.jsonl")
    answers = load(tmp_path / "out.jsonl")
    assert code == 3
    assert [(a["line"], a["id"], a["marked"]) for a in answers] == [
        (1, 1, True),
        (4, 2, True),
    ]
    assert [r["line"] for r in load(tmp_path / "out.jsonl.rejects.jsonl")] == [2, 5]
    assert summary(err)["rows"] == 4 and summary(err)["rejected"] == 2


def test_a_line_too_long_is_rejected_unread(run, tmp_path):
    good = {"sentence": "denies pain"}
    rows = [b'{"text": "' + b"x" * 2_000_000, good]
    path = write_jsonl(tmp_path / "in.jsonl", rows)
    assert run(path, "-o", tmp_path / "out.jsonl")[0] == 3
    (reject,) = load(tmp_path / "out.jsonl.rejects.jsonl")
    detail = "At most 1048576 bytes are read; given 2000010."
    assert reject == {"line": 1, "errors": [{"pointer": "#", "detail": detail}]}
    assert [a["line"] for a in load(tmp_path / "out.jsonl")] == [2]


# --- resumed ------------------------------------------------------------------


def wait_for_blocks(command: Command, journal: Path, number: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and command.runs():
        if num_blocks(journal) >= number:
            return
        time.sleep(0.002)
    raise AssertionError(f"not {number} blocks: {command.finish()}")


def num_blocks(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def test_a_killed_run_goes_on_to_the_same_output(start, run, tmp_path):
    path = write_jsonl(tmp_path / "in.jsonl", [*make_notes(NUM_NOTES), b"{"])
    assert run(path, "-o", tmp_path / "whole.jsonl")[0] == 3
    command = start(path, "-o", tmp_path / "out.jsonl")
    wait_for_blocks(command, tmp_path / "out.jsonl.journal", 5)
    workers = command.children()
    command.signal(signal.SIGKILL)
    assert command.finish()[0] == -signal.SIGKILL
    assert not (tmp_path / "out.jsonl").exists()
    code, _, err = run(path, "-o", tmp_path / "out.jsonl")
    assert code == 3
    # Five blocks, give or take a note in each.
    assert 5 * (BLOCK_ENTITIES // 6) <= summary(err)["resumed"] <= NUM_NOTES
    for name in ("{}.jsonl", "{}.jsonl.rejects.jsonl"):
        one, other = (tmp_path / name.format(stem) for stem in ("whole", "out"))
        assert one.read_bytes() == other.read_bytes()
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob("*.journal"))
    assert workers and not any(Path(f"/proc/{pid}/exe").exists() for pid in workers)


@pytest.mark.system
def test_100_000_rows_killed_half_way_and_resumed_are_those_of_one_run(
    start, run, tmp_path
):
    """A minute's work, hence not among the quick tests."""
    text = "Denies [entity] pain {} [entity] on the left."
    rows = ({"id": n, "sentence": text.format(n)} for n in range(100_000))
    path = write_jsonl(tmp_path / "in.jsonl", rows)
    assert run(path, "-o", tmp_path / "whole.jsonl")[0] == 0
    command = start(path, "-o", tmp_path / "out.jsonl")
    wait_for_blocks(
        command, tmp_path / "out.jsonl.journal", 100_000 // BLOCK_ENTITIES // 2
    )
    command.signal(signal.SIGKILL)
    command.finish()
    code, _, err = run(path, "-o", tmp_path / "out.jsonl")
    assert code == 0 and 45_000 < summary(err)["resumed"] < 75_000
    whole = (tmp_path / "whole.jsonl").read_bytes()
    assert (tmp_path / "out.jsonl").read_bytes() == whole
    assert whole.count(b"\n") == 100_000


def test_a_killed_worker_ends_the_run_and_the_next_goes_on(start, run, notes, tmp_path):
    command = start(notes, "-o", tmp_path / "out.jsonl")
    wait_for_blocks(command, tmp_path / "out.jsonl.journal", 1)
    os.kill(command.children()[0], signal.SIGKILL)
    code, _, err = command.finish()
    assert code == 1
    assert "worker process was killed" in err
    assert run(notes, "-o", tmp_path / "out.jsonl")[0] == 0
    assert len(load(tmp_path / "out.jsonl")) == NUM_NOTES


def test_an_interrupted_run_says_so_and_ends_its_workers(start, notes, tmp_path):
    command = start(notes, "-o", tmp_path / "out.jsonl")
    wait_for_blocks(command, tmp_path / "out.jsonl.journal", 1)
    workers = command.children()
    command.signal(signal.SIGINT)
    code, _, err = command.finish()
    assert code == 130
    assert err == "negation_api: interrupted; the same command goes on\n"
    assert workers and not any(Path(f"/proc/{pid}/exe").exists() for pid in workers)


def test_an_unexpected_error_is_told_without_text(run, few_notes, tmp_path):
    def fail(*given):
        raise KeyError("chest pain")

    code, out, err = run(
        few_notes,
        *("-o", tmp_path / "out.jsonl"),
        prepare=lambda: setattr(bulk, "blocks", fail),
    )
    assert code == 1 and out == b""
    assert re.fullmatch(r"negation_api: unexpected error: KeyError at .*:\d+\n", err)


def test_a_model_that_is_not_there_is_told_as_that(environ, few_notes):
    command = Command(("predict", few_notes), env=environ | {"MODEL": "/nowhere"})
    code, _, err = command.finish()
    assert code == 2 and "/nowhere" in err and "unexpected" not in err


def test_an_interrupt_comes_too_late_for_a_run_that_is_done(start, few_notes, tmp_path):
    output = tmp_path / "out.jsonl"
    command = start(few_notes, "-o", output, "--workers", "20")
    journal = Path(f"{output}.journal")
    wait_until(lambda: output.exists() and not journal.exists(), 60, "output")
    if command.runs():
        command.signal(signal.SIGINT)
    code, _, err = command.finish()
    assert code == 0 and summary(err)["rows"] == FEW


def test_a_run_whose_messages_nobody_reads_is_done_all_the_same(
    start, few_notes, tmp_path
):
    def close():
        ours, theirs = os.pipe()
        os.dup2(theirs, 2)
        os.close(ours)
        sys.stderr = open(2, "w", buffering=1)  # a line at a time, as it comes

    command = start(few_notes, "-o", tmp_path / "out.jsonl", prepare=close)
    assert command.finish()[0] == 0


def test_a_full_disk_is_told_in_one_line(run, notes, tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    code, _, err = run(notes, "-o", tmp_path / "out.jsonl", prepare=limit)
    assert (code, err) == (1, "negation_api: output: File too large\n")
    assert not (tmp_path / "out.jsonl").exists()


def test_workers_may_need_more_open_files_than_are_allowed_at_first(
    run, few_notes, tmp_path
):
    def limit():
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))

    workers = "--workers", "30"
    assert run(few_notes, "-o", tmp_path / "o.jsonl", *workers, prepare=limit)[0] == 0


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_a_killed_run_goes_on_with_the_numbers_of_note_nlp(start, run, to, tmp_path):
    rows = [row | {"id": place} for place, row in enumerate(make_notes(200))]
    rows[100:100] = [rows[0] | {"id": "n0"}]  # which NOTE has no such number for
    path = write_jsonl(tmp_path / "in.jsonl", rows)
    options = "--to", "note_nlp", "--first-id", "50"
    whole, output = tmp_path / f"whole.{to}", tmp_path / f"out.{to}"
    assert run(path, "-o", whole, *options)[0] == 3
    command = start(path, "-o", output, *options)
    wait_for_blocks(command, tmp_path / f"out.{to}.journal", 3)
    command.signal(signal.SIGKILL)
    command.finish()
    code, _, err = run(path, "-o", output, *options)
    assert code == 3 and summary(err)["resumed"] > 0 and summary(err)["rejected"] == 1
    one, other = load_any(whole), load_any(output)
    for row in (*one, *other):
        assert row.pop("nlp_datetime") and row.pop("nlp_date")
    assert one == other and len(one) == summary(err)["entities"]
    numbers = [int(row["note_nlp_id"]) for row in one]
    assert numbers == list(range(50, 50 + len(one)))
    ids = {row["id"] for row in rows if row["entities"]} - {"n0"}
    assert {int(row["note_id"]) for row in one} == ids
    code, _, err = run(path, "-o", output, "--to", "note_nlp", "--first-id", "51")
    assert code == 2 and "is there already" in err


def test_a_run_goes_on_up_to_the_first_row_that_changed(start, run, notes, tmp_path):
    rows = [json.dumps(row).encode() for row in load(notes)]
    first_block = len(next(blocks(enumerate(rows))))
    path = write_jsonl(tmp_path / "in.jsonl", rows)
    command = start(path, "-o", tmp_path / "out.jsonl")
    wait_for_blocks(command, tmp_path / "out.jsonl.journal", 3)
    command.signal(signal.SIGKILL)
    command.finish()
    rows[first_block] = json.dumps(load(notes)[first_block] | {"id": "other"}).encode()
    write_jsonl(path, rows)
    code, _, err = run(path, "-o", tmp_path / "out.jsonl")
    assert code == 0 and summary(err)["resumed"] == first_block
    assert load(tmp_path / "out.jsonl")[first_block]["id"] == "other"
    assert len(load(tmp_path / "out.jsonl")) == len(rows)


def test_a_run_with_another_switch_of_axes_begins_anew(start, environ, notes, tmp_path):
    output = tmp_path / "out.jsonl"
    command = start(notes, "-o", output)
    wait_for_blocks(command, tmp_path / "out.jsonl.journal", 3)
    command.signal(signal.SIGKILL)
    command.finish()
    other = Command(("predict", notes, "-o", output), env=environ | {"AXES": "off"})
    code, _, err = other.finish()
    assert code == 0 and summary(err)["resumed"] == 0
    assert not any("holds" in p for row in load(output) for p in row["predictions"])


def test_two_runs_do_not_write_the_same_output(start, run, notes, tmp_path):
    command = start(notes, "-o", tmp_path / "out.jsonl")
    wait_for_blocks(command, tmp_path / "out.jsonl.journal", 1)
    command.signal(signal.SIGSTOP)
    code, _, err = run(notes, "-o", tmp_path / "out.jsonl")
    command.signal(signal.SIGCONT)
    assert (code, command.finish()[0]) == (2, 0)
    assert "another run" in err


def test_parts_of_an_unfinished_run_are_no_leave_to_replace(
    start, run, notes, tmp_path
):
    output = tmp_path / "out.jsonl"
    output.write_text("years of work")
    command = start(notes, "-o", output, "--overwrite")
    wait_for_blocks(command, tmp_path / "out.jsonl.journal", 1)
    command.signal(signal.SIGKILL)
    command.finish()
    code, _, err = run(notes, "-o", output)
    assert code == 2 and "out.jsonl: is there already" in err
    assert output.read_text() == "years of work"
    assert run(notes, "-o", output, "--overwrite")[0] == 0
    assert len(load(output)) == NUM_NOTES


# --- formats ------------------------------------------------------------------


def flat(path: Path) -> list[tuple]:
    """Read a flat output of any format; scores to four places."""
    if path.suffix == ".parquet":
        parquet = importlib.import_module("pyarrow.parquet")
        rows = parquet.read_table(path).to_pylist()
    elif path.suffix == ".csv":
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    else:
        rows = load(path)
    scores = "score ABSENT experiencer_score FAMILY temporality_score CURRENT".split()
    names = "id entity_id start end label experiencer temporality holds".split()
    return [
        (
            *(str(row[n]).lower() for n in names),
            *(round(float(row[n]), 4) for n in scores),
        )
        for row in rows
    ]


def write_csv(path: Path, rows) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ward", "id", "text", "entities", "section"])
        for row in rows:
            cells = row["id"], row["text"], json.dumps(row["entities"])
            writer.writerow(["7 North", *cells, row.get("section")])
    return path


def write_parquet(path: Path, rows) -> Path:
    import pyarrow as pa
    import pyarrow.parquet

    for row in rows:
        row["entities"] = [{"concept": "C0030193", **e} for e in row["entities"]]
    table = pa.Table.from_pylist([{"ward": "7 North", **row} for row in rows])
    pyarrow.parquet.write_table(table, path)
    return path


@pytest.mark.parametrize("to", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_every_format_gives_the_same(run, write, to, notes, tmp_path):
    rows = load(notes)[:50]
    path = write(tmp_path / f"in.{write.__name__.removeprefix('write_')}", rows)
    expected = write_jsonl(tmp_path / "in.jsonl", load(notes)[:50])
    assert run(expected, "--flat", "-o", tmp_path / "expected.jsonl")[0] == 0
    assert run(path, "--flat", "-o", tmp_path / f"out.{to}")[0] == 0
    assert flat(tmp_path / f"out.{to}") == flat(tmp_path / "expected.jsonl")
    assert len(flat(tmp_path / f"out.{to}")) > 100


def test_a_row_may_hold_one_entity(run, tmp_path):
    text = "Denies\nfever. \N{PILL} No pain."
    rows = "id,text,start,end,entity_id\r\n" + "".join(
        f'a,"{text}",{place},\r\n' for place in ("7,12", "19,23", "19,99", "x,3")
    )
    code, out, err = run("-", "--from", "csv", "--rows", "entity", given=rows.encode())
    assert code == 3
    answers, rejects = load(out), [json.loads(x) for x in err.splitlines()[:-1]]
    assert [(a["line"], a["start"]) for a in answers] == [(2, 7), (4, 19)]
    pointers = [(r["line"], r["errors"][0]["pointer"]) for r in rejects]
    assert pointers == [(6, "#/entities/0/end"), (8, "#/entities/0/start")]


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_notes_of_omop_are_read_by_their_columns(run, format, tmp_path):
    text, entities = "Denies fever.", [{"start": 7, "end": 12}]
    row = {"id": "n17", "note_id": 17, "note_text": text, "entities": entities}
    path = tmp_path / f"in.{format}"
    if format == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, row)
            writer.writeheader()
            writer.writerow(row | {"entities": json.dumps(entities)})
    else:
        import pyarrow as pa
        import pyarrow.parquet

        pyarrow.parquet.write_table(pa.Table.from_pylist([row]), path)
    code, out, err = run(path, "--to", "note_nlp")
    (found,) = csv.DictReader(io.StringIO(out.decode(), newline=""))
    assert (code, found["note_id"], found["lexical_variant"]) == (0, "17", "fever")
    code, _, err = run(path)  # only where NOTE_NLP is written
    assert code == 2 and "no column text" in err


def test_numbers_of_note_nlp_end_where_its_integers_do(run, few_notes, tmp_path):
    rows = [row | {"id": 7} for row in load(few_notes)]
    path = write_jsonl(tmp_path / "in.jsonl", rows)
    last = str(2**31 - 2)
    code, _, err = run(path, "--to", "note_nlp", "--first-id", last)
    assert code == 2 and "note_nlp_id is at most 2147483647; needed is 21474" in err


def test_streams_in_and_out(environ, notes):
    """As it is started by its users, and with true pipes."""
    command = [sys.executable, "-m", "negation_api", "predict", "-", "--to", "csv"]
    done = subprocess.run(
        [*command, "--flat"],
        cwd=ROOT,
        env=os.environ | environ,
        input=notes.read_bytes(),
        capture_output=True,
    )
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode(), newline="")))
    assert done.returncode == 0
    assert len(rows) == summary(done.stderr.decode())["entities"] > 3_000


def test_a_reader_that_closes_early_ends_the_run(start, notes):
    reader, writer = os.pipe()
    command = start(notes, stdout=writer, prepare=lambda: os.close(reader))
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert json.loads(pipe.readline())["line"] == 1
    code, _, err = command.finish()
    assert (code, err) == (1, "")


def test_a_reader_that_wants_no_summary_fails_no_run(start, few_notes, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    out = tmp_path / "out.jsonl"
    command = start(few_notes, "-o", out, "--summary", stdout=writer)
    os.close(writer)
    code, _, err = command.finish()
    assert code == 0 and len(load(out)) == summary(err)["rows"] == FEW


def test_notes_of_parquet_hold_typed_predictions(run, few_notes, tmp_path):
    parquet = importlib.import_module("pyarrow.parquet")
    assert run(few_notes, "-o", tmp_path / "out.parquet")[0] == 0
    table = parquet.read_table(tmp_path / "out.parquet")
    model = json.loads(table.schema.metadata[b"negation_api.model"])
    first = table.slice(0, 1).to_pylist()[0]["predictions"][0]
    assert table.num_rows == FEW < ROW_GROUP_ROWS
    assert parquet.read_metadata(tmp_path / "out.parquet").num_row_groups == 1
    assert model["name"] == "toy"
    for answer in (first, first["experiencer"], first["temporality"]):
        assert answer["score"] == max(answer["scores"].values())
    assert isinstance(first["holds"], bool)


@pytest.mark.parametrize("write", [write_jsonl, write_csv, write_parquet])
def test_a_section_is_read_of_a_note_and_of_an_entity(run, write, tmp_path):
    text, place = "Gout.", {"start": 0, "end": 4}
    entities = [place, place | {"section": "PMH"}]
    body = {"id": "a", "text": text, "entities": entities, "section": "FHx"}
    path = tmp_path / f"in.{write.__name__.removeprefix('write_')}"
    assert run(write(path, [body]), "-o", tmp_path / "o.jsonl", "--explain")[0] == 0
    (answer,) = load(tmp_path / "o.jsonl")
    assert [each["section"] for each in answer["predictions"]] == ["FHx", "PMH"]


def test_an_entity_is_compared_with_its_text(run, tmp_path):
    place, texts = {"start": 3, "end": 7}, ("gout", "pain", None)
    notes = [
        {"id": text, "text": "No gout.", "entities": [place | {"text": text}]}
        for text in texts
    ]
    given = [
        (write_parquet(tmp_path / "in.parquet", notes), "note"),
        (tmp_path / "in.csv", "entity"),
    ]
    rows = "".join(f"{text},No gout.,3,7,{text or ''}\r\n" for text in texts)
    given[1][0].write_text(f"id,text,start,end,entity_text\r\n{rows}", newline="")
    for path, kind in given:
        out = tmp_path / f"{kind}.jsonl"
        assert run(path, "-o", out, "--rows", kind)[0] == 3
        assert len(load(out)) == 2
        (reject,) = load(tmp_path / f"{kind}.jsonl.rejects.jsonl")
        (error,) = reject["errors"]
        assert (reject["id"], error["pointer"]) == ("pain", "#/entities/0/text")


@pytest.mark.parametrize("to", ["jsonl", "csv", "parquet"])
def test_axes_that_are_switched_off_are_empty_columns(environ, to, tmp_path):
    body = {"text": "Denies pain.", "entities": [{"start": 7, "end": 11}]}
    path, out = write_jsonl(tmp_path / "in.jsonl", [body]), tmp_path / f"out.{to}"
    env = environ | {"AXES": "off"}
    command = Command(("predict", path, "-o", out, "--flat"), env=env)
    assert command.finish()[0] == 0
    (row,) = load_any(out)
    assert row["label"] in ("PRESENT", "ABSENT", "POSSIBLE")
    assert not any(
        row.get(name) for name in ("experiencer", "FAMILY", "CURRENT", "holds")
    )


@pytest.mark.parametrize("to", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("is_flat", [False, True])
def test_what_is_asked_for_is_in_every_format(run, to, is_flat, tmp_path):
    body = {"text": "Denies pain.", "entities": [{"start": 7, "end": 11}]}
    path = write_jsonl(tmp_path / "in.jsonl", [{**body, "explain": True}, body])
    options = ["--fhir", *(["--flat"] if is_flat else [])]
    assert run(path, "-o", tmp_path / f"out.{to}", *options)[0] == 0
    rows = load_any(tmp_path / f"out.{to}")
    statuses = rows if is_flat else [row["predictions"][0] for row in rows]
    contexts = [status.get("context") or None for status in statuses]
    assert contexts == ["Denies [entity] pain [entity].", None]
    for status in statuses:
        assert only(status["fhir"]) == wanted_fhir(status)


def only(given: dict) -> dict:
    """Leave out what Parquet has a place for and nothing is said of."""
    return {name: value for name, value in given.items() if value}


def wanted_fhir(status: dict) -> dict:
    axes = [status[axis] for axis in AXES]
    axes = [axis if isinstance(axis, str) else axis["label"] for axis in axes]
    values = zip((LABELS, *AXES.values()), (status["label"], *axes))
    scores = [{each: float(each == own) for each in every} for every, own in values]
    return members(Prediction(scores[0], *map(Choice, scores[1:])), "pain")


def load_any(path: Path) -> list[dict]:
    """Read an output of any format; what is JSON in a cell too."""
    if path.suffix == ".parquet":
        parquet = importlib.import_module("pyarrow.parquet")
        return parquet.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return load(path)
    with path.open(newline="") as file:
        return [
            {k: json.loads(v) if v[:1] in ("[", "{") else v for k, v in row.items()}
            for row in csv.DictReader(file)
        ]


def test_parquet_may_hold_nothing(run, tmp_path):
    parquet = importlib.import_module("pyarrow.parquet")
    path = write_jsonl(tmp_path / "in.jsonl", [])
    assert run(path, "-o", tmp_path / "out.parquet")[0] == 0
    assert parquet.read_table(tmp_path / "out.parquet").num_rows == 0


def test_a_bad_row_of_csv_keeps_nothing_from_its_neighbours(run, tmp_path):
    rows = [
        b"id,sentence",
        b"1,denies pain",
        b'2,"says "no pain" today"',
        b"3,denies \xff pain",
        b"4,denies pain,",
        b"5,denies pain",
        b'6,"denies pain',
        b"7,denies pain",
    ]
    path = write_jsonl(tmp_path / "in.csv", rows)
    assert run(path, "-o", tmp_path / "out.jsonl")[0] == 3
    assert [a["id"] for a in load(tmp_path / "out.jsonl")] == ["1", "5", "7"]
    rejects = load(tmp_path / "out.jsonl.rejects.jsonl")
    assert [(r["line"], r["errors"][0]) for r in rejects] == [
        (3, {"pointer": "#", "detail": "Not CSV: ',' expected after '\"'."}),
        (
            4,
            {
                "pointer": "#/sentence",
                "detail": "Holds half of a surrogate pair, at 7.",
            },
        ),
        (5, {"pointer": "#", "detail": "Must have 2 cells; given 3."}),
        (7, {"pointer": "#", "detail": "Not CSV: unexpected end of data."}),
    ]


def test_the_other_lines_of_a_bad_row_of_csv_are_no_rows(run, tmp_path):
    long = "Plan: rest.\n" * 100_000
    text = (
        'id,text,start,end\n1,"He said "ok" and\nleft, denies fever.",8,13\n'
        f'2,"{long}Plan: rest, no pain.",15,19\n3,"No cough.\n",3,8\n'
        '4,"No\n""cough"".\n",4,9\n'
    )
    (tmp_path / "in.csv").write_text(text, newline="")
    options = "-o", tmp_path / "out.jsonl", "--rows", "entity"
    assert run(tmp_path / "in.csv", *options)[0] == 3
    assert [a["id"] for a in load(tmp_path / "out.jsonl")] == ["3", "4"]
    rejects = load(tmp_path / "out.jsonl.rejects.jsonl")
    assert [r["line"] for r in rejects] == [2, 4]


def test_a_quote_that_is_missing_costs_one_row(run, tmp_path):
    rows = [f'{n},"denies pain, has fever {n}"'.encode() for n in range(1_002)]
    rows[2] = rows[2][:-1]
    path = write_jsonl(tmp_path / "in.csv", [b"id,sentence", *rows])
    code, _, err = run(path, "-o", tmp_path / "out.jsonl")
    told = summary(err)
    assert code == 3 and (told["rows"], told["rejected"]) == (1_002, 1)
    answers = [answer["id"] for answer in load(tmp_path / "out.jsonl")]
    assert answers == [str(n) for n in range(1_002) if n != 2]
    (reject,) = load(tmp_path / "out.jsonl.rejects.jsonl")
    assert reject["line"] == 4 and "passed_over" not in reject


def test_lines_that_no_row_can_be_made_of_are_counted(run, tmp_path):
    text = 'id,sentence\n1,"He said "ok" and\nleft,\ndenies pain."\n2,no pain\n'
    (tmp_path / "in.csv").write_text(text)
    code, _, err = run(tmp_path / "in.csv", "-o", tmp_path / "out.jsonl")
    told = summary(err)
    counts = told["rows"], told["rejected"], told["passed_over"]
    assert code == 3 and counts == (2, 1, 2)
    (reject,) = load(tmp_path / "out.jsonl.rejects.jsonl")
    assert (reject["line"], reject["passed_over"]) == (2, 2)


def test_a_bad_row_of_parquet_keeps_nothing_from_its_neighbours(run, tmp_path):
    pa = importlib.import_module("pyarrow")
    parquet = importlib.import_module("pyarrow.parquet")
    # Not checked when it is written, as in other writers.
    texts = pa.array([b"denies pain", b"denies \xff", None, b"no pain"])
    texts = pa.StringArray.from_buffers(4, *texts.buffers()[1:], texts.buffers()[0])
    table = pa.table({"id": [1, 2, 3, 4], "sentence": texts})
    parquet.write_table(table, tmp_path / "in.parquet")
    assert run(tmp_path / "in.parquet", "-o", tmp_path / "out.jsonl")[0] == 3
    assert [a["id"] for a in load(tmp_path / "out.jsonl")] == [1, 4]
    rejects = load(tmp_path / "out.jsonl.rejects.jsonl")
    assert [(r["line"], r["errors"][0]["detail"]) for r in rejects] == [
        (2, "Not UTF-8 at byte 7."),
        (3, "Must hold exactly one of: sentence, text, documents; given 0."),
    ]


def test_a_terminal_shows_progress(start, few_notes, tmp_path):
    command = start(few_notes, "-o", tmp_path / "out.jsonl", terminal=True)
    code, _, err = command.finish()
    assert code == 0
    assert "100%" in err and f"{FEW} rows" in err and "entities/s" in err


# --- refused ------------------------------------------------------------------


@pytest.mark.parametrize(
    "args, message",
    [
        (["missing.jsonl", "-o", "o.jsonl"], "missing.jsonl: No such file"),
        (["README.md", "-o", "o.jsonl"], "README.md: its format is none of"),
        (["-", "--from", "parquet"], "Parquet cannot be read from standard input"),
        (["-", "-o", "README.md", "--to", "csv"], "README.md: is there already"),
        (["-", "--workers", "-1"], "--workers must be in 1 to 1024; given -1"),
        (["-", "--workers", "99999"], "--workers must be in 1 to 1024; given 99999"),
        (["", "--from", "csv"], "a file's name must not be empty"),
        (["-", "-o", "", "--to", "csv"], "a file's name must not be empty"),
        (["-", "--rejects", ""], "a file's name must not be empty"),
        (["-", "--terms", ""], "a file's name must not be empty"),
        (["-", "--rejects", "-"], "--rejects must be a file; - is standard output"),
        (["-", "-o", f"{'b' * 240}.csv", "--from", "csv"], "bbbb"),
        (["b" * 300, "--from", "csv"], "bbbb"),
        (["README.md", "--from", "parquet"], "not Parquet (ArrowInvalid)"),
        (["README.md", "--from", "csv"], "line 1: no column text; read are: id, text"),
        (["tests", "--from", "csv"], "tests: Is a directory"),
        (["a.csv", "-o", "./a.csv"], "input, output and rejects must be different"),
        (["a.csv", "-o", "b.csv", "--rejects", "b.csv"], "input, output and rejects"),
        (["-", "--from", "csv", "--rejects", "README.md"], "README.md: is there"),
        (["a.csv", "-o", "/dev/null", "--to", "csv"], "/dev/null: not a regular file"),
        (["a.csv", "-o", "none/b.csv"], "none/b.csv: there is no such directory"),
        (["-", "-o", "b.jsonl", "--to", "note_nlp"], "b.jsonl: note_nlp is written as"),
        (["-", "--to", "note_nlp", "--fhir"], "note_nlp has no columns for --explain"),
        (["-", "--to", "csv", "--first-id", "9"], "--first-id is of --to note_nlp"),
        (
            ["-", "--to", "note_nlp", "--first-id", "-1"],
            "--first-id must be in 0 to 21",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(run, args, message):
    code, out, err = run(*args)
    assert (code, out, len(err.splitlines())) == (2, b"", 1)
    assert err.startswith(f"negation_api: {message}")


def test_a_link_to_itself_is_told(run, tmp_path):
    loop = tmp_path / "loop.csv"
    loop.symlink_to(loop)
    for args in ([loop], ["-", "-o", loop]):
        code, out, err = run(*args)
        assert (code, out, len(err.splitlines())) == (2, b"", 1)
        assert err.startswith(f"negation_api: {loop}: ")


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_stays_and_what_it_points_to_is_written(run, tmp_path, is_there):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "out.jsonl", tmp_path / "out.jsonl"
    link.symlink_to("real/out.jsonl")
    if is_there:
        target.write_text("old")
        assert run("-", "-o", link, given=b'{"sentence": "Pain"}')[0] == 2
        assert target.read_text() == "old"
    options = "-o", link, "--overwrite"
    assert run("-", *options, given=b'{"sentence": "Pain"}')[0] == 0
    assert link.is_symlink() and len(load(target)) == 1
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["out.jsonl"]


def closing_stream(number: int):
    """As the shell's `<&-` and its like, which Python has no stream for then."""

    def close():
        os.close(number)
        setattr(sys, ("stdin", "stdout", "stderr")[number], None)

    return close


@pytest.mark.parametrize(
    "args, number, message",
    [
        (["-"], 0, "negation_api: standard input is closed\n"),
        (["{in}"], 1, "negation_api: standard output is closed\n"),
        (["{in}", "-o", "{out}", "--summary"], 1, "standard output is closed\n"),
    ],
)
def test_a_stream_that_is_needed_and_closed_is_told(
    run, few_notes, tmp_path, args, number, message
):
    places = {"{in}": few_notes, "{out}": tmp_path / "out.jsonl"}
    args = [places.get(arg, arg) for arg in args]
    code, out, err = run(*args, prepare=closing_stream(number))
    assert (code, out) == (2, b"") and err.endswith(message)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_stream_that_is_not_needed_may_be_closed(run, few_notes, tmp_path, number):
    output = tmp_path / "out.jsonl"
    assert run(few_notes, "-o", output, prepare=closing_stream(number))[0] == 0
    assert len(load(output)) == FEW
    assert len(list(tmp_path.iterdir())) == 2


ON_A_FULL_DISK = """
import argparse, resource, sys
sys.path.insert(0, "tests")
from conftest import KeywordClassifier
from negation_api.batch import bulk
from negation_api.settings import Settings
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
parser = argparse.ArgumentParser()
bulk.add_arguments(parser)
args = parser.parse_args()
sys.exit(bulk.main(args, Settings.from_env(), lambda settings: KeywordClassifier()))
"""


def test_a_full_disk_is_told_in_one_line_before_all_is_read(notes, tmp_path):
    """By a Python of its own, for what it says at its very end."""
    args = str(notes), "-o", str(tmp_path / "out.jsonl"), "--workers", "1"
    command = [sys.executable, "-c", ON_A_FULL_DISK, *args]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    told = "negation_api: output: File too large\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)


@pytest.mark.parametrize("depth", [60, 600, 950])
def test_a_deeply_nested_cell_stops_nothing(run, tmp_path, depth):
    nested = "[" * depth + "]" * depth
    (tmp_path / "in.csv").write_text(f"id,text,entities\n1,No pain,{nested}\n2,No,[]\n")
    (tmp_path / "in.jsonl").write_text(f'{{"text": "No", "start": {nested}}}\n')
    for name, rows, answered in (("in.csv", "note", 1), ("in.jsonl", "entity", 0)):
        output = tmp_path / f"{name}-out.jsonl"
        assert run(tmp_path / name, "-o", output, "--rows", rows)[0] == 3
        assert len(load(output)) == answered


def test_no_text_of_a_note_is_in_errors(run, tmp_path):
    row = {"text": "Smith has pain", "entities": [{"start": 0, "end": 99}], "Smith": 1}
    path = write_jsonl(tmp_path / "in.jsonl", [row, b'{"Smith'])
    _, out, err = run(path)
    assert b"Smith" not in out and "Smith" not in err
