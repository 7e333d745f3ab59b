"""What glibc keeps of freed memory. Another C library is left as it is."""

import ctypes

M_ARENA_MAX, MAX_ARENAS = -8, 2  # mallopt(3)


def limit_arenas() -> None:
    """Have glibc keep less of freed memory, before a thread starts.

    Tens of threads would have its default of eight arenas a core, each with what its
    busiest moment left.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option:
        set_option(M_ARENA_MAX, MAX_ARENAS)


def trim_memory() -> None:
    """Return what glibc keeps of freed memory to the system (malloc_trim(3)).

    Batches need tens of MB for a moment; glibc keeps it for each thread.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
