"""A model directory on disk: which artefact it is, and whether it is whole.

A directory with a ``manifest.json`` is checked against it, file by file; one
without is hashed, and its revision is unknown. Free of torch.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

MANIFEST = "manifest.json"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZERS = ("tokenizer.json", "vocab.txt")  # the first that is there is read
EMBEDDED = Path(__file__).parents[1] / "embedded"

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


class ModelError(RuntimeError):
    """A model cannot be served; the message is one line and names the file."""


@dataclass(frozen=True)
class Artefact:
    """What a reply's ``model`` is traced to.

    :ivar revision: commit at the hub, or None where there is none.
    :ivar sha256: of the weights file, hexadecimal.
    """

    name: str
    revision: str | None
    sha256: str


def hash_file(path: Path) -> str:
    """Give the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_hub_id(model: str) -> bool:
    """Tell whether *model* has the form ``owner/name`` and is no directory."""
    return bool(_HUB_ID.fullmatch(model)) and not Path(model).is_dir()


def directory_of(model: str, revision: str, models_dir: str) -> Path:
    """Give the directory in which the setting ``MODEL`` is found."""
    if model == "embedded":
        return EMBEDDED
    if not is_hub_id(model):
        return Path(model)
    return Path(models_dir) / f"{model.replace('/', '--')}@{revision}"


def write_manifest(directory: Path, name: str, revision: str | None) -> None:
    """Write down the SHA-256 of every file in *directory*."""
    files = {path.name: hash_file(path) for path in _files(directory)}
    manifest = {"name": name, "revision": revision, "files": files}
    path = directory / MANIFEST
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _files(directory: Path) -> list[Path]:
    """Give the files that make up the artefact: all but the manifest, hidden ones."""
    every = sorted(path for path in directory.iterdir() if path.is_file())
    return [p for p in every if p.name != MANIFEST and not p.name.startswith(".")]


def verify(directory: Path) -> Artefact:
    """Check *directory* against its manifest, if it has one.

    :raises ModelError: when the directory, its weights, or a file of the manifest
        is missing or differs, or a file is there that the manifest does not list:
        the loaders read what they find.
    """
    try:
        return _verify(directory)
    except OSError as error:
        raise ModelError(f"{error.filename}: {error.strerror}") from None


def _verify(directory: Path) -> Artefact:
    if not directory.is_dir():
        raise ModelError(f"{directory}: no such model directory")
    weights, manifest = directory / WEIGHTS, directory / MANIFEST
    if not weights.is_file():
        raise ModelError(f"{weights}: missing; only safetensors are read")
    if not manifest.exists():
        return Artefact(directory.resolve().name, None, hash_file(weights))
    name, revision, expected = _read_manifest(manifest)
    for path in _files(directory):
        if path.name not in expected:
            raise ModelError(f"{path}: not in the manifest")
    for file, digest in expected.items():
        if not (directory / file).is_file():
            raise ModelError(f"{directory / file}: missing, but in the manifest")
        if hash_file(directory / file) != digest:
            raise ModelError(f"{directory / file}: differs from the manifest")
    return Artefact(name, revision, expected[WEIGHTS])


def _read_manifest(path: Path) -> tuple[str, str | None, dict[str, str]]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        name, revision, files = (manifest[k] for k in ("name", "revision", "files"))
        files = dict(files)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: not a manifest ({type(error).__name__})") from None
    if WEIGHTS not in files:
        raise ModelError(f"{path}: does not list {WEIGHTS}")
    return name, revision, files
