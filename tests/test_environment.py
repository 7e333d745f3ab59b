"""A server in a world that goes wrong: disks and clocks. See docs/reliability.md."""

import os
import threading
import time
from datetime import datetime, timedelta

import pytest

from server import Server, wait_until

pytestmark = pytest.mark.system

SENTENCE = {"sentence": "denies [entity] pain [entity]"}
LARGE = {"text": "pain " * 150_000, "entities": []}
ENV = {"WEB_CONCURRENCY": "2", "INFERENCE_THREADS": "1"}
READ_ONLY = "mount --make-rprivate / && mount -o remount,bind,ro / && ! touch /x"
FULL = "mount -t tmpfs -o size=64k none /tmp && ! cat /dev/zero > /tmp/full"


def works(server) -> None:
    """Answers, replaces a killed worker, answers, stops."""
    assert server.post(SENTENCE).status == 200
    before = server.workers()
    os.kill(before[0], 9)
    wait_until(lambda: set(server.workers()) - set(before), 20, "a new worker")
    for _ in range(8):
        assert server.post(SENTENCE).status == 200
    assert server.post(LARGE).status == 200
    assert server.stop() == 0


@pytest.mark.parametrize("world", [READ_ONLY, FULL], ids=["read-only root", "full"])
def test_it_works_without_a_disk_to_write_to(world):
    """The embedded model, since the toy lies in what is hidden then."""
    script = f'({world}) >/dev/null 2>&1 && exec "$@"'
    prefix = ("unshare", "--mount", "sh", "-c", script, "sh")
    with Server(env=ENV, prefix=prefix) as server:
        works(server)
        assert server.stderr() == ""


STEPPING_CLOCK = """
import time
from pathlib import Path

real, real_ns, file = time.time, time.time_ns, Path({file!r})
time.time = lambda: real() + int(file.read_text())
time.time_ns = lambda: real_ns() + 10**9 * int(file.read_text())
"""


def test_a_clock_that_jumps_fails_no_request(toy_model, tmp_path):
    """An hour on, a day back: deadlines, time-outs and heartbeats do not notice."""
    clock = tmp_path / "clock"
    site = tmp_path / "sitecustomize.py"  # imported before anything else
    site.write_text(STEPPING_CLOCK.format(file=str(clock)))
    statuses = []
    stop = threading.Event()

    def set_clock(step: int) -> None:
        """At once: a file just emptied by a write is no number, and fails a request."""
        new = tmp_path / "new"
        new.write_text(f"{step}")
        new.replace(clock)

    def client():
        while not stop.is_set():
            statuses.append(server.post(SENTENCE).status)

    set_clock(0)
    env = {**ENV, "PYTHONPATH": str(tmp_path)}
    with Server(model=toy_model, env=env) as server:
        workers = server.workers()
        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        for step in (3600, -86400):
            set_clock(step)
            before = len(statuses)
            wait_until(lambda: len(statuses) > before + 50, 30, "answers")
            time.sleep(2)  # so that heartbeats and supervisors see the step
        stop.set()
        for thread in threads:
            thread.join()
        assert set(statuses) == {200}
        assert server.workers() == workers
        lines = server.log(event="request")
        times = [datetime.fromisoformat(line["time"]) for line in lines]
        assert max(times) - min(times) > timedelta(days=1)  # its clock did jump
        assert server.stop() == 0
