"""Where answers go: to standard output, or to files that grow beside a journal.

Answers and rejects are appended, block after block, to ``OUTPUT.part`` and
``REJECTS.part``. A block counts once both are on the disk and its line is in
``OUTPUT.journal``; a run that finds a journal cuts both files to what the journal says
and goes on with the first block that it does not name. When the last block counts, so
says the journal; then the files get their names, and the journal goes. At any moment
before, the same run goes on; only the same one, since a block is named after a digest
of all that its answers depend on.
"""

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from negation_api.batch.tables import InputError, Sink, header_of

WHOLE = b"whole\n"  # the journal's last line
ENTRY = b'["'  # what any other begins with


@dataclass(frozen=True)
class Part:
    """The answers to a block, and its rejects, both encoded.

    :ivar rejected: rows.
    :ivar passed_over: lines that no row could be made of.
    :ivar kept: from an earlier run, and in the files already.
    :ivar tally: what a summary is made of (``summary.py``).
    """

    rows: int
    entities: int
    rejected: int
    passed_over: int
    answers: bytes = b""
    rejects: bytes = b""
    kept: bool = False
    tally: Sequence = ()


class Stream:
    """Standard output: parts are written as they come, and cannot be resumed."""

    def __init__(self, sink: Sink, rejects: BinaryIO):
        self._sink, self._rejects = sink, rejects

    def get(self, name: str) -> None:
        return None

    def put(self, name: str, part: Part) -> None:
        self._sink.add(part.answers)
        self._rejects.write(part.rejects)

    def finish(self) -> None:
        self._sink.close()
        self._rejects.flush()


class Entry(NamedTuple):
    """A line of the journal: a block that counts, and where what it gave ends."""

    name: str
    counts: tuple[int, int, int, int]
    answers_end: int
    rejects_end: int
    tally: Sequence = ()


class Journal:
    """What of the growing files counts.

    :ivar entries: of the blocks, in order.
    :ivar is_whole: whether they are all that there are.
    :ivar is_foreign: whether the file is no journal.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        self._ends = [0]  # of the lines
        self.entries: list[Entry] = []
        self.is_whole = self.is_foreign = False
        file.seek(0)
        for line in file:
            self.is_whole = line == WHOLE
            entry = None if self.is_whole else _read_entry(line)
            if entry is None:  # or from what was being written on
                is_torn = not line.endswith(b"\n") and line[:2] == ENTRY[: len(line)]
                self.is_foreign = not (self.entries or self.is_whole or is_torn)
                break
            self._append(entry, line)

    def cut(self, number: int) -> None:
        """Keep the first *number* blocks only."""
        del self.entries[number:], self._ends[number + 1 :]
        self._file.truncate(self._ends[-1])
        self.is_whole = False

    def add(self, entry: Entry) -> None:
        """Say that a block counts; what it gave is on the disk."""
        line = json.dumps(entry).encode() + b"\n"
        self._append(entry, line)
        self._write(line)

    def close(self) -> None:
        """Say that no other block will come."""
        self._write(WHOLE)
        self.is_whole = True

    def _append(self, entry: Entry, line: bytes) -> None:
        self.entries.append(entry)
        self._ends.append(self._ends[-1] + len(line))

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        _sync(self._file)


def _read_entry(line: bytes) -> Entry | None:
    """Read a line of a journal; None of what is none."""
    try:
        entry = Entry(*json.loads(line if line.endswith(b"\n") else b""))
        numbers = *entry.counts, entry.answers_end, entry.rejects_end
    except (ValueError, TypeError, RecursionError):
        return None
    is_entry = isinstance(entry.name, str) and isinstance(entry.tally, (list, tuple))
    is_right = len(numbers) == 6 and all(type(number) is int for number in numbers)
    return entry if is_entry and is_right else None


class Growing:
    """The output and the rejects of *job*, in the order of its blocks."""

    def __init__(self, job, classifier, journal: Journal):
        self._job, self._classifier, self._journal = job, classifier, journal
        self._paths = Path(job.output), Path(job.rejects)
        *self._parts, self._journal_path, parquet = files_of(job)
        # What gets the names: Parquet is made of the answers when all are there.
        self._ready = list(self._parts)
        if job.format_out == "parquet":
            self._ready[0] = parquet
        self._files: list[BinaryIO] = []  # open once there is something to write
        self._num_kept = 0
        self._is_named = self._was_killed_at_the_end()

    def open(self) -> None:
        """See what of an earlier run there is.

        :raises InputError: when the files are there already, and not to be replaced.
        """
        journal = self._journal
        if not journal.is_whole:
            journal.cut(len(journal.entries))
        if not self._is_named:
            check_free(self._job, *self._paths)
            sizes = [_num_bytes(part) for part in self._parts]
            while journal.entries and not _fits(journal.entries[-1], sizes):
                journal.cut(len(journal.entries) - 1)

    def _was_killed_at_the_end(self) -> bool:
        """Tell whether a file has its name already, and all that is there counts."""
        pairs = list(zip(self._ready, self._paths))
        is_named = not all(ready.exists() for ready in self._ready)
        is_there = all(ready.exists() or path.exists() for ready, path in pairs)
        return self._journal.is_whole and is_named and is_there

    def get(self, name: str) -> Part | None:
        """Give the part of the next block, if an earlier run finished it."""
        entries = self._journal.entries
        if not self._files:
            if self._num_kept < len(entries) and entries[self._num_kept].name == name:
                self._num_kept += 1
                entry = entries[self._num_kept - 1]
                return Part(*entry.counts, kept=True, tally=entry.tally)
            self._begin()
        return None

    def _begin(self) -> None:
        """Open the files behind what is kept.

        :raises InputError: when they have their names already, as another job's.
        """
        if self._is_named:
            check_free(self._job, *self._paths)
            for part, path in zip(self._parts, self._paths):
                if not part.exists():
                    shutil.copyfile(path, part)
        self._journal.cut(self._num_kept)
        ends = self._journal.entries[-1][2:4] if self._num_kept else (0, 0)
        for part, end in zip(self._parts, ends):
            self._files.append(part.open("ab"))
            self._files[-1].truncate(end)
        if not self._num_kept:
            self._files[0].write(header_of(self._job.format_out, self._job.shape))

    def put(self, name: str, part: Part) -> None:
        """Add the part of the next block."""
        if part.kept:
            return
        for file, data in zip(self._files, (part.answers, part.rejects)):
            if data:
                file.write(data)
                _sync(file)
        counts = part.rows, part.entities, part.rejected, part.passed_over
        ends = [file.tell() for file in self._files]
        self._journal.add(Entry(name, counts, *ends, part.tally))

    def finish(self) -> None:
        """Give the files their names."""
        is_there = self._num_kept == len(self._journal.entries)
        if not self._files and not (self._journal.is_whole and is_there):
            self._begin()
        for file in self._files:
            _sync(file)
            file.close()
        if not self._journal.is_whole:
            if self._job.format_out == "parquet":
                self._make_parquet()
            self._journal.close()
        # The output last: where it is, its rejects are.
        for ready, path in reversed(list(zip(self._ready, self._paths))):
            if ready.exists():
                ready.replace(path)
            _sync_directory(path.parent)
        self._remove(self._parts)

    def _make_parquet(self) -> None:
        with self._ready[0].open("wb") as file, self._parts[0].open("rb") as answers:
            sink = Sink("parquet", file, self._job.shape, self._classifier)
            for entry in self._journal.entries:
                sink.add(answers.read(entry.answers_end - answers.tell()))
            sink.close()
            _sync(file)

    def close(self) -> None:
        """Close the files, and leave nothing beside the output if nothing counts."""
        for file in self._files:
            with suppress(OSError):  # what it still held does not count
                file.close()
        if not self._journal.entries:
            self._remove(self._parts if self._files else [])

    def _remove(self, parts: list[Path]) -> None:
        for path in (*parts, self._journal_path):
            path.unlink(missing_ok=True)


def _fits(entry: Entry, sizes: list[int]) -> bool:
    return entry.answers_end <= sizes[0] and entry.rejects_end <= sizes[1]


def files_of(job) -> list[Path]:
    """Give what lies beside the output while *job* runs.

    Answers, rejects, the journal, Parquet in the making.
    """
    parts = Path(f"{job.output}.part"), Path(f"{job.rejects}.part")
    return [*parts, Path(f"{job.output}.journal"), Path(f"{job.output}.tmp")]


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_free(job, *paths: str | Path) -> None:
    """See that what is there is not to be lost.

    :raises InputError: when it is.
    """
    for path in paths:
        if os.path.isfile(path) and not job.overwrite:
            raise InputError(f"{path}: is there already; --overwrite replaces it")


@contextmanager
def open_store(job, classifier) -> Iterator[Stream | Growing]:
    """Open what takes the parts of *job*."""
    if job.output == "-":
        with ExitStack() as stack:
            rejects = sys.stderr.buffer
            if job.rejects:
                if not is_special(job.rejects):
                    stack.enter_context(_locked(job.rejects))
                check_free(job, job.rejects)
                rejects = stack.enter_context(open(job.rejects, "wb"))
            answers = sys.stdout.buffer
            if job.summary:  # in their place
                answers = stack.enter_context(open(os.devnull, "wb"))
            sink = Sink(job.format_out, answers, job.shape, classifier)
            yield Stream(sink, rejects)
        return
    *parts, path, parquet = files_of(job)
    with ExitStack() as stack:
        for written in (job.output, job.rejects):
            stack.enter_context(_locked(written))
        if not path.exists():  # so what is there is not of a run that was killed
            check_free(job, *filter(_num_bytes, (*parts, parquet)))
        journal = Journal(stack.enter_context(path.open("a+b")))
        if journal.is_foreign:
            check_free(job, path)
        store = Growing(job, classifier, journal)
        stack.callback(store.close)
        store.open()
        yield store


def _num_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def is_special(path: str) -> bool:
    """Tell whether *path* is a device, a pipe or a directory."""
    return os.path.exists(path) and not os.path.isfile(path)


def lock_of(path: str) -> Path:
    """Give what is locked while *path* is written."""
    return Path(f"{path}.lock")


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Keep other runs away from *path*.

    :raises InputError: when one is there, or has just finished.
    """
    lock = lock_of(path)
    with lock.open("ab") as file:
        if not _lock(lock, file):
            raise InputError(f"{path}: another run is writing there")
        try:
            yield
        finally:
            if not file.tell():  # it is not somebody's own
                lock.unlink(missing_ok=True)


def _lock(path: Path, file: BinaryIO) -> bool:
    with suppress(BlockingIOError, FileNotFoundError):
        # POSIX's lock, because flock's would be shared with the workers, which may
        # outlive a killed parent for a moment.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    return False
