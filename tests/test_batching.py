"""The queue of a worker: what goes into a batch, in what order, and what is dropped."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from negation_api.inference.admission import ClientGone, DeadlinePassed, QueueFull
from negation_api.inference.batching import Batcher
from negation_api.inference.cores import NICENESS, Cores
from negation_api.inference.pace import Pace
from negation_api.inference.queue import BatchFailed
from server import wait_until

SHAPE = dict(threads=1, batch_tokens=64, queue_tokens=1_000, slice_tokens=200)
SOON = 20.0  # seconds; no test waits for it


class Echo:
    """Gives each row back as its prediction; stops at a gate when told to."""

    def __init__(self):
        self.batches: list[list[tuple[int, ...]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)  # released at each batch

    def classify(self, rows):
        self.batches.append(list(rows))
        self.entered.release()
        assert self.gate.wait(SOON)
        if any(13 in row for row in rows):
            raise ArithmeticError("zebrafish")
        return list(rows)


@pytest.fixture
def model():
    return Echo()


@pytest.fixture
def make(model):
    """A function that makes a started batcher; it is stopped after the test."""
    made = []

    def make(**shape):
        made.append(Batcher(model, **{**SHAPE, **shape}))
        made[-1].start()
        return made[-1]

    yield make
    model.gate.set()
    for batcher in made:
        batcher.stop()


@pytest.fixture
def clients(model):
    with ThreadPoolExecutor(16) as pool:
        yield pool
        model.gate.set()


def ask(batcher, rows, seconds=SOON, **kwargs):
    return batcher.classify(rows, time.monotonic() + seconds, **kwargs)


def hold(model, batcher, clients):
    """Fill the one thread with a batch that waits at the gate."""
    model.gate.clear()
    future = clients.submit(ask, batcher, [(0, 0)])
    assert model.entered.acquire(timeout=SOON)
    return future


def wait_for(batcher, num_rows):
    deadline = time.monotonic() + SOON
    while batcher.waiting[0] != num_rows:
        assert time.monotonic() < deadline, f"{batcher.waiting} waiting"
        time.sleep(0.001)


@given(
    requests=st.lists(
        st.lists(st.lists(st.integers(20, 30), min_size=1, max_size=70), max_size=20),
        max_size=8,
    ),
    threads=st.integers(1, 3),
)
@hypothesis_settings(max_examples=40, deadline=None)
def test_each_request_gets_its_own_answers_in_order(requests, threads):
    model = Echo()
    batcher = Batcher(model, **{**SHAPE, "threads": threads, "queue_tokens": 10**6})
    batcher.start()
    with ThreadPoolExecutor(8) as clients:
        answers = list(
            clients.map(lambda rows: ask(batcher, [*map(tuple, rows)]), requests)
        )
    batcher.stop()
    assert [[list(row) for row in answer] for answer in answers] == requests
    for batch in model.batches:
        assert len(batch) == 1 or sum(map(len, batch)) <= 64
        assert len(set(batch)) == len(batch)
    assert batcher.waiting == (0, 0)


def test_a_lone_row_does_not_wait_for_a_batch_to_fill(make, model):
    assert ask(make(), [(1, 2)]) == [(1, 2)]
    assert model.batches == [[(1, 2)]]


def test_rows_of_several_requests_share_a_batch(make, model, clients):
    batcher = make()
    first = hold(model, batcher, clients)
    others = [clients.submit(ask, batcher, [(n, n)]) for n in range(20, 25)]
    wait_for(batcher, 5)
    model.gate.set()
    assert [other.result() for other in others] == [[(n, n)] for n in range(20, 25)]
    assert first.result() == [(0, 0)]
    assert len(model.batches) == 2


def test_the_same_row_of_two_requests_is_computed_once(make, model, clients):
    batcher = make()
    hold(model, batcher, clients)
    others = [clients.submit(ask, batcher, [(5, 5), (5, 5)]) for _ in range(3)]
    wait_for(batcher, 3)
    model.gate.set()
    assert [other.result() for other in others] == [[(5, 5)] * 2] * 3
    assert model.batches[1:] == [[(5, 5)]]


def test_a_batch_holds_rows_of_like_length(make, model, clients):
    batcher = make()
    hold(model, batcher, clients)
    rows = [(n,) * length for n in range(20, 24) for length in (4, 30, 8)]
    other = clients.submit(ask, batcher, rows)
    wait_for(batcher, 12)
    model.gate.set()
    assert other.result() == rows
    lengths = [sorted(map(len, batch)) for batch in model.batches[1:3]]
    assert lengths == [[4, 4, 4, 4, 8, 8, 8, 8], [30, 30]]


def test_half_of_a_short_queue_is_left_for_the_time_of_its_answers(
    make, model, clients
):
    batcher = make()
    hold(model, batcher, clients)
    others = [clients.submit(ask, batcher, [(n,) * 10]) for n in range(20, 28)]
    wait_for(batcher, 8)
    model.gate.set()
    for other in others:
        other.result()
    # 80 tokens wait, 64 fit; of 40 or fewer half a full batch is taken.
    assert [len(batch) for batch in model.batches[1:]] == [4, 3, 1]


def test_a_large_request_does_not_hold_up_a_small_one(make, model, clients):
    """The lone row is in one of the next batches, not after 200 rows."""
    batcher = make()
    hold(model, batcher, clients)
    large = clients.submit(ask, batcher, [(n, n, n, n) for n in range(100, 300)])
    wait_for(batcher, 100)  # two slices of 200 tokens
    small = clients.submit(ask, batcher, [(7,) * 5])
    wait_for(batcher, 101)
    model.gate.set()
    small.result(), large.result()
    places = [i for i, batch in enumerate(model.batches) if (7,) * 5 in batch]
    assert places[0] <= 3 < len(model.batches) - 5


def test_two_large_requests_take_turns(make, model, clients):
    batcher = make()
    hold(model, batcher, clients)
    rows = [[(n, n, n, n) for n in range(a, a + 100)] for a in (100, 300)]
    first = clients.submit(ask, batcher, rows[0])
    wait_for(batcher, 100)
    second = clients.submit(ask, batcher, rows[1])
    wait_for(batcher, 200)
    model.gate.set()
    first.result(), second.result()
    half = [row[0] for batch in model.batches[1:8] for row in batch]
    assert 0.3 < sum(n >= 300 for n in half) / len(half) < 0.7


def test_what_does_not_fit_is_refused_at_once(make, model, clients):
    batcher = make(queue_tokens=250)
    hold(model, batcher, clients)
    waiting = clients.submit(ask, batcher, [(n,) * 40 for n in range(20, 26)])
    wait_for(batcher, 6)
    with pytest.raises(QueueFull) as refused:
        ask(batcher, [(1,) * 30])
    assert refused.value.retry_after >= 1
    model.gate.set()
    assert len(waiting.result()) == 6
    assert ask(batcher, [(1,) * 30]) == [(1,) * 30]


def test_what_cannot_fit_is_refused_before_it_is_read(make, model, clients):
    batcher = make(queue_tokens=202)
    with batcher.permit(time.monotonic() + 9):
        pass
    hold(model, batcher, clients)
    waiting = clients.submit(ask, batcher, [(n,) * 40 for n in range(20, 25)])
    wait_for(batcher, 5)
    with pytest.raises(QueueFull), batcher.permit(time.monotonic() + 9):
        pass
    model.gate.set()
    assert len(waiting.result()) == 5


def test_inference_yields_to_requests_only(make, model, clients):
    """Its threads are nicer than the process, whose niceness stays."""
    found = []
    model.classify = lambda rows: found.append(niceness()) or list(rows)
    ask(make(), [(1, 2, 3)])
    assert found == [NICENESS]
    assert niceness() == os.getpriority(os.PRIO_PROCESS, os.getpid()) < NICENESS


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_what_would_wait_past_half_its_time_is_refused_at_once(make, model, clients):
    """By the first guess of 1,000 tokens a second: no answer is late under overload."""
    batcher = make()
    hold(model, batcher, clients)
    waiting = clients.submit(ask, batcher, [(n,) * 40 for n in range(20, 25)])
    wait_for(batcher, 5)
    with pytest.raises(QueueFull):
        ask(batcher, [(1,) * 40], seconds=0.4)
    model.gate.set()
    assert len(waiting.result()) == 5


def test_a_large_request_is_refused_where_its_share_would_not_do(make, clients):
    class Slow:
        def classify(self, rows):
            time.sleep(sum(map(len, rows)) / 4_000)  # so many tokens a second
            return rows

    batcher = Batcher(Slow(), **SHAPE | {"queue_tokens": 10_000})
    batcher.start()
    large = [(n, *range(19)) for n in range(40)]  # 800 tokens, 0.2 s alone
    assert ask(batcher, large, seconds=1.0) == large
    others = [[(n, m, *range(18)) for m in range(99)] for n in range(3)]
    futures = [clients.submit(ask, batcher, rows) for rows in others]
    wait_until(lambda: batcher.waiting[1] > 900, SOON, "three share the queue")
    began = time.monotonic()
    with pytest.raises(QueueFull):  # a quarter of it would take 0.8 s
        ask(batcher, large, seconds=1.0)
    assert time.monotonic() - began < 0.5
    assert ask(batcher, large[:1], seconds=2.0) == large[:1]
    assert ask(batcher, large, seconds=9.0) == large
    assert [future.result() for future in futures] == others
    batcher.stop()


def test_waiting_for_a_core_is_part_of_the_pace(make, clients):
    """Others have it meanwhile, as they will have it again."""
    cores, held = Cores(1), 0.5
    batcher = make(cores=cores, batch_tokens=4)
    with cores.open(0) as core, core:
        asked = clients.submit(ask, batcher, [(1, 2, 3, 4), (5, 6, 7, 8)])
        wait_until(lambda: batcher.waiting[0] == 2, SOON, "rows wait")
        time.sleep(held)
    asked.result()
    assert batcher._admission.pace.rate < 8 / held


def test_a_pace_that_was_too_low_is_learned_from_lone_rows():
    pace = Pace()
    pace.begin(0.0)
    pace.note(60, 2.5, more=True)
    assert pace.rate == pytest.approx(24)
    pace.begin(10.0)
    pace.note(60, 10.1, more=False)
    assert pace.rate == pytest.approx(600)


def test_the_pace_is_that_of_all_threads_together():
    pace = Pace()
    pace.begin(10.0)
    for number in range(1, 41):  # two threads, 200 tokens in a second each
        pace.note(200, 10.0 + number / 2, more=True)
    assert pace.rate == pytest.approx(400)
    pace.begin(100.0)  # at rest since
    pace.note(200, 100.5, more=True)
    assert pace.rate == pytest.approx(400)
    pace.note(10, 100.6, more=False)  # a lone row
    assert pace.rate == pytest.approx(400)
    for number in range(1, 21):  # now another worker has its turns
        pace.note(200, 100.6 + number, more=True)
    assert pace.rate == pytest.approx(200, rel=0.02)


def test_batches_done_together_do_not_look_infinitely_fast():
    pace = Pace()
    pace.begin(0.0)
    for second in range(1, 21):
        pace.note(200, second, more=True)
        pace.note(200, second, more=True)
    assert pace.rate == pytest.approx(400, rel=0.3)


def test_rows_of_another_length_do_not_wait_for_a_whole_long_queue(
    make, model, clients
):
    """A batch is of like length, but chosen among those that are due soon."""
    batcher = make()
    hold(model, batcher, clients)
    short = clients.submit(ask, batcher, [(1, 2, 3)])
    wait_for(batcher, 1)
    rest = []
    for n in range(4):
        rows = [(n, m, *[7] * 18) for m in range(20, 26)]
        rest.append(clients.submit(ask, batcher, rows))
        wait_for(batcher, 1 + 6 * (n + 1))
    model.gate.set()
    assert short.result() == [(1, 2, 3)]
    assert [len(each.result()) for each in rest] == [6] * 4
    assert (1, 2, 3) in model.batches[1]


def test_too_many_requests_are_refused_from_the_first_line_to_the_last(make):
    batcher, deadline = make(max_requests=2), time.monotonic() + SOON
    with batcher.permit(deadline):
        with batcher.permit(deadline):
            with pytest.raises(QueueFull), batcher.permit(deadline):
                pass
        with batcher.permit(deadline):
            pass


def test_a_patient_one_waits_for_room(make, model, clients):
    batcher = make(queue_tokens=250)
    hold(model, batcher, clients)
    others = clients.submit(ask, batcher, [(n,) * 40 for n in range(20, 26)])
    wait_for(batcher, 6)
    patient = clients.submit(ask, batcher, [(1,) * 30], patient=True)
    wait_until(lambda: batcher._admission.patient, SOON, "it waits")
    assert batcher.waiting[0] == 6
    model.gate.set()
    assert patient.result() == [(1,) * 30]
    assert len(others.result()) == 6


def test_nobody_overtakes_a_patient_one(make, model, clients):
    batcher, deadline = make(max_requests=1), time.monotonic() + SOON
    begun = threading.Event()

    def wait():
        with batcher.permit(deadline, patient=True):
            begun.set()

    with batcher.permit(deadline):
        patient = clients.submit(wait)
        wait_until(lambda: batcher._admission.patient, SOON, "it waits")
        with pytest.raises(QueueFull):
            ask(batcher, [(1, 2)])
        assert not begun.is_set()
    patient.result()
    assert ask(batcher, [(1, 2)]) == [(1, 2)]


def test_a_patient_one_waits_till_its_deadline_or_the_client_is_gone(
    make, model, clients
):
    batcher = make(max_requests=1, queue_tokens=100)
    soon = time.monotonic() + 0.1
    with batcher.permit(time.monotonic() + SOON):
        with pytest.raises(DeadlinePassed), batcher.permit(soon, patient=True):
            pass
    hold(model, batcher, clients)
    others = clients.submit(ask, batcher, [(n,) * 40 for n in range(20, 22)])
    wait_for(batcher, 2)
    with pytest.raises(DeadlinePassed):
        ask(batcher, [(1,) * 30], 0.1, patient=True)
    with pytest.raises(ClientGone):
        ask(batcher, [(1,) * 30], patient=True, is_gone=lambda: True)
    model.gate.set()
    others.result()
    assert ask(batcher, [(1,) * 30]) == [(1,) * 30]


def test_a_request_larger_than_the_queue_is_answered(make):
    rows = [(n,) * 50 for n in range(20, 120)]
    assert ask(make(queue_tokens=300), rows) == rows


def test_rows_whose_deadline_passed_are_never_started(make, model, clients):
    batcher = make()
    hold(model, batcher, clients)
    with pytest.raises(DeadlinePassed):
        ask(batcher, [(9, 9)], seconds=0.05)
    assert batcher.waiting == (0, 0)
    model.gate.set()
    ask(batcher, [(8, 8)])
    assert model.batches == [[(0, 0)], [(8, 8)]]


def test_rows_of_a_client_that_is_gone_are_never_started(make, model, clients):
    batcher = make()
    hold(model, batcher, clients)
    with pytest.raises(ClientGone):
        ask(batcher, [(9, 9)], is_gone=lambda: True)
    model.gate.set()
    ask(batcher, [(8, 8)])
    assert model.batches == [[(0, 0)], [(8, 8)]]


def test_a_failing_batch_fails_its_own_rows_only(make, caplog):
    batcher = make()
    with pytest.raises(BatchFailed):
        ask(batcher, [(13,)])
    assert ask(batcher, [(1,)]) == [(1,)]
    assert "zebrafish" not in caplog.text


def test_a_failure_is_told_whenever_it_comes(make, model, clients):
    """Also as its request's thread looks for something else."""
    batcher = make()
    model.gate.clear()

    def fail_now() -> bool:
        model.gate.set()
        wait_until(lambda: not batcher.computing, SOON, "the batch is delivered")
        return False

    with pytest.raises(BatchFailed):
        ask(batcher, [(13,)], is_gone=fail_now)


@given(st.sets(st.integers(0, 11)), st.integers(1, 12))
@hypothesis_settings(max_examples=40, deadline=None)
def test_a_row_that_fails_costs_its_own_request_alone(failing, num_requests):
    """However many of a batch fail, and wherever they stand."""
    model = Echo()
    batcher = Batcher(model, **SHAPE)
    batcher.start()
    rows = [(13, 20 + n) if n in failing else (12, 20 + n) for n in range(num_requests)]
    with ThreadPoolExecutor(16) as clients:
        held = hold(model, batcher, clients)
        asked = [clients.submit(ask, batcher, [row]) for row in rows]
        wait_for(batcher, len(rows))
        model.gate.set()
        for row, each in zip(rows, asked, strict=True):
            if row[0] == 13:
                assert isinstance(each.exception(SOON), BatchFailed)
            else:
                assert each.result(SOON) == [row]
        held.result(SOON)
    batcher.stop()


# --- supervision ----------------------------------------------------------------


# pytest reports it, where Python lets SystemExit end a thread in silence.
threads_die = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)


@pytest.fixture
def ended(monkeypatch):
    """The signals that the process was sent, which stay without effect."""
    signals = []
    monkeypatch.setattr(os, "kill", lambda pid, signal: signals.append(signal))
    return signals


def die(model):
    """Have the model end the thread that calls it, once."""
    classify = model.classify

    def end(rows):
        model.classify = classify
        raise SystemExit

    model.classify = end


@pytest.fixture
def no_threads(monkeypatch):
    """A function that lets so many attempts to start a thread fail."""
    start = threading.Thread.start

    def fail(times):
        left = [None] * times

        def attempt(thread):
            if left and thread.name.startswith("inference"):
                left.pop()
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", attempt)

    return fail


@threads_die
@pytest.mark.parametrize("times", [0, 1, 3])
def test_a_thread_that_cannot_be_replaced_at_once_is_later(
    make, model, no_threads, ended, times
):
    """What it had is answered before, and what came meanwhile then."""
    batcher = make()
    no_threads(times)
    die(model)
    with pytest.raises(BatchFailed):
        ask(batcher, [(1,)])
    assert ask(batcher, [(2,)]) == [(2,)]
    assert not ended


@threads_die
def test_a_process_without_a_thread_that_computes_ends(make, model, no_threads, ended):
    batcher = make()
    no_threads(10**6)
    die(model)
    with pytest.raises(BatchFailed):
        ask(batcher, [(1,)])
    wait_until(lambda: ended, SOON, "the process ends")
    no_threads(0)


@threads_die
def test_the_supervisor_outlives_a_trim_that_fails(model, caplog):
    trims = []

    def trim():
        trims.append(None)
        raise ValueError("zebrafish")

    batcher = Batcher(model, **SHAPE, trim_memory=trim)
    batcher.start()
    ask(batcher, [(1,)])
    wait_until(lambda: trims, SOON, "a trim")
    die(model)
    with pytest.raises(BatchFailed):
        ask(batcher, [(1,)])
    assert ask(batcher, [(2,)]) == [(2,)]
    batcher.stop()
    assert "supervision failed" in caplog.text and "zebrafish" not in caplog.text


def test_rows_that_nobody_takes_are_seen_and_end_the_process(make, clients, ended):
    """Such as when another process has the core, and hangs."""
    cores = Cores(1)
    batcher = make(cores=cores, batch_timeout=1.0)
    assert not batcher.is_stuck
    with cores.open(0) as core, core:
        asked = clients.submit(ask, batcher, [(1,)])
        wait_until(lambda: batcher.is_stuck, SOON, "it is stuck")
        wait_until(lambda: ended, SOON, "the process ends")
    asked.result(SOON)
    assert not batcher.is_stuck


def test_rows_in_the_model_are_counted(make, model, clients):
    batcher = make()
    assert batcher.computing == 0
    held = hold(model, batcher, clients)
    assert batcher.computing == 1
    model.gate.set()
    held.result(SOON)


def test_those_that_are_refused_do_not_come_back_together(make, model, clients):
    batcher = make(queue_tokens=250, max_requests=99)
    hold(model, batcher, clients)
    clients.submit(ask, batcher, [(n,) * 40 for n in range(20, 26)])
    wait_for(batcher, 6)
    batcher._admission.pace.rate = 10  # tokens a second
    found = set()
    for _ in range(50):
        with pytest.raises(QueueFull) as refused:
            ask(batcher, [(1,) * 30])
        found.add(refused.value.retry_after)
    half = (242 / 2) / 10
    assert half <= min(found) and max(found) <= 2 * half + 1
    assert len(found) > 3


def test_threads_compute_side_by_side(make, model, clients):
    batcher = make(threads=2)
    model.gate.clear()
    asked = [clients.submit(ask, batcher, [(n,) * 60]) for n in (1, 2)]
    assert model.entered.acquire(timeout=SOON) and model.entered.acquire(timeout=SOON)
    model.gate.set()
    assert [a.result() for a in asked] == [[(1,) * 60], [(2,) * 60]]


def test_what_was_computed_is_observed(model):
    seen = []
    batcher = Batcher(model, **SHAPE, observe=lambda *batch: seen.append(batch))
    batcher.start()
    ask(batcher, [(1, 2), (3, 4)])
    batcher.stop()
    ((rows, tokens, seconds),) = seen
    assert (rows, tokens) == (2, 4) and seconds >= 0


def test_lone_sentences_keep_their_order_long_or_short(make, model, clients):
    batcher = make(batch_tokens=64)
    hold(model, batcher, clients)
    for waiting, row in enumerate([(1,) * 60, *((2 + n,) * 20 for n in range(6))]):
        clients.submit(ask, batcher, [row])
        wait_for(batcher, waiting + 1)
    model.gate.set()
    assert model.entered.acquire(timeout=SOON)
    assert model.batches[1] == [(1,) * 60]


def test_memory_is_trimmed_once_after_work(model):
    trims = threading.Semaphore(0)
    batcher = Batcher(model, **SHAPE, trim_memory=trims.release)
    batcher.start()
    batcher.classify([(1,)], time.monotonic() + SOON)
    assert trims.acquire(timeout=SOON)
    assert not trims.acquire(timeout=2.5)
    batcher.classify([(1,)], time.monotonic() + SOON)
    assert trims.acquire(timeout=SOON)
    batcher.stop()


def test_memory_of_a_batch_that_outlives_a_trim_is_trimmed_too(model, clients):
    trims = threading.Semaphore(0)
    batcher = Batcher(model, **SHAPE, trim_memory=trims.release)
    batcher.start()
    batcher.classify([(1,)], time.monotonic() + SOON)
    held = hold(model, batcher, clients)
    assert trims.acquire(timeout=SOON)
    model.gate.set()
    held.result(SOON)
    assert trims.acquire(timeout=SOON)
    batcher.stop()


def test_a_request_is_told_when_its_first_batch_began(model, make, clients):
    batcher, begun = make(), []
    held = hold(model, batcher, clients)
    waiting = clients.submit(ask, batcher, [(1,), (2,) * 60], on_begun=begun.append)
    wait_for(batcher, 2)
    released = time.monotonic()
    model.gate.set()
    waiting.result(SOON)
    held.result(SOON)
    assert released <= begun[0] <= time.monotonic()
