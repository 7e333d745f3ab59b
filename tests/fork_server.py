"""Gunicorn in a fork of a process that has imported torch: real, and soon there.

Importing torch and transformers is nine tenths of a start. What is about the start
itself, memory, CPUs or what packages read as they are imported has ``server.Server``.
"""

import atexit
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from functools import cache

import server

# What is imported before, none of it ours. Not prometheus_client, which looks at the
# environment as it is imported.
PACKAGES = """
    torch transformers.models.auto.modeling_auto transformers.models.bert.modeling_bert
    transformers.models.bert.tokenization_bert safetensors.torch
""".split()
# Beginnings of variables that those and the libraries below them look at once.
READ_BEFORE = (
    "GLIBC_",
    "HF_",
    "LD_",
    "MKL_",
    "OMP_",
    "PYTHON",
    "TORCH",
    "TRANSFORMERS",
)


class Server(server.Server):
    """As the other.

    :raises ValueError: by ``start()``, with a prefix or a variable that would come too
        late.
    """

    def start(self) -> None:
        late = [name for name in self.env if name.startswith(READ_BEFORE)]
        if self.prefix or late:
            raise ValueError(f"too late in a fork: {[*self.prefix, *late]}")
        super().start()

    def _spawn(self, args, env, log, err) -> "Process":
        request = json.dumps([str(self.root), args, env]).encode()
        status, write = os.pipe()
        try:
            files = [log.fileno(), err.fileno(), write]
            socket.send_fds(_forking(), [request], files)
        finally:
            os.close(write)
        return Process(status)


class Process:
    """A server as ``subprocess.Popen`` would have it.

    :param status: file descriptor of a pipe: its process id, later its exit code.
    """

    def __init__(self, status: int):
        self._status = open(status, "rb", buffering=0)
        self.returncode = None
        self.pid = int(self._status.readline())

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("gunicorn", timeout)
            self.poll()
        return self.returncode

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)


@cache
def _forking() -> socket.socket:
    """Start the process that forks; it ends when this one does."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        process = subprocess.Popen([sys.executable, __file__], stdin=its)
    atexit.register(lambda: (ours.close(), process.wait()))
    return ours


# --- in the process that forks ------------------------------------------------


def main() -> None:
    """Fork a server for each request; with it one that waits for its end."""
    for package in PACKAGES:
        __import__(package)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the waiting
    requests = socket.socket(fileno=os.dup(0))
    while True:
        request, files, _, _ = socket.recv_fds(requests, 2**20, 3)
        if not request:
            return
        if not os.fork():
            requests.close()
            return _serve(*json.loads(request), *files)
        for file in files:
            os.close(file)


def _serve(root: str, args: list[str], env: dict, log: int, err: int, status: int):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.write(status, b"%d\n" % code)
        os._exit(0)
    os.setsid()
    os.write(status, b"%d\n" % os.getpid())
    for file, number in (os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (err, 2):
        os.dup2(file, number)
        os.close(file)
    os.close(status)
    os.chdir(root)
    os.environ.clear()
    os.environ.update(env)
    sys.path[0] = root  # as python -m has it
    sys.argv = ["gunicorn", *args]
    runpy.run_module("gunicorn", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
