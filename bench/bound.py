"""How fast the bare model is: transformers' own forward pass, nothing around it.

    python bench/bound.py MODEL PRECISION SECONDS

prints JSON: rows a second for each way to use all cores, the best batch size first.
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

from negation_api.model import load_classifier  # noqa: E402
from negation_api.quantize import QuantizedLinear  # noqa: E402
from negation_api.settings import Settings  # noqa: E402

BATCH_TOKENS = (128, 256, 512, 1024)  # padded
NUM_SENTENCES = 512


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


def in_threads(network, shares: list, seconds: float) -> float:
    """The same with a thread each."""
    best, until = float("inf"), time.monotonic() + seconds
    while time.monotonic() < until:
        workers = [threading.Thread(target=once, args=(network, s)) for s in shares]
        began = time.monotonic()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        best = min(best, time.monotonic() - began)
    return best


def main(model: str, precision: str, seconds: float) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    cores = len(os.sched_getaffinity(0))
    classifier = load_classifier(Settings(model=model, precision=precision))
    rows = [classifier.encode(sentence) for sentence in sentences(NUM_SENTENCES)]
    network = load(model, precision)
    once(network, batches(rows[:32], 512, 1)[0])
    lone = [batches([row], 512, 1)[0] for row in rows[:60]]
    times = []
    for share in lone:
        began = time.perf_counter()
        once(network, share)
        times.append(1000 * (time.perf_counter() - began))
    report = {"lone_ms": sorted(times)[len(times) // 2], "ways": []}
    each = seconds / len(BATCH_TOKENS) / 2
    for budget in BATCH_TOKENS:
        shares = batches(rows, budget, cores)
        for way, run in (("processes", in_processes), ("threads", in_threads)):
            rate = len(rows) / run(network, shares, each)
            report["ways"].append({"tokens": budget, "way": way, "rate": rate})
    report["ways"].sort(key=lambda way: -way["rate"])
    report["rate"] = report["ways"][0]["rate"]
    linear = sum(p.numel() for n, p in network.named_parameters() if "encoder" in n)
    report["parameters"] = linear
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
