"""Which worker is which, and how many connections each has open.

Seats are given by the master, which knows who lives (``pre_fork`` in
``gunicorn.conf.py``); the numbers lie in memory that all workers share. A worker that
has more connections than another lets that one accept the next: whoever is quicker
would get most of them, and its requests wait while the other's cores are idle.
"""

import mmap
from collections.abc import Collection

_NOBODY = 2**31 - 1


class Seats:
    """As many seats as workers, twice: a reload starts the new before the old end.

    Two seats that are the same worker's at different times count as alike: *s* and
    *s* + *workers*.
    """

    def __init__(self, workers: int):
        self._workers = workers
        size = 2 * workers
        self._connections = memoryview(mmap.mmap(-1, 4 * size)).cast("i")
        for seat in range(size):
            self.leave(seat)

    def choose(self, taken: Collection[int]) -> int:
        """Choose a seat that is not *taken*, nor one that is like it if it can be."""

        def cost(seat: int):
            alike = sum((seat - other) % self._workers == 0 for other in taken)
            return seat in taken, alike, seat

        return min(range(len(self._connections)), key=cost)

    def note(self, seat: int, connections: int) -> None:
        """Say how many connections the worker on *seat* has open."""
        self._connections[seat] = connections

    def leave(self, seat: int) -> None:
        """Say that nobody accepts connections on *seat*."""
        self._connections[seat] = _NOBODY

    def has_less_busy(self, seat: int) -> bool:
        """Tell whether another worker has fewer connections than that on *seat*."""
        return min(self._connections) < self._connections[seat]
