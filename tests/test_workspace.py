"""Rooms are kept, and each thread has its own."""

from concurrent.futures import ThreadPoolExecutor

from negation_api.workspace import Workspace


def test_a_room_is_kept_until_a_larger_one_is_wanted():
    space = Workspace()
    room = space.take("a", 4, 5)
    assert space.take("a", 2, 7).data_ptr() == room.data_ptr()
    assert space.take("b", 4, 5).data_ptr() != room.data_ptr()
    assert space.take("a", 5, 5).shape == (5, 5)
    assert space.take("a", 5, 5).is_contiguous()


def test_threads_share_no_room():
    space = Workspace()
    room = space.take("a", 4, 5)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(space.take, "a", 4, 5).result()
    assert other.data_ptr() != room.data_ptr()
