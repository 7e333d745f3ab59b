"""Model directories: found, traced, and refused when they are not whole."""

import hashlib
import json
from pathlib import Path

import pytest

from negation_api.model.artefact import (
    EMBEDDED,
    Artefact,
    ModelError,
    directory_of,
    is_hub_id,
    verify,
    write_manifest,
)

WEIGHTS = b"weights"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture
def directory(tmp_path) -> Path:
    """A model directory without a manifest, as `save_pretrained` leaves it."""
    directory = tmp_path / "some-model"
    directory.mkdir()
    (directory / "config.json").write_text("{}")
    (directory / "vocab.txt").write_text("[PAD]\n")
    (directory / "model.safetensors").write_bytes(WEIGHTS)
    return directory


@pytest.fixture
def traced(directory) -> Path:
    """The same with a manifest."""
    write_manifest(directory, "owner/name", "abc")
    return directory


def refusal(directory: Path) -> str:
    with pytest.raises(ModelError) as refused:
        verify(directory)
    return str(refused.value)


# --- where a model is ---------------------------------------------------------


def test_embedded_is_in_the_package():
    assert directory_of("embedded", "abc", "models") == EMBEDDED


def test_hub_id_is_looked_for_under_its_revision():
    found = directory_of("owner/name", "abc", "models")

    assert found == Path("models/owner--name@abc")


@pytest.mark.parametrize(
    "model", ["dir", "./dir", "../dir", "/srv/dir", "a/b/c", "~/d", "o/" + 99 * "n"]
)
def test_everything_else_is_a_directory(model):
    assert not is_hub_id(model)
    assert directory_of(model, "abc", "models") == Path(model)


def test_directory_wins_over_a_hub_id_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "owner" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    assert directory_of("owner/name", "abc", "models") == Path("owner/name")


# --- what it is ---------------------------------------------------------------


def test_directory_without_manifest_has_a_hash_and_no_revision(directory):
    assert verify(directory) == Artefact("some-model", None, SHA256)


def test_directory_with_manifest_is_traced_to_its_commit(traced):
    assert verify(traced) == Artefact("owner/name", "abc", SHA256)


def test_relative_directory_has_a_name(directory, monkeypatch):
    monkeypatch.chdir(directory)

    assert verify(Path(".")).name == "some-model"


def test_manifest_lists_every_file_with_its_sha256(traced):
    manifest = json.loads((traced / "manifest.json").read_text())

    assert manifest["files"] == {
        "config.json": hashlib.sha256(b"{}").hexdigest(),
        "model.safetensors": SHA256,
        "vocab.txt": hashlib.sha256(b"[PAD]\n").hexdigest(),
    }


def test_manifest_written_twice_is_the_same(traced):
    first = (traced / "manifest.json").read_bytes()

    write_manifest(traced, "owner/name", "abc")

    assert (traced / "manifest.json").read_bytes() == first


def test_hidden_files_and_directories_are_not_part_of_the_artefact(directory):
    """An editor's or a file manager's leavings; no loader reads them."""
    (directory / ".DS_Store").write_bytes(b"before")
    (directory / ".cache").mkdir()
    write_manifest(directory, "owner/name", "abc")
    (directory / ".DS_Store").write_bytes(b"after")

    assert verify(directory).revision == "abc"


# --- what is refused ----------------------------------------------------------


def test_missing_directory_is_named(tmp_path):
    missing = tmp_path / "gone"

    assert refusal(missing) == f"{missing}: no such model directory"


def test_missing_weights_are_named(directory):
    weights = directory / "model.safetensors"
    weights.rename(directory / "pytorch_model.bin")

    assert refusal(directory) == f"{weights}: missing; only safetensors are read"


@pytest.mark.parametrize("name", ["config.json", "vocab.txt", "model.safetensors"])
def test_changed_file_is_named(traced, name):
    (traced / name).write_bytes(b"something else")

    assert refusal(traced) == f"{traced / name}: differs from the manifest"


@pytest.mark.parametrize("name", ["config.json", "vocab.txt"])
def test_missing_file_is_named(traced, name):
    (traced / name).unlink()

    assert refusal(traced) == f"{traced / name}: missing, but in the manifest"


def test_added_file_is_named(traced):
    """A tokenizer.json that was slipped in would be read in place of vocab.txt."""
    (traced / "tokenizer.json").write_text("{}")

    assert refusal(traced) == f"{traced / 'tokenizer.json'}: not in the manifest"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"{}",
        b'"text"',
        b'{"name": "n", "revision": null}',
        b'{"name": "n", "revision": null, "files": 3}',
        b'{"name": "n", "revision": null, "files": ["x"]}',
    ],
)
def test_what_is_no_manifest_is_named(traced, content):
    path = traced / "manifest.json"
    path.write_bytes(content)

    assert refusal(traced).startswith(f"{path}: not a manifest (")


def test_manifest_without_the_weights_is_refused(traced):
    path = traced / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["files"]["model.safetensors"]
    path.write_text(json.dumps(manifest))

    assert refusal(traced) == f"{path}: does not list model.safetensors"


def test_path_that_the_system_refuses_is_named():
    path = Path("x" * 5000)

    assert refusal(path) == f"{path}: File name too long"
