"""How fast the bare model is: transformers' own forward pass, nothing around it.

    python bench/bound.py MODEL PRECISION SECONDS [TOKENS threads|processes]

prints JSON: rows a second for each way to use all cores, the best batch size first;
of one way only its rate.
At int8 the linear layers are replaced by the service's, so that both multiply alike.
"""

import json
import multiprocessing
import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch  # noqa: E402
from sentences import sentences  # noqa: E402
from transformers import AutoModelForSequenceClassification  # noqa: E402

from negation_api.model.classifier import load_classifier  # noqa: E402
from negation_api.model.quantize import QuantizedLinear  # noqa: E402
from negation_api.settings import Settings  # noqa: E402

CORES = len(os.sched_getaffinity(0))
BATCH_TOKENS = (256, 512, 1024)  # padded; 128 was never the best
MAX_SENTENCES = 1024
MIN_SENTENCES = 64, 192  # to try a way, and to measure the best


class Quantized(torch.nn.Module):
    """A linear layer at int8, for inputs of any rank."""

    def __init__(self, linear: torch.nn.Linear):
        super().__init__()
        self.linear = QuantizedLinear(linear)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., in) to (..., out)."""
        return self.linear(x.flatten(0, -2)).unflatten(0, x.shape[:-1])


def quantize(network: torch.nn.Module) -> torch.nn.Module:
    """Replace the linear layers of *network*'s encoder, as the service does."""
    for module in list(network.base_model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.Linear):
                setattr(module, name, Quantized(child))
    return network


def load(model: str, precision: str):
    """Load transformers' network at *precision*, in evaluation mode."""
    network = AutoModelForSequenceClassification.from_pretrained(
        model, dtype=torch.float32, local_files_only=True
    ).eval()
    return quantize(network) if precision == "int8" else network


def batches(rows: list[list[int]], budget: int, shares: int) -> list[list]:
    """Pad *rows*, sorted by length, into batches; deal them out to *shares*."""
    groups, group = [], []
    for row in sorted(rows, key=len):
        if group and (len(group) + 1) * len(row) > budget:
            groups.append(group)
            group = []
        group.append(row)
    groups.append(group)
    padded = []
    for group in groups:
        longest = max(map(len, group))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in group])
        mask = torch.tensor([[i < len(row) for i in range(longest)] for row in group])
        padded.append((ids, mask.long()))
    return [padded[share::shares] for share in range(shares)]


@torch.inference_mode()
def once(network, share: list) -> None:
    """Compute every batch of *share*."""
    for ids, mask in share:
        network(ids, attention_mask=mask)


def in_processes(network, shares: list, seconds: float) -> float:
    """Give seconds for all *shares*, a process each, at best of what fits."""

    def work(share, start, end):
        start.wait()
        once(network, share)
        end.wait()

    best, until = float("inf"), time.monotonic() + seconds
    while time.monotonic() < until:
        start, end = (multiprocessing.Barrier(len(shares) + 1) for _ in range(2))
        workers = [
            multiprocessing.Process(target=work, args=(s, start, end)) for s in shares
        ]
        for worker in workers:
            worker.start()
        start.wait()
        began = time.monotonic()
        end.wait()
        best = min(best, time.monotonic() - began)
        for worker in workers:
            worker.join()
    return best


def together(workers: list[threading.Thread]) -> float:
    """Give the seconds from the start of all *workers* to the end of the last."""
    began = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.monotonic() - began


def in_threads(network, shares: list, seconds: float) -> float:
    """The same with a thread each."""
    best, until = float("inf"), time.monotonic() + seconds
    while time.monotonic() < until:
        workers = [threading.Thread(target=once, args=(network, s)) for s in shares]
        best = min(best, together(workers))
    return best


WAYS = {"processes": in_processes, "threads": in_threads}


@torch.inference_mode()
def peak(precision: str, cores: int, size: int = 2048) -> float:
    """Give the GFLOP/s of one large matrix product on each core, at best of five."""
    layer = torch.nn.Linear(size, size)
    layer = Quantized(layer) if precision == "int8" else layer
    x = torch.randn(size, size)
    best = float("inf")
    for _ in range(5):
        workers = [threading.Thread(target=layer, args=(x,)) for _ in range(cores)]
        best = min(best, together(workers))
    return 2e-9 * size**3 * cores / best


def main(model: str, precision: str, seconds: str, *way: str) -> None:
    """Measure and print."""
    seconds = float(seconds)
    torch.set_num_threads(1)
    classifier = load_classifier(Settings(model=model, precision=precision))
    rows = [classifier.encode(sentence) for sentence in sentences(MAX_SENTENCES)]
    network = load(model, precision)
    once(network, batches(rows[:32], 512, 1)[0])
    if way:
        lone_rate = 1000 / lone(network, rows[:10])
        print(json.dumps({"rate": best_rate(network, rows, way, lone_rate, seconds)}))
        return
    report = {"lone_ms": lone(network, rows[:40])}
    report["ways"] = ways(network, rows, 1000 / report["lone_ms"], seconds)
    best = report["ways"][0]
    tokens = sum(map(len, rows)) / len(rows)
    report["rate"] = best["rate"]
    report["gflops"] = 2e-9 * weights(model) * tokens * best["rate"]
    report["peak_gflops"] = peak(precision, CORES)
    print(json.dumps(report))


@torch.inference_mode()
def lone(network, rows: list) -> float:
    """Give the median milliseconds of one row by itself."""
    times = []
    for row in rows:
        (share,) = batches([row], 512, 1)
        began = time.perf_counter()
        once(network, share)
        times.append(1000 * (time.perf_counter() - began))
    return sorted(times)[len(times) // 2]


def ways(network, rows: list, lone_rate: float, seconds: float) -> list[dict]:
    """Give batch size, way to use the cores, and rate; the fastest first.

    Each is tried for its part of half of *seconds*, the best for the other half.

    :param lone_rate: rows a second of one core with one row at a time, which says
        how many rows can be afforded.
    """
    each = seconds / 2 / len(BATCH_TOKENS) / len(WAYS)
    tried = sample(rows, MIN_SENTENCES[0], CORES * lone_rate * each)
    found = []
    for budget in BATCH_TOKENS:
        for way, run in WAYS.items():
            rate = len(tried) / run(network, batches(tried, budget, CORES), each)
            found.append({"tokens": budget, "way": way, "rate": rate})
    found.sort(key=lambda way: -way["rate"])
    best = found[0]
    way = best["tokens"], best["way"]
    best["rate"] = best_rate(network, rows, way, lone_rate, seconds)
    return found


def best_rate(network, rows: list, way, lone_rate: float, seconds: float) -> float:
    """Give the rows a second of one way, tokens of a batch and name, at length."""
    many = sample(rows, MIN_SENTENCES[1], CORES * lone_rate * seconds / 4)
    shares = batches(many, int(way[0]), CORES)
    return len(many) / WAYS[way[1]](network, shares, seconds / 2)


def sample(rows: list, least: int, count: float) -> list:
    """Give about *count* of *rows*, but not fewer than *least*."""
    return rows[: max(least, int(count))]


def weights(model: str) -> int:
    """Count the weights that every token is multiplied with."""
    encoder = load(model, "fp32").base_model.encoder
    layers = (m for m in encoder.modules() if isinstance(m, torch.nn.Linear))
    return sum(layer.weight.numel() for layer in layers)


if __name__ == "__main__":
    main(*sys.argv[1:])
