"""Calibrate a trained network on held-out rows and write it as a model directory."""

import json
import shutil
import tempfile
from pathlib import Path

import torch

import augment
import data
from negation_api.model.artefact import write_manifest

NAME = "negation-api-minilm-l6"
REVISION = "1"
MAX_TOKENS = 512


@torch.no_grad()
def logits_of(network, classifier, texts: list[str]) -> torch.Tensor:
    """Give the logits (rows, labels) of marked *texts*, in order."""
    encoded = [classifier.encode(text) for text in texts]
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
    logits = torch.empty(len(encoded), len(classifier.labels))
    for first in range(0, len(order), 32):
        chunk = order[first : first + 32]
        longest = max(len(encoded[i]) for i in chunk)
        ids = torch.zeros(len(chunk), longest, dtype=torch.long)  # [PAD] is 0
        mask = torch.zeros_like(ids)
        for place, index in enumerate(chunk):
            ids[place, : len(encoded[index])] = torch.tensor(encoded[index])
            mask[place, : len(encoded[index])] = 1
        out = network(input_ids=ids, attention_mask=mask)
        logits[chunk] = out.logits.float()
    return logits


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Find the T >= 1 for which softmax(logits / T) has the least cross entropy.

    Guo et al. 2017, https://proceedings.mlr.press/v70/guo17a.html. Never below 1:
    the held-out rows come from the same hands as the training rows and are easier
    than strangers' notes, so they may not make the scores more certain.
    """
    log_t = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_t], lr=0.1, max_iter=200)

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits / log_t.exp(), labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    return max(1.0, log_t.exp().item())


def fold_temperature(network, temperature: float) -> None:
    """Divide the last layer by T: whoever loads the model gets calibrated scores."""
    with torch.no_grad():
        network.classifier.weight /= temperature
        network.classifier.bias /= temperature
    # Not "temperature": transformers takes that for a setting of generation.
    network.config.calibration_temperature = round(temperature, 6)


def results(rows: list[data.Row], scores: torch.Tensor, labels) -> dict:
    """Give accuracy and the F1 of each label, by source and over all."""
    guessed = [labels[i] for i in scores.argmax(-1).tolist()]
    found = {"all": _figures(rows, guessed)}
    for source in sorted({row.source for row in rows}):
        chosen = [i for i, row in enumerate(rows) if row.source == source]
        found[source] = _figures(
            [rows[i] for i in chosen], [guessed[i] for i in chosen]
        )
    return found


def _figures(rows, guessed) -> dict:
    pairs = list(zip((row.label for row in rows), guessed))
    figures = {"rows": len(rows), "accuracy": sum(a == b for a, b in pairs)}
    figures["accuracy"] = round(figures["accuracy"] / len(rows), 4)
    for label in data.LABELS:
        hits = sum(a == b == label for a, b in pairs)
        total = sum((a == label) + (b == label) for a, b in pairs)
        figures[label] = round(2 * hits / total, 4) if total else None
    return figures


def save(network, tokenizer, output: Path) -> None:
    """Write the model directory beside *output* and move it there when whole."""
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".export-", dir=output.parent))
    network.config.dtype = torch.float32
    network.half().save_pretrained(partial)
    tokenizer.model_max_length = MAX_TOKENS
    tokenizer.backend_tokenizer.encode_special_tokens = False
    tokenizer.save_pretrained(partial)
    _say_float32(partial / "config.json")
    _drop_limits(partial / "tokenizer_config.json")
    for path in partial.iterdir():
        path.chmod(0o644)
    write_manifest(partial, NAME, REVISION)
    partial.chmod(0o755)
    if output.exists():
        shutil.rmtree(output)
    partial.rename(output)


def _say_float32(path: Path) -> None:
    """State the precision to compute in; the file's fp16 is for storage only."""
    config = json.loads(path.read_text())
    config["dtype"] = "float32"
    path.write_text(json.dumps(config, indent=2) + "\n")


def _drop_limits(path: Path) -> None:
    """Leave out the encoder's own truncation; the service cuts round the entity."""
    config = json.loads(path.read_text())
    for key in ("max_length", "stride", "truncation_strategy", "pad_to_multiple_of"):
        config.pop(key, None)
    path.write_text(json.dumps(config, indent=2) + "\n")


def finish(network, classifier, tokenizer, held: list[data.Row], output: Path) -> dict:
    """Calibrate on *held*, write the model to *output*, give what was measured."""
    texts = [augment.render(row) for row in held]
    logits = logits_of(network, classifier, texts)
    labels = torch.tensor([classifier.labels.index(row.label) for row in held])
    temperature = fit_temperature(logits, labels)
    fold_temperature(network, temperature)
    save(network, tokenizer, output)
    return {
        "temperature": temperature,
        "results": results(held, logits, classifier.labels),
    }
