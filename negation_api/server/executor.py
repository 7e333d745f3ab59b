"""Threads that handle requests: few at a time, and lanes for what must not wait.

Health checks have a thread of their own, and what only reads two. Requests that are not
to be refused wait for a thread of theirs, however many they are.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf

from negation_api.contract.cnlpt import QUESTIONS
from negation_api.inference.admission import MAX_WAIT, QueueFull, retry_after
from negation_api.server.connection import ByteBudget, Connection
from negation_api.server.parsing import BodyWanted
from negation_api.server.turns import REQUEST_COST, Turns
from negation_api.settings import Settings

# lane -> threads; requests that may be in it
LANES = {"health": (1, inf), "read": (2, 64), "patient": (16, inf)}

LINE_BYTES = 256  # of a request's first line, which may be long
PATIENT = {question.path.encode() for question in QUESTIONS}

log = logging.getLogger("negation_api.worker")


class Executor:
    """Has each request handled in a thread, when it is its turn.

    :param pool: for the requests without a lane.
    :param handle: called with a connection, in a thread; tells whether it stays open.
    :param finish: called with it afterwards, in that thread.
    :param held: bytes of all requests, from the first to the answer.
    """

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        handle: Callable[[Connection], bool],
        finish: Callable[[Connection], None],
        held: ByteBudget,
        settings: Settings,
    ):
        self._handle = handle
        self._finish = finish
        self._held = held
        self._prefix = settings.url_prefix.encode()
        self._lanes = {
            name: ThreadPoolExecutor(threads) for name, (threads, _) in LANES.items()
        }
        for each in (pool, *self._lanes.values()):
            each.submit(int)  # one thread at least, so that what is queued is done
        self._in_lane = Counter()
        self._patient_turn = threading.Lock()  # of the patient, beside the other turns
        self._turns = Turns(
            partial(self._start, pool),
            settings.max_active_requests,
            MAX_WAIT * settings.request_timeout,
        )
        self.expire = self._turns.expire

    def submit(self, conn: Connection) -> bool:
        """Have ``conn.request`` handled; False, and nothing is done, without room."""
        conn.lane = _lane(conn.request, self._prefix)
        if not conn.lane:
            conn.cost = REQUEST_COST + conn.num_held
            return self._turns.ask(conn)
        if self._in_lane[conn.lane] >= LANES[conn.lane][1]:
            return False
        self._in_lane[conn.lane] += 1
        self._start(self._lanes[conn.lane], conn)
        return True

    def note_finished(self, conn: Connection) -> None:
        """To be called where ``submit`` is, once *conn* is handled."""
        if conn.lane:
            self._in_lane[conn.lane] -= 1

    def _start(self, pool: ThreadPoolExecutor, conn: Connection) -> None:
        try:
            pool.submit(self._run, conn)
        except RuntimeError as error:  # no more threads; one that is there does it
            log.error("no thread", extra={"error": type(error).__name__})

    def _run(self, conn: Connection) -> None:
        conn.keeps_open = False
        conn.sock.hold = partial(self._hold, conn)
        if conn.lane is None:
            conn.sock.end_turn = _once(self._turns.end, conn)
        elif conn.lane == "patient":
            self._patient_turn.acquire()
            conn.sock.end_turn = _once(self._patient_turn.release)
        try:
            conn.keeps_open = self._handle(conn)
            conn.sock.flush()
        except BodyWanted:
            conn.wants_body = True
        except OSError:
            conn.sock.unsent.clear()
            conn.keeps_open = False
        finally:
            conn.sock.end_turn()
            self._finish(conn)

    def _hold(self, conn: Connection, count: int) -> None:
        """Count what came out of a body that was compressed.

        :raises QueueFull: when all requests together hold too much.
        """
        conn.num_held += count
        if conn.lane is None:
            self._turns.add(conn, count)
        self._held.add(count)
        if self._held.is_exceeded():
            raise QueueFull(retry_after(1))


def _lane(request: bytes, prefix: bytes) -> str | None:
    """Name the lane of a request that has one; others wait for their turn."""
    method, target, *_ = request[:LINE_BYTES].lstrip(b"\r\n").split(b" ", 2) + [b""]
    path = target.partition(b"?")[0].removeprefix(prefix).rstrip(b"/")
    path = b"/" + path.lstrip(b"/")  # as the router has it
    if method == b"POST" and path in PATIENT:
        return "patient"
    if method not in (b"GET", b"HEAD", b"OPTIONS"):
        return None
    return "health" if path == b"/health" else "read"


def _once(call, *args):
    """Make a function that calls the first time only; of one thread."""
    calls = [partial(call, *args)]
    return lambda: calls and calls.pop()()
