"""Turns at the cores, for the inference threads of all workers.

Each worker has an inference thread for every core, so that a single note can use them
all. Together that is more threads than cores; computing at once they would share
caches and wait for each other in the middle of a batch. So a thread has a core, which
it shares with one thread of each other worker, and computes only while it holds it.

Two threads of one worker also wait for each other's hold on Python, two workers do
not. So each core is some worker's own, which keeps it while it has work, for half a
second at a time when others wait; these are guests, for one batch at a time.

Where a core is a CPU, its threads stay on it, and all else that a worker does on the
CPUs of its own cores: left to itself the system moves threads about, each time to where
their caches are not, and has two compute on one CPU for a while.
"""

import fcntl
import os
import threading
import weakref
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

# Of inference threads. At 19 one that holds Python's lock is put off for longer.
NICENESS = 10
TURN_SECONDS = 0.5


class Cores:
    """As many locks as cores, shared with every process that is forked later.

    A lock is one on an open file (flock(2)), which the kernel frees when its process
    dies, however it dies. Whoever gave one up could have it again before those who wait
    are awake; so a core has a second lock, which is held while waiting for the first.

    :param workers: among which the cores are divided, as many to each.
    :param cpus: numbers of the CPUs that threads are kept to, one for each core;
        without them threads go where they like.
    :param turn: seconds that an owner keeps its core for while others wait.
    :raises ValueError: when there are some CPUs, and not as many as cores.
    """

    def __init__(
        self,
        count: int,
        workers: int = 1,
        cpus: Collection[int] = (),
        turn: float = TURN_SECONDS,
    ):
        if cpus and len(cpus) != count:
            raise ValueError(f"{count} cores cannot be {len(cpus)} CPUs")
        self._workers = workers
        self._count = count
        self._num_owned = count - count % workers
        self._cpus = sorted(cpus)
        self._turn = turn
        self._files = [os.memfd_create(f"core-{index}") for index in range(2 * count)]
        for file in self._files:
            weakref.finalize(self, os.close, file)

    def of(self, slot: int) -> list[int]:
        """Give all cores in the order in which the worker in *slot* takes them.

        Its own are the first, those of others the last.

        >>> [Cores(4, workers=2).of(slot) for slot in range(2)]
        [[0, 2, 1, 3], [1, 3, 2, 0]]
        """

        def preference(core: int) -> tuple[bool, bool, int]:
            is_own, away = self.is_own(core, slot), (core - slot) % self._count
            return not is_own, core < self._num_owned, away

        return sorted(range(self._count), key=preference)

    def is_own(self, core: int, slot: int) -> bool:
        """Tell whether *core* is that worker's own.

        Cores beyond a multiple of the workers are nobody's.
        """
        return core < self._num_owned and (core - slot) % self._workers == 0

    def turn(self, core: int, slot: int) -> float:
        """Give the seconds after which that worker lets others have *core*."""
        return self._turn if self.is_own(core, slot) else 0.0

    def pin_to_own(self, slot: int) -> None:
        """Pin the calling thread and those it starts to the worker's own CPUs."""
        cores = self.of(slot)
        self._pin_to([core for core in cores if self.is_own(core, slot)] or cores)

    def _pin_to(self, cores: Iterable[int]) -> None:
        if self._cpus:
            with suppress(OSError):  # forbidden, or taken away meanwhile
                os.sched_setaffinity(0, {self._cpus[core] for core in cores})

    @contextmanager
    def open(self, core: int) -> Iterator["Core"]:
        """Give *core* to the calling thread, which is kept there.

        :raises OSError: when no file can be opened.
        """
        self._pin_to([core])
        # A lock belongs to an open file, so each thread opens its own.
        names = self._files[core :: self._count]
        with ExitStack() as stack:
            files = []
            for name in names:
                files.append(os.open(f"/proc/self/fd/{name}", os.O_RDWR))
                stack.callback(os.close, files[-1])
            yield Core(*files)


class Core:
    """Held by one thread at a time: ``with core: ...``."""

    def __init__(self, file: int, next_in_line: int):
        self._file, self._next_in_line = file, next_in_line

    def __enter__(self):
        fcntl.flock(self._next_in_line, fcntl.LOCK_EX)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        fcntl.flock(self._next_in_line, fcntl.LOCK_UN)

    def __exit__(self, *exc):
        fcntl.flock(self._file, fcntl.LOCK_UN)


def yield_to_others() -> None:
    """Let other threads have the core first, the calling one when they are done.

    Refusals and health checks need a millisecond now and then, batches all that is
    left. Does nothing where that is forbidden.
    """
    with suppress(OSError):  # a thread has a niceness of its own on Linux (sched(7))
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
