"""The command line in a fork of the tests' process: real, and there at once."""

import multiprocessing
import os
import pty
import signal
import sys
import tempfile
import termios
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from negation_api.__main__ import main

STOP_SECONDS = 120


@dataclass
class Command:
    """``python -m negation_api ARGS``, without the seconds that importing torch takes.

    It has streams of its own, and whatever kills it spares the tests.

    :param env: settings, over those of the environment.
    :param given: what stands on standard input.
    :param prepare: called in it first.
    :param stdout: the file descriptor of its output; a file's if not given.
    :param terminal: standard error is a terminal rather than a file.
    """

    args: tuple
    env: dict[str, str] = field(default_factory=dict)
    given: bytes = b""
    prepare: Callable[[], None] | None = None
    stdout: int | None = None
    terminal: bool = False

    def __post_init__(self):
        self._finished = None
        self._streams = [tempfile.TemporaryFile() for _ in range(3)]
        self._streams[0].write(self.given)
        self._streams[0].seek(0)
        target = self._in_terminal if self.terminal else self._main
        self._process = multiprocessing.get_context("fork").Process(target=target)
        self._process.start()
        self.pid = self._process.pid

    def _main(self) -> None:
        for number, stream in enumerate(self._streams):
            if not (number == 2 and self.terminal):
                os.dup2(stream.fileno(), number)
        if self.stdout is not None:
            os.dup2(self.stdout, 1)
            os.close(self.stdout)
        # pytest has put its own in their places.
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
        os.environ.update(self.env)
        # Tests that a shell started in the background ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if self.prepare:
            self.prepare()
        sys.exit(main([str(arg) for arg in self.args]))

    def _in_terminal(self) -> None:
        """Run in a child that has a terminal, and copy what it shows."""
        pid, screen = pty.fork()
        termios.tcsetwinsize(screen if pid else 2, (24, 100))
        if not pid:
            self._main()
        try:
            while shown := os.read(screen, 4096):
                self._streams[2].write(shown)
        except OSError:  # how Linux tells that the other side is closed
            self._streams[2].flush()
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    def runs(self) -> bool:
        """Tell whether it has not ended yet."""
        return self._process.is_alive()

    def signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def children(self) -> list[int]:
        """Give the ids of its worker processes."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def finish(self) -> tuple[int, bytes, str]:
        """Wait for the end; give exit code (-N: killed by signal N), output, errors."""
        if not self._finished:
            self._process.join(STOP_SECONDS)
            assert not self.runs(), f"still there after {STOP_SECONDS} s"
            _, out, err = map(_read, self._streams)
            self._finished = self._process.exitcode, out, err.decode()
        return self._finished


def _read(stream) -> bytes:
    with stream:
        stream.seek(0)
        return stream.read()
