"""``python -m negation_api model fetch``: bring a model from the hub, once.

The only code that reaches for the network, and never run by the service. Where the
hub is and how long to wait for it are settings of huggingface_hub (``HF_ENDPOINT``,
``HF_HUB_DOWNLOAD_TIMEOUT``, ``HF_TOKEN``):
https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
"""

import argparse
import hashlib
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from httpx2 import HTTPError
from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from huggingface_hub.utils import disable_progress_bars
from huggingface_hub.utils import logging as hub_logging

from negation_api.model.artefact import (
    CONFIG,
    TOKENIZERS,
    WEIGHTS,
    ModelError,
    directory_of,
    hash_file,
    is_hub_id,
    verify,
    write_manifest,
)
from negation_api.settings import Settings

CLINICAL_BERT = "bvanaken/clinical-assertion-negation-bert"
# Fetched if the repository has them. Nothing else is: no pickles, no code.
WANTED = (
    CONFIG,
    WEIGHTS,
    *TOKENIZERS,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``python -m negation_api model`` takes."""
    actions = parser.add_subparsers(dest="action", required=True)
    doc = "bring a model from the hub into MODELS_DIR, checked and ready to serve"
    fetch = actions.add_parser("fetch", help=doc, description=doc)
    fetch.add_argument(
        "--model", help=f"hub id; default: MODEL where that is one, or {CLINICAL_BERT}"
    )
    fetch.add_argument("--revision", help="commit; default: MODEL_REVISION")


def main(args: argparse.Namespace, settings: Settings) -> int:
    """Fetch one model and print its directory.

    :raises ModelError: in one line, when it cannot be had; nothing is left behind.
    """
    if not sys.stderr.isatty():
        disable_progress_bars()
    hub_logging.set_verbosity(hub_logging.CRITICAL)  # what goes wrong is said once
    # Plain HTTP is what mirrors and proxies speak; Xet wants further hosts.
    constants.HF_HUB_DISABLE_XET = True
    constants.HF_HUB_DISABLE_TELEMETRY = True  # files are asked for, nothing is told
    fallback = settings.model if is_hub_id(settings.model) else CLINICAL_BERT
    model, revision = args.model or fallback, args.revision or settings.model_revision
    print(fetch(model, revision, settings.models_dir))
    return 0


def fetch(model: str, revision: str, models_dir: str) -> Path:
    """Bring *model* at the commit *revision* into *models_dir*; give its directory.

    What is already there, and whole, is left alone.

    :raises ModelError: when the hub or the disk fails, or the repository is not what
        can be served.
    """
    if not is_hub_id(model):
        raise ModelError(f"{model!r} is not a hub id (owner/name)")
    target = directory_of(model, revision, models_dir)
    if _is_whole(target):
        return target
    try:
        Path(models_dir).mkdir(parents=True, exist_ok=True)
        # Beside the target, so that a rename puts it into place.
        with TemporaryDirectory(prefix=".fetch-", dir=models_dir) as temporary:
            made = _download(model, revision, Path(temporary) / "model")
            write_manifest(made, model, revision)
            if target.exists():
                target.rename(Path(temporary) / "damaged")
            made.rename(target)
    except (OSError, HTTPError, ValueError, KeyError) as error:
        raise ModelError(f"{model}: {_explain(error, revision)}") from error
    return target


def _is_whole(directory: Path) -> bool:
    try:
        return verify(directory).revision is not None
    except ModelError:
        return False


def _download(model: str, revision: str, directory: Path) -> Path:
    info = HfApi().model_info(model, revision=revision, files_metadata=True)
    for file in _choose(info, revision):
        path = hf_hub_download(
            model, file.rfilename, revision=revision, local_dir=directory
        )
        _check(Path(path), file, model)
    shutil.rmtree(directory / ".cache")  # huggingface_hub's notes on what it brought
    # Takes seconds to import: torch. What can go wrong before should not wait for it.
    from negation_api.model.classifier import freeze_tokenizer

    freeze_tokenizer(directory)
    return directory


def _choose(info: ModelInfo, revision: str) -> list[RepoSibling]:
    """Give the files to fetch, small ones first.

    :raises ModelError: when the repository lacks one that is needed.
    """
    if info.sha != revision:
        raise ModelError(
            f"{info.id}: {revision!r} is not a commit but moves; it now is {info.sha}"
        )
    files = {file.rfilename: file for file in info.siblings or ()}
    if WEIGHTS not in files:
        pickled = [name for name in files if name.endswith((".bin", ".pt", ".pth"))]
        but = f" but {pickled[0]}, and pickles are never loaded" if pickled else ""
        raise ModelError(f"{info.id}: has no {WEIGHTS}{but}")
    if CONFIG not in files:
        raise ModelError(f"{info.id}: has no {CONFIG}")
    if not any(name in files for name in TOKENIZERS):
        raise ModelError(f"{info.id}: has neither {' nor '.join(TOKENIZERS)}")
    if files[WEIGHTS].lfs is None:
        raise ModelError(f"{info.id}: the hub states no SHA-256 of {WEIGHTS}")
    chosen = [files[name] for name in WANTED if name in files]
    return sorted(chosen, key=lambda file: file.size or 0)


def _check(path: Path, file: RepoSibling, model: str) -> None:
    """Compare a file with the hash that the hub states for this revision.

    That is the SHA-256 of a large file (Git LFS), the Git blob id of a small one.

    :raises ModelError: when they differ.
    """
    if file.lfs:
        stated, found = file.lfs.sha256, hash_file(path)
    else:
        stated, found = file.blob_id, _git_blob_id(path.read_bytes())
    if found != stated:
        raise ModelError(
            f"{model}: {file.rfilename} differs from what the hub states: its hash is"
            f" {found}, not {stated}"
        )


def _git_blob_id(content: bytes) -> str:
    """Give the id under which Git stores *content*.

    https://git-scm.com/book/en/v2/Git-Internals-Git-Objects

    >>> _git_blob_id(b"test content\\n")
    'd670460b4b4aece5915caf5c68d12f560a9fe3e4'
    """
    header = b"blob %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def _explain(error: Exception, revision: str) -> str:
    """Say in one line what huggingface_hub says in many."""
    if isinstance(error, RepositoryNotFoundError):
        return "the hub has no such repository, or does not show it without a token"
    if isinstance(error, RevisionNotFoundError):
        return f"the hub has no revision {revision!r}"
    if isinstance(error, HfHubHTTPError):
        return f"the hub answered {error.response.status_code}"
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE forbids to ask the hub"
    if isinstance(error, (HTTPError, LocalEntryNotFoundError)):
        return f"the hub at {constants.ENDPOINT} cannot be reached"
    if isinstance(error, (ValueError, KeyError)) and not isinstance(
        error, HFValidationError
    ):
        return f"{constants.ENDPOINT} does not answer like a hub"
    return " ".join(str(error).split())
