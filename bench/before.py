"""The service of this commit beside that of another, in one interleaved run.

    git worktree add ../before COMMIT
    python bench/before.py ../before [--model DIR] [--precision fp32]
        [--clients 1 8 32 128] [--note 100] [--rounds 5] [--seconds 4]
        [NAME=VALUE ...]

Both serve the embedded model of their own, or DIR, and stay up; one at a time is under
load, in turns, each first in half of the rounds: clients with sentences, and a note of
so many entities. Prints the rates of both, in entities, and the median over the rounds
of this commit's rate, and of its latency, as a multiple of the other's. NAME=VALUE are
settings of this commit's.
"""

import argparse
import statistics
from contextlib import ExitStack
from pathlib import Path

from run import Load, machine, real, say, settings, time_note, wait_until_idle

WARM_UP_SECONDS = 3


def measure(servers: list, load: Load, args) -> dict[str, list[list[dict]]]:
    """Measure each number of clients, and the note.

    :returns: for each, of every round the other's figures and this one's.
    """
    asked = {str(clients): clients for clients in args.clients}
    asked |= {f"1, a note of {args.note}": None} if args.note else {}
    found = {name: [] for name in asked}
    for number in range(args.rounds):
        for name, clients in asked.items():
            pair = {}
            for which in (0, 1) if number % 2 else (1, 0):
                server = servers[which]
                if clients:
                    pair[which] = load(server.port, clients, args.seconds)
                else:
                    pair[which] = ask_note(server, args.note, number)
                wait_until_idle(server)
            found[name].append([pair[0], pair[1]])
        say(f"round {number + 1} of {args.rounds}")
    return found


def ask_note(server, size: int, seed: int) -> dict:
    """Ask for a note of *size* entities once; give what a load gives."""
    note = time_note(server, size, seed)
    return {"rate": note["rate"], "errors": 0} | dict.fromkeys(
        ("p50", "p99"), note["seconds"]
    )


def table(found: dict[str, list[list[dict]]]) -> str:
    """Give a line for whatever was asked."""
    lines = [
        "| clients | before, /s | now, /s | rate | median latency | p99 | errors |"
    ]
    lines += ["| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for asked, rounds in found.items():
        before, now = (
            statistics.median(pair[which]["rate"] for pair in rounds)
            for which in range(2)
        )
        ratios = (
            statistics.median(new[what] / old[what] for old, new in rounds)
            for what in ("rate", "p50", "p99")
        )
        errors = sum(each["errors"] for pair in rounds for each in pair)
        cells = [f"{before:.0f}", f"{now:.0f}", *(f"{ratio:.2f}" for ratio in ratios)]
        lines.append(f"| {asked} | {' | '.join(cells)} | {errors} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path, help="a checkout of the other commit")
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--model", default="embedded", metavar="DIR")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "int8"))
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--note", type=int, default=100, help="entities; 0: none")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4, help="of a load")
    args = parser.parse_intermixed_args()
    load = Load()
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                real.Server(args.model, settings(args.precision, given), root=root)
            )
            for root, given in (
                (args.before.resolve(), ()),
                (real.ROOT, args.settings),
            )
        ]
        for server in servers:
            load(server.port, 8, WARM_UP_SECONDS)
        found = measure(servers, load, args)
    print(f"{machine()['cpu']}, {machine()['cores']} cores\n\n{table(found)}")


if __name__ == "__main__":
    main()
