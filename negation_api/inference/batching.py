"""The requests of one worker -> batches for the model.

Request threads hand in rows (lists of token ids); inference threads take what is
waiting the moment they are free. Nothing ever waits for a batch to fill, so a lone
request pays nothing. ::

    request thread                queue                   inference thread
    classify() -> admission ->    rows -> next batch ->   classifier -> results
                  slices

Puts the parts together, and has no rule of its own: see ``admission.py``, ``queue.py``
and ``threads.py``.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from negation_api.contract.labels import Prediction
from negation_api.inference.admission import Admission
from negation_api.inference.cores import Cores
from negation_api.inference.queue import Job, Queue
from negation_api.inference.threads import InferenceThreads


class Batcher:
    """Collects the rows of concurrent requests into batches.

    :param classifier: has ``classify(rows) -> list[Prediction]``.
    :param threads: inference threads, each computing one batch at a time.
    :param batch_tokens: tokens of a batch, at most (one row may be longer).
    :param queue_tokens: admitted tokens above which requests are refused.
    :param slice_tokens: tokens that one request enters at a time.
    :param batch_timeout: seconds after which a batch counts as hanging, and the
        process ends itself.
    :param max_requests: requests under way, above which others are refused.
    :param cores: shared with the batchers of other workers; without them each thread
        has a core for itself.
    :param observe: called with ``(rows, tokens, seconds)`` after each batch.
    :param trim_memory: called two seconds after a batch was done, and so on while
        there are some.
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
        trim_memory: Callable[[], None] = lambda: None,
    ):
        self._slice_tokens = slice_tokens
        self._batch_timeout = batch_timeout
        self._admission = Admission(max_requests, queue_tokens, batch_tokens * threads)
        self._queue = Queue(self._admission, batch_tokens, slice_tokens)
        self._threads = InferenceThreads(
            self._queue, classifier, threads, batch_timeout, cores, observe, trim_memory
        )

    def start(self, slot: int = 0) -> None:
        """Start the threads: in the worker, since threads do not survive a fork.

        :param slot: the worker's, which says what cores are its own.
        """
        self._threads.start(slot)

    def stop(self) -> None:
        """End the threads once nothing waits; what they compute is delivered."""
        self._threads.stop()

    def permit(
        self, deadline: float, patient: bool = False
    ) -> AbstractContextManager[None]:
        """Be one of the requests under way, from the first line to the last.

        So that an overloaded service need not read what it will not take.

        :param patient: whether to wait until few enough are.
        :raises QueueFull: at once, when :meth:`classify` would, or too many are.
        :raises DeadlinePassed: when *patient* was not enough.
        """
        return self._admission.permit(deadline, patient)

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
        job = Job(rows, deadline, self._slice_tokens)
        if not job.slices:
            return []
        tokens = sum(row.length for row in job.slices[0])
        if patient:
            self._admission.await_admission(tokens, deadline, is_gone)
        else:
            self._admission.try_admit(tokens, deadline, job.tokens)
        with self._admission.sharing():
            try:
                self._queue.enter(job)
                while not job.wait(is_gone):
                    self._queue.enter(job)
            finally:
                self._queue.remove(job)
        on_begun(job.began)
        return job.results

    @property
    def is_stuck(self) -> bool:
        """Tell whether rows wait and none was taken for as long as a batch may last."""
        return self._queue.stalled_seconds > self._batch_timeout

    @property
    def waiting(self) -> tuple[int, int]:
        """Rows and tokens that wait to be computed."""
        return self._queue.size

    @property
    def computing(self) -> int:
        """Rows that the model has."""
        return self._threads.computing
