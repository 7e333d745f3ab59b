"""Small models with random weights, made on the spot."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification

from negation_api.contract.labels import AXES

ID2LABEL = {0: "PRESENT", 1: "ABSENT", 2: "POSSIBLE"}
WORDS = """
the patient denies any fever chills chest pain shortness of breath and no cough or
nausea has had history mild severe possible pneumonia ruled out absent entity on in
with without for is was were are a an to at left right lung heart ##s ##ing ##ed ##al
""".split()
CONTROL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_vocabulary(directory: Path, size: int = 0) -> int:
    """Write ``vocab.txt``: control tokens, words, single characters, fillers."""
    characters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    pieces = CONTROL + WORDS + characters
    pieces += [f"##{c}" for c in characters if c.isalnum()]
    pieces += [f"[unused{n}]" for n in range(size - len(pieces))]
    (directory / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return len(pieces)


def write_bert(directory: Path, *, vocabulary: int = 0, id2label=ID2LABEL, **shape):
    """Write a repository with the published one's file set and random weights.

    ``config.json``, ``vocab.txt``, ``model.safetensors``: no tokenizer files.
    """
    directory.mkdir(parents=True, exist_ok=True)
    small = dict(
        num_hidden_layers=2,
        hidden_size=32,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=512,
        initializer_range=0.6,  # far enough apart that every label is given
    )
    size = write_vocabulary(directory, vocabulary)
    config = BertConfig(vocab_size=size, id2label=id2label, **{**small, **shape})
    config.label2id = {label: index for index, label in id2label.items()}
    torch.manual_seed(20261123)
    network = BertForSequenceClassification(config)
    network.save_pretrained(directory)
    return directory


def add_axes(directory: Path) -> Path:
    """Give a model last layers with random weights for whose and when."""
    path = directory / "model.safetensors"
    tensors = load_file(path)
    width = tensors["classifier.weight"].shape[1]
    chance = torch.Generator().manual_seed(20261128)
    for axis, values in AXES.items():
        weight = torch.randn(len(values), width, generator=chance)
        tensors[f"axes.{axis}.weight"] = weight
        tensors[f"axes.{axis}.bias"] = torch.randn(len(values), generator=chance)
    save_file(tensors, path, metadata={"format": "pt"})
    edit_config(directory, axes=AXES)
    return directory


def add_exits(directory: Path, thresholds: dict[int, float]) -> Path:
    """Give a model with axes an exit with random weights after each layer named."""
    path = directory / "model.safetensors"
    tensors = load_file(path)
    width = tensors["classifier.weight"].shape[1]
    chance = torch.Generator().manual_seed(20261129)
    for layer in thresholds:
        shapes = {"pooler": (width, 2 * width), "head": (3 + 3 * len(AXES), width)}
        for name, (size, given) in shapes.items():
            weight = torch.randn(size, given, generator=chance) / given**0.5
            weight = weight if name == "pooler" else 3 * weight
            tensors[f"exits.{layer}.{name}.weight"] = weight
            tensors[f"exits.{layer}.{name}.bias"] = torch.randn(size, generator=chance)
    save_file(tensors, path, metadata={"format": "pt"})
    edit_config(directory, exits=thresholds)
    return directory


def write_bert_base(directory: Path):
    """Write a repository of the published model's size, 433 MB."""
    return write_bert(
        directory,
        vocabulary=28_996,
        num_hidden_layers=12,
        hidden_size=768,
        num_attention_heads=12,
        intermediate_size=3072,
    )


def edit_config(directory: Path, **members) -> None:
    """Change members of a model's ``config.json``."""
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | members))
