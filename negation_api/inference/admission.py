"""Whether a request is admitted: permits for requests, tokens for the queue.

Knows no rows, order or threads. The bound on tokens counts admitted slices, at most two
of a request, so a large note is neither refused for ever nor able to fill the queue.
Whoever is not admitted is refused at once. A patient request waits instead, in its
thread, and while one does, those that are not patient are refused, or it might never
be admitted.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil

from negation_api.inference.pace import Pace

MAX_WAIT = 0.5  # of the time that is left: what would wait longer is refused at once
CLIENT_CHECK_SECONDS = 0.25


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


class Admission:
    """Counts requests under way, and the tokens that they were admitted with.

    :param max_requests: that may hold a permit.
    :param max_tokens: that may be admitted, unless nothing else is.
    :param batch_tokens: that are computed at a time; with more in the queue, requests
        share what is done.
    :ivar lock: held while anything is counted, and by the queue.
    :ivar pace: of the tokens that are done.
    :ivar tokens: of all slices in the queue or being computed.
    :ivar patient: requests that wait to be admitted.
    """

    def __init__(self, max_requests: int, max_tokens: int, batch_tokens: int):
        self._max_requests = max_requests
        self._max_tokens = max_tokens
        self._batch_tokens = batch_tokens
        self.lock = threading.RLock()
        self.pace = Pace()
        self.tokens = 0
        self.patient = 0
        self._permits = 0
        self._sharing = 0  # requests in the queue
        self._released = threading.Condition(self.lock)

    @contextmanager
    def permit(self, deadline: float, patient: bool) -> Iterator[None]:
        """See :meth:`~negation_api.inference.batching.Batcher.permit`."""
        with self.lock:
            if patient:
                self._await(lambda: self._permits < self._max_requests, deadline)
            elif self._permits >= self._max_requests:
                raise self._queue_full()
            else:
                self.try_admit(1, deadline)
            self._permits += 1
        try:
            yield
        finally:
            with self.lock:
                self._permits -= 1
                self._released.notify_all()

    def try_admit(self, tokens: int, deadline: float, whole: int = 0) -> None:
        """See that *tokens* can be admitted.

        :param whole: tokens of the request, of which *tokens* come first.
        :raises QueueFull: when they cannot, or would take too long at this pace.
        """
        in_time = self.pace.rate * MAX_WAIT * (deadline - time.monotonic())
        with self.lock:
            late = self.tokens and tokens > in_time - self.tokens
            late = late or self._is_shared and whole * (self._sharing + 1) > in_time
            if self.patient or late or not self._fits(tokens):
                raise self._queue_full()

    @property
    def _is_shared(self) -> bool:
        """Tell whether more than a batch waits, and the pace is no guess.

        Then each request gets an equal share, whatever comes: a note among nine takes
        ten times what it takes alone. In a shorter queue it gets what others leave.
        """
        return self.pace.is_measured and self.tokens > self._batch_tokens

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Count one more request in the queue."""
        with self.lock:
            self._sharing += 1
        try:
            yield
        finally:
            with self.lock:
                self._sharing -= 1

    def await_admission(
        self, tokens: int, deadline: float, is_gone: Callable[[], bool]
    ) -> None:
        """Wait until *tokens* can be admitted.

        :raises DeadlinePassed, ClientGone: see there.
        """
        self._await(lambda: self._fits(tokens), deadline, is_gone)

    def add(self, tokens: int) -> None:
        """Count *tokens* that enter the queue. The lock is held."""
        if not self.tokens:
            self.pace.begin(time.monotonic())
        self.tokens += tokens

    def release(self, tokens: int) -> None:
        """Count *tokens* as done or dropped. The lock is held."""
        self.tokens -= tokens
        self._released.notify_all()

    def _fits(self, tokens: int) -> bool:
        return not self.tokens or tokens <= self._max_tokens - self.tokens

    def _await(
        self,
        holds: Callable[[], bool],
        deadline: float,
        is_gone: Callable[[], bool] = lambda: False,
    ) -> None:
        """Wait until *holds*, which is asked with the lock."""
        with self.lock:
            self.patient += 1
            try:
                while not holds():
                    self._released.wait(CLIENT_CHECK_SECONDS)
                    if time.monotonic() >= deadline:
                        raise DeadlinePassed("deadline passed")
                    if is_gone():
                        raise ClientGone("client gone")
            finally:
                self.patient -= 1

    def _queue_full(self) -> QueueFull:
        return QueueFull(retry_after(self.tokens / 2 / self.pace.rate))
