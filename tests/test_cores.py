"""Turns at the cores: one thread at a time, whoever dies."""

import os
import re
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from server import Server, wait_until
from test_serving import ask_until_all_answer

from negation_api.inference.batching import Batcher
from negation_api.inference.cores import Cores
from negation_api.layout import cpu_quota


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
        threading.Thread(target=batcher.classify, args=([(1, 2, n)], deadline))
        for n in range(8)
    ]
    with cores.open(0) as core, core:
        for client in clients:
            client.start()
        wait_until(lambda: batcher.waiting[0] == 8, 20, "rows wait")
    for client in clients:
        client.join()
    batcher.stop()
    assert Classifier.batches == [8]


class Recorder:
    """Gives each row back; notes whose batch it was and what core computed it."""

    def __init__(self, name, log):
        self._name, self._log = name, log
        self.entered, self.gate = threading.Semaphore(0), threading.Semaphore(0)

    def classify(self, rows):
        self._log.append((self._name, threading.current_thread().core))
        self.entered.release()
        assert self.gate.acquire(timeout=20)
        return list(rows)


@pytest.fixture
def make_worker():
    """A function that makes a batcher and its model, as in the worker in a slot."""
    made = []

    def make(cores, slot, threads, log):
        model = Recorder(f"worker {slot}", log)
        limits = {"batch_tokens": 4, "queue_tokens": 1000, "slice_tokens": 500}
        batcher = Batcher(model, threads=threads, cores=cores, **limits)
        batcher.start(slot)
        made.append((batcher, model))
        return batcher, model

    yield make
    for batcher, model in made:
        model.gate.release(100)
        batcher.stop()


def ask_later(batcher, *rows) -> threading.Thread:
    """Ask in a thread; give it."""
    deadline = time.monotonic() + 20
    thread = threading.Thread(target=batcher.classify, args=(rows, deadline))
    thread.start()
    return thread


def test_a_worker_keeps_its_own_core_as_long_as_it_has_work(make_worker):
    cores, log = Cores(2, workers=2, turn=60), []
    owner, own = make_worker(cores, 0, 1, log)
    guest, other = make_worker(cores, 1, 2, log)
    with cores.open(1) as core, core:  # so that the guest wants the owner's
        asked = [ask_later(owner, (1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3))]
        assert own.entered.acquire(timeout=20)
        asked.append(ask_later(guest, (4, 4, 4, 4), (5, 5, 5, 5)))
        wait_until(lambda: guest.waiting[0] == 2, 20, "rows wait")
        own.gate.release(3)
        assert other.entered.acquire(timeout=20)
        asked.append(ask_later(owner, (6, 6, 6, 6)))
        wait_until(lambda: owner.waiting[0] == 1, 20, "rows wait")
        time.sleep(0.1)  # until the owner waits for its core
        other.gate.release(2)
        own.gate.release()
        for thread in asked:
            thread.join()
    order = [name for name, _ in log]
    assert order == [*["worker 0"] * 3, "worker 1", "worker 0", "worker 1"]


def test_an_owner_lets_others_have_a_batch_after_its_turn(make_worker):
    """Also one whose own the core is as well: a third worker, or one that drains."""
    cores, log = Cores(1, workers=1, turn=0.05), []
    first, model = make_worker(cores, 0, 1, log)
    second, other = make_worker(cores, 1, 1, log)
    asked = [ask_later(first, *((n,) * 4 for n in range(5)))]
    assert model.entered.acquire(timeout=20)
    asked.append(ask_later(second, (7, 7, 7, 7)))
    wait_until(lambda: second.waiting[0] == 1, 20, "a row waits")
    time.sleep(0.1)  # the turn is over, and the other one waits for the core
    other.gate.release()
    model.gate.release(5)
    for thread in asked:
        thread.join()
    assert [name for name, _ in log[:3]] == ["worker 0", "worker 1", "worker 0"]


@pytest.mark.parametrize("slot", [0, 1])
def test_a_lone_row_is_computed_on_the_worker_s_own_core(make_worker, slot):
    log = []
    batcher, model = make_worker(Cores(2, workers=2), slot, 2, log)
    model.gate.release(20)
    for n in range(10):
        time.sleep(0.05)  # until both are idle
        ask_later(batcher, (n, n)).join()
    assert {core for _, core in log} == {slot}


@pytest.mark.parametrize(
    "count, workers, owned", [(1, 2, 0), (2, 2, 1), (3, 2, 1), (4, 3, 1), (8, 3, 2)]
)
def test_all_workers_own_as_many_cores_which_come_first(count, workers, owned):
    cores = Cores(count, workers)
    taken = [cores.of(slot) for slot in range(workers)]
    assert all(sorted(order) == list(range(count)) for order in taken)
    own = [[cores.is_own(core, s) for core in cores.of(s)] for s in range(workers)]
    assert own == [[True] * owned + [False] * (count - owned)] * workers
    firsts = [core for order in taken for core in order[:owned]]
    assert len(set(firsts)) == len(firsts)
    nobody_s = set(range(count)) - set(firsts)
    for order in taken:
        assert set(order[owned : owned + len(nobody_s)]) == nobody_s


def cpus_of(pid: int) -> Counter:
    """Count the threads of *pid* by the CPUs that they may use."""
    tasks = Path(f"/proc/{pid}/task").glob("*/status")
    lists = [re.search(r"Cpus_allowed_list:\s*(.+)", t.read_text()) for t in tasks]
    return Counter(each[1] for each in lists)


def test_a_worker_stays_on_its_own_cpus_and_inference_thread_n_on_cpu_n(toy_model):
    """Of as many CPUs as the machine's quota allows."""
    cpus = sorted(os.sched_getaffinity(0))[: min(2, int(cpu_quota()))]
    env = {"WEB_CONCURRENCY": str(len(cpus)), "INFERENCE_THREADS": str(len(cpus))}
    prefix = ["taskset", "--cpu-list", ",".join(map(str, cpus))]
    with Server(model=toy_model, env=env, prefix=prefix) as server:
        ask_until_all_answer(server)
        found = [cpus_of(pid) for pid in server.workers()]
    for cpu, threads in zip(cpus, found, strict=True):
        # The main thread, the supervisor, request threads; an inference thread a CPU.
        assert set(threads) == set(map(str, cpus))
        assert all(threads[str(other)] == 1 for other in cpus if other != cpu)
        assert threads[str(cpu)] >= 3


def test_threads_go_where_they_like_without_cpus():
    before = os.sched_getaffinity(0)
    cores = Cores(len(before))
    cores.pin_to_own(0)
    with cores.open(0):
        assert os.sched_getaffinity(0) == before


def test_there_are_as_many_cpus_as_cores():
    with pytest.raises(ValueError, match="2 cores cannot be 3 CPUs"):
        Cores(2, cpus=[0, 1, 2])
