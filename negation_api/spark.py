"""Answers on a Spark cluster, by the code that answers over HTTP.

In Python, on a DataFrame::

    from negation_api.spark import predict
    answers = predict(frame, Settings(model="./weights"))

As a job, from Parquet to Parquet::

    spark-submit --archives weights.zip#weights negation_api/spark.py \\
        --input notes/ --output answers/ --model ./weights

Each Python worker loads the model once and keeps it. Rows come as Arrow batches
(``mapInArrow``, which needs no pandas), are sorted by length within a batch, and go
back in their order. A row that cannot be answered comes back with ``errors``, the
same as the HTTP problem's, and without ``predictions``.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow
from pyspark.sql import DataFrame, SparkSession

# spark-submit runs this file itself, from wherever its archive was put.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from negation_api.offline import Answered, Scorer  # noqa: E402
from negation_api.settings import Settings  # noqa: E402
from negation_api.tables import without_nulls  # noqa: E402

COLUMNS = ("id", "text", "entities")
ROWS_A_BATCH = 512  # sorted by length together; bounds memory
FILES_A_PART = 64
LABELS = ("PRESENT", "ABSENT", "POSSIBLE")
SCHEMA = """
    id string,
    predictions array<struct<
        id: string, start: long, end: long, label: string, score: double,
        scores: struct<PRESENT: double, ABSENT: double, POSSIBLE: double>>>,
    errors array<struct<pointer: string, detail: string>>
"""


def predict(frame: DataFrame, settings: Settings = Settings()) -> DataFrame:
    """Answer every row of *frame*.

    :param frame: with columns ``id`` (string or whole number), ``text`` and
        ``entities``, an array of structs with ``start``, ``end`` and perhaps ``id``,
        offsets in Unicode code points, half-open. Others are left out.
    :param settings: as those of the service; ``model`` is a path on the executors.
    :return: a row for each, with the columns of ``SCHEMA``, in no promised order.
    """
    chosen = frame.select(*COLUMNS)

    def answer(batches: Iterable[pyarrow.RecordBatch]) -> Iterator:
        return _answer(batches, settings)

    return chosen.mapInArrow(answer, SCHEMA)


def _answer(batches: Iterable[pyarrow.RecordBatch], settings: Settings) -> Iterator:
    """Runs in a Python worker, once for each partition."""
    from negation_api.model import load_classifier  # kept for the worker's life

    scorer = Scorer(load_classifier(settings), settings)
    for batch in batches:
        for first in range(0, len(batch), ROWS_A_BATCH):
            rows = batch.slice(first, ROWS_A_BATCH).to_pylist()
            results = scorer.score([without_nulls(row) for row in rows])
            answers = [_row(row, result) for row, result in zip(rows, results)]
            yield pyarrow.RecordBatch.from_pylist(answers, schema=_arrow_schema())


def _row(row: dict, result) -> dict:
    named = {"id": None if row["id"] is None else str(row["id"])}
    if not isinstance(result, Answered):
        return {**named, "predictions": None, "errors": result.errors}
    predictions = result.dump().get("predictions", [])
    for prediction in predictions:
        if "id" in prediction:
            prediction["id"] = str(prediction["id"])
    return {**named, "predictions": predictions, "errors": None}


def _arrow_schema() -> pyarrow.Schema:
    text, number = pyarrow.string(), pyarrow.float64()
    scores = pyarrow.struct([(label, number) for label in LABELS])
    prediction = [("id", text), ("start", pyarrow.int64()), ("end", pyarrow.int64())]
    prediction += [("label", text), ("score", number), ("scores", scores)]
    error = [("pointer", text), ("detail", text)]
    return pyarrow.schema(
        [
            ("id", text),
            ("predictions", pyarrow.list_(pyarrow.struct(prediction))),
            ("errors", pyarrow.list_(pyarrow.struct(error))),
        ]
    )


# --- the job --------------------------------------------------------------------


def parts(files: Sequence[str], size: int) -> dict[str, list[str]]:
    """Deal *files* out to parts of *size*, named after what they hold.

    >>> sorted(map(len, parts(["a", "b", "c"], 2).values()))
    [1, 2]
    """
    files = sorted(files)
    groups = [files[first : first + size] for first in range(0, len(files), size)]
    return {
        hashlib.blake2b("\n".join(group).encode(), digest_size=8).hexdigest(): group
        for group in groups
    }


def run(spark: SparkSession, source: DataFrame, output: str, settings, size: int):
    """Answer *source* part by part; what an earlier run finished is passed over.

    A part is a number of the source's files, and finished when Spark has put
    ``_SUCCESS`` into its directory, ``OUTPUT/part=NAME``.
    """
    for name, files in parts(source.inputFiles(), size).items():
        target = f"{output}/part={name}"
        if _exists(spark, f"{target}/_SUCCESS"):
            continue
        frame = spark.read.schema(source.schema).parquet(*files)
        predict(frame, settings).write.mode("overwrite").parquet(target)


def _exists(spark: SparkSession, path: str) -> bool:
    """Tell whether a file is there, on whatever file system Spark knows."""
    jvm = spark.sparkContext._jvm
    place = jvm.org.apache.hadoop.fs.Path(path)
    system = place.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    return system.exists(place)


def main(argv: list[str]) -> None:
    """Run as a job."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", required=True, help="Parquet files, or a table")
    parser.add_argument("--output", required=True, help="directory of Parquet files")
    parser.add_argument("--model", default="embedded", help="path on the executors")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "int8"))
    parser.add_argument("--files-a-part", type=int, default=FILES_A_PART)
    args = parser.parse_args(argv)
    spark = SparkSession.builder.appName("negation_api").getOrCreate()
    is_table = spark.catalog.tableExists(args.input) if "/" not in args.input else False
    source = spark.table(args.input) if is_table else spark.read.parquet(args.input)
    settings = Settings(model=args.model, precision=args.precision)
    run(spark, source, args.output, settings, args.files_a_part)
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
