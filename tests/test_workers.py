"""Worker processes: what they give, and that their end is seen however they end."""

import os
import signal
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress

import pytest

from negation_api.batch.workers import workers

LARGE = 64_000_000  # bytes: written in some 50 ms


def test_results_are_those_of_the_function_whichever_worker_ends_first():
    def slowly(number):
        time.sleep((number % 3) / 100)
        return number, os.getpid()

    with workers(3, slowly) as submit:
        results = [each.result() for each in [submit(number) for number in range(20)]]
    assert [number for number, _ in results] == list(range(20))
    assert len({pid for _, pid in results}) == 3


def test_what_the_function_raises_is_raised_with_the_place():
    def fail(number):
        raise KeyError(number)

    with workers(1, fail) as submit:
        with pytest.raises(KeyError) as caught:
            submit(7).result()
        assert caught.value.args == (7,)
        assert "in fail" in caught.value.__notes__[0]
        with pytest.raises(KeyError):  # and the worker is there still
            submit(8).result()


@pytest.mark.parametrize("milliseconds", range(0, 160, 20))
def test_a_worker_killed_as_it_writes_is_seen(milliseconds):
    """Whenever it is killed: before it writes, in the middle, or behind that."""

    def write(_):
        threading.Thread(target=kill).start()
        return bytes(LARGE)

    def kill():
        time.sleep(milliseconds / 1000)
        os.kill(os.getpid(), signal.SIGKILL)

    with workers(2, write) as submit:
        first, second = submit(None), submit(None)
        for future in (first, second):
            with suppress(BrokenProcessPool):
                assert len(future.result(timeout=30)) == LARGE


def test_a_failure_ends_workers_as_they_write():
    with pytest.raises(ZeroDivisionError):
        with workers(2, bytes) as submit:
            futures = [submit(LARGE) for _ in range(8)]
            futures[0].result()
            1 / 0
    assert all(future.done() for future in futures)
