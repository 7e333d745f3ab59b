"""Answers on a Spark cluster, by the code that answers over HTTP.

In Python, on a DataFrame::

    from negation_api.batch.spark import predict
    answers = predict(frame, Settings(model="./weights"))

As a job, from Parquet files or a table to Parquet::

    spark-submit --archives weights.zip#weights negation_api/batch/spark.py \\
        --input notes/ --output answers/ --model ./weights

``predict_note_nlp`` and ``--to note_nlp`` give rows of OMOP's NOTE_NLP.

Each Python worker loads the model once and keeps it. Rows come as Arrow batches
(``mapInArrow``), are sorted by length within a window, and go
back in their order. A row that cannot be answered comes back with ``errors``, the
same as the HTTP problem's, and without ``predictions``.
"""

import argparse
import hashlib
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import pyarrow
from pyspark import SparkFiles
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.functions import broadcast, col
from pyspark.sql.functions import max as max_of

PACKAGE = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    # spark-submit runs this file from wherever it was put, and its neighbours are not
    # to stand in for packages of their names.
    sys.path[0] = str(PACKAGE.parent)

from negation_api.batch import note_nlp  # noqa: E402
from negation_api.batch.columns import (  # noqa: E402
    MODEL,
    SPARK,
    Columns,
    arrow_schema,
    spark_schema,
)
from negation_api.batch.origin import code_digest  # noqa: E402
from negation_api.batch.tables import InputError, rows_of  # noqa: E402
from negation_api.batch.term_list import COMMON, read_list  # noqa: E402
from negation_api.contract.listed import finder_of_list, load_list  # noqa: E402
from negation_api.contract.reply import dump_model  # noqa: E402
from negation_api.scoring import Answered, Scorer  # noqa: E402
from negation_api.settings import Settings  # noqa: E402
from negation_api.text.terms import Finder  # noqa: E402

COLUMNS = ("id", "text", "entities")
TERMS_COLUMNS = ("id", "text")  # where entities are found
WINDOW_ROWS = 128  # sorted by length together
BATCH_ROWS = 1024  # what Spark hands to a Python worker at a time; bounds memory
TASK_ROWS = 2_000  # some minutes of BERT-base; computed again when its executor dies
FILES_A_PART = 64
PARTS_AT_ONCE = 2  # so that the last tasks of one part leave no core idle
CANNOT = 2  # exit code, as the command line's
SCHEMA = spark_schema(SPARK)
# Of NOTE_NLP; of a row that cannot be answered only the last two are there.
NOTE_NLP = {**note_nlp.COLUMNS, "id": SPARK["id"], "errors": SPARK["errors"]}
UNNUMBERED = "_answers"  # folder; Spark does not read what begins with a line


def load_model(settings: Settings):
    """Load the classifier, once for the life of a Python worker."""
    # Imported late because only executors need torch.
    from negation_api.model.classifier import load_classifier

    # What --archives brings lies in the working directory of an executor, but not in
    # that of local[N].
    unpacked = SparkFiles.get(settings.model)
    if Path(unpacked).is_dir():
        settings = replace(settings, model=unpacked)
    return load_classifier(settings)


def predict(
    frame: DataFrame,
    settings: Settings = Settings(),
    load: Callable[[Settings], object] = load_model,
    terms: Sequence | str | None = None,
    **options: bool,
) -> DataFrame:
    """Answer every row of *frame*.

    :param frame: with columns ``id`` (string or whole number), ``text`` and
        ``entities``, an array of structs with ``start``, ``end`` and perhaps ``id``,
        offsets in Unicode code points, half-open. Others are left out.
    :param settings: as those of the service; ``model`` is a path on the executors.
    :param load: gives the classifier; called in the Python workers.
    :param terms: sought in place of ``entities``, as in a request: strings, or dicts
        of ``term`` and ``code``, or ``"common"``.
    :param options: ``explain``, ``fhir``: whether the answers are to hold these.
    :return: a row for each, with the columns of ``SCHEMA``, in no promised order.
    :raises Invalid: for terms that cannot be sought.
    """
    make_finder = _finder_maker(terms, settings)

    def answer(batches: Iterable[pyarrow.RecordBatch]) -> Iterator:
        scorer = Scorer(load(settings), settings, make_finder(), **options)
        model = dump_model(scorer.classifier)
        return _answer(batches, scorer, SPARK, lambda *pair: [_row(*pair, model)])

    return frame.select(*_columns(terms)).mapInArrow(answer, SCHEMA)


def _finder_maker(terms, settings: Settings) -> Callable[[], Finder | None]:
    """Make what gives the finder of *terms* in a Python worker, where it is kept.

    Its automaton cannot be pickled.
    """
    listed = None if terms is None else load_list(terms, settings)
    return lambda: None if listed is None else finder_of_list(listed)


def _columns(terms) -> tuple[str, ...]:
    return COLUMNS if terms is None else TERMS_COLUMNS


def predict_note_nlp(
    frame: DataFrame,
    settings: Settings = Settings(),
    load: Callable[[Settings], object] = load_model,
    terms: Sequence | str | None = None,
) -> DataFrame:
    """Answer every entity of *frame* with a row of OMOP's NOTE_NLP.

    :param frame, terms: as for :func:`predict`; ``id`` is the note's whole number.
    :return: the columns of ``NOTE_NLP``: a row for each entity, its ``note_nlp_id``
        still to be given; for each row that cannot be answered one that has ``id`` and
        ``errors`` alone.
    """
    time = datetime.now(timezone.utc).replace(microsecond=0, tzinfo=None)
    make_finder = _finder_maker(terms, settings)

    def answer(batches: Iterable[pyarrow.RecordBatch]) -> Iterator:
        scorer = Scorer(load(settings), settings, make_finder(), note_nlp.check)
        system = note_nlp.system_of(dump_model(scorer.classifier))

        def rows(row, result) -> Iterable[dict]:
            if isinstance(result, Answered):
                return note_nlp.rows(result, system, time)
            return [{**_named(row), "errors": result.errors}]

        return _answer(batches, scorer, NOTE_NLP, rows)

    columns = _columns(terms)
    return frame.select(*columns).mapInArrow(answer, spark_schema(NOTE_NLP))


def _answer(
    batches: Iterable[pyarrow.RecordBatch],
    scorer: Scorer,
    columns: Columns,
    rows_of_result: Callable[[object, object], Iterable[dict]],
) -> Iterator:
    """Runs in a Python worker, once for each partition."""
    schema = arrow_schema(pyarrow, columns)
    for batch in batches:
        for first in range(0, len(batch), WINDOW_ROWS):
            rows = list(rows_of(batch.slice(first, WINDOW_ROWS)))
            pairs = zip(rows, scorer.score(rows), strict=True)
            answers = [answer for pair in pairs for answer in rows_of_result(*pair)]
            yield pyarrow.RecordBatch.from_pylist(answers, schema=schema)


def _named(row) -> dict:
    given = row.get("id") if isinstance(row, dict) else None
    return {"id": None if given is None else str(given)}


def _row(row, result, model: dict) -> dict:
    answer = {**_named(row), "model": model}
    if not isinstance(result, Answered):
        return {**answer, "errors": result.errors}
    predictions = result.dump()["predictions"]
    for prediction in predictions:
        for key in prediction.keys() & {"id", "code"}:
            prediction[key] = str(prediction[key])
    return {**answer, "predictions": predictions}


# --- the job --------------------------------------------------------------------


class JobError(ValueError):
    """The job cannot be done as it is asked for; the message is one line."""


@dataclass(frozen=True)
class Part:
    """Some files of the input, answered and committed together.

    :ivar name: a digest of the files as they are now, and of all else that the answers
        depend on: a part that is there under its name is the one that is wanted.
    """

    name: str
    files: Sequence[str]

    @classmethod
    def of(cls, files: Sequence[tuple[str, int, float]], *others) -> "Part":
        """Make a part of *files*, each a path, a size, a time of change.

        :param others: what the answers depend on beside files and code.
        """
        digest = hashlib.blake2b(digest_size=8)
        digest.update(repr((code_digest(), *others, files)).encode())
        return cls(digest.hexdigest(), [path for path, *_ in files])


def identify(
    spark: SparkSession,
    settings: Settings,
    load: Callable[[Settings], object] = load_model,
) -> Row:
    """Ask an executor which model it has: what stands in ``model`` of each answer.

    Its path may hold another one tomorrow.
    """

    def describe(batches: Iterable[pyarrow.RecordBatch]) -> Iterator:
        for _ in batches:
            model = dump_model(load(settings))
            yield pyarrow.RecordBatch.from_pylist([model], arrow_schema(pyarrow, MODEL))

    (model,) = (
        spark.range(1, numPartitions=1)
        .mapInArrow(describe, spark_schema(MODEL))
        .collect()
    )
    return model


def plan(
    source: DataFrame,
    settings: Settings,
    files_a_part: int,
    model: Row,
    **options: bool,
) -> list[Part]:
    """Deal the files of *source* out to parts.

    :param model: as :func:`identify` gives it.
    :param options: as for :func:`predict`.
    :raises JobError: when it does not lie in files, such as a view of a join.
    """
    file = col("_metadata")
    changed = file.file_modification_time.cast("double")  # seconds, in no time zone
    fields = file.file_path, file.file_size, changed
    try:
        rows = source.select(*fields).distinct().collect()
    except AnalysisException:
        raise JobError("--input must be files, or a table that lies in files") from None
    files = sorted(map(tuple, rows))
    starts = range(0, len(files), files_a_part)
    shares = [files[start : start + files_a_part] for start in starts]
    return [Part.of(share, settings, model, options) for share in shares]


class Output:
    """The job's directory, on whatever file system Spark knows."""

    def __init__(self, spark: SparkSession, path: str):
        self._path = spark.sparkContext._jvm.org.apache.hadoop.fs.Path
        self.path = path.rstrip("/")
        hadoop = spark.sparkContext._jsc.hadoopConfiguration()
        self._system = self._path(self.path).getFileSystem(hadoop)

    def part(self, part: Part) -> str:
        """Give the directory of *part*."""
        return f"{self.path}/part={part.name}"

    def is_done(self, part: Part) -> bool:
        """Tell whether an earlier run committed *part*."""
        return self._system.exists(self._path(f"{self.part(part)}/_SUCCESS"))

    def drop_others(self, parts: Sequence[Part], overwrite: bool) -> None:
        """Remove what no part of this job has written.

        :raises JobError: when there is such, and it is not to be overwritten.
        """
        found = self._system.globStatus(self._path(f"{self.path}/part=*"))
        names = {f"part={part.name}" for part in parts}
        others = [
            s.getPath() for s in found or () if s.getPath().getName() not in names
        ]
        if others and not overwrite:
            raise JobError(
                f"{self.path}: holds {len(others)} parts of another input, model or"
                " version; --overwrite removes them"
            )
        if others:
            self.begin()
        for path in others:
            self._system.delete(path, True)

    def begin(self) -> None:
        """Say that not all parts are there; an earlier job may have said otherwise."""
        self._system.delete(self._path(f"{self.path}/_SUCCESS"), False)

    def finish(self) -> None:
        """Say that all parts are there, as Spark does of one."""
        self._system.create(self._path(f"{self.path}/_SUCCESS"), True).close()


def run(
    source: DataFrame,
    output: Output,
    parts: Sequence[Part],
    answer: Callable[[DataFrame], DataFrame],
    task_rows: int,
    columns: Sequence[str] = COLUMNS,
) -> None:
    """Answer the *parts* of *source* that no earlier run has finished."""

    def compute(part: Part) -> None:
        rows = source.where(col("_metadata.file_path").isin(*part.files))
        rows = rows.select(*columns)
        # Rows cost seconds, not bytes: however few and large the files are, all cores
        # get their share.
        num_tasks = -(-rows.count() // task_rows)
        target = answer(rows.repartition(max(1, num_tasks))).write.mode("overwrite")
        target.parquet(output.part(part))

    missing = [part for part in parts if not output.is_done(part)]
    if missing:
        output.begin()
    pool = ThreadPoolExecutor(PARTS_AT_ONCE)
    try:
        list(pool.map(compute, missing))
    finally:
        pool.shutdown(cancel_futures=True)
    output.finish()


def write_tables(
    spark: SparkSession, answers: Output, output: Output, first_id: int
) -> None:
    """Write NOTE_NLP, numbered from *first_id* on, and the rejects, of all *answers*.

    A row's number is known by where it lies, so it is the same in whatever task.

    :raises JobError: when there are more rows than numbers.
    """
    found = spark.read.schema(spark_schema(NOTE_NLP)).parquet(answers.path)
    found = found.select("*", "_metadata.file_path", "_metadata.row_index")
    sizes = found.groupBy("file_path").agg(max_of("row_index") + 1).collect()
    starts, end = [], first_id
    for path, size in sorted(map(tuple, sizes)):
        starts.append((path, end))
        end += size
    if end - 1 > note_nlp.MAX_INTEGER:
        allowed = note_nlp.MAX_INTEGER
        raise JobError(f"note_nlp_id is at most {allowed}; needed is {end - 1}")
    starts = spark.createDataFrame(starts, "file_path string, start long")
    number = (col("start") + col("row_index")).cast("int")
    rows = found.where("errors is null").join(broadcast(starts), "file_path")
    rows = rows.withColumn("note_nlp_id", number).select(*note_nlp.COLUMNS)
    rows.write.mode("overwrite").parquet(f"{output.path}/note_nlp")
    rejects = found.where("errors is not null").select("id", "errors")
    rejects.write.mode("overwrite").parquet(f"{output.path}/rejects")
    output.finish()


@contextmanager
def _session() -> Iterator[SparkSession]:
    """Give the session of spark-submit, with this package sent to the executors."""
    builder = SparkSession.builder.appName("negation_api")
    batch_rows = "spark.sql.execution.arrow.maxRecordsPerBatch"
    spark = builder.config(batch_rows, BATCH_ROWS).getOrCreate()
    try:
        with tempfile.TemporaryDirectory() as directory:
            if PACKAGE.is_dir():  # otherwise it is in what --py-files brought
                spark.sparkContext.addPyFile(_zip_package(directory))
            yield spark
    finally:
        spark.stop()


def _zip_package(directory: str) -> str:
    path = Path(directory) / "negation_api.zip"
    with zipfile.ZipFile(path, "w") as file:
        for module in sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*_terms.txt")]):
            file.write(module, module.relative_to(PACKAGE.parent))
    return str(path)


def read(spark: SparkSession, name: str, columns: Sequence[str] = COLUMNS) -> DataFrame:
    """Read a table, or Parquet files if *name* is no table's.

    :raises JobError: when it is neither, or lacks a column.
    """
    try:
        is_table = "/" not in name and spark.catalog.tableExists(name)
        source = spark.table(name) if is_table else spark.read.parquet(name)
    except AnalysisException as error:
        condition = error.getCondition() or "unreadable"
        raise JobError(f"{name}: neither a table nor Parquet ({condition})") from None
    missing = [column for column in columns if column not in source.columns]
    if missing:
        raise JobError(f"{name}: no column {missing[0]}; needed: {', '.join(columns)}")
    return source


def _read_terms(name: str | None, settings: Settings) -> list[dict] | str | None:
    """Read the list of terms, on the driver, as :func:`predict` takes it."""
    if name in (None, COMMON):
        return name
    listed = read_list(name, settings.max_entity_chars)
    terms = [{"term": term.written, "code": term.code} for term in listed]
    return [{k: v for k, v in term.items() if v is not None} for term in terms]


def arguments(argv: list[str]) -> argparse.Namespace:
    """Read what the job is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--input", required=True, help="Parquet files, or a table that lies in files")
    add("--output", required=True, help="directory for Parquet files, the job's own")
    add("--model", required=True, help="directory on the executors")
    add("--to", default="predictions", choices=("predictions", "note_nlp"))
    add("--first-id", type=int, default=1, help="note_nlp_id of the first row")
    add("--axes", default="on", choices=("on", "off"), help="answer whose and when")
    add("--early-exit", default="on", choices=("on", "off"), help="leave when settled")
    add("--precision", default="fp32", choices=("fp32", "int8"))
    add("--explain", action="store_true", help="give the sentence that was read")
    add("--fhir", action="store_true", help="give FHIR's word for each label")
    add("--terms", help="file of terms that are sought, or: common")
    add("--files-a-part", type=int, default=FILES_A_PART, help="committed together")
    add("--rows-a-task", type=int, default=TASK_ROWS, help="computed by one core")
    add("--overwrite", action="store_true", help="remove parts of another input")
    args = parser.parse_args(argv)
    if args.to == "note_nlp" and (args.explain or args.fhir):
        parser.error("note_nlp has no columns for --explain and --fhir")
    if args.first_id < 0 or (args.first_id != 1 and args.to != "note_nlp"):
        parser.error("--first-id is of --to note_nlp, and at least 0")
    return args


def main(argv: list[str], load=load_model) -> int:
    """Run as a job.

    :param load: as for :func:`predict`.
    :return: the exit code.
    """
    args = arguments(argv)
    with _session() as spark:
        try:
            do(spark, args, load)
        except (JobError, InputError) as error:
            print(f"negation_api: {error}", file=sys.stderr)
            return CANNOT
    return 0


def do(spark: SparkSession, args: argparse.Namespace, load=load_model) -> None:
    """Do the job.

    :raises JobError: when it cannot be done.
    """
    settings = Settings(
        model=args.model,
        precision=args.precision,
        axes=args.axes == "on",
        early_exit=args.early_exit == "on",
    )
    options = {"explain": args.explain, "fhir": args.fhir}
    terms = _read_terms(args.terms, settings)
    source = read(spark, args.input, _columns(terms))
    model = identify(spark, settings, load)
    depends = {**options, "terms": repr(terms)} if terms else options
    parts = plan(source, settings, args.files_a_part, model, **depends)
    output = Output(spark, args.output)
    if args.to == "note_nlp":
        answers = Output(spark, f"{output.path}/{UNNUMBERED}")
        answer = partial(predict_note_nlp, settings=settings, load=load, terms=terms)
    else:
        answers = output
        answer = partial(predict, settings=settings, load=load, terms=terms, **options)
    answers.drop_others(parts, args.overwrite)
    if answers is not output:
        output.begin()
    run(source, answers, parts, answer, args.rows_a_task, _columns(terms))
    if answers is not output:
        write_tables(spark, answers, output, args.first_id)


if __name__ == "__main__":
    # By its own name, so that executors find its functions in the package.
    from negation_api.batch import spark

    sys.exit(spark.main(sys.argv[1:]))
