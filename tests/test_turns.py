"""Few requests at a time run Python, the short ones first."""

import time
from types import SimpleNamespace

import pytest

from negation_api.server.turns import Turns


def request(cost: int, waited: float = 0.0):
    received = time.monotonic() - waited
    return SimpleNamespace(cost=cost, sock=SimpleNamespace(received=received))


@pytest.fixture
def begun():
    return []


def test_two_at_a_time_have_a_turn(begun):
    turns, asked = Turns(begun.append, 9, 9.0), [request(1) for _ in range(5)]
    assert all(turns.ask(each) for each in asked)
    for number, each in enumerate(asked, 2):
        assert begun == asked[:number]
        turns.end(each)


def test_a_short_one_overtakes_the_long_but_not_for_ever(begun):
    turns = Turns(begun.append, 9, 9.0, turns=1)
    first, long, short = request(1), request(20_000), request(1)
    turns.ask(first), turns.ask(long), turns.ask(short)
    time.sleep(0.25)  # 20 kB are worth 0.2 s
    late = request(1)
    turns.ask(late)
    for each in (first, short, long, late):
        assert begun[-1] is each
        turns.end(each)


def test_no_more_wait_than_may(begun):
    turns = Turns(begun.append, 2, 9.0, turns=1)
    assert [turns.ask(request(1)) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("seconds, is_taken", [(0.3, False), (90.0, True)])
def test_what_would_wait_too_long_by_the_pace_of_the_last_is_refused(
    begun, seconds, is_taken
):
    turns = Turns(begun.append, 99, seconds, turns=1)
    asked = [request(100) for _ in range(3)]
    for each in asked:
        turns.ask(each)
    time.sleep(0.2)
    turns.end(asked[0])  # 500 a second, and 200 are ahead
    assert turns.ask(request(100)) is is_taken


def test_what_turned_out_to_be_more_work_counts_as_that(begun):
    turns = Turns(begun.append, 99, 2.0, turns=1)
    first, second = request(1), request(1)
    turns.ask(first), turns.ask(second)
    assert turns.ask(request(1))
    turns.add(first, 10**7)  # ten seconds at the first guess
    assert not turns.ask(request(1))
    turns.end(first)
    assert turns.ask(request(1))


def test_what_waited_too_long_after_all_has_no_turn(begun):
    turns = Turns(begun.append, 9, 9.0, turns=1)
    first, late, other = request(1), request(1, waited=9.5), request(1)
    turns.ask(first), turns.ask(late), turns.ask(other)
    assert turns.expire() == [late]
    turns.end(first)
    assert begun == [first, other]
