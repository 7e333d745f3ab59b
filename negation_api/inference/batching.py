"""The requests of one worker -> batches for the model.

Request threads hand in rows (lists of token ids); inference threads take what is
waiting the moment they are free. Nothing ever waits for a batch to fill, so a lone
request pays nothing. ::

    request thread            queue                     inference thread
    classify() -> slices ->  rows -> batch of like length -> classifier -> results

Order. Each row carries the virtual time at which a fair server would start it
(start-time fair queueing, Goyal, Vin and Cheng 1997,
https://doi.org/10.1109/90.649569), so a note of 1,000 entities and a lone sentence
get equal shares. A new request is due one token later than what is being computed:
lone sentences keep their order, long or short, and cannot hold up a note for ever.
A batch is the row that is due first and the rows nearest to it in length, within a
budget of tokens.

Cores. Inference threads of all workers take turns at the cores (``cores.py``); a
thread takes its batch when it has its core, so that it holds all that came meanwhile.
The threads of the worker's own cores are woken first. A short queue is left half
full: taken whole, there would be nothing to compute while its clients are answered.

Bounds. A request enters in slices, at most two in the queue at a time; the queue's
bound counts admitted slices. So a large note is neither refused for ever nor able
to fill the queue. A patient request is not refused: it waits in its thread for room,
and while one does, those that are not patient are refused, or it might never come in.
"""

import logging
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from heapq import nsmallest
from itertools import count
from math import ceil, inf
from operator import attrgetter

from negation_api.contract.labels import Prediction
from negation_api.inference.cores import Cores, yield_to_others
from negation_api.model.isolation import classify_each

SLICES_IN_QUEUE = 2  # one being computed, one ready, so that no thread ever starves
CLIENT_CHECK_SECONDS = 0.25
SUPERVISION_SECONDS = 0.25
REST_SECONDS = 2.0
DEAD_SECONDS = 2.0  # without a thread that computes, until the process ends itself
MAX_CHOICE = 64  # rows among which those of like length are chosen
LEARNING_RATE = 0.2  # weight of the newest batch
MAX_WAIT = 0.5  # of the time that is left: what would wait longer is refused at once
FIRST_GUESS_TOKENS_PER_SECOND = 1_000.0  # BERT-base on two cores

log = logging.getLogger(__name__)


def retry_after(seconds: float) -> int:
    """Choose when to try again what is refused, after *seconds* at least.

    Not the same for all, who would come back together.
    """
    return ceil(max(1.0, seconds) * random.uniform(1, 2))  # nosec B311


class QueueFull(RuntimeError):
    """The worker has as much to do as it may take on.

    :ivar retry_after: seconds until half of that is done, at least, and mostly more.
    """

    def __init__(self, retry_after: int):
        super().__init__("queue full")
        self.retry_after = retry_after


class DeadlinePassed(TimeoutError):
    """The request was not finished in time; its rows were dropped."""


class ClientGone(ConnectionError):
    """The client hung up; its rows were dropped."""


class BatchFailed(RuntimeError):
    """The model failed on a row of this request."""


class Job:
    """The rows of one request on their way through the queue."""

    def __init__(self, num_rows: int, deadline: float):
        self.results: list[Prediction | None] = [None] * num_rows
        self.deadline = deadline  # by time.monotonic
        self.began: float | None = None  # its first batch; by time.monotonic
        self.due = 0.0  # virtual start time of the row that is entered next
        self.in_queue = 0  # tokens entered and not yet computed
        self.left = num_rows  # rows not yet computed
        self.error: Exception | None = None
        self.changed = threading.Event()


@dataclass(order=True)
class Row:
    """Token ids that wait, with the places of *job* which want their result."""

    length: int
    due: tuple[float, int]  # virtual time, and the order of arrival
    ids: tuple[int, ...] = field(compare=False)
    job: Job = field(compare=False)
    places: list[int] = field(compare=False)


class Batcher:
    """Collects the rows of concurrent requests into batches.

    :param classifier: has ``classify(rows) -> list[Prediction]``.
    :param threads: inference threads, each computing one batch at a time.
    :param batch_tokens: tokens of a batch, at most (one row may be longer).
    :param queue_tokens: admitted tokens above which requests are refused.
    :param slice_tokens: tokens that one request enters at a time.
    :param batch_timeout: seconds after which a batch counts as hanging, and the
        process ends itself.
    :param cores: shared with the batchers of other workers; without them each thread
        has a core for itself.
    :param observe: called with ``(rows, tokens, seconds)`` after each batch.
    :param rest: called two seconds after work began, and so on while there is some.
    """

    def __init__(
        self,
        classifier,
        *,
        threads: int,
        batch_tokens: int,
        queue_tokens: int,
        slice_tokens: int,
        batch_timeout: float = 30.0,
        max_requests: int = 160,
        cores: Cores | None = None,
        observe: Callable[[int, int, float], None] = lambda *batch: None,
        rest: Callable[[], None] = lambda: None,
    ):
        self._classifier = classifier
        self._num_threads = threads
        self._batch_tokens = batch_tokens
        self._queue_tokens = queue_tokens
        self._slice_tokens = slice_tokens
        self._batch_timeout = batch_timeout
        self._max_requests = max_requests
        self._cores = cores
        self._observe = observe
        self._rest = rest
        self._taken = 0.0  # the last batch, or since when there was one to take
        self._alive = 0.0  # when a thread was seen last that computes
        self._worked_since = inf  # the first batch after a rest; time.monotonic
        self._lock = threading.RLock()
        self._waiting: list[Row] = []
        self._idle: list[InferenceThread] = []
        self._virtual_time = 0.0
        self._arrivals = count()
        self._admitted = 0  # tokens of all slices in the queue or being computed
        self._active = 0  # requests
        self._patient = 0  # requests that wait to be let in
        self._freed = threading.Condition(self._lock)
        self._pace = Pace()
        self._threads: dict[int, InferenceThread] = {}
        self._stopped = threading.Event()

    # --- request threads --------------------------------------------------------

    def classify(
        self,
        rows: Sequence[Sequence[int]],
        deadline: float,
        is_gone: Callable[[], bool] = lambda: False,
        on_begun: Callable[[float], None] = lambda when: None,
        patient: bool = False,
    ) -> list[Prediction]:
        """Classify *rows*, in their order, together with those of other requests.

        Rows with the same ids are computed once.

        :param deadline: on the clock of ``time.monotonic``.
        :param is_gone: tells whether the client has hung up; asked now and then.
        :param on_begun: told at the end when the first batch began, on the same clock.
        :param patient: whether to wait for room until the deadline.
        :raises QueueFull: at once, when there is no room, unless *patient*.
        :raises DeadlinePassed, ClientGone, BatchFailed: see there.
        """
        job = Job(len(rows), deadline)
        slices = self._slices(rows, job)
        if not slices:
            return []
        tokens = sum(row.length for row in slices[0])
        if patient:
            self._await(lambda: self._has_tokens(tokens), deadline, is_gone)
        else:
            self._check_room(deadline, tokens)
        try:
            while slices or job.left:
                while slices and self._has_room(job):
                    self._enter(slices.pop(0), job)
                self._wait(job, is_gone)
        finally:
            self._leave(job)
        on_begun(job.began)
        return job.results

    @contextmanager
    def permit(self, deadline: float, patient: bool = False) -> Iterator[None]:
        """Be one of the requests under way, from the first line to the last.

        So that an overloaded service need not read what it will not take.

        :param patient: whether to wait until few enough are.
        :raises QueueFull: at once, when :meth:`classify` would, or too many are.
        :raises DeadlinePassed: when *patient* was not enough.
        """
        with self._lock:
            if patient:
                self._await(lambda: self._active < self._max_requests, deadline)
            elif self._active >= self._max_requests:
                raise QueueFull(self._retry_after())
            else:
                self._check_room(deadline)
            self._active += 1
        try:
            yield
        finally:
            with self._lock:
                self._active -= 1
                self._freed.notify_all()

    def _check_room(self, deadline: float, tokens: int = 1) -> None:
        in_time = self._pace.rate * MAX_WAIT * (deadline - time.monotonic())
        with self._lock:
            late = self._admitted and tokens > in_time - self._admitted
            if self._patient or late or not self._has_tokens(tokens):
                raise QueueFull(self._retry_after())

    def _has_tokens(self, tokens: int) -> bool:
        return not self._admitted or tokens <= self._queue_tokens - self._admitted

    def _await(
        self,
        holds: Callable[[], bool],
        deadline: float,
        is_gone: Callable[[], bool] = lambda: False,
    ) -> None:
        """Wait until *holds*, which is asked with the lock."""
        with self._lock:
            self._patient += 1
            try:
                while not holds():
                    self._freed.wait(CLIENT_CHECK_SECONDS)
                    if time.monotonic() >= deadline:
                        raise DeadlinePassed("deadline passed")
                    if is_gone():
                        raise ClientGone("client gone")
            finally:
                self._patient -= 1

    def _retry_after(self) -> int:
        return retry_after(self._admitted / 2 / self._pace.rate)

    @property
    def is_stuck(self) -> bool:
        """Tell whether rows wait and none was taken for as long as a batch may last."""
        # Without the lock, which whoever is stuck may hold.
        return bool(self._waiting) and self._unmoved() > self._batch_timeout

    def _unmoved(self) -> float:
        return time.monotonic() - self._taken

    @property
    def computing(self) -> int:
        """Rows that the model has."""
        works = [thread.work for thread in list(self._threads.values())]
        return sum(len(work[1]) for work in works if work)

    @property
    def waiting(self) -> tuple[int, int]:
        """Rows and tokens that wait to be computed."""
        with self._lock:
            return len(self._waiting), sum(row.length for row in self._waiting)

    def _slices(self, rows, job: Job) -> list[list[Row]]:
        """Cut *rows* into slices of rows of like length, the same ids once."""
        places: dict[tuple[int, ...], list[int]] = {}
        for place, ids in enumerate(rows):
            places.setdefault(ids, []).append(place)
        slices, tokens = [], self._slice_tokens
        for ids in sorted(places, key=len):
            if tokens + len(ids) > self._slice_tokens:
                slices.append([])
                tokens = 0
            slices[-1].append(Row(len(ids), (0.0, 0), ids, job, places[ids]))
            tokens += len(ids)
        return slices

    def _has_room(self, job: Job) -> bool:
        return job.in_queue <= (SLICES_IN_QUEUE - 1) * self._slice_tokens

    def _enter(self, rows: list[Row], job: Job) -> None:
        with self._lock:
            if not self._admitted:
                self._pace.begin(time.monotonic())
            if not self._waiting:
                self._taken = time.monotonic()
            for row in rows:
                start = max(job.due, self._virtual_time + 1)
                row.due = start, next(self._arrivals)
                job.due = start + row.length
                job.in_queue += row.length
                self._admitted += row.length
                self._waiting.append(row)
            self._wake(len(rows))

    def _wait(self, job: Job, is_gone: Callable[[], bool]) -> None:
        """Wait until something of *job* was computed, or something went wrong."""
        left = job.deadline - time.monotonic()
        changed = job.changed.wait(max(0.0, min(left, CLIENT_CHECK_SECONDS)))
        job.changed.clear()
        if job.error is not None:
            raise BatchFailed("the model failed") from job.error
        if not job.left:
            return
        if time.monotonic() >= job.deadline:
            raise DeadlinePassed("deadline passed")
        if not changed and is_gone():
            raise ClientGone("client gone")

    def _leave(self, job: Job) -> None:
        """Forget *job*; what of it still waits is dropped unstarted."""
        with self._lock:
            if job.in_queue:
                dropped = [row for row in self._waiting if row.job is job]
                self._waiting = [row for row in self._waiting if row.job is not job]
                self._settle(dropped)

    def _settle(self, rows: list[Row]) -> None:
        """Take *rows* off the books. The lock is held."""
        for row in rows:
            row.job.in_queue -= row.length
            self._admitted -= row.length
        self._freed.notify_all()

    # --- inference threads ------------------------------------------------------

    def start(self, seat: int = 0) -> None:
        """Start the threads: in the worker, since threads do not survive a fork.

        :param seat: the worker's, which says what cores are its own.
        """
        self._seat = seat
        self._cores = self._cores or Cores(self._num_threads)
        for index in range(self._num_threads):
            self._start_thread(index)
        threading.Thread(target=self._supervise, name="supervisor", daemon=True).start()

    def stop(self) -> None:
        """End the threads once nothing waits; what they compute is delivered."""
        self._stopped.set()
        with self._lock:
            self._wake(len(self._idle))
        for thread in list(self._threads.values()):
            if thread.is_alive():
                thread.join()

    def _start_thread(self, index: int) -> None:
        cores = self._cores.of(self._seat)
        core = cores[index % len(cores)]
        thread = InferenceThread(self._infer, index, core, self._lock)
        self._threads[index] = thread
        thread.start()

    def _infer(self, me: "InferenceThread") -> None:
        yield_to_others()
        with self._cores.open(me.core) as core:
            while self._await_rows(me):
                with core:
                    until = time.monotonic() + self._cores.turn(me.core, self._seat)
                    while self._compute_batch(me) and time.monotonic() < until:
                        pass

    def _await_rows(self, me: "InferenceThread") -> bool:
        """Wait until something waits; False when there will be no more."""
        with self._lock:
            while not self._waiting:
                if self._stopped.is_set():
                    return False
                self._idle.append(me)
                me.woken.wait()
        return True

    def _wake(self, count: int) -> None:
        """Wake *count* of the threads that are idle. The lock is held."""
        self._idle.sort(key=attrgetter("index"))
        for thread in self._idle[:count]:
            thread.woken.notify()
        del self._idle[:count]

    def _compute_batch(self, me: "InferenceThread") -> bool:
        """Take a batch, compute and deliver it; False when nothing waits.

        The core is held: what came while another worker had it is in the batch.
        """
        batch = self._begin(me)
        if batch:
            rows = list({row.ids: None for row in batch})
            results = classify_each(partial(self._classify, me), rows)
            self._deliver(batch, dict(zip(rows, results, strict=True)))
            me.work = None
        return bool(batch)

    def _begin(self, me: "InferenceThread") -> list[Row]:
        """Take a batch; empty when other threads were quicker."""
        with self._lock:
            batch = self._take() if self._waiting else []
            if batch:
                began = self._taken = time.monotonic()
                self._worked_since = min(self._worked_since, began)
                me.work = began, batch
                for row in batch:
                    row.job.began = row.job.began or began
        return batch

    def _take(self) -> list[Row]:
        """Take the row that is due first and, of those due next, the nearest in length.

        Of those due next only, or in a long queue the unlucky would wait several times
        as long as the others. The lock is held, and something waits.
        """
        oldest = nsmallest(MAX_CHOICE, self._waiting, key=attrgetter("due"))
        first = oldest[0]
        self._virtual_time = first.due[0]
        oldest.sort(key=lambda row: (abs(row.length - first.length), row.due))
        batch, room = [], self._room(oldest)
        for row in oldest:
            room -= row.length
            if room < 0 and batch:
                break
            batch.append(row)
        taken = set(map(id, batch))
        self._waiting = [row for row in self._waiting if id(row) not in taken]
        return batch

    def _room(self, rows: list[Row]) -> float:
        """Give the tokens of a batch of *rows*, which are those that wait, or many."""
        half = sum(row.length for row in rows) / 2
        return min(max(half, self._batch_tokens / 2), self._batch_tokens)

    def _classify(self, me: "InferenceThread", rows: Sequence) -> Sequence[Prediction]:
        started = time.monotonic()
        me.work = started, me.work[1]
        try:
            predictions = self._classifier.classify(rows)
            if len(predictions) != len(rows):
                raise ValueError(f"{len(predictions)} predictions, {len(rows)} rows")
        except Exception as error:
            # Its message may hold anything; its type and place say enough.
            about = {"error": type(error).__name__, "rows": len(rows)}
            log.error("batch failed", extra=about)
            raise
        self._observe(len(rows), sum(map(len, rows)), time.monotonic() - started)
        return predictions

    def _deliver(self, batch: list[Row], results: dict) -> None:
        with self._lock:
            self._settle(batch)
            tokens = sum(row.length for row in batch)
            self._pace.note(tokens, time.monotonic(), more=bool(self._waiting))
            for row in batch:
                result = results[row.ids]
                if isinstance(result, Exception):
                    row.job.error = row.job.error or result
                for place in row.places:
                    row.job.results[place] = result
                    row.job.left -= 1
        for job in {id(row.job): row.job for row in batch}.values():
            if job.error or not job.left or self._has_room(job):
                job.changed.set()

    # --- supervision ------------------------------------------------------------

    def _supervise(self) -> None:
        """Look after the threads now and then, whatever befalls a turn of it."""
        self._alive = time.monotonic()
        while not self._stopped.wait(SUPERVISION_SECONDS):
            try:
                self._look_after()
            except Exception as error:
                log.error("supervision failed", extra={"error": type(error).__name__})

    def _look_after(self) -> None:
        """Answer for threads that died, then replace them; end what cannot go on."""
        now, threads = time.monotonic(), list(self._threads.values())
        dead = [thread for thread in threads if not thread.is_alive()]
        for thread in dead:
            self._bury(thread)
        if len(dead) < len(threads):
            self._alive = now
        if any(t.work and now - t.work[0] > self._batch_timeout for t in threads):
            self._end("batch hangs", self._batch_timeout)
        # Twice: another worker's batch may hang on the core that ours wait for.
        if self.is_stuck and self._unmoved() > 2 * self._batch_timeout:
            self._end("nothing is computed", 2 * self._batch_timeout)
        if now - self._alive > DEAD_SECONDS:
            self._end("no inference thread", DEAD_SECONDS)
        for thread in dead:
            self._start_thread(thread.index)
            log.error("inference thread died; replaced")
        if now - self._worked_since > REST_SECONDS:
            self._worked_since = inf
            self._rest()

    def _bury(self, thread: "InferenceThread") -> None:
        if thread.work:
            batch, thread.work = thread.work[1], None
            died = RuntimeError("inference thread died")
            self._deliver(batch, {row.ids: died for row in batch})

    def _end(self, why: str, seconds: float) -> None:
        """End the process, so that Gunicorn replaces it: no thread can be stopped."""
        log.critical(why, extra={"seconds": seconds})
        os.kill(os.getpid(), signal.SIGKILL)


class Pace:
    """How fast a queue shrinks, by its last batches.

    Other workers have their turns at the cores too, so what a batch takes by itself
    does not say; waiting for a core counts.

    :ivar rate: tokens a second, or whatever else work is measured in.
    """

    def __init__(self, first_guess: float = FIRST_GUESS_TOKENS_PER_SECOND):
        self.rate = first_guess
        self._since = 0.0  # the last batch was done, or rows came
        self._is_first = False  # the next batch since they did
        self._num_batches = 0
        self._tokens = self._seconds = 0.0  # of a batch, and between two; averages

    def begin(self, when: float) -> None:
        """Note that rows came, after there had been none for a while."""
        self._since, self._is_first = when, True

    def note(self, tokens: int, when: float, more: bool) -> None:
        """Note that a batch is done, by any thread.

        :param more: whether rows wait: what is computed while there are few says
            little about a queue, but that it is no slower than one that came and went
            alone.
        """
        seconds, self._since = when - self._since, when
        is_lone, self._is_first = self._is_first and not more, False
        if more:
            self._num_batches += 1  # the first replaces the guess
            weight = max(LEARNING_RATE, 1 / self._num_batches)
            self._tokens += weight * (tokens - self._tokens)
            self._seconds += weight * (seconds - self._seconds)
            self.rate = self._tokens / max(self._seconds, 1e-3)
        elif is_lone:
            self.rate = max(self.rate, tokens / max(seconds, 1e-3))


class InferenceThread(threading.Thread):
    """Runs *infer* with itself as the argument.

    :ivar index: which of its worker's threads it is; the first have its own cores.
    :ivar core: which it computes on.
    :ivar woken: notified when rows came, or will no more.
    :ivar work: when it began its batch, by ``time.monotonic``, and the batch; None
        while it waits.
    """

    def __init__(
        self,
        infer: Callable[["InferenceThread"], None],
        index: int,
        core: int,
        lock: threading.RLock,
    ):
        name = f"inference-{index}"
        super().__init__(target=infer, args=(self,), name=name, daemon=True)
        self.index = index
        self.core = core
        self.woken = threading.Condition(lock)
        self.work: tuple[float, list[Row]] | None = None
