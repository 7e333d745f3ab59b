"""The service beside its bound and its peers, in one run: ``make bench``.

    python bench/run.py [--only bound ours pipeline litserve mosec bentoml]
        [--models base embedded] [--precisions fp32 int8] [--seconds 5]
        [--env WEB_CONCURRENCY=1] [--shapes 1x2 2x1 2x2]

``--shapes`` compares numbers of workers and of inference threads in each instead.

Single sentences come from wrk (https://github.com/wg/wrk), a C program of one thread;
notes from this process, one at a time. Writes ``bench/results/results.json`` and the
tables and the picture that ``docs/performance.md`` shows.
"""

import argparse
import http.client
import json
import os
import platform
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

import server as real  # noqa: E402
from sentences import note, sentences  # noqa: E402

RESULTS = HERE / "results"
CLIENTS = (1, 8, 32, 128)
PEERS_CLIENTS = (32,)
NOTES = (1, 10, 100, 1000)
NOTE_OF_SHAPES = 300
NOTE_SECONDS = 300  # the largest may take
PEERS = ("pipeline", "litserve", "mosec", "bentoml")
ROUNDS = 10  # a client's requests within a load, unless that lasts too long
LONGEST = 2.5  # times --seconds
PATHS = {"mosec": "/inference"}  # of the others: /predict
START_SECONDS = 120
CPU_SECONDS = ("ru_utime", "ru_stime")
LUA = """
local bodies = {%s}
local next = %d
local headers = {["Content-Type"] = "application/json"}
request = function()
  next = next %% #bodies + 1
  return wrk.format("POST", "%s", headers, bodies[next])
end
done = function(summary, latency, requests)
  local e = summary.errors
  local form = '{"requests": %%d, "seconds": %%f, "errors": %%d, '
    .. '"p50": %%f, "p95": %%f, "p99": %%f}'
  io.write(string.format('\\n' .. form .. '\\n',
    summary.requests, summary.duration / 1e6,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
    latency:percentile(99) / 1e3))
end
"""


def say(line: str) -> None:
    """Show progress."""
    print(line, file=sys.stderr, flush=True)


# --- load ---------------------------------------------------------------------


class Load:
    """Makes single-sentence requests with wrk.

    :param listed: send a list of one sentence.
    """

    def __init__(self, path: str = "/predict", listed: bool = False):
        made = sentences(4096, seed=7)
        self.bodies = [json.dumps({"sentence": [s] if listed else s}) for s in made]
        quoted = ",\n".join(f"[==[{body}]==]" for body in self.bodies)
        self._path, self._quoted, self._next = path, quoted, 0

    def __call__(self, port: int, clients: int, seconds: float) -> dict:
        """Give rate, latencies in ms and errors of *clients* that never pause."""
        self._next = (self._next + 997) % 4096
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(LUA % (self._quoted, self._next, self._path))
            script.flush()
            command = [
                "wrk",
                "-t1",
                f"-c{clients}",
                f"-d{seconds:.0f}s",
                "--timeout",
                "60s",
            ]
            url = f"http://127.0.0.1:{port}"
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            run = subprocess.run(
                [*command, "-s", script.name, url],
                capture_output=True,
                text=True,
                check=True,
            )
        found = json.loads(re.findall(r"^\{.*\}$", run.stdout, re.MULTILINE)[-1])
        found["rate"] = found["requests"] / found["seconds"]
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = sum(getattr(after, k) - getattr(before, k) for k in CPU_SECONDS)
        found["wrk_cores"] = spent / found["seconds"]
        return found


def time_note(server, size: int, seed: int) -> dict:
    """Give rate and median seconds of notes of *size* entities, no two alike."""
    times = []
    for number in range(5 if size <= 10 else 1):
        body = note(size, 100 * seed + number)
        began = time.monotonic()
        reply = server.post(body)
        times.append(time.monotonic() - began)
        assert reply.status == 200, reply.status
    seconds = sorted(times)[len(times) // 2]
    return {"seconds": seconds, "rate": size / seconds}


def memory_mb(pid: int) -> float:
    """Give the proportional set size of *pid* and all below it, MB."""
    total, pids = 0, [pid]
    while pids:
        pid = pids.pop()
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            pids += real.children(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)[1])
    return total / 1024


# --- what is measured ---------------------------------------------------------


def measure_bound(model: str, precision: str, args, known: dict) -> dict:
    """Measure the bare model in a process of its own.

    Machines change their pace: of a bound that is known already, the fastest way is
    measured once more, and the better counts.
    """
    command = [sys.executable, str(HERE / "bound.py"), model, precision]
    command.append(str(2.5 * args.seconds))
    bound = known.get("bound")
    if bound:
        best = bound["ways"][0]
        command += [str(best["tokens"]), best["way"]]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(run.stdout.splitlines()[-1])
    if bound:
        more = max(1, found["rate"] / bound["rate"])
        found = bound | {key: more * bound[key] for key in ("rate", "gflops")}
    return found


def window(clients: int, known: dict, args) -> float:
    """Give the seconds that a load of *clients* lasts."""
    wanted = ROUNDS * clients / known["bound"]["rate"] if "bound" in known else 0
    return min(max(wanted, args.seconds), LONGEST * args.seconds)


def measure_ours(model: str, precision: str, args, known: dict) -> dict:
    """Measure this service."""
    load, found = Load(), {}
    began = time.monotonic()
    env = settings(precision, args.env)
    with real.Server(model=model, env=env, reply_seconds=NOTE_SECONDS) as server:
        found["start_seconds"] = time.monotonic() - began
        load(server.port, 8, 2)
        found["clients"] = {
            n: load(server.port, n, window(n, known, args)) for n in args.clients
        }
        wait_until_idle(server)
        found["notes"] = {n: time_note(server, n, seed=n) for n in args.notes}
        if args.notes:
            found["beside"] = beside_a_note(server, load, args.seconds)
            wait_until_idle(server)
        found["timing"] = timing(server)
        found["memory_mb"] = memory_mb(server.pid)
    return found


def settings(precision: str, given) -> dict[str, str]:
    """Give the service's environment: large notes may take their time."""
    env = {"PRECISION": precision, "REQUEST_TIMEOUT": "300", "GRACEFUL_TIMEOUT": "301"}
    env |= {"MAX_REQUEST_TOKENS": "100000"}
    return env | dict(setting.split("=", 1) for setting in given)


def wait_until_idle(server) -> None:
    """Wait until what clients had sent before they left is computed or dropped."""
    time.sleep(1)
    server.post({"sentence": "denies [entity] pain [entity]"})
    time.sleep(1)


def timing(server, count: int = 40) -> dict[str, float]:
    """Give the median milliseconds of each stage of a lone sentence's request."""
    laps: dict[str, list[float]] = {}
    for sentence in sentences(count, seed=11):
        header = server.post({"sentence": sentence}).headers["server-timing"]
        for stage, value in re.findall(r"(\w+);dur=([\d.]+)", header):
            laps.setdefault(stage, []).append(float(value))
    return {stage: sorted(values)[count // 2] for stage, values in laps.items()}


def beside_a_note(server, load: Load, seconds: float) -> dict:
    """Compare four clients alone with four beside a note of 1,000 entities."""
    quiet = load(server.port, 4, seconds)
    client = http.client.HTTPConnection("127.0.0.1", server.port)
    headers = {"Content-Type": "application/json"}
    client.request("POST", "/predict", json.dumps(note(1000, seed=5)), headers)
    time.sleep(1)
    busy = load(server.port, 4, seconds)
    outlasted = not select.select([client.sock], [], [], 0)[0]
    client.close()  # what is left of the note is dropped
    return {"quiet": quiet, "busy": busy, "note_outlasted": outlasted}


def measure_shapes(model: str, precision: str, args, known: dict) -> dict:
    """Measure this service with other numbers of workers and threads."""
    found, load = {}, Load()
    for shape in args.shapes:
        workers, threads = shape.split("x")
        env = {"WEB_CONCURRENCY": workers, "INFERENCE_THREADS": threads}
        env |= settings(precision, args.env)
        with real.Server(model=model, env=env, reply_seconds=NOTE_SECONDS) as server:
            load(server.port, 8, 2)
            many = load(server.port, 32, LONGEST * args.seconds)
            wait_until_idle(server)
            one = time_note(server, NOTE_OF_SHAPES, seed=3)
            memory = memory_mb(server.pid)
        found[shape] = {"clients": many, "note": one, "memory_mb": memory}
    return found


def measure_peer(name: str, model: str, precision: str, args, known: dict) -> dict:
    """Measure one of the other servers."""
    port = real.free_port()
    command = [sys.executable, str(HERE / "peers.py"), name, model, precision]
    process = subprocess.Popen(
        [*command, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=HERE,
        start_new_session=True,
    )
    path = PATHS.get(name, "/predict")
    try:
        load = Load(path, listed=name == "bentoml")
        ready = partial(answers, port, path, load.bodies[0])
        real.wait_until(ready, START_SECONDS, f"{name} answers")
        load(port, 8, 2)
        numbers = [n for n in args.clients if n in PEERS_CLIENTS]
        clients = {n: load(port, n, window(n, known, args)) for n in numbers}
        return {"clients": clients, "memory_mb": memory_mb(process.pid)}
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(port: int, path: str, body: str) -> bool:
    """Tell whether a server answers a first request."""
    headers = {"Content-Type": "application/json"}
    url = f"http://127.0.0.1:{port}{path}"
    request = urllib.request.Request(url, body.encode(), headers)
    try:
        return urllib.request.urlopen(request, timeout=30).status == 200
    except OSError:
        return False


MEASURES = {"bound": measure_bound, "ours": measure_ours, "shapes": measure_shapes}


def measure(args) -> dict:
    """Measure everything that was asked for."""
    found = {"machine": machine(), "runs": []}
    for model in args.models:
        path = model_path(model)
        for precision in args.precisions:
            run = {"model": model, "precision": precision}
            found["runs"].append(run)
            for name in steps(args.only):
                say(f"{time.strftime('%X')} {model} {precision} {name}")
                run[name] = MEASURES.get(name, partial(measure_peer, name))(
                    path, precision, args, run
                )
                args.output.write_text(json.dumps(found, indent=1) + "\n")
    return found


def steps(only) -> Iterator[str]:
    """Give what to measure, in order: the bound once more after the service."""
    for name in ("shapes", "bound", "ours", *PEERS):
        if name in only:
            yield name
            if name == "ours" and "bound" in only:
                yield "bound"


def model_path(name: str) -> str:
    """Give the directory of a model; BERT-base is made with random weights."""
    if name == "embedded":
        return str(HERE.parent / "negation_api" / "embedded")
    directory = RESULTS / "bert-base"
    if not (directory / "model.safetensors").exists():
        from toy import write_bert_base

        write_bert_base(directory)
    return str(directory)


def machine() -> dict:
    """Say what this ran on."""
    import torch

    info = Path("/proc/cpuinfo").read_text()
    flags = re.search(r"^flags.*", info, re.MULTILINE)[0]
    return {
        "cpu": re.search(r"model name\s*: (.*)", info)[1],
        "cores": len(os.sched_getaffinity(0)),
        "int8": [f for f in ("avx512_vnni", "avx_vnni", "amx_int8") if f in flags],
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ("bound", "ours", *PEERS)
    parser.add_argument("--only", nargs="+", choices=names, default=names[:-1])
    parser.add_argument("--models", nargs="+", default=("base", "embedded"))
    parser.add_argument("--precisions", nargs="+", default=("fp32", "int8"))
    parser.add_argument(
        "--seconds", type=float, default=5, help="of each load, at least"
    )
    parser.add_argument("--clients", nargs="*", type=int, default=CLIENTS)
    parser.add_argument("--notes", nargs="*", type=int, default=NOTES)
    parser.add_argument("--env", nargs="*", default=(), help="settings of ours")
    parser.add_argument("--shapes", nargs="*", default=(), metavar="WORKERSxTHREADS")
    parser.add_argument("--output", type=Path, default=RESULTS / "results.json")
    args = parser.parse_args()
    if args.shapes:
        args.only = ("shapes",)
    return args


def main() -> None:
    """Measure, write, and print the tables."""
    args = parse_args()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    measure(args)
    import report

    print(report.tables(json.loads(args.output.read_text())))


if __name__ == "__main__":
    main()
