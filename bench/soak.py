"""Half an hour of everything at once; what should stay flat is measured.

    python bench/soak.py [--minutes 30] [--models embedded base]
        [--precisions fp32 int8]

The time is shared by a server of each model at each precision. Eight clients send
sentences, notes, documents and questions about health and metrics, one of them in
chunks and one in gzip; another sends requests without waiting for answers; two more
send what is malformed, hang up and stop half-way. Now and then the younger worker is
killed, or told to stop, so that the older one lives through it all. Prints what was
answered, and resident memory, open files and threads of the master and of the older
worker, early and late. Exit code 1 when something was not as intended.
"""

import argparse
import gzip
import http.client
import json
import math
import os
import random
import signal
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

from malformed import CANARY, DOCUMENTS, NOTE, SENTENCE, malformed, send  # noqa: E402
from sentences import note, sentences  # noqa: E402
from server import Server, read_reply, wait_until  # noqa: E402

ENV = {"WEB_CONCURRENCY": "2", "READ_TIMEOUT": "2"}
NUM_CLIENTS, NUM_ATTACKERS = 8, 2
PAUSE_SECONDS = 0.05  # of each client after each answer
SAMPLES = 60
RESTART_SECONDS = 20  # at least
BOOT_SECONDS = 3  # a signal that comes before Gunicorn's worker listens to it is lost
# What may grow: the first half warms caches and allocators up, the second must not.
MAX_GROWTH = {"memory_mb": 1.10, "files": 1.25, "threads": 1.25}
ALLOWANCE = {"memory_mb": 8, "files": 8, "threads": 8}
HEADERS = {"Content-Type": "application/json"}
FRAMINGS = {0: "chunked", 1: "gzip"}  # of a client's bodies


def framed(body: str | None, framing: str | None) -> tuple:
    """Give *body* as it is sent, and its headers."""
    if framing == "chunked":  # http.client sends each piece as one
        return (body[at : at + 50].encode() for at in range(0, len(body), 50)), HEADERS
    if framing == "gzip":
        return gzip.compress(body.encode()), HEADERS | {"Content-Encoding": "gzip"}
    return body, HEADERS


def pipeline(port: int, bodies: list[str]) -> list[int]:
    """Ask for *bodies* on one connection, all at once; give the statuses.

    :raises OSError, HTTPException, IndexError: when an answer does not come.
    """
    head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    requests = (f"{head}Content-Length: {len(body)}\r\n\r\n{body}" for body in bodies)
    statuses = []
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall("".join(requests).encode())
        with client.makefile("rb") as answers:
            for _ in bodies:
                statuses.append(int(answers.readline().split()[1]))
                headers = http.client.parse_headers(answers)
                answers.read(int(headers["Content-Length"]))
    return statuses


def usage(pid: int) -> dict:
    """Give resident memory in MB, open files and threads of *pid*."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = dict(line.split(":", 1) for line in status.splitlines())
    return {
        "memory_mb": int(found["VmRSS"].split()[0]) / 1024,
        "files": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(found["Threads"]),
    }


@dataclass
class Soak:
    """One soak of *server*, of *seconds*.

    :ivar counts: (what was sent, what came) -> how often.
    :ivar problems: what was not as intended, a line each.
    """

    server: Server
    seconds: float
    counts: Counter = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    samples: dict[str, list[dict]] = field(default_factory=dict)

    def run(self) -> None:
        """Load, restart and measure, all at once."""
        self._stop = threading.Event()
        self._restarted = -60.0  # time.monotonic of the last restart
        self._older = min(self.server.workers())
        clients = [(self._client, n) for n in range(NUM_CLIENTS)]
        clients += [(self._attacker, n) for n in range(NUM_ATTACKERS)]
        clients.append((self._pipelining, NUM_CLIENTS))
        threads = [threading.Thread(target=run, args=(n,)) for run, n in clients]
        for thread in threads:
            thread.start()
        try:
            self._watch()
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        self._judge()

    # --- clients ----------------------------------------------------------------

    def _client(self, number: int) -> None:
        rng = random.Random(number)
        connection = self._connect()
        while not self._stop.wait(PAUSE_SECONDS):
            kind, method, path, body = self._request(rng)
            framing = FRAMINGS.get(number) if body else None
            body, headers = framed(body, framing)
            began = time.monotonic()
            try:
                connection.request(method, path, body, headers)
                status = read_reply(connection).status
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                status = self._unanswered(began, error)
            self.counts[framing or kind, str(status)] += 1
            if rng.random() < 0.1:
                connection.close()
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)

    def _request(self, rng: random.Random):
        dice = rng.random()
        if dice < 0.1:
            path = rng.choice(("/health", "/metrics", "/openapi.json", "/docs"))
            return "question", "GET", path, None
        if dice < 0.2:
            return "documents", "POST", "/predict", json.dumps(DOCUMENTS)
        if dice < 0.3:
            body = note(rng.choice((1, 10, 50)), rng.randrange(10**6))
            return "note", "POST", "/predict", json.dumps(body)
        (sentence,) = sentences(1, rng.randrange(10**6))
        body = rng.choice((SENTENCE, NOTE, {"sentence": sentence}))
        return "sentence", "POST", "/predict", json.dumps(body)

    def _pipelining(self, number: int) -> None:
        """Send some sentences, then read as many answers."""
        rng = random.Random(number)
        while not self._stop.wait(PAUSE_SECONDS):
            asked = sentences(rng.choice((1, 2, 5)), rng.randrange(10**6))
            bodies = [json.dumps({"sentence": sentence}) for sentence in asked]
            began = time.monotonic()
            try:
                statuses = pipeline(self.server.port, bodies)
            except (OSError, http.client.HTTPException, IndexError) as error:
                statuses = [self._unanswered(began, error)]
            self.counts.update(("pipelined", str(status)) for status in statuses)

    def _unanswered(self, began: float, error: Exception) -> str:
        """Say what came of a request: with a worker that was ended, it may be lost."""
        return "lost" if began < self._restarted + 2 else repr(error)

    def _attacker(self, number: int) -> None:
        rng = random.Random(1000 + number)
        while not self._stop.wait(PAUSE_SECONDS / 5):
            hangs_up = rng.random() < 0.05
            try:
                if hangs_up:
                    self._hang_up(rng)
                    continue
                status = send(self.server.port, malformed(rng))
            except OSError as error:
                recent = time.monotonic() < self._restarted + 5
                status = "lost" if recent else repr(error)
            self.counts["malformed", str(status)] += 1

    def _hang_up(self, rng: random.Random) -> None:
        connection = self._connect()
        body = json.dumps(note(50, rng.randrange(10**6)))
        connection.putrequest("POST", "/predict")
        connection.putheader("Content-Length", str(len(body)))
        connection.putheader("Content-Type", "application/json")
        connection.endheaders()
        connection.send(body[: rng.choice((10, len(body)))].encode())
        time.sleep(0.01)
        connection.close()
        self.counts["hung up", ""] += 1

    # --- restarts and samples ---------------------------------------------------

    def _watch(self) -> None:
        began = time.monotonic()
        every = max(3, math.ceil(RESTART_SECONDS * SAMPLES / self.seconds))
        for number in range(1, SAMPLES + 1):
            time.sleep(max(0.0, began + self.seconds * number / SAMPLES - _now()))
            if self._older not in self.server.workers():
                self.problems.append("the older worker ended")
                return
            if number % every == 0 and number < SAMPLES:
                self._restart(number)
            for name, pid in (("master", self.server.pid), ("worker", self._older)):
                self.samples.setdefault(name, []).append(usage(pid))

    def _restart(self, number: int) -> None:
        before = self.server.workers()
        younger = max(set(before) - {self._older})
        self._restarted = _now()
        os.kill(younger, signal.SIGTERM if number % 2 else signal.SIGKILL)
        wait_until(
            lambda: set(self.server.workers()) - set(before), 120, "a new worker"
        )
        time.sleep(BOOT_SECONDS)
        self._restarted = _now()
        self.counts["restarts", ""] += 1

    # --- judgement ----------------------------------------------------------------

    def _judge(self) -> None:
        for (kind, came), times in self.counts.items():
            if not _is_intended(kind, came):
                self.problems.append(f"{kind}: {came}, {times} times")
        lost = sum(n for (_, came), n in self.counts.items() if came == "lost")
        allowed = (NUM_CLIENTS + NUM_ATTACKERS + 1) * self.counts["restarts", ""]
        if lost > allowed:
            self.problems.append(f"{lost} requests lost; at most {allowed} are")
        for name, samples in self.samples.items():
            for what, factor in MAX_GROWTH.items():
                early, late = early_and_late(samples, what)
                if late > factor * early + ALLOWANCE[what]:
                    self.problems.append(f"{name}: {what} {early:.0f} -> {late:.0f}")
        if CANARY in str(self.server.log()) or self.server.stderr():
            self.problems.append("text in the log, or something on stderr")


def _now() -> float:
    return time.monotonic()


def _is_intended(kind: str, came: str) -> bool:
    if kind in ("restarts", "hung up") or came == "lost":
        return True
    if kind == "malformed":
        return came == "None" or came.startswith("4")
    draining = (kind, came) == ("question", "503")  # a worker that was told to stop
    return draining or came in ("200", "429")


def early_and_late(samples: list[dict], what: str) -> tuple[float, float]:
    """Give the medians of the third quarter and of the last."""
    quarter = len(samples) // 4
    early, late = samples[2 * quarter : 3 * quarter], samples[3 * quarter :]
    return tuple(statistics.median(s[what] for s in part) for part in (early, late))


def report(soak: Soak) -> str:
    """Give what was seen, as the tables of docs/reliability.md."""
    lines = ["| sent | came | times |", "| --- | --- | ---: |"]
    lines += [f"| {k} | {c} | {n:,} |" for (k, c), n in sorted(soak.counts.items())]
    lines += ["", "| process | what | quarter 3 | quarter 4 |"]
    lines += ["| --- | --- | ---: | ---: |"]
    for name, samples in soak.samples.items():
        for what in MAX_GROWTH:
            quarters = early_and_late(samples, what)
            lines.append(f"| {name} | {what} | {quarters[0]:.0f} | {quarters[1]:.0f} |")
    return "\n".join(
        [*lines, "", *(soak.problems or ["nothing that was not intended"])]
    )


def main() -> int:
    """Soak each model at each precision and print the reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--models", nargs="+", default=["embedded", "base"])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "int8"])
    args = parser.parse_args()
    from run import model_path

    kinds = list(product(args.models, args.precisions))
    problems = []
    for model, precision in kinds:
        with Server(model_path(model), {**ENV, "PRECISION": precision}) as server:
            soak = Soak(server, 60 * args.minutes / len(kinds))
            soak.run()
        print(f"{model}, {precision}\n\n{report(soak)}\n", flush=True)
        problems += soak.problems
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
