"""Processes that are forked with the function they call; each has a pipe of its own.

In a pool that has one pipe for the results of all, as concurrent.futures' has, a
worker killed as it writes leaves half a message and a held lock, and the reader waits
for ever. Here its pipe ends, and that is seen.
"""

import gc
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from negation_api.batch.tables import InputError
from negation_api.contract.errors import without_text

ORPHAN_CHECK_SECONDS = 0.5

_FORK = multiprocessing.get_context("fork")


class WorkerError(RuntimeError):
    """What a worker's function raised, without its message, which may hold text."""


@contextmanager
def workers(number: int, function: Callable) -> Iterator[Callable[[Any], Future]]:
    """Give a function that has *function* called with its argument in a worker.

    Its future raises ``WorkerError`` where *function* failed, its ``InputError``, or
    ``BrokenProcessPool`` if that worker has ended. Workers end with the context, in
    the middle of their work if need be.

    :param number: of worker processes.
    :param function: inherited through the fork, so never pickled; its argument and
        what it returns are.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # three for each worker
    idle = SimpleQueue()
    with ExitStack() as stack:
        gc.collect()
        gc.freeze()  # pages that the collector does not touch stay shared
        stack.callback(gc.unfreeze)
        # It starts no thread before the first call, when all are forked.
        threads = stack.enter_context(ThreadPoolExecutor(number))
        with _interrupts_held():
            for _ in range(number):
                idle.put(stack.enter_context(_worker(function)))
        yield partial(threads.submit, _call, idle)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Have SIGINT wait: Python drops it in the middle of a fork.

    What is forked meanwhile never gets it: it is the parent's to deal with.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _worker(function: Callable) -> Iterator[Connection]:
    ours, theirs = _FORK.Pipe()
    args = function, theirs, os.getpid()
    process = _FORK.Process(target=_work, args=args, daemon=True)
    process.start()
    theirs.close()  # so that the worker has the only one, and its end ends the pipe
    try:
        yield ours
    finally:
        process.kill()
        process.join()


def _call(idle: SimpleQueue, argument):
    pipe = idle.get()
    try:
        pipe.send(argument)
        result, error = pipe.recv()
    except (EOFError, OSError):
        raise BrokenProcessPool("a worker process has ended") from None
    finally:
        idle.put(pipe)
    if error:
        raise error
    return result


def _work(function: Callable, pipe: Connection, parent: int) -> None:
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with suppress(EOFError, OSError):  # the parent has ended
        while True:
            pipe.send(_outcome(function, pipe.recv()))


def _outcome(function: Callable, argument) -> tuple[Any, Exception | None]:
    try:
        return function(argument), None
    except InputError as error:
        return None, error
    except BaseException as error:  # such as the panic of a library in Rust
        return None, WorkerError(" at ".join(without_text(error)))


def _end_with(parent: int) -> None:
    """End this worker when its parent was killed: nobody waits for its result."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_CHECK_SECONDS)
    os._exit(1)
