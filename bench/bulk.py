"""How fast bulk work is, beside the bare model on the same sentences.

    python bench/bulk.py rates MODEL [--entities 4096] [--rounds 2] [--precision fp32]
    python bench/bulk.py scale [--rows 10000 100000 1000000]

``rates`` prints the rate of the command line and of Spark on all cores as a share of
the bare model's (``bench/bound.py``, best of its ways), and what ``local[2]`` gains
over ``local[1]`` as a share of what two processes of the bare model gain over one.
Rounds take turns and the best of each counts; starting and loading are left out.

``scale`` prints what a row costs the command line and a Spark cluster of two workers
beside the model (``bench/stub.py``), and the most memory used; half-way the command
is killed and started again, and one of the workers is killed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

from negation_api.batch.bulk import BLOCK_ENTITIES  # noqa: E402
from notes import make_notes, write_jsonl  # noqa: E402
from sentences import note  # noqa: E402

NOTE_ENTITIES = 8
WARM_UP_NOTES = 8
RATE_WORKERS = (1, 2)


def say(line: str) -> None:
    """Show progress."""
    print(line, file=sys.stderr, flush=True)


# --- rates --------------------------------------------------------------------


def write_notes(directory: Path, entities: int) -> dict[str, Path]:
    """Write the same notes as JSONL and as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet

    rows = [
        {"id": str(seed), **note(NOTE_ENTITIES, seed)}
        for seed in range(entities // NOTE_ENTITIES)
    ]
    paths = {"jsonl": write_jsonl(directory / "notes.jsonl", rows)}
    paths["parquet"] = directory / "notes.parquet"
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), paths["parquet"])
    return paths


def bare(model: str, precision: str, path: Path, processes: int) -> float:
    """Give the rate of the bare model, the best way to use *processes* cores."""
    import bound
    import torch

    from negation_api.model.artefact import directory_of
    from negation_api.model.classifier import load_classifier
    from negation_api.settings import Settings
    from negation_api.text.sentences import SegmentedText
    from negation_api.text.spans import Span

    torch.set_num_threads(1)
    settings = Settings(model=model, precision=precision)
    classifier = load_classifier(settings)
    directory = directory_of(model, settings.model_revision, settings.models_dir)
    rows = []
    for line in path.read_text().splitlines():
        body = json.loads(line)
        marked = SegmentedText(body["text"])
        spans = [Span(e["start"], e["end"]) for e in body["entities"]]
        rows += [classifier.encode(marked.mark(span)) for span in spans]
    rows = rows[::2]  # a sample, as every way takes its time
    network, best = bound.load(str(directory), precision), float("inf")
    bound.once(network, bound.batches(rows[:32], 512, 1)[0])
    for budget in (256, 512):
        shares = bound.batches(rows, budget, processes)
        best = min(best, bound.in_processes(network, shares, 0.1))
        if processes > 1:
            best = min(best, bound.in_threads(network, shares, 0.1))
    return len(rows) / best


def command(model: str, precision: str, path: Path, processes: int) -> float:
    """Give the rate of the command line."""
    with tempfile.TemporaryDirectory() as directory:
        argv = [sys.executable, "-m", "negation_api", "predict", str(path)]
        argv += ["-o", f"{directory}/out.jsonl", "--workers", str(processes)]
        done = subprocess.run(
            argv,
            cwd=HERE.parent,
            env=os.environ | {"MODEL": model, "PRECISION": precision},
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
    summary = json.loads(done.stderr.splitlines()[-1])
    return summary["computed"] / summary["seconds"]


def spark(model: str, precision: str, path: Path, processes: int) -> float:
    """Give the rate of Spark's local mode, its Python workers warmed up."""
    from cluster import environment
    from pyspark.sql import SparkSession

    from negation_api.batch.spark import predict
    from negation_api.settings import Settings

    os.environ.update(environment())
    os.environ["PYTHONPATH"] = str(HERE.parent)
    builder = SparkSession.builder.master(f"local[{processes}]")
    session = builder.config("spark.ui.enabled", "false").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    settings = Settings(model=model, precision=precision)
    frame = session.read.parquet(str(path))
    count = frame.count()
    frame = frame.repartition(8 * processes).cache()
    frame.count()
    with tempfile.TemporaryDirectory() as directory:
        warm_up = frame.limit(WARM_UP_NOTES * processes).repartition(4 * processes)
        predict(warm_up, settings).write.parquet(f"{directory}/warm")
        began = time.monotonic()
        predict(frame, settings).write.parquet(f"{directory}/out")
        seconds = time.monotonic() - began
    session.stop()
    return count * NOTE_ENTITIES / seconds


WAYS = {"bare": bare, "command": command, "spark": spark}
FORMATS = {"bare": "jsonl", "command": "jsonl", "spark": "parquet"}


def measure(way: str, processes: int, paths: dict, args) -> float:
    """Measure in a process of its own."""
    argv = [sys.executable, __file__, "one", way, str(processes)]
    argv += [args.model, args.precision, str(paths[FORMATS[way]])]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
    rate = float(done.stdout.splitlines()[-1])
    say(f"{way:8} {processes}: {rate:.1f} entities/s")
    return rate


def rates(args) -> None:
    """Print the rates and their ratios."""
    best: dict[tuple, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        paths = write_notes(Path(directory), args.entities)
        for _ in range(args.rounds):
            for way in WAYS:
                for processes in RATE_WORKERS:
                    rate = measure(way, processes, paths, args)
                    key = way, processes
                    best[key] = max(best.get(key, 0.0), rate)
    print(f"| {args.entities} entities/s | one core | two cores | gain |")
    print("| --- | ---: | ---: | ---: |")
    for way in WAYS:
        one, two = best[way, 1], best[way, 2]
        print(f"| {way} | {one:.1f} | {two:.1f} | {two / one:.2f} |")
    bound, gain = best["bare", 2], best["bare", 2] / best["bare", 1]
    for way in ("command", "spark"):
        print(f"{way} / bare, two cores: {best[way, 2] / bound:.2f}")
    own = best["spark", 2] / best["spark", 1]
    print(f"local[2] / local[1] over two / one process: {own / gain:.2f}")


# --- scale --------------------------------------------------------------------


class Peak(threading.Thread):
    """Watches the memory of a process and all below it.

    :ivar most: MB, each shared page counted once.
    """

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.most, self._pid = 0.0, pid
        self.start()

    def run(self):
        """Look twice a second until the process is gone."""
        import server

        while Path(f"/proc/{self._pid}").exists():
            total, pids = 0, [self._pid]
            while pids:
                pid = pids.pop()
                try:
                    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                    pids += server.children(pid)
                    total += int(rollup.partition("\nPss:")[2].split()[0])
                except (OSError, IndexError):
                    continue  # gone meanwhile
            self.most = max(self.most, total / 1024)
            time.sleep(0.5)


def stub(path: Path, output: Path):
    """Start the command line on the stub."""
    argv = [sys.executable, HERE / "stub.py", path, "-o", output]
    return subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)


def scale_command(path: Path, rows: int, directory: Path) -> str:
    """Run undisturbed, then killed half-way and resumed; compare."""
    whole = directory / f"whole{rows}.jsonl"
    resumed = directory / f"resumed{rows}.jsonl"
    process = stub(path, whole)
    peak = Peak(process.pid)
    summary = json.loads(process.communicate()[1].splitlines()[-1])
    process = stub(path, resumed)
    journal = Path(f"{resumed}.journal")
    half = summary["entities"] / BLOCK_ENTITIES / 2
    while not journal.exists() or journal.read_bytes().count(b"\n") < half:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    again = json.loads(stub(path, resumed).communicate()[1].splitlines()[-1])
    same = whole.read_bytes() == resumed.read_bytes()
    whole.unlink()
    resumed.unlink()
    micros = 1e6 * summary["seconds"] / rows
    return (
        f"| command | {rows} | {micros:.0f} | {peak.most:.0f} |"
        f" killed, {again['resumed']} rows kept, {'equal' if same else 'DIFFERENT'} |"
    )


def split(path: Path, rows: int, directory: Path) -> Path:
    """Copy JSONL to Parquet files of 50,000 rows."""
    import pyarrow.json
    import pyarrow.parquet

    directory.mkdir()
    options = pyarrow.json.ReadOptions(block_size=16 << 20)
    with pyarrow.json.open_json(path, options) as reader:
        for number, batch in enumerate(reader):
            table = pyarrow.Table.from_batches([batch])
            pyarrow.parquet.write_table(table, directory / f"{number}.parquet")
    return directory


def scale_spark(path: Path, rows: int, directory: Path) -> str:
    """Run on a cluster of two, kill one of them half-way, count what comes out."""
    import pyarrow.parquet
    from cluster import Cluster, submit

    source = split(path, rows, directory / f"in{rows}")
    num_files = len(list(source.iterdir()))
    output, logs = directory / f"out{rows}", directory / f"cluster{rows}"
    logs.mkdir()
    with Cluster(logs) as cluster:
        job_args = ("--input", source, "--output", output, "--model", "stub")
        job_args += ("--files-a-part", max(1, num_files // 8), "--rows-a-task", 10_000)
        began = time.monotonic()
        job = submit(*cluster.args, job=HERE / "stub.py", job_args=job_args)
        drain = threading.Thread(target=job.stdout.read, daemon=True)
        drain.start()
        peak = Peak(job.pid)
        while len(list(output.glob("part=*/_SUCCESS"))) < 1 and job.poll() is None:
            time.sleep(0.1)
        cluster.kill(0)
        code = job.wait()
        seconds = time.monotonic() - began
    ids = set()
    total = 0
    for file in output.glob("part=*/*.parquet"):
        found = pyarrow.parquet.ParquetFile(file).read(["id"])["id"].to_pylist()
        ids.update(found)
        total += len(found)
    whole = code == 0 and total == len(ids) == rows
    return (
        f"| Spark | {rows} | {1e6 * seconds / rows:.0f} | {peak.most:.0f} |"
        f" a worker killed, exit {code}, {'all once' if whole else 'NOT ALL ONCE'} |"
    )


def scale(args) -> None:
    """Print a table."""
    print("| | rows | µs a row | MB at most | |")
    print("| --- | ---: | ---: | ---: | --- |")
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        for rows in args.rows:
            path = write_jsonl(directory / f"{rows}.jsonl", make_notes(rows))
            for way in (scale_command, scale_spark):
                print(way(path, rows, directory), flush=True)


def make_parser() -> argparse.ArgumentParser:
    """Say what the command line takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("rates").add_argument
    add("model")
    add("--entities", type=int, default=4096)
    add("--rounds", type=int, default=2)
    add("--precision", default="fp32")
    add = commands.add_parser("scale").add_argument
    add("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    add = commands.add_parser("one").add_argument
    add("way", choices=WAYS)
    add("processes", type=int)
    add("model")
    add("precision")
    add("path", type=Path)
    return parser


def main(argv: list[str]) -> None:
    """Measure and print."""
    args = make_parser().parse_args(argv)
    if args.command == "one":
        way = WAYS[args.way]
        print(way(args.model, args.precision, args.path, args.processes))
    else:
        {"rates": rates, "scale": scale}[args.command](args)


if __name__ == "__main__":
    main(sys.argv[1:])
