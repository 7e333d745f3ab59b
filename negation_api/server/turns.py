"""Few requests at a time run Python; the others wait for their turn.

Threads of one process share one interpreter: more of them at once are not done sooner,
and whoever has a millisecond's work, such as a health check, waits for all. A turn
ends when the request's rows wait for the model.
"""

import threading
import time
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from negation_api.inference.pace import Pace

TURNS = 2  # one reads or writes while the other computes
REQUEST_COST = 4096  # of a request without a body, in bytes of one
FIRST_GUESS_COST_PER_SECOND = 1_000_000.0
# What waits is served by its time of arrival, and as if it had come later by that much:
# a sentence overtakes the notes, but never for ever.
COST_PER_SECOND_LATER = 100_000.0


class Turns:
    """Starts requests, few at a time. Any thread may call.

    :param start: called with the connection whose turn it is.
    :param most: that may wait.
    :param seconds: that each may wait.
    """

    def __init__(self, start: Callable, most: int, seconds: float, turns: int = TURNS):
        self._start = start
        self._most = most
        self._seconds = seconds
        self._free = turns
        self._lock = threading.Lock()
        self._waiting: list[tuple[float, int, object]] = []  # a heap
        self._cost = 0  # of those whose turn it is
        self._arrivals = count()
        self._pace = Pace(FIRST_GUESS_COST_PER_SECOND)

    def ask(self, conn) -> bool:
        """Start *conn* when it is its turn.

        :returns: False, and nothing is done, if that would be too late by the pace of
            the last, or too many wait.
        """
        now = time.monotonic()
        key = now + conn.cost / COST_PER_SECOND_LATER
        with self._lock:
            if not self._cost:
                self._pace.begin(now)
            ahead = sum(other.cost for due, _, other in self._waiting if due <= key)
            late = (self._cost + ahead) / self._pace.rate > self._seconds
            if self._waiting and (late or len(self._waiting) >= self._most):
                return False
            heappush(self._waiting, (key, next(self._arrivals), conn))
        self._next()
        return True

    def add(self, conn, cost: int) -> None:
        """Note that *conn*, whose turn it is, is more work than was known."""
        with self._lock:
            conn.cost += cost
            self._cost += cost

    def expire(self) -> list:
        """Give those that waited too long after all; they have no turn any more."""
        since = time.monotonic() - self._seconds
        with self._lock:
            late = [each for each in self._waiting if each[-1].sock.received < since]
            if late:
                gone = {number for _, number, _ in late}
                kept = [each for each in self._waiting if each[1] not in gone]
                self._waiting = sorted(kept)  # a sorted list is a heap
        return [conn for *_, conn in late]

    def end(self, conn) -> None:
        """Let the next have the turn of *conn*."""
        with self._lock:
            self._free += 1
            self._cost -= conn.cost
            more = bool(self._waiting)
            self._pace.note(conn.cost, time.monotonic(), more)
        self._next()

    def _next(self) -> None:
        with self._lock:
            if not (self._free and self._waiting):
                return
            *_, conn = heappop(self._waiting)
            self._free -= 1
            self._cost += conn.cost
        self._start(conn)
