"""What early exit brings: the same service with it and without it, in one run.

    python bench/exits.py [--precisions fp32 int8] [--rounds 3] [--seconds 4]

Servers that differ in nothing else, one under load at a time, in interleaved rounds:
``off``, ``on``, and ``never``, where the exits are computed and no row leaves at one.
32 clients with sentences of ``bench/sentences.py``, one note of 100 entities, and one
client alone, of whose requests the processors' time is counted too: all of it, and what
is left without the forward pass. Five minutes. ``bench/report.py`` puts
``bench/results/exits.json`` into ``docs/performance.md``.
"""

import argparse
import http.client
import json
import os
import re
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from report import exits_table
from run import RESULTS, Load, machine, model_path, real, say, settings, time_note
from run import wait_until_idle
from sentences import sentences

MODES = ("off", "on", "never")
CLIENTS = 32
NOTE = 100  # entities
NOTES = 3  # in a round
LONE = 400  # requests, one after the other
UNREACHED = 1.0  # what a probability does not get to


def without_leaving(model: Path, directory: Path) -> Path:
    """Copy *model*; no row is ever as sure as the copy's exits want it."""
    copy = shutil.copytree(model, directory / "never")
    (copy / "manifest.json").unlink(missing_ok=True)
    config = json.loads((copy / "config.json").read_text())
    config["exits"] = dict.fromkeys(config.get("exits") or (), UNREACHED)
    (copy / "config.json").write_text(json.dumps(config))
    return copy


def core_ms(server) -> float:
    """Give the milliseconds of a core that the workers have taken (proc(5), stat)."""
    ticks = 0
    for pid in real.children(server.pid):
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(stat[11]) + int(stat[12])  # in the process, and in the kernel
    return 1000 * ticks / os.sysconf("SC_CLK_TCK")


def lone_cost(server) -> tuple[float, float]:
    """Give the milliseconds of a core of a lone sentence, all and beside the model."""
    client = http.client.HTTPConnection("127.0.0.1", server.port)
    headers = {"Content-Type": "application/json"}
    before, forward = core_ms(server), 0.0
    for sentence in sentences(LONE, seed=11):
        client.request("POST", "/predict", json.dumps({"sentence": sentence}), headers)
        reply = client.getresponse()
        reply.read()
        laps = reply.headers["server-timing"]
        forward += float(re.search(r"forward;dur=([\d.]+)", laps)[1])
    client.close()
    spent = core_ms(server) - before
    return spent / LONE, (spent - forward) / LONE


def layers(server) -> dict[str, int]:
    """Count the entities that *server* answered, by after how many layers."""
    text = server.get("/metrics").body.decode()
    found = real.samples(text, "negation_api_layers_total")
    counts = {labels["layers"]: int(count) for labels, count in found}
    return dict(sorted(counts.items()))


def measure(precision: str, args, copy: Path) -> dict:
    """Measure all modes at one precision: for each a list of rounds."""
    load, found = Load(), {mode: [] for mode in MODES}
    with ExitStack() as stack:
        servers = {}
        for mode in MODES:
            early = "off" if mode == "off" else "on"
            env = settings(precision, [f"EARLY_EXIT={early}"])
            model = copy if mode == "never" else args.model
            servers[mode] = stack.enter_context(real.Server(model, env))
            load(servers[mode].port, 8, 2)
        for number in range(args.rounds):
            for mode in MODES[:: -1 if number % 2 else 1]:
                found[mode].append(one_round(servers[mode], load, args.seconds, number))
            say(f"{precision}, round {number + 1} of {args.rounds}")
        counts = {mode: layers(server) for mode, server in servers.items()}
    return {"precision": precision, "rounds": found, "layers": counts}


def one_round(server, load: Load, seconds: float, number: int) -> dict:
    """Measure one server once."""
    many = load(server.port, CLIENTS, seconds)
    wait_until_idle(server)
    rates = [time_note(server, NOTE, NOTES * number + n)["rate"] for n in range(NOTES)]
    lone = load(server.port, 1, max(2, seconds / 2))
    core, around = lone_cost(server)
    return {
        "clients": many["rate"],
        "note": sorted(rates)[NOTES // 2],
        "lone_ms": lone["p50"],
        "core_ms": core,
        "around_ms": around,
        "errors": many["errors"] + lone["errors"],
    }


def main(argv: list[str] | None = None) -> None:
    """Measure, write, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "int8"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="of a load")
    parser.add_argument("--model", type=Path, default=Path(model_path("embedded")))
    parser.add_argument("--output", type=Path, default=RESULTS / "exits.json")
    args = parser.parse_args(argv)
    found = {"machine": machine(), "exits": []}
    with tempfile.TemporaryDirectory() as folder:
        copy = without_leaving(args.model.resolve(), Path(folder))
        for precision in args.precisions:
            found["exits"].append(measure(precision, args, copy))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(found, indent=1) + "\n")
    print(exits_table(found))


if __name__ == "__main__":
    main()
