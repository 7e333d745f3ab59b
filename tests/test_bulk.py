"""``python -m negation_api predict``, run as its users run it, on a toy model."""

import csv
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from negation_api import create_app
from negation_api.bulk import BLOCK_ROWS
from negation_api.model import load_classifier
from negation_api.settings import Settings
from notes import make_notes, write_jsonl
from toy import write_bert

ROOT = Path(__file__).parent.parent

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
def toy(tmp_path_factory):
    return write_bert(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    path = tmp_path_factory.mktemp("notes") / "notes.jsonl"
    return write_jsonl(path, make_notes(4 * BLOCK_ROWS + 100))


@pytest.fixture
def start(toy):
    """Start the command in the background, on the toy model."""

    def start(*args, **options):
        command = [sys.executable, "-m", "negation_api", "predict", *map(str, args)]
        environ = os.environ | {"MODEL": str(toy), "MAX_ENTITY_CHARS": "1000"}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen(command, cwd=ROOT, env=environ, **options)

    return start


@pytest.fixture
def run(start):
    """Run the command to its end; give its exit code, output and errors."""

    def run(*args, given=None):
        process = start(*args, stdin=subprocess.PIPE)
        out, err = process.communicate(given, timeout=120)
        return process.returncode, out, err.decode()

    return run


@pytest.fixture
def client(toy):
    settings = Settings(model=str(toy), inference_threads=1)
    app = create_app(settings, load_classifier(settings))
    app.extensions["batcher"].start()
    return app.test_client()


def load(path_or_bytes) -> list[dict]:
    data = path_or_bytes
    if isinstance(data, Path):
        data = data.read_bytes()
    return [json.loads(line) for line in data.splitlines()]


def summary(err: str) -> dict:
    return json.loads(err.splitlines()[-1])


def same_score(a: float, b: float) -> bool:
    return abs(a - b) < 1e-4


# --- same answers -------------------------------------------------------------


def test_answers_are_those_of_the_service(run, notes, client, tmp_path):
    assert run(notes, "-o", tmp_path / "out.jsonl")[0] == 0
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
                assert {**a, "score": 0, "scores": 0} == {**b, "score": 0, "scores": 0}
                assert all(
                    same_score(b["scores"][k], s) for k, s in a["scores"].items()
                )
    assert num_entities > 5_000


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


def wait_for_parts(process, directory: Path, number: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if directory.is_dir() and len(parts(directory)) >= number:
            return
        time.sleep(0.002)
    raise AssertionError(f"not {number} parts: {process.communicate()}")


def parts(directory: Path) -> list[str]:
    return [p.name for p in directory.iterdir() if len(p.name) == 41]


def children(pid: int) -> list[int]:
    return [
        int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ]


def test_a_killed_run_goes_on_to_the_same_output(start, run, tmp_path):
    path = write_jsonl(tmp_path / "in.jsonl", [*make_notes(30 * BLOCK_ROWS), b"{"])
    assert run(path, "-o", tmp_path / "whole.jsonl")[0] == 3
    process = start(path, "-o", tmp_path / "out.jsonl")
    wait_for_parts(process, tmp_path / "out.jsonl.parts", 5)
    workers = children(process.pid)
    process.kill()
    process.communicate()
    assert not (tmp_path / "out.jsonl").exists()
    code, _, err = run(path, "-o", tmp_path / "out.jsonl")
    assert code == 3
    assert 5 * BLOCK_ROWS <= summary(err)["resumed"] < 30 * BLOCK_ROWS
    for name in ("{}.jsonl", "{}.jsonl.rejects.jsonl"):
        one, other = (tmp_path / name.format(stem) for stem in ("whole", "out"))
        assert one.read_bytes() == other.read_bytes()
    assert not list(tmp_path.glob("*.parts")) and not list(tmp_path.glob("*.tmp"))
    assert workers and not any(Path(f"/proc/{pid}/exe").exists() for pid in workers)


def test_a_killed_worker_ends_the_run_and_the_next_goes_on(start, run, notes, tmp_path):
    process = start(notes, "-o", tmp_path / "out.jsonl")
    wait_for_parts(process, tmp_path / "out.jsonl.parts", 1)
    os.kill(children(process.pid)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"worker process was killed" in err
    assert run(notes, "-o", tmp_path / "out.jsonl")[0] == 0
    assert len(load(tmp_path / "out.jsonl")) == 4 * BLOCK_ROWS + 100


def test_only_blocks_whose_rows_changed_are_computed_again(start, run, notes, tmp_path):
    rows = [json.dumps(row).encode() for row in load(notes)]
    path = write_jsonl(tmp_path / "in.jsonl", rows)
    process = start(path, "-o", tmp_path / "out.jsonl")
    wait_for_parts(process, tmp_path / "out.jsonl.parts", 2)
    process.kill()
    process.communicate()
    kept = len(parts(tmp_path / "out.jsonl.parts"))
    write_jsonl(path, [b'{"sentence": "denies pain"}', *rows[1:]])
    code, _, err = run(path, "-o", tmp_path / "out.jsonl")
    assert code == 0
    assert summary(err)["resumed"] <= (kept - 1) * BLOCK_ROWS
    assert "predictions" not in load(tmp_path / "out.jsonl")[0]


def test_two_runs_do_not_write_the_same_output(start, run, notes, tmp_path):
    process = start(notes, "-o", tmp_path / "out.jsonl")
    wait_for_parts(process, tmp_path / "out.jsonl.parts", 1)
    os.kill(process.pid, signal.SIGSTOP)
    code, _, err = run(notes, "-o", tmp_path / "out.jsonl")
    os.kill(process.pid, signal.SIGCONT)
    process.communicate(timeout=60)
    assert (code, process.returncode) == (2, 0)
    assert "another run" in err


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
    names = ("id", "entity_id", "start", "end", "label", "score", "ABSENT")
    return [
        tuple(
            round(float(row[n]), 4) if n in ("score", "ABSENT") else str(row[n])
            for n in names
        )
        for row in rows
    ]


def write_csv(path: Path, rows) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ward", "id", "text", "entities"])
        for row in rows:
            cells = row["id"], row["text"], json.dumps(row["entities"])
            writer.writerow(["7 North", *cells])
    return path


def write_parquet(path: Path, rows) -> Path:
    import pyarrow as pa
    import pyarrow.parquet

    table = pa.Table.from_pylist([{"ward": "7 North", **row} for row in rows])
    pyarrow.parquet.write_table(table, path)
    return path


@pytest.mark.parametrize("to", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_every_format_gives_the_same(run, write, to, notes, tmp_path):
    rows = load(notes)[:50]
    path = write(tmp_path / f"in.{write.__name__.removeprefix('write_')}", rows)
    expected = write_jsonl(tmp_path / "in.jsonl", rows)
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


def test_streams_in_and_out(run, notes):
    code, out, err = run("-", "--to", "csv", "--flat", given=notes.read_bytes())
    rows = list(csv.DictReader(io.StringIO(out.decode(), newline="")))
    assert code == 0
    assert len(rows) == summary(err)["entities"] > 5_000


def test_notes_of_parquet_hold_typed_predictions(run, notes, tmp_path):
    parquet = importlib.import_module("pyarrow.parquet")
    assert run(notes, "-o", tmp_path / "out.parquet")[0] == 0
    table = parquet.read_table(tmp_path / "out.parquet")
    model = json.loads(table.schema.metadata[b"negation_api.model"])
    first = table.slice(0, 1).to_pylist()[0]["predictions"][0]
    assert table.num_rows == 4 * BLOCK_ROWS + 100
    assert model["name"] == "toy"
    assert first["score"] == max(first["scores"].values())


# --- refused ------------------------------------------------------------------


@pytest.mark.parametrize(
    "args, message",
    [
        (["missing.jsonl", "-o", "o.jsonl"], "missing.jsonl: No such file"),
        (["README.md", "-o", "o.jsonl"], "README.md: its format is none of"),
        (["-", "--from", "parquet"], "Parquet cannot be read from standard input"),
        (["-", "-o", "README.md", "--to", "csv"], "README.md: is there already"),
        (["-", "--workers", "-1"], "--workers must be at least 1"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(run, args, message):
    code, out, err = run(*args, given=b"")
    assert (code, out, len(err.splitlines())) == (2, b"", 1)
    assert err.startswith(f"negation_api: {message}")


def test_no_text_of_a_note_is_in_errors(run, tmp_path):
    row = {"text": "Smith has pain", "entities": [{"start": 0, "end": 99}], "Smith": 1}
    path = write_jsonl(tmp_path / "in.jsonl", [row, b'{"Smith'])
    _, out, err = run(path)
    assert b"Smith" not in out and "Smith" not in err
