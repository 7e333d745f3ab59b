"""What computes an answer, beside the model: so that nothing older is taken for it."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

SOURCES = "settings.py", "text", "contract", "model", "scoring.py", "batch"
LIBRARIES = "torch", "transformers", "tokenizers"


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Give a digest of the code that computes answers, and of its libraries.

    Not of a version, which stays while the code changes.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name in SOURCES:
        for source in _sources(files("negation_api") / name):
            digest.update(source)
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):  # Spark's driver needs none of them
            digest.update(f"{name} {version(name)}\n".encode())
    return digest.hexdigest()


def _sources(path) -> Iterator[bytes]:
    """Give name and text of each module and list, be they in a directory or a zip."""
    if path.is_dir():
        for inner in sorted(path.iterdir(), key=lambda inner: inner.name):
            yield from _sources(inner)
    elif path.name.endswith((".py", ".txt")):
        yield path.name.encode()
        yield path.read_bytes()
