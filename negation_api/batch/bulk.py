"""Answer the rows of a file: ``python -m negation_api predict in.jsonl -o out.jsonl``.

    read -> blocks -> worker processes (one thread each) -> parts -> store

Blocks are cut alike in every run, and named after a digest of all that their answers
depend on: rows, model, options, code. So to resume is to compute what the store
(``store.py``) does not have under its name.

exit  meaning
0     done: every row is answered
1     not done, though the cause may pass (a worker was killed, the disk is full);
      the same command goes on where this one stopped
2     cannot be done: an option, a setting, the model or the file itself
3     done, and some rows are in the rejects file
130   interrupted; the same command goes on
"""

import argparse
import errno
import hashlib
import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from tqdm import tqdm

from negation_api.batch import note_nlp
from negation_api.batch.origin import code_digest
from negation_api.batch.store import Part, files_of, is_special, lock_of, open_store
from negation_api.batch.summary import Summary, tally
from negation_api.batch.tables import (
    FORMATS,
    NUMBER,
    InputError,
    Row,
    count_rows,
    dump,
    format_of,
    number,
    read,
    rows_of_answer,
)
from negation_api.batch.term_list import read_terms
from negation_api.batch.workers import WorkerError, workers
from negation_api.contract.listed import COMMON
from negation_api.contract.reply import dump_model
from negation_api.layout import available_cpus
from negation_api.scoring import Answered, Scorer, windows
from negation_api.settings import Settings
from negation_api.text.terms import Finder

DONE, NOT_DONE, CANNOT, DONE_WITH_REJECTS, INTERRUPTED = 0, 1, 2, 3, 130
# What is sorted by length together, and what a worker has to do again after a kill:
# some 10 s of BERT-base, 2 s of the embedded model. A row without counts as one.
BLOCK_ENTITIES = 128
BLOCK_BYTES = 1024 * 1024
BLOCK_FOUND_BYTES = 32 * 1024  # where entities are found: some 100 of a common list
BLOCKS_A_WORKER = 2  # one being computed, one ready
MAX_WORKERS = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "exit" + __doc__.partition("\nexit")[2]
    add = parser.add_argument
    add("input", help="file of notes; - is standard input")
    add("-o", "--output", default="-", help="file of predictions; - is standard output")
    add("--from", dest="format_in", choices=FORMATS, help="format, if not the suffix's")
    add(
        "--to",
        choices=(*FORMATS, "note_nlp"),
        help="format, if not the suffix's; note_nlp: OMOP's table, in CSV or Parquet",
    )
    add("--rows", choices=("note", "entity"), default="note", help="what a row holds")
    add("--flat", action="store_true", help="give a row for each entity")
    add("--explain", action="store_true", help="give the sentence that was read")
    add("--fhir", action="store_true", help="give FHIR's word for each label")
    add("--first-id", type=int, help="note_nlp_id of the first row; default: 1")
    add("--terms", help="file of terms that are sought, or: common")
    add("--summary", action="store_true", help="count notes and patients by term")
    add("--rejects", help="file of refused rows; default: OUTPUT.rejects.jsonl")
    add("--workers", type=int, default=0, help="processes; default: one a CPU")
    add("--overwrite", action="store_true", help="replace an output that is there")


@dataclass(frozen=True)
class Job:
    """What is to be done: the options with their defaults filled in."""

    input: str
    output: str
    rejects: str | None  # None: standard error
    format_in: str
    format_out: str
    one_entity: bool
    shape: str  # of a row of the output: note, flat or note_nlp
    first_id: int  # of NOTE_NLP
    explain: bool
    fhir: bool
    terms: str | None  # file of a list
    summary: bool
    workers: int
    overwrite: bool
    time: datetime  # when it began, UTC, without a zone

    @classmethod
    def of(cls, args: argparse.Namespace, settings: Settings) -> "Job":
        _check_options(args)
        rejects = None if args.output == "-" else f"{args.output}.rejects.jsonl"
        job = cls(
            args.input,
            _target(args.output),
            _target(args.rejects or rejects),
            format_of(args.input, args.format_in),
            _format_out(args),
            args.rows == "entity",
            _shape(args),
            1 if args.first_id is None else args.first_id,
            args.explain,
            args.fhir,
            args.terms,
            args.summary,
            args.workers or available_cpus(settings),
            args.overwrite,
            datetime.now(timezone.utc).replace(microsecond=0, tzinfo=None),
        )
        if job.input == "-" and job.format_in == "parquet":
            raise InputError("Parquet cannot be read from standard input")
        if job.terms and job.one_entity:
            raise InputError("--terms seeks in notes; --rows entity gives places")
        if job.summary and job.one_entity:
            raise InputError("--summary counts notes; --rows entity gives entities")
        if not 1 <= job.workers <= MAX_WORKERS:
            allowed = f"1 to {MAX_WORKERS}"
            raise InputError(f"--workers must be in {allowed}; given {job.workers}")
        job._check_streams()
        job._check_paths()
        return job

    def _check_streams(self) -> None:
        """See that the standard streams that are needed are open."""
        if self.input == "-" and sys.stdin is None:
            raise InputError("standard input is closed")
        if (self.output == "-" or self.summary) and sys.stdout is None:
            raise InputError("standard output is closed")

    def _check_paths(self) -> None:
        """See that no file is to be two things, and that each can be made.

        Before the work, not after hours of it.
        """
        written = [
            path for path in (self.output, self.rejects) if path not in ("-", None)
        ]
        beside = files_of(self) if self.output != "-" else []
        read = [self.input, *([self.terms] if self.terms else [])]
        paths = [*read, *written, *beside, *map(lock_of, written)]
        if len(set(map(os.path.realpath, paths))) < len(paths):
            raise InputError("input, output and rejects must be different files")
        for path in written:
            if self.output != "-" and is_special(path):
                raise InputError(f"{path}: not a regular file; - is standard output")
            if os.path.islink(path) and not os.path.exists(path):
                raise InputError(f"{path}: a link that leads nowhere but to itself")
            if not Path(path).parent.is_dir():
                raise InputError(f"{path}: there is no such directory to write it in")


def _target(path: str | None) -> str | None:
    """Give what is written: what a link points to, that it stays one."""
    is_ours = path and os.path.islink(path) and not is_special(path)
    return os.path.realpath(path) if is_ours else path


def _shape(args: argparse.Namespace) -> str:
    if args.to == "note_nlp":
        return "note_nlp"
    return "flat" if args.flat or args.rows == "entity" else "note"


def _format_out(args: argparse.Namespace) -> str:
    if args.to != "note_nlp":
        return format_of(args.output, args.to)
    found = format_of(args.output, "csv" if args.output == "-" else None)
    if found == "jsonl":
        raise InputError(f"{args.output}: note_nlp is written as CSV or Parquet")
    return found


def _check_options(args: argparse.Namespace) -> None:
    """See that no option is given that its output has no place for, and no bad name."""
    if "" in (args.input, args.output, args.rejects, args.terms):
        raise InputError("a file's name must not be empty")
    if args.rejects == "-":
        raise InputError("--rejects must be a file; - is standard output, of answers")
    if args.to == "note_nlp" and (args.explain or args.fhir):
        raise InputError("note_nlp has no columns for --explain and --fhir")
    if args.first_id is None:
        return
    if args.to != "note_nlp":
        raise InputError("--first-id is of --to note_nlp")
    if not 0 <= args.first_id <= note_nlp.MAX_INTEGER:
        allowed = f"0 to {note_nlp.MAX_INTEGER}"
        raise InputError(f"--first-id must be in {allowed}; given {args.first_id}")


def load_model(settings: Settings):
    """Load the classifier."""
    # Imported late because --help need not wait for torch.
    from negation_api.model.classifier import load_classifier

    return load_classifier(settings)


def main(args: argparse.Namespace, settings: Settings, load=load_model) -> int:
    """Run the command; see the module for the exit codes.

    :param load: gives the classifier.
    """
    _fill_streams()
    try:
        return run(Job.of(args, settings), settings, load(settings))
    except InputError as error:
        return _fail(CANNOT, str(error))
    except BrokenProcessPool:
        return _fail(NOT_DONE, "a worker process was killed; run the same again")
    except KeyboardInterrupt:
        return _fail(INTERRUPTED, "interrupted; the same command goes on")
    except BrokenPipeError:
        _silence(sys.stdout)
        return NOT_DONE
    except OSError as error:
        code = CANNOT if error.errno in LASTING else NOT_DONE
        return _fail(code, f"{error.filename or 'output'}: {error.strerror}")
    except WorkerError as error:
        return _fail(NOT_DONE, f"unexpected error: {error}")


# What another try meets again: names, kinds and rights of files.
LASTING = (
    *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR),
    *(errno.ELOOP, errno.ENAMETOOLONG, errno.EROFS, errno.EINVAL, errno.EBADF),
    *(errno.ENODEV, errno.ENXIO, errno.EOPNOTSUPP),
)


def _fill_streams() -> None:
    """Put the null device in the place of each standard stream that is closed.

    Or the next file that is opened would be there, and messages in it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number
    sys.stderr = sys.stderr or open(os.devnull, "w")


def _fail(code: int, message: str) -> int:
    print(f"negation_api: {message}", file=sys.stderr)
    return code


def run(job: Job, settings: Settings, classifier) -> int:
    """Do *job* with *classifier*, which the worker processes inherit."""
    started, counts = time.monotonic(), Counts()
    finder = read_terms(job.terms, settings.max_entity_chars) if job.terms else None
    listed = finder.sought if finder and job.terms != COMMON else ()
    summary = Summary((term.name, term.code) for term in listed)
    seed = _seed(job, settings, classifier, finder)
    with ExitStack() as stack:
        source = stack.enter_context(_open_input(job.input))
        store = stack.enter_context(open_store(job, classifier))
        # Forked before anything else starts a thread; see ``load_classifier``.
        check = note_nlp.check if job.shape == "note_nlp" else None
        options = {"explain": job.explain, "fhir": job.fhir}
        scorer = Scorer(classifier, settings, finder, check, **options)
        answer = partial(_answer, job, scorer)
        submit = stack.enter_context(workers(job.workers, answer))
        bar = stack.enter_context(_bar(job, source))
        names = note_nlp.NOTE_NAMES if job.shape == "note_nlp" else {}
        limit = settings.max_body_bytes
        rows = read(job.format_in, source, job.one_entity, limit, names)
        stack.enter_context(closing(rows))  # before its source
        for name, part, position in _compute(rows, seed, submit, store, job, source):
            store.put(name, _numbered(job, part, counts.entities))
            counts.add(part)
            summary.add(part.tally)
            bar.set_postfix_str(
                f"{counts.rows} rows, {counts.rate(started)} entities/s", refresh=False
            )
            bar.update(position - bar.n)
        store.finish()
        # From here on there is nothing to interrupt, and nothing to go on with.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    seconds = round(time.monotonic() - started, 1)
    done = {**asdict(counts), "seconds": seconds, "model": dump_model(classifier)}
    if job.summary:
        _print(summary)
    _report(done)
    return DONE_WITH_REJECTS if counts.rejected else DONE


def _report(done: dict) -> None:
    try:
        print(json.dumps(done), file=sys.stderr)
    except OSError:  # nobody reads it; the answers are there all the same
        _silence(sys.stderr)


def _print(summary: Summary) -> None:
    """Print the summary: a table on a terminal, CSV elsewhere."""
    out = summary.table() if sys.stdout.isatty() else summary.csv()
    try:
        sys.stdout.buffer.write(out.encode("utf-8", "replace"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # who read it had enough; the answers are there
        _silence(sys.stdout)


def _silence(stream) -> None:
    """Send what is still written to a broken *stream* nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _numbered(job: Job, part: Part, before: int) -> Part:
    """Give the rows of *part* their numbers, if they have such.

    Not in the worker, which does not know how many rows came *before*.

    :raises InputError: when there are none left.
    """
    if job.shape != "note_nlp" or part.kept:
        return part
    first = job.first_id + before
    last, allowed = first + part.entities - 1, note_nlp.MAX_INTEGER
    if last > allowed:
        raise InputError(f"note_nlp_id is at most {allowed}; needed is {last}")
    return replace(part, answers=number(job.format_out, part.answers, first))


@dataclass
class Counts:
    """What went through, for the summary."""

    rows: int = 0
    entities: int = 0
    rejected: int = 0  # rows
    passed_over: int = 0  # lines that no row could be made of
    resumed: int = 0  # rows that an earlier run had done
    computed: int = 0  # entities that this run did

    def add(self, part: Part) -> None:
        self.rows += part.rows
        self.entities += part.entities
        self.rejected += part.rejected
        self.passed_over += part.passed_over
        self.resumed += part.rows if part.kept else 0
        self.computed += 0 if part.kept else part.entities

    def rate(self, started: float) -> int:
        """Give the entities that this run did in a second."""
        return round(self.computed / (time.monotonic() - started))


# --- blocks -------------------------------------------------------------------


def _seed(job: Job, settings: Settings, classifier, finder: Finder | None) -> bytes:
    """Give everything but its rows that a part depends on."""
    limits = (settings.max_body_bytes, settings.max_entities, settings.max_entity_chars)
    batch = BLOCK_ENTITIES, BLOCK_BYTES, settings.batch_tokens
    asked = job.explain, job.fhir, settings.axes, settings.early_exit
    shape = job.format_out, job.one_entity, job.shape, job.first_id
    sought = finder and finder.digest, job.summary
    model = dump_model(classifier)
    return repr((code_digest(), batch, limits, asked, shape, sought, model)).encode()


def blocks(rows: Iterable, max_bytes: int = BLOCK_BYTES) -> Iterator[list]:
    """Cut *rows* into lists of about ``BLOCK_ENTITIES``, or about *max_bytes*."""
    return windows(rows, lambda row: _size(row[1]), (BLOCK_ENTITIES, max_bytes))


def _size(body) -> tuple[int, int]:
    """Estimate the entities and the bytes of a row."""
    if isinstance(body, bytes):  # JSON that a worker will read
        return body.count(b'"start"') or 1, len(body)
    if not isinstance(body, dict):
        return 1, 0
    entities = body.get("entities")
    num_entities = (len(entities) if isinstance(entities, list) else 0) or 1
    texts = (value for value in body.values() if isinstance(value, str))
    return num_entities, sum(map(len, texts)) + 100 * num_entities


def _name(seed: bytes, block: list) -> str:
    digest = hashlib.blake2b(seed, digest_size=16)
    for row in block:
        digest.update(repr(row).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _compute(
    rows, seed: bytes, submit: Callable, store, job: Job, source
) -> Iterator[tuple]:
    """Give ``(name, part, position in source)`` for each block, in order."""
    pending = deque()
    for block in blocks(rows, BLOCK_FOUND_BYTES if job.terms else BLOCK_BYTES):
        name, position = _name(seed, block), _position(job, source, block)
        pending.append((name, store.get(name) or submit(block), position))
        while len(pending) > BLOCKS_A_WORKER * job.workers:
            yield _take(pending)
    while pending:
        yield _take(pending)


def _take(pending: deque) -> tuple:
    name, work, position = pending.popleft()
    return name, work if isinstance(work, Part) else work.result(), position


def _position(job: Job, source, block: list) -> int:
    """Tell how far *source* is read, in the bar's unit."""
    if job.format_in == "parquet":
        return block[-1][0]  # the number of its last row
    try:
        return source.tell()
    except OSError:
        return 0


# --- in a worker process ------------------------------------------------------


def _answer(job: Job, scorer: Scorer, block: list[Row]) -> Part:
    results = list(zip(block, scorer.score([row.body for row in block]), strict=True))
    answered = [(row.line, r) for row, r in results if isinstance(r, Answered)]
    refused = [(row, r) for row, r in results if not isinstance(r, Answered)]
    return Part(
        len(block),
        sum(len(answer.predictions) for _, answer in answered),
        len(refused),
        sum(row.passed_over for row in block),
        dump(job.format_out, _rows(job, scorer.classifier, answered), job.shape),
        b"".join(_reject(row, result) for row, result in refused),
        tally=tally(answer for _, answer in answered) if job.summary else (),
    )


def _rows(job: Job, classifier, answered: list[tuple[int, Answered]]) -> list[dict]:
    if job.shape != "note_nlp":
        return [
            row
            for line, answer in answered
            for row in rows_of_answer(line, answer, job.shape)
        ]
    system = note_nlp.system_of(dump_model(classifier))
    return [
        {"note_nlp_id": NUMBER if job.format_out == "csv" else None, **row}
        for _, answer in answered
        for row in note_nlp.rows(answer, system, job.time)
    ]


def _reject(row: Row, result) -> bytes:
    named = {} if result.id is None else {"id": result.id}
    passed = {"passed_over": row.passed_over} if row.passed_over else {}
    reject = {"line": row.line, **named, **passed, "errors": result.errors}
    return json.dumps(reject, ensure_ascii=False).encode() + b"\n"


def _open_input(path: str):
    return nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb")


def _bar(job: Job, source) -> tqdm:
    """A bar of what is read; quiet where standard error is no terminal."""
    tqdm.monitor_interval = 0  # no thread of its own
    bar = partial(tqdm, disable=None, file=sys.stderr, dynamic_ncols=True)
    if job.format_in == "parquet":
        return bar(total=count_rows(source), unit=" rows")
    size = os.fstat(source.fileno()).st_size if source.seekable() else None
    return bar(total=size, unit="B", unit_scale=True)
