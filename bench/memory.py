"""What a worker's memory does over 20,000 requests.

    python bench/memory.py [--model embedded] [--precision fp32] [--requests 20000]

32 clients send single sentences with wrk. Prints, as it goes, what each worker has
for itself (private memory, MB: not shared with the master) just after them and, when
it has returned what it freed, seconds later; and what all processes have together
(PSS, MB). Exit code 1 when a request fails, or when a worker has at rest in the end
more than 1.05 times what it had half-way, and 2 MB.
"""

import argparse
import sys
import time

from run import Load, memory_mb, model_path, real

STEPS = 10
NUM_WORKERS, NUM_CLIENTS = 2, 32
WINDOW_SECONDS = 10
AS_IN_THE_IMAGE = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
REST_SECONDS = 3  # a worker returns freed memory two seconds after it began to work
MAX_GROWTH, ALLOWANCE_MB = 1.05, 2


def measure(server, num_requests: int) -> list[list[float]]:
    """Give the private MB of each worker, at rest, at each step.

    :raises RuntimeError: a request failed.
    """
    load, answered, found = Load(), 0, []
    print("| requests | private MB of each worker | at rest | PSS MB of all |")
    print("| ---: | --- | --- | ---: |", flush=True)
    while True:
        if answered >= num_requests * len(found) / STEPS:
            busy = private(server)
            time.sleep(REST_SECONDS)
            found.append(private(server))
            together = f"{memory_mb(server.pid):.0f}"
            cells = f"{answered:,}", listed(busy), listed(found[-1]), together
            print("|", " | ".join(cells), "|", flush=True)
        if answered >= num_requests:
            return found
        window = load(server.port, NUM_CLIENTS, WINDOW_SECONDS)
        if window["errors"]:
            raise RuntimeError(f"{window['errors']} requests failed")
        answered += window["requests"]


def private(server) -> list[float]:
    """Give the MB that each worker has for itself."""
    return [real.private_mb(pid) for pid in sorted(server.workers())]


def listed(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


def grew(found: list[list[float]]) -> list[str]:
    """Say which worker has more at the end than half-way, beyond what is allowed."""
    half, end = found[len(found) // 2], found[-1]
    return [
        f"worker {n}: {before:.1f} MB half-way, {after:.1f} MB at the end"
        for n, (before, after) in enumerate(zip(half, end, strict=True))
        if after > MAX_GROWTH * before + ALLOWANCE_MB
    ]


def main() -> int:
    """Measure one model at one precision."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=("base", "embedded"), default="embedded")
    parser.add_argument("--precision", choices=("fp32", "int8"), default="fp32")
    parser.add_argument("--requests", type=int, default=20_000)
    args = parser.parse_args()
    env = {
        **AS_IN_THE_IMAGE,
        "PRECISION": args.precision,
        "WEB_CONCURRENCY": str(NUM_WORKERS),
    }
    with real.Server(model=model_path(args.model), env=env) as server:
        real.wait_until(lambda: len(server.workers()) == NUM_WORKERS, 60, "workers")
        problems = grew(measure(server, args.requests))
    print("\n".join(problems or ["no growth"]))
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
