"""Inference threads, and a supervisor that replaces those that die.

Choose no rows: the queue does. Threads of all workers take turns at the cores
(``cores.py``); one takes its batch when it has its core, so that it holds all that came
meanwhile. Those of the worker's own cores are woken first.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from math import inf

from negation_api.contract.labels import Prediction
from negation_api.inference.cores import Cores, yield_to_others
from negation_api.inference.queue import Queue, Row
from negation_api.model.isolation import classify_each

SUPERVISION_SECONDS = 0.25
TRIM_SECONDS = 2.0
DEAD_SECONDS = 2.0  # without a thread that computes, until the process ends itself

log = logging.getLogger(__name__)


class InferenceThread(threading.Thread):
    """Runs *infer* with itself as the argument.

    :ivar index: which of its worker's threads it is; the first have its own cores.
    :ivar core: which it computes on.
    :ivar work: when it began its batch, by ``time.monotonic``, and the batch; None
        while it waits.
    """

    def __init__(
        self, infer: Callable[["InferenceThread"], None], index: int, core: int
    ):
        name = f"inference-{index}"
        super().__init__(target=infer, args=(self,), name=name, daemon=True)
        self.index = index
        self.core = core
        self.work: tuple[float, list[Row]] | None = None


class InferenceThreads:
    """The threads of one worker, which compute what is in *queue*.

    Parameters as of :class:`~negation_api.inference.batching.Batcher`.
    """

    def __init__(
        self,
        queue: Queue,
        classifier,
        count: int,
        batch_timeout: float,
        cores: Cores | None,
        observe: Callable[[int, int, float], None],
        trim_memory: Callable[[], None],
    ):
        self._queue = queue
        self._classifier = classifier
        self._count = count
        self._batch_timeout = batch_timeout
        self._cores = cores
        self._observe = observe
        self._trim_memory = trim_memory
        self._alive = 0.0  # when a thread was seen last that computes
        self._untrimmed_since = inf  # the end of the first batch after that
        self._threads: dict[int, InferenceThread] = {}
        self._stopped = threading.Event()

    @property
    def computing(self) -> int:
        """Rows that the model has."""
        works = [thread.work for thread in list(self._threads.values())]
        return sum(len(work[1]) for work in works if work)

    def start(self, slot: int) -> None:
        """See :meth:`~negation_api.inference.batching.Batcher.start`."""
        self._slot = slot
        self._cores = self._cores or Cores(self._count)
        for index in range(self._count):
            self._start_thread(index)
        self._alive = time.monotonic()
        threading.Thread(target=self._supervise, name="supervisor", daemon=True).start()

    def stop(self) -> None:
        """End the threads once nothing waits; what they compute is delivered."""
        self._stopped.set()
        self._queue.close()
        for thread in list(self._threads.values()):
            if thread.is_alive():
                thread.join()

    def _start_thread(self, index: int) -> None:
        cores = self._cores.of(self._slot)
        thread = InferenceThread(self._infer, index, cores[index % len(cores)])
        self._threads[index] = thread
        thread.start()

    # --- inference --------------------------------------------------------------

    def _infer(self, me: InferenceThread) -> None:
        yield_to_others()
        with self._cores.open(me.core) as core:
            while self._queue.wait_for_rows(me.index):
                with core:
                    until = time.monotonic() + self._cores.turn(me.core, self._slot)
                    while self._compute_batch(me) and time.monotonic() < until:
                        pass

    def _compute_batch(self, me: InferenceThread) -> bool:
        """Take a batch, compute and deliver it; False when nothing waits.

        The core is held: what came while another worker had it is in the batch.
        """
        batch = self._queue.next_batch()
        if batch:
            me.work = time.monotonic(), batch
            rows = list({row.ids: None for row in batch})
            results = classify_each(partial(self._classify, me), rows)
            self._queue.deliver(batch, dict(zip(rows, results, strict=True)))
            me.work = None
            self._untrimmed_since = min(self._untrimmed_since, time.monotonic())
        return bool(batch)

    def _classify(self, me: InferenceThread, rows: Sequence) -> Sequence[Prediction]:
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

    # --- supervision ------------------------------------------------------------

    def _supervise(self) -> None:
        """Look after the threads now and then, whatever befalls a turn of it."""
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
            self._fail_batch_of(thread)
        if len(dead) < len(threads):
            self._alive = now
        if any(t.work and now - t.work[0] > self._batch_timeout for t in threads):
            self._end("batch hangs", self._batch_timeout)
        # Twice: another worker's batch may hang on the core that ours wait for.
        if self._queue.stalled_seconds > 2 * self._batch_timeout:
            self._end("nothing is computed", 2 * self._batch_timeout)
        if now - self._alive > DEAD_SECONDS:
            self._end("no inference thread", DEAD_SECONDS)
        for thread in dead:
            self._start_thread(thread.index)
            log.error("inference thread died; replaced")
        if now - self._untrimmed_since > TRIM_SECONDS:
            self._untrimmed_since = inf
            self._trim_memory()

    def _fail_batch_of(self, thread: InferenceThread) -> None:
        if thread.work:
            batch, thread.work = thread.work[1], None
            died = RuntimeError("inference thread died")
            self._queue.deliver(batch, {row.ids: died for row in batch})

    def _end(self, why: str, seconds: float) -> None:
        """End the process, so that Gunicorn replaces it: no thread can be stopped."""
        log.critical(why, extra={"seconds": seconds})
        os.kill(os.getpid(), signal.SIGKILL)
