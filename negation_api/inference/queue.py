"""The rows that wait, and in what order. Starts no thread and computes nothing.

Each row carries the virtual time at which a fair server would start it (start-time fair
queueing, Goyal, Vin and Cheng 1997, https://doi.org/10.1109/90.649569), so a note of
1,000 entities and a lone sentence get equal shares. A new request is due one token
later than what is being computed: lone sentences keep their order, long or short, and
cannot hold up a note for ever. A batch is the row that is due first and the rows
nearest to it in length, within a budget of tokens.

A request enters in slices, at most two in the queue at a time. A short queue is left
half full: taken whole, there would be nothing to compute while its clients are
answered.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import nsmallest
from itertools import count
from operator import attrgetter

from negation_api.contract.labels import Prediction
from negation_api.inference.admission import (
    CLIENT_CHECK_SECONDS,
    Admission,
    ClientGone,
    DeadlinePassed,
)

SLICES_IN_QUEUE = 2  # one being computed, one ready, so that no thread ever starves
MAX_CHOICE = 64  # rows among which those of like length are chosen


class BatchFailed(RuntimeError):
    """The model failed on a row of this request."""


@dataclass(eq=False, slots=True)
class Row:
    """Token ids that wait, with the indices in *job* which want their result."""

    ids: tuple[int, ...]
    length: int
    job: "Job"
    indices: list[int]
    due: tuple[float, int] = (0.0, 0)  # virtual time, and the order of arrival


class Job:
    """The rows of one request on their way through the queue, the same ids once.

    :ivar slices: rows of like length, *slice_tokens* at most or one row; those that
        are not entered yet.
    :ivar tokens: of all rows.
    """

    def __init__(
        self, rows: Sequence[tuple[int, ...]], deadline: float, slice_tokens: int
    ):
        self.results: list[Prediction | None] = [None] * len(rows)
        self.deadline = deadline  # by time.monotonic
        self.began: float | None = None  # its first batch; by time.monotonic
        self.due = 0.0  # virtual start time of the row that is entered next
        self.in_queue = 0  # tokens entered and not yet computed
        self.left = len(rows)  # rows not yet computed
        self.error: Exception | None = None
        self.changed = threading.Event()
        self.slices = self._slice(rows, slice_tokens)
        self.tokens = sum(row.length for slice_ in self.slices for row in slice_)

    def _slice(self, rows, slice_tokens: int) -> list[list[Row]]:
        indices: dict[tuple[int, ...], list[int]] = {}
        for index, ids in enumerate(rows):
            indices.setdefault(ids, []).append(index)
        slices, tokens = [], slice_tokens
        for ids in sorted(indices, key=len):
            if tokens + len(ids) > slice_tokens:
                slices.append([])
                tokens = 0
            slices[-1].append(Row(ids, len(ids), self, indices[ids]))
            tokens += len(ids)
        return slices

    def wait(self, is_gone: Callable[[], bool]) -> bool:
        """Wait for a while until something was computed; tell whether all was.

        :raises DeadlinePassed, ClientGone, BatchFailed: see there.
        """
        left = self.deadline - time.monotonic()
        changed = self.changed.wait(max(0.0, min(left, CLIENT_CHECK_SECONDS)))
        self.changed.clear()
        is_done = not self.left  # asked before the error, which is noted before
        if self.error is not None:
            raise BatchFailed("the model failed") from self.error
        if is_done:
            return True
        if time.monotonic() >= self.deadline:
            raise DeadlinePassed("deadline passed")
        if not changed and is_gone():
            raise ClientGone("client gone")
        return False


class Queue:
    """Rows on their way from request threads to inference threads, and back.

    :param admission: counts what is in the queue; its lock is the queue's.
    :param max_batch_tokens: of a batch, unless it is one row.
    :param slice_tokens: tokens that one request enters at a time.
    """

    def __init__(self, admission: Admission, max_batch_tokens: int, slice_tokens: int):
        self._admission = admission
        self._max_batch_tokens = max_batch_tokens
        self._slice_tokens = slice_tokens
        self._lock = admission.lock
        self._rows: list[Row] = []
        self._virtual_time = 0.0
        self._arrivals = count()
        self._taken = 0.0  # the last batch, or since when there was one to take
        self._idle: list[int] = []  # ranks of those that wait for rows
        self._woken = defaultdict(partial(threading.Condition, self._lock))
        self._is_closed = False

    @property
    def size(self) -> tuple[int, int]:
        """Rows and tokens that wait to be computed."""
        with self._lock:
            return len(self._rows), sum(row.length for row in self._rows)

    @property
    def stalled_seconds(self) -> float:
        """Seconds for which rows wait and none was taken."""
        # Without the lock, which whoever is stuck may hold.
        return time.monotonic() - self._taken if self._rows else 0.0

    # --- request threads --------------------------------------------------------

    def enter(self, job: Job) -> None:
        """Enter the next slices of *job*, as many as it may have here."""
        while job.slices and self._may_enter(job):
            self._enter(job.slices.pop(0), job)

    def _may_enter(self, job: Job) -> bool:
        return job.in_queue <= (SLICES_IN_QUEUE - 1) * self._slice_tokens

    def _enter(self, rows: list[Row], job: Job) -> None:
        tokens = sum(row.length for row in rows)
        with self._lock:
            if not self._rows:
                self._taken = time.monotonic()
            self._admission.add(tokens)
            job.in_queue += tokens
            for row in rows:
                start = max(job.due, self._virtual_time + 1)
                row.due = start, next(self._arrivals)
                job.due = start + row.length
            self._rows += rows
            self._wake(len(rows))

    def remove(self, job: Job) -> None:
        """Forget *job*; what of it still waits is dropped unstarted."""
        with self._lock:
            if job.in_queue:
                dropped = [row for row in self._rows if row.job is job]
                self._rows = [row for row in self._rows if row.job is not job]
                self._release(dropped)

    # --- inference threads ------------------------------------------------------

    def wait_for_rows(self, rank: int) -> bool:
        """Wait until there are rows; False when there will be no more.

        :param rank: the lowest are woken first; no two alike.
        """
        with self._lock:
            while not self._rows:
                if self._is_closed:
                    return False
                self._idle.append(rank)
                self._woken[rank].wait()
        return True

    def close(self) -> None:
        """Let nobody wait for rows any more, once there are none."""
        with self._lock:
            self._is_closed = True
            self._wake(len(self._idle))

    def _wake(self, count: int) -> None:
        self._idle.sort()
        for rank in self._idle[:count]:
            self._woken[rank].notify()
        del self._idle[:count]

    def next_batch(self) -> list[Row]:
        """Take a batch; empty when nothing waits."""
        with self._lock:
            batch = self._take() if self._rows else []
            if batch:
                self._taken = time.monotonic()
                for row in batch:
                    row.job.began = row.job.began or self._taken
        return batch

    def _take(self) -> list[Row]:
        """Take the row that is due first and, of those due next, the nearest in length.

        Of those due next only, or in a long queue the unlucky would wait several times
        as long as the others.
        """
        oldest = nsmallest(MAX_CHOICE, self._rows, key=attrgetter("due"))
        first = oldest[0]
        self._virtual_time = first.due[0]
        oldest.sort(key=lambda row: (abs(row.length - first.length), row.due))
        batch, budget = [], self._budget(oldest)
        for row in oldest:
            budget -= row.length
            if budget < 0 and batch:
                break
            batch.append(row)
        taken = set(batch)
        self._rows = [row for row in self._rows if row not in taken]
        return batch

    def _budget(self, rows: list[Row]) -> float:
        """Give the tokens of a batch of *rows*, which are those that wait, or many."""
        half = sum(row.length for row in rows) / 2
        return min(max(half, self._max_batch_tokens / 2), self._max_batch_tokens)

    def deliver(self, batch: list[Row], results: Mapping) -> None:
        """Give *batch* its results.

        :param results: token ids -> Prediction, or the exception that they raised.
        """
        with self._lock:
            tokens = self._release(batch)
            more = bool(self._rows)
            self._admission.pace.note(tokens, time.monotonic(), more)
            for row in batch:
                result = results[row.ids]
                if isinstance(result, Exception):
                    row.job.error = row.job.error or result
                for index in row.indices:
                    row.job.results[index] = result
                row.job.left -= len(row.indices)
        for job in dict.fromkeys(row.job for row in batch):
            if job.error or not job.left or self._may_enter(job):
                job.changed.set()

    def _release(self, rows: list[Row]) -> int:
        """Count *rows* as done or dropped; give their tokens. The lock is held."""
        for row in rows:
            row.job.in_queue -= row.length
        tokens = sum(row.length for row in rows)
        self._admission.release(tokens)
        return tokens
