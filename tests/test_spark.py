"""Answers on Spark: those of the command line, however the rows are spread."""

import json
import os
import re
import shlex
import shutil
import signal
import time
from pathlib import Path

import pytest

from cluster import QUICK, Cluster, submit
from forked import Command
from negation_api.contract.labels import AXES
from negation_api.settings import Settings
from notes import make_notes, write_jsonl

NUM_NOTES = 1_500
BAD = [
    {"id": "bad-1", "text": "No pain.", "entities": [{"start": 3, "end": 99}]},
    {"id": "bad-2", "text": " ", "entities": [{"start": 5, "end": 2}]},
]

SETTINGS = Settings(model="./weights")
DOCS = Path(__file__).parents[1] / "docs"

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def weights(toy_model, tmp_path_factory) -> str:
    """The toy model as an archive."""
    path = tmp_path_factory.mktemp("archive") / "toy"
    return shutil.make_archive(str(path), "zip", toy_model)


@pytest.fixture(scope="module")
def notes() -> list[dict]:
    return [*make_notes(NUM_NOTES), *BAD]


@pytest.fixture(scope="module")
def expected(toy_model, notes, tmp_path_factory) -> dict[str, dict]:
    """What the command line answers, by the note's id."""
    directory = tmp_path_factory.mktemp("cli")
    source, output = directory / "in.jsonl", directory / "out.jsonl"
    write_jsonl(source, notes)
    env = {"MODEL": str(toy_model)}
    assert Command(("predict", source, "-o", output), env=env).finish()[0] == 3
    rejects = Path(f"{output}.rejects.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in output.read_text().splitlines() + rejects]
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
            assert (one["start"], one["end"]) == (other["start"], other["end"])
            assert one["holds"] is other["holds"]
            for a, b in ((one, other), *((one[x], other[x]) for x in AXES)):
                assert a["label"] == b["label"]
                assert a["scores"] == pytest.approx(b["scores"], abs=1e-4)


def paths(source: Path, output: Path, model, *others) -> tuple:
    return "--input", source, "--output", output, "--model", model, *others


def test_a_killed_job_goes_on_with_other_cores(toy_model, notes, expected, tmp_path):
    source = write_parquet(tmp_path / "in", notes, 12)
    output = tmp_path / "out"
    job_args = paths(source, output, toy_model, "--files-a-part", "1")
    job = submit("--master", "local[2]", job_args=job_args)
    wait_for_parts(job, output, 1)
    os.kill(job.pid, signal.SIGKILL)
    job.communicate()
    before = {file: file.stat().st_mtime_ns for file in output.glob("part=*/_SUCCESS")}
    assert 1 <= len(before) < 12
    finish(submit("--master", "local[1]", job_args=job_args))
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())
    assert (output / "_SUCCESS").exists()
    check(read(output), expected)


def wait_for_parts(job, output: Path, number: int) -> None:
    started = time.monotonic()
    while len(list(output.glob("part=*/_SUCCESS"))) < number:
        assert job.poll() is None and time.monotonic() < started + 200
        time.sleep(0.05)


def as_shown(**places) -> tuple[list[str], list[str]]:
    """The options and the arguments of the job in docs/bulk.md, with our *places*."""
    page = (DOCS / "bulk.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^spark-submit (.*?)^```", page, re.DOTALL | re.MULTILINE)
    shown = {
        "notes": "s3://bucket/notes/",
        "answers": "s3://bucket/answers/",
        "archive": "weights.zip",
    }
    for name, place in places.items():
        assert command.count(shown[name]) == 1
        command = command.replace(shown[name], str(place))
    words = shlex.split(command.replace("\\\n", ""))
    job = words.index("negation_api/batch/spark.py")
    return words[:job], words[job + 1 :]


def test_a_cluster_that_loses_a_worker_answers_all(weights, notes, expected, tmp_path):
    """Executors have neither the model nor the package but for what the job sends."""
    source = write_parquet(tmp_path / "in", notes, 8)
    output = tmp_path / "out"
    options, job_args = as_shown(notes=source, answers=output, archive=weights)
    job_args += ["--files-a-part", "2"]
    (tmp_path / "driver").mkdir()
    with Cluster(tmp_path) as cluster:
        job = submit(
            *cluster.args, *options, job_args=job_args, cwd=tmp_path / "driver"
        )
        try:
            wait_for_parts(job, output, 1)
            cluster.kill(0)
            assert not (output / "_SUCCESS").exists()
            finish(job)
        finally:
            job.kill()
    check(read(output), expected)


# --- in this process ------------------------------------------------------------


@pytest.fixture(scope="module")
def spark(weights, tmp_path_factory):
    """A session of two cores, with the toy model as an archive."""
    from pyspark.sql import SparkSession

    from cluster import environment

    before = dict(os.environ)
    os.environ.update(environment())
    builder = SparkSession.builder.master("local[2]")
    warehouse = str(tmp_path_factory.mktemp("warehouse"))
    # Started once and soon done: not worth the JVM's best compiler.
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"{' '.join(QUICK)} pyspark-shell"
    for name, value in {
        "spark.ui.enabled": "false",
        "spark.archives": f"{weights}#weights",
        "spark.sql.warehouse.dir": warehouse,
    }.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def job(spark):
    """The module, which needs pyspark."""
    from negation_api.batch import spark as job

    return job


def test_a_python_worker_loads_the_model_once_and_uses_one_thread(
    spark, job, notes, expected, tmp_path
):
    from negation_api.settings import Settings

    source = write_parquet(tmp_path / "in", notes, 6)
    log = tmp_path / "loads"

    def load(settings):
        import torch

        from negation_api.batch.spark import load_model
        from negation_api.model.classifier import load_classifier

        classifier = load_model(settings)
        misses = load_classifier.cache_info().misses
        with log.open("a") as file:
            file.write(f"{os.getpid()} {misses} {torch.get_num_threads()}\n")
        return classifier

    frame = spark.read.parquet(str(source)).repartition(12)
    answers = job.predict(frame, Settings(model="./weights"), load)
    check([row.asDict(recursive=True) for row in answers.collect()], expected)
    uses = [line.split() for line in log.read_text().splitlines()]
    assert len(uses) == 12
    assert len({pid for pid, *_ in uses}) <= 2
    assert {(misses, threads) for _, misses, threads in uses} == {("1", "1")}


def test_a_row_that_cannot_be_read_is_a_reject(spark, job):
    from negation_api.settings import Settings

    frame = spark.sql("""
        select 7L as id, cast(unhex('FF') as string) as text, array(struct(0L as start,
            1L as end, cast(null as string) as text)) as entities
        union all select null, null, null
        union all select 8L, 'No pain.', array(struct(3L, 7L, 'gout'))
        union all select 9L, 'No pain.', array(struct(3L, 7L, 'pain'))
    """)
    answers = job.predict(frame, Settings(model="./weights"), explain=True).collect()
    details = [error.detail for row in answers for error in row.errors or ()]
    assert sorted(details) == [
        "Must hold exactly one of: sentence, text, documents; given 0.",
        "Not UTF-8 at byte 0.",
        "Stands there in none of: codepoint, utf16, utf8.",
    ]
    (answered,) = (row for row in answers if row.id == "9")
    assert answered.model.name == "weights" and len(answered.predictions) == 1
    (prediction,) = answered.predictions
    assert prediction.context == "No [entity] pain [entity]." and not prediction.fhir


def test_the_python_that_pages_show_answers_tables(spark):
    entities = "array(named_struct('start', 3L, 'end', 7L)) as entities"
    spark.sql(f"""
        create temporary view notes as
        select 7L as id, 'No pain.' as text, {entities}
    """)
    spark.sql("create database cdm")
    spark.sql(f"""
        create table cdm.note using parquet as
        select 7L as note_id, 'No pain.' as note_text, {entities}
    """)
    rows = []
    for page in ("bulk.md", "omop.md"):
        text = (DOCS / page).read_text(encoding="utf-8")
        (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        names = {"spark": spark}
        exec(code, names)
        rows += names["answers"].collect()
    answer, row = rows
    assert [(each.start, each.end) for each in answer.predictions] == [(3, 7)]
    assert (row.note_id, row.lexical_variant) == (7, "pain")
    assert row.note_nlp_id is row.errors is None
    spark.catalog.dropTempView("notes")  # or it hides another test's table


def test_terms_stand_in_for_entities(spark, job):
    frame = spark.sql("select 1L as id, 'No fevers, SOB.' as text, 7 as other")
    terms = [{"term": "fever", "code": 386661006}, "SOB"]
    (answer,) = job.predict(frame, SETTINGS, terms=terms).collect()
    found = [(each.start, each.term, each.code) for each in answer.predictions]
    assert found == [(3, "fever", "386661006"), (11, "SOB", None)]
    (answer,) = job.predict(frame, SETTINGS, terms="common").collect()
    assert [each.term for each in answer.predictions][0] == "fever"


def test_a_model_beside_is_named_in_each_answer(spark, job, labels_model):
    settings = Settings(model=str(labels_model))
    model = job.identify(spark, settings)
    frame = spark.sql("""
        select 'a' as id, 'Gout.' as text,
            array(named_struct('start', 0L, 'end', 4L, 'section', 'FHx')) as entities
    """)
    (answer,) = job.predict(frame, settings, explain=True).collect()
    assert answer.model == model and model.axes.name.startswith("negation-api")
    (prediction,) = answer.predictions
    assert prediction.section == "FHx" and prediction.holds is not None
    alone = job.identify(spark, Settings(model=str(labels_model), axes=False))
    assert alone.axes is None and alone.sha256 == model.sha256


def run(job, spark, source: str, output: Path, **options) -> None:
    """Do what the job's main does, in this session."""
    source = job.read(spark, source)
    model = job.identify(spark, SETTINGS)
    parts = job.plan(source, SETTINGS, options.get("files_a_part", 2), model)
    place = job.Output(spark, str(output))
    place.drop_others(parts, options.get("overwrite", False))
    rows_a_task = options.get("rows_a_task", 1_000)
    job.run(source, place, parts, lambda rows: job.predict(rows, SETTINGS), rows_a_task)


@pytest.mark.parametrize("num_files, rows_a_task", [(1, 150), (5, 5_000)])
def test_answers_are_the_command_line_s_however_rows_are_dealt_out(
    spark, job, notes, expected, tmp_path, num_files, rows_a_task
):
    source = write_parquet(tmp_path / "in", notes, num_files)
    run(job, spark, str(source), tmp_path / "out", rows_a_task=rows_a_task)
    check(read(tmp_path / "out"), expected)
    num_tasks = max(-(-num_files // 2), -(-len(notes) // rows_a_task))
    assert len(list((tmp_path / "out").glob("part=*/*.parquet"))) == num_tasks


def test_a_restarted_job_computes_only_what_is_missing(
    spark, job, notes, expected, tmp_path
):
    source, output = write_parquet(tmp_path / "in", notes, 3), tmp_path / "out"
    run(job, spark, str(source), output, files_a_part=1)
    first, second, third = sorted(output.glob("part=*"))
    assert (output / "_SUCCESS").exists()
    before = {file: file.stat().st_mtime_ns for file in first.iterdir()}
    (second / "_SUCCESS").unlink()  # as when it was killed while it wrote
    (third / "_SUCCESS").unlink()
    next(third.glob("*.parquet")).unlink()
    run(job, spark, str(source), output, files_a_part=1)
    assert before == {file: file.stat().st_mtime_ns for file in first.iterdir()}
    assert (output / "_SUCCESS").exists()
    check(read(output), expected)


def test_an_output_in_the_making_does_not_look_finished(spark, job, notes, tmp_path):
    """Also when it was: new files came, or it is overwritten."""
    source, output = write_parquet(tmp_path / "in", notes, 2), tmp_path / "out"
    run(job, spark, str(source), output)
    write_parquet(tmp_path / "more", notes, 1)
    next((tmp_path / "more").glob("*.parquet")).rename(source / "z.parquet")

    def fail(rows):
        raise InterruptedError

    for overwrite in (False, True):
        (output / "_SUCCESS").touch()
        frame = job.read(spark, str(source))
        files_a_part = 2 - overwrite
        model = job.identify(spark, SETTINGS)
        parts = job.plan(frame, SETTINGS, files_a_part, model)
        place = job.Output(spark, str(output))
        place.drop_others(parts, overwrite)
        with pytest.raises(InterruptedError):
            job.run(frame, place, parts, fail, 1_000)
        assert not (output / "_SUCCESS").exists()


def test_parts_of_another_model_under_the_same_path_are_not_kept(
    spark, job, notes, tmp_path
):
    from pyspark.sql import Row

    frame = job.read(spark, str(write_parquet(tmp_path / "in", notes, 1)))
    model = job.identify(spark, SETTINGS)
    assert len(model.sha256) == 64 and model.precision == "fp32"
    other = Row(**{**model.asDict(), "sha256": "0" * 64})
    names = {job.plan(frame, SETTINGS, 1, each)[0].name for each in (model, other)}
    assert len(names) == 2


def test_rows_of_note_nlp_are_the_command_line_s(spark, job, toy_model, tmp_path):
    notes = [note | {"id": str(n)} for n, note in enumerate(make_notes(150))]
    notes += [BAD[0], notes[0] | {"id": "n1"}]
    write_parquet(tmp_path / "in", notes, 3)
    asked = paths(tmp_path / "in", tmp_path / "out", toy_model, "--to", "note_nlp")
    asked = [str(each) for each in (*asked, "--first-id", 70, "--files-a-part", 2)]
    job.do(spark, job.arguments(asked))
    rows = tables(tmp_path / "out" / "note_nlp")
    rejects = tables(tmp_path / "out" / "rejects")
    pointers = {row["id"]: row["errors"][0]["pointer"] for row in rejects}
    assert pointers == {"bad-1": "#/entities/0/end", "n1": "#/id"}
    numbers = [row.pop("note_nlp_id") for row in rows]
    assert len(set(numbers)) == len(numbers)
    assert 70 <= min(numbers) and max(numbers) < 70 + len(rows) + len(rejects)
    source = write_jsonl(tmp_path / "in.jsonl", notes)
    command = "predict", source, "--to", "note_nlp", "-o", tmp_path / "cli.parquet"
    assert Command(command, env={"MODEL": str(toy_model)}).finish()[0] == 3
    wanted = tables(tmp_path / "cli.parquet")
    place = lambda row: (row["note_id"], int(row["offset"]))  # noqa: E731
    for row in wanted:
        del row["note_nlp_id"]
    for row in (*rows, *wanted):
        assert row.pop("nlp_date") == row.pop("nlp_datetime").date()
    assert sorted(rows, key=place) == sorted(wanted, key=place)
    before = {file: file.stat() for file in (tmp_path / "out").glob("_answers/*/*")}
    assert (tmp_path / "out" / "_SUCCESS").exists() and len(before) > 4
    job.do(spark, job.arguments(asked))  # numbers anew what is there
    assert all(file.stat() == stat for file, stat in before.items())
    again = [row["note_nlp_id"] for row in tables(tmp_path / "out" / "note_nlp")]
    assert sorted(again) == sorted(numbers)
    with pytest.raises(job.JobError, match="note_nlp_id is at most 2147483647"):
        job.do(spark, job.arguments([*asked, "--first-id", str(2**31 - 9)]))
    assert not (tmp_path / "out" / "_SUCCESS").exists()


def tables(path: Path) -> list[dict]:
    """Read a file of Parquet, or those of a directory, as the table has it."""
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path).to_pylist()


@pytest.mark.parametrize(
    "others, message",
    [
        (["--to", "note_nlp", "--fhir"], "note_nlp has no columns for --explain"),
        (["--first-id", "7"], "--first-id is of --to note_nlp"),
        (["--to", "note_nlp", "--first-id", "-7"], "--first-id is of --to note_nlp"),
    ],
)
def test_what_note_nlp_has_no_place_for_is_refused(job, others, message, capsys):
    with pytest.raises(SystemExit):
        job.arguments([*paths("in", "out", "model"), *others])
    assert message in capsys.readouterr().err


def test_a_table_is_read_and_parts_of_another_input_are_not_mixed(
    spark, job, notes, expected, tmp_path
):
    source = write_parquet(tmp_path / "in", notes, 4)
    frame = spark.read.parquet(str(source))
    frame.repartition(3).write.format("orc").saveAsTable("notes")
    run(job, spark, "notes", tmp_path / "out")
    check(read(tmp_path / "out"), expected)
    with pytest.raises(job.JobError, match="holds 2 parts of another input"):
        run(job, spark, str(source), tmp_path / "out")
    run(job, spark, str(source), tmp_path / "out", overwrite=True)
    check(read(tmp_path / "out"), expected)


def test_what_is_no_input_is_told_in_one_line(spark, job, tmp_path):
    spark.range(3).write.parquet(str(tmp_path / "numbers"))
    spark.sql("select 1L as id, 'a' as text, 2 as entities").createTempView("made_up")
    with pytest.raises(job.JobError, match="nowhere: neither a table nor Parquet"):
        job.read(spark, "nowhere")
    with pytest.raises(job.JobError, match="numbers: no column text"):
        job.read(spark, str(tmp_path / "numbers"))
    with pytest.raises(job.JobError, match="a table that lies in files"):
        run(job, spark, "made_up", tmp_path / "out")
