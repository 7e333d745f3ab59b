"""Buffers are kept, up to a size, and each thread has its own."""

import os
from concurrent.futures import ThreadPoolExecutor

from server import private_mb

from negation_api.model.workspace import KEPT_BYTES, Workspace


def test_a_buffer_is_kept_until_a_larger_one_is_wanted():
    space = Workspace()
    buffer = space.take("a", 4, 5)
    assert space.take("a", 2, 7).data_ptr() == buffer.data_ptr()
    assert space.take("b", 4, 5).data_ptr() != buffer.data_ptr()
    assert space.take("a", 5, 5).shape == (5, 5)
    assert space.take("a", 5, 5).is_contiguous()


def test_what_a_large_batch_needed_is_given_back():
    space = Workspace()
    rows = KEPT_BYTES // 1024  # four times what is kept
    buffer = space.take("a", rows, 1024).fill_(7)
    assert space.take("a", rows, 1024)[-1, -1] == 7
    before = private_mb(os.getpid())
    space.trim()
    assert private_mb(os.getpid()) < before - 2 * KEPT_BYTES / 2**20
    assert buffer[0, 0] == 7  # kept
    assert buffer[-1, -1] == 0


def test_threads_share_no_buffer():
    space = Workspace()
    buffer = space.take("a", 4, 5)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(space.take, "a", 4, 5).result()
    assert other.data_ptr() != buffer.data_ptr()
