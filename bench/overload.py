"""Ten times the load that the service can carry, for a minute, in an open loop.

    python bench/overload.py [--seconds 60] [--times 10] [--model DIR]

First measures what the service can carry: single sentences from clients that wait for
their answer. Then sends ten times as many a second, whatever comes back, and beside
them asks ``/health`` twenty times a second. BERT-base with random weights unless told
otherwise. Prints a table; exit code 1 when a goal is missed.

The load comes from one process of its own, an event loop over kept-alive connections.
What it measures includes its own delays, which it also tells; as it has no machine of
its own, it runs before everything else if it may (root).
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

from sentences import sentences  # noqa: E402
from server import Server  # noqa: E402

NUM_CLIENTS = 16
HEALTH_SECONDS = 0.05
DRAIN_SECONDS = 60
GOALS = {"health": 0.1, "refused": 0.05}  # p99, seconds


class Client:
    """Makes requests on kept-alive connections, opening as many as it takes.

    :ivar replies: (kind, status) -> seconds that each took.
    :ivar bare: how many 429 came without ``Retry-After``.
    :ivar delays: seconds by which requests left late.
    """

    def __init__(self, port: int):
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.replies: dict[tuple[str, int], list[float]] = {}
        self.bare = 0
        self.delays: list[float] = []

    async def ask(self, kind: str, request: bytes) -> None:
        """Make one request; one that gets no answer counts as status 0."""
        began = time.monotonic()
        try:
            status = await self._ask(request)
        except (OSError, asyncio.IncompleteReadError):
            status = 0
        seconds = time.monotonic() - began
        self.replies.setdefault((kind, status), []).append(seconds)

    async def _ask(self, request: bytes) -> int:
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        await reader.readexactly(int(length[1]))
        status = int(head[9:12])
        self.bare += status == 429 and b"\r\nRetry-After: " not in head
        if b"\r\nConnection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return status

    def times(self, kind: str, *statuses: int) -> list[float]:
        """Give the seconds of all replies of *kind* with one of *statuses*, sorted."""
        found = (t for (k, s), t in self.replies.items() if k == kind and s in statuses)
        return sorted(second for times in found for second in times)


def requests(count: int) -> list[bytes]:
    """Make predictions to ask for, no two alike."""
    made = []
    for sentence in sentences(count):
        body = json.dumps({"sentence": sentence}).encode()
        head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
        made.append(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    return made


HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


async def carry(client: Client, seconds: float) -> float:
    """Give the predictions a second that clients who wait get."""
    rest = iter(requests(4096))
    ends = time.monotonic() + seconds

    async def run():
        while time.monotonic() < ends:
            await client.ask("predict", next(rest))

    await asyncio.gather(*(run() for _ in range(NUM_CLIENTS)))
    return len(client.times("predict", 200)) / seconds


async def overload(client: Client, rate: float, seconds: float) -> None:
    """Ask *rate* times a second, and ``/health`` beside, whatever comes back."""
    every = {"predict": 1 / rate, "health": HEALTH_SECONDS}
    bodies = {"predict": requests(4096), "health": [HEALTH]}

    async def send(kind):
        began, asked = time.monotonic(), []
        for number in range(int(seconds / every[kind])):
            due = began + number * every[kind]
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            client.delays.append(time.monotonic() - due)
            body = bodies[kind][number % len(bodies[kind])]
            asked.append(asyncio.create_task(client.ask(kind, body)))
        await asyncio.wait(asked, timeout=DRAIN_SECONDS)

    await asyncio.gather(*(send(kind) for kind in every))


async def measure(port: int, seconds: float, times: float) -> dict:
    """Measure what is carried, then overload; give the figures."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    rate = await carry(Client(port), min(10.0, seconds))
    client = Client(port)
    await overload(client, times * rate, seconds)
    statuses = Counter()
    for (kind, status), took in client.replies.items():
        statuses[f"{kind} {status}"] += len(took)
    return {
        "carried": rate,
        "offered": times * rate,
        "answered": len(client.times("predict", 200)) / seconds,
        "statuses": dict(statuses),
        "bare": client.bare,
        "health": quantiles(client.times("health", 200)),
        "refused": quantiles(client.times("predict", 429)),
        "delays": quantiles(sorted(client.delays)),
    }


def quantiles(times: list[float]) -> dict[str, float]:
    """Give the median, the 99th percentile and the largest of sorted *times*."""
    if not times:
        return dict.fromkeys(("p50", "p99", "max"), float("inf"))
    return {
        "p50": times[len(times) // 2],
        "p99": times[int(0.99 * (len(times) - 1))],
        "max": times[-1],
    }


def overload_server(server: Server, seconds: float, times: float = 10) -> dict:
    """Run :func:`measure` against *server*, from a process of its own."""
    command = [sys.executable, __file__, "--port", str(server.port)]
    command += ["--seconds", str(seconds), "--times", str(times)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def problems(found: dict, goals: dict = GOALS) -> list[str]:
    """Say what is not as it should be."""
    said = []
    known = {"predict 200", "predict 429", "health 200"}
    for what in found["statuses"].keys() - known:
        said.append(f"{found['statuses'][what]} times {what}")
    if "predict 429" not in found["statuses"]:
        said.append("nothing was refused")
    if found["bare"]:
        said.append(f"{found['bare']} refusals without Retry-After")
    for what, goal in goals.items():
        if found[what]["p99"] > goal:
            said.append(f"{what}: p99 {found[what]['p99']:.3f} s, at most {goal} s")
    return said


def report(found: dict) -> str:
    """Give the figures as a table."""
    lines = ["| | median, ms | p99, ms | longest, ms |", "| --- | ---: | ---: | ---: |"]
    names = {"refused": "429", "health": "`/health`", "delays": "sent too late"}
    for what, name in names.items():
        cells = (f"{1000 * found[what][q]:.1f}" for q in ("p50", "p99", "max"))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    sums = ", ".join(f"{n:,} x {what}" for what, n in found["statuses"].items())
    lines += ["", f"carried alone {found['carried']:.1f}/s, offered"]
    lines[
        -1
    ] += f" {found['offered']:.0f}/s, answered {found['answered']:.1f}/s; {sums}"
    return "\n".join(lines)


def main() -> int:
    """Overload a server of ours, or (``--port``) one that runs; see above."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--times", type=float, default=10)
    parser.add_argument("--model", default="base", help="a directory, or embedded")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "int8"))
    parser.add_argument("--port", type=int, help="only print the figures, as JSON")
    args = parser.parse_args()
    if args.port:
        found = asyncio.run(measure(args.port, args.seconds, args.times))
        print(json.dumps(found))
        return 0
    from run import model_path

    model = model_path("base") if args.model == "base" else args.model
    with Server(model=model, env={"PRECISION": args.precision}) as server:
        found = overload_server(server, args.seconds, args.times)
    print(report(found))
    said = problems(found)
    print("\n".join(said))
    return bool(said)


if __name__ == "__main__":
    sys.exit(main())
