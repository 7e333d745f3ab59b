"""Turns at the cores: one thread at a time, whoever dies."""

import os
import signal
import threading
import time

import pytest

from negation_api.batching import Batcher
from negation_api.cores import Cores


@pytest.fixture
def forked():
    """Run a function in a forked process that is killed in the end."""
    pids = []

    def fork(function):
        ready, write = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                function(lambda: os.write(write, b"!"))
            finally:
                os._exit(0)
        pids.append(pid)
        assert os.read(ready, 1) == b"!"
        os.close(ready)
        os.close(write)
        return pid

    yield fork
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def hold(cores, index):
    def held(tell):
        with cores.open(index) as core, core:
            tell()
            time.sleep(60)

    return held


def take(cores, index) -> threading.Event:
    """Let a thread wait for core *index*; give what tells that it had it."""
    had = threading.Event()

    def run():
        with cores.open(index) as core, core:
            had.set()

    threading.Thread(target=run, daemon=True).start()
    return had


def test_a_core_is_one_thread_s_at_a_time_across_processes(forked):
    cores = Cores(2)
    forked(hold(cores, 0))
    waits, free = take(cores, 0), take(cores, 1)
    assert free.wait(5)
    assert not waits.wait(0.3)


def test_a_core_is_free_when_its_process_is_killed(forked):
    cores = Cores(1)
    pid = forked(hold(cores, 0))
    waits = take(cores, 0)
    assert not waits.wait(0.3)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert waits.wait(5)


def test_a_core_is_free_when_its_thread_raised():
    cores = Cores(1)
    with pytest.raises(KeyError):
        with cores.open(0) as core, core:
            raise KeyError
    assert take(cores, 0).wait(5)


def test_cores_are_counted_round():
    cores = Cores(2)
    with cores.open(5) as core, core:
        assert not take(cores, 1).wait(0.3)
        assert take(cores, 0).wait(5)


def test_a_thread_waiting_for_its_core_takes_all_that_came_meanwhile():
    class Classifier:
        batches = []

        def classify(self, rows):
            self.batches.append(len(rows))
            return [None] * len(rows)

    cores = Cores(1)
    limits = {"batch_tokens": 100, "queue_tokens": 1000, "slice_tokens": 500}
    batcher = Batcher(Classifier(), threads=1, cores=cores, **limits)
    batcher.start()
    deadline = time.monotonic() + 30
    clients = [
        threading.Thread(target=batcher.classify, args=([[1, 2, n]], deadline))
        for n in range(8)
    ]
    with cores.open(0) as core, core:
        for client in clients:
            client.start()
        while batcher.waiting[0] < 8:
            time.sleep(0.01)
    for client in clients:
        client.join()
    batcher.stop()
    assert Classifier.batches == [8]
