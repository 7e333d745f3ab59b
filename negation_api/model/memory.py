"""What glibc keeps of freed memory: mallopt(3). Another C library is left as it is."""

import ctypes

MIB = 2**20
M_ARENA_MAX = -8
M_MMAP_THRESHOLD, MAX_MMAP_THRESHOLD = -3, 32 * MIB  # the most that it takes
M_TRIM_THRESHOLD, TRIM_THRESHOLD = -1, 64 * MIB  # what a batch of 512 tokens frees


def use_one_arena() -> None:
    """Have the threads that start after this share glibc's main arena.

    It is the only one that malloc_trim(3) returns whole. By default tens of threads
    would have eight for each core, and each keep what its busiest moment left.
    """
    _call("mallopt", M_ARENA_MAX, 1)


def keep_freed_tensors() -> None:
    """Have glibc give a layer the memory that the one before it freed.

    By default it returns each large tensor to the system, which clears its pages anew
    for the next: a sixth of the time of a large batch at int8.
    """
    _call("mallopt", M_MMAP_THRESHOLD, MAX_MMAP_THRESHOLD)
    _call("mallopt", M_TRIM_THRESHOLD, TRIM_THRESHOLD)


def trim_memory() -> None:
    """Return what glibc keeps of freed memory to the system (malloc_trim(3)).

    Batches need tens of MB for a moment; glibc keeps it for each thread.
    """
    _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    function = getattr(ctypes.CDLL(None), name, None)
    if function:
        function(*arguments)
