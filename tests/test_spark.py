"""Answers on Spark: those of the command line, however the rows are spread."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from notes import make_notes, write_jsonl
from server import free_port, wait_until
from toy import write_bert

ROOT = Path(__file__).parents[1]
JOB = ROOT / "negation_api" / "spark.py"
NUM_NOTES = 3_000
BAD = [
    {"id": "bad-1", "text": "No pain.", "entities": [{"start": 3, "end": 99}]},
    {"id": "bad-2", "text": " ", "entities": [{"start": 5, "end": 2}]},
]

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return write_bert(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="module")
def notes() -> list[dict]:
    return [*make_notes(NUM_NOTES), *BAD]


@pytest.fixture(scope="module")
def expected(toy, notes, tmp_path_factory) -> dict[str, dict]:
    """What the command line answers, by the note's id."""
    directory = tmp_path_factory.mktemp("cli")
    source = write_jsonl(directory / "in.jsonl", notes)
    subprocess.run(
        [sys.executable, "-m", "negation_api", "predict", source]
        + ["-o", directory / "out.jsonl"],
        cwd=ROOT,
        env={**os.environ, "MODEL": str(toy)},
        stderr=subprocess.DEVNULL,
        check=False,
    )
    rejects = (directory / "out.jsonl.rejects.jsonl").read_text().splitlines()
    lines = (directory / "out.jsonl").read_text().splitlines() + rejects
    rows = [json.loads(line) for line in lines]
    assert len(rows) == len(notes)
    return {row["id"]: row for row in rows}


def write_parquet(directory: Path, notes: list[dict], num_files: int) -> Path:
    import pyarrow as pa
    import pyarrow.parquet

    place = [("id", pa.string()), ("start", pa.int64()), ("end", pa.int64())]
    fields = [("id", pa.string()), ("text", pa.string())]
    schema = pa.schema([*fields, ("entities", pa.list_(pa.struct(place)))])
    directory.mkdir()
    for number in range(num_files):
        rows = [
            note
            | {"entities": [e | {"id": str(e.get("id"))} for e in note["entities"]]}
            for note in notes[number::num_files]
        ]
        table = pa.Table.from_pylist(rows, schema=schema)
        pa.parquet.write_table(table, directory / f"{number}.parquet")
    return directory


def submit(source: Path, output: Path, toy: Path, *args, **options):
    """Start the job with pyspark's own spark-submit."""
    import pyspark

    command = [Path(pyspark.__file__).parent / "bin" / "spark-submit"]
    command += ["--conf", "spark.ui.enabled=false", *args, JOB]
    command += ["--input", source, "--output", output, "--model", toy]
    environment = {
        **os.environ,
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    return subprocess.Popen(
        [str(part) for part in [*command, *options.get("job_args", ())]],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process) -> None:
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output[-4000:]


def read(output: Path) -> list[dict]:
    import pyarrow.parquet

    files = sorted(output.glob("part=*/*.parquet"))
    return [
        row
        for file in files
        for row in pyarrow.parquet.ParquetFile(file).read().to_pylist()
    ]


def check(rows: list[dict], expected: dict[str, dict]) -> None:
    assert sorted(row["id"] for row in rows) == sorted(expected)
    for row in rows:
        wanted = expected[row["id"]]
        assert (row["errors"] or []) == wanted.get("errors", [])
        given = row["predictions"] or []
        assert len(given) == len(wanted.get("predictions", []))
        for one, other in zip(given, wanted.get("predictions", [])):
            assert one["label"] == other["label"]
            assert (one["start"], one["end"]) == (other["start"], other["end"])
            assert one["scores"] == pytest.approx(other["scores"], abs=1e-4)


@pytest.mark.parametrize("master, num_files", [("local[1]", 1), ("local[2]", 5)])
def test_answers_are_the_command_line_s(
    toy, notes, expected, tmp_path, master, num_files
):
    source = write_parquet(tmp_path / "in", notes, num_files)
    finish(submit(source, tmp_path / "out", toy, "--master", master))
    check(read(tmp_path / "out"), expected)


def test_a_restarted_job_computes_only_what_is_missing(toy, notes, expected, tmp_path):
    source = write_parquet(tmp_path / "in", notes, 3)
    options = {"job_args": ("--files-a-part", "1")}
    local = ("--master", "local[2]")
    finish(submit(source, tmp_path / "out", toy, *local, **options))
    first, second, third = sorted((tmp_path / "out").glob("part=*"))
    before = {file: file.stat().st_mtime_ns for file in first.iterdir()}
    (second / "_SUCCESS").unlink()  # as when it was killed while it wrote
    finish(submit(source, tmp_path / "out", toy, *local, **options))
    assert before == {file: file.stat().st_mtime_ns for file in first.iterdir()}
    check(read(tmp_path / "out"), expected)


@pytest.fixture
def cluster(tmp_path):
    """A master and two workers, processes of their own; gives their URL and them."""
    import pyspark

    home = Path(pyspark.__file__).parent
    port = free_port()
    log = (tmp_path / "cluster.log").open("w")
    processes = []

    def start(name: str, *args):
        command = [home / "bin" / "spark-class", f"org.apache.spark.deploy.{name}"]
        environment = {
            **os.environ,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": sys.executable,
        }
        process = subprocess.Popen(
            [str(part) for part in [*command, *args]],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        processes.append(process)
        return process

    at = ("--host", "127.0.0.1")
    start("master.Master", *at, "--port", port, "--webui-port", free_port())
    url = f"spark://127.0.0.1:{port}"
    for number in range(2):
        own = ("--work-dir", tmp_path / f"work{number}", "--webui-port", free_port())
        start("worker.Worker", *at, *own, "--cores", 1, "--memory", "1g", url)

    def registered():
        text = (tmp_path / "cluster.log").read_text()
        return len(re.findall("Registering worker 127", text)) == 2

    wait_until(registered, 120, "two workers")
    yield url, processes[1:]
    for process in processes:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    log.close()


def test_a_cluster_that_loses_a_worker_answers_all(
    cluster, toy, notes, expected, tmp_path
):
    url, workers = cluster
    source = write_parquet(tmp_path / "in", notes, 8)
    args = ("--master", url, "--conf", "spark.executor.memory=512m")
    args += ("--conf", "spark.driver.host=127.0.0.1")
    job = submit(source, tmp_path / "out", toy, *args, job_args=("--files-a-part", "4"))
    try:
        started = time.monotonic()
        while not list((tmp_path / "out").glob("part=*")):
            assert job.poll() is None and time.monotonic() < started + 200
            time.sleep(0.05)
        os.killpg(workers[0].pid, signal.SIGKILL)
        finish(job)
    finally:
        job.kill()
    check(read(tmp_path / "out"), expected)
