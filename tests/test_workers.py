"""Worker processes: what they give, and that their end is seen however they end."""

import multiprocessing
import os
import re
import signal
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress

import pytest

from negation_api.batch.tables import InputError
from negation_api.batch.workers import WorkerError, workers

LARGE = 64_000_000  # bytes: written in some 50 ms


def test_results_are_those_of_the_function_whichever_worker_ends_first():
    def slowly(number):
        time.sleep((number % 3) / 100)
        return number, os.getpid()

    with workers(3, slowly) as submit:
        results = [each.result() for each in [submit(number) for number in range(20)]]
    assert [number for number, _ in results] == list(range(20))
    assert len({pid for _, pid in results}) == 3


class Panic(BaseException):
    """As of a library in Rust; not to be pickled."""

    def __reduce__(self):
        raise TypeError


@pytest.mark.parametrize("kind", [KeyError, Panic, SystemExit])
def test_a_failure_is_told_by_its_place_and_without_text(kind, capfd):
    def fail(text):
        raise kind(text)

    with workers(1, fail) as submit:
        for _ in range(2):  # the worker is there still
            with pytest.raises(WorkerError) as caught:
                submit("chest pain").result()
    assert re.fullmatch(rf"{kind.__name__} at .*fail:\d+", str(caught.value))
    assert capfd.readouterr() == ("", "")


def test_an_input_error_keeps_its_message():
    def fail(message):
        raise InputError(message)

    with workers(1, fail) as submit:
        with pytest.raises(InputError, match="^needs pyarrow$"):
            submit("needs pyarrow").result()


def test_an_interrupt_in_the_middle_of_a_fork_is_raised_behind_it(capfd):
    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)

    def interrupted():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.register_at_fork(before=interrupt, after_in_child=interrupt)
        with pytest.raises(KeyboardInterrupt):
            with workers(3, bytes):
                pass
        assert not multiprocessing.active_children()

    process = multiprocessing.get_context("fork").Process(target=interrupted)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert capfd.readouterr() == ("", "")


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
