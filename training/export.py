"""Calibrate a trained network on held-out rows and write it as a model directory."""

import json
import shutil
import tempfile
from pathlib import Path

import torch

import augment
import data
import network
from exit_thresholds import choose_thresholds
from network import by_question
from negation_api.model.artefact import write_manifest

NAME = "negation-api-minilm-l6"
REVISION = "6"
MAX_TOKENS = 512


@torch.no_grad()
def apply_to(function, classifier, texts: list[str]) -> torch.Tensor:
    """Give *function*'s (..., rows, columns) of all marked *texts*, in their order.

    :param function: from ids and mask, each (rows, tokens), to (..., rows, columns).
    """
    encoded = [list(classifier.encode(text)) for text in texts]
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
    pieces = []
    for first in range(0, len(order), 32):
        chunk = order[first : first + 32]
        longest = max(len(encoded[i]) for i in chunk)
        ids = torch.zeros(len(chunk), longest, dtype=torch.long)  # [PAD] is 0
        mask = torch.zeros_like(ids)
        for place, index in enumerate(chunk):
            ids[place, : len(encoded[index])] = torch.tensor(encoded[index])
            mask[place, : len(encoded[index])] = 1
        pieces.append(function(ids, mask))
    places = torch.tensor(order).argsort()
    return torch.cat(pieces, dim=-2).index_select(-2, places)


@torch.no_grad()
def logits_of(model, pooled: torch.Tensor) -> torch.Tensor:
    """Give the logits (rows, 9) of what the heads see."""
    return torch.cat([head(pooled) for head in model.heads.values()], dim=-1)


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


def calibrate(model, logits: torch.Tensor, right: torch.Tensor) -> dict[str, float]:
    """Fold a temperature into each head; whoever loads the model is calibrated.

    :param logits, right: (rows, 9), as ``network.py`` lays them out.
    """
    temperatures = {}
    pieces = zip(model.heads.items(), by_question(logits), by_question(right))
    for (question, head), scores, values in pieces:
        known = values.sum(-1) == 1
        if not known.any():
            continue  # the first stage asks for labels only
        temperature = fit_temperature(scores[known], values[known].argmax(-1))
        with torch.no_grad():
            head.weight /= temperature
            head.bias /= temperature
        temperatures[question] = round(temperature, 6)
    # Not "temperature": transformers takes that for a setting of generation.
    model.config.calibration_temperature = temperatures
    return temperatures


def results(rows: list[data.Row], logits: torch.Tensor, right: torch.Tensor) -> dict:
    """Give accuracy and the F1 of each value of each question, by source."""
    found = {}
    for source in ("all", *sorted({row.source for row in rows})):
        chosen = [i for i, row in enumerate(rows) if source in ("all", row.source)]
        pieces = zip(
            network.QUESTIONS.items(),
            by_question(logits[chosen]),
            by_question(right[chosen]),
        )
        found[source] = {
            question: _figures(names, scores, values)
            for (question, names), scores, values in pieces
        }
    return found


def _figures(names, scores, values) -> dict:
    known = values.sum(-1) == 1
    gold, guess = values[known].argmax(-1), scores[known].argmax(-1)
    if not len(gold):
        return {"rows": 0}
    share = (gold == guess).float().mean().item()
    figures = {"rows": len(gold), "accuracy": round(share, 4)}
    for index, name in enumerate(names):
        hits = ((gold == index) & (guess == index)).sum().item()
        total = ((gold == index).sum() + (guess == index).sum()).item()
        figures[name] = round(2 * hits / total, 4) if total else None
    return figures


def save(model, tokenizer, output: Path) -> None:
    """Write the model directory beside *output* and move it there when whole."""
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".export-", dir=output.parent))
    model.config.dtype = torch.float32
    model.config.axes = {axis: list(network.QUESTIONS[axis]) for axis in network.AXES}
    model.half().classifier.save_pretrained(partial, state_dict=model.state())
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


def finish(model, classifier, tokenizer, rows, held, output: Path) -> dict:
    """Calibrate, add exits, write the model to *output*; give what was measured.

    :param rows: (text, row) of training, for the exits; none without.
    :param held: rows held out, for temperatures and thresholds.
    """
    pooled = apply_to(model.pooled, classifier, [augment.render(row) for row in held])
    logits = logits_of(model, pooled)
    right = network.right_values(held)
    temperatures = calibrate(model, logits, right)
    if rows:
        texts = [text for text, row in rows if row.start is not None]
        network.fit_exits(model, apply_to(model.observe, classifier, texts))
        texts = [augment.render(row) for row in held if row.start is not None]
        observed = apply_to(model.observe, classifier, texts)
        model.config.exits = choose_thresholds(model, observed)
    save(model, tokenizer, output)
    return {
        "temperature": temperatures,
        "exits": getattr(model.config, "exits", {}),
        "results": results(held, logits, right),
    }
