"""How many connections each worker has open, in memory that all workers share.

A worker that has more than another lets that one accept the next: whoever is quicker
would get most of them, and its requests wait while the other's cores are idle. The
master, which knows who lives, gives each its slot in the table (``pre_fork`` in
``gunicorn.conf.py``).
"""

import mmap
from collections.abc import Collection

_NO_WORKER = 2**31 - 1


class ConnectionCounts:
    """A slot for each worker, twice: a reload starts the new before the old end.

    Workers in *s* and in *s* + *workers* have the same cores, at different times.
    """

    def __init__(self, workers: int):
        self._workers = workers
        size = 2 * workers
        self._counts = memoryview(mmap.mmap(-1, 4 * size)).cast("i")
        for slot in range(size):
            self.deregister(slot)

    def free_slot(self, taken: Collection[int]) -> int:
        """Choose a slot that is not *taken*, if it can be with cores of its own."""

        def cost(slot: int):
            sharing = sum((slot - other) % self._workers == 0 for other in taken)
            return slot in taken, sharing, slot

        return min(range(len(self._counts)), key=cost)

    def set(self, slot: int, connections: int) -> None:
        self._counts[slot] = connections

    def deregister(self, slot: int) -> None:
        """Say that nobody accepts connections in *slot*."""
        self._counts[slot] = _NO_WORKER

    def another_has_fewer(self, slot: int) -> bool:
        return min(self._counts) < self._counts[slot]
