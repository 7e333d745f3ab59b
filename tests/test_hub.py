"""``python -m negation_api model fetch``, against a stand-in for the hub.

The stand-in speaks what huggingface_hub asks of https://huggingface.co: the model's
facts with the hashes of its files, and the files themselves, by HEAD and GET.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REPOSITORY = "toy/assertion"
REVISION = "0123456789abcdef0123456789abcdef01234567"
PUBLISHED = {"config.json", "vocab.txt", "model.safetensors"}
FROZEN = {"tokenizer.json", "tokenizer_config.json"}


class Hub:
    """A hub with one repository, at one commit, which is also its branch main.

    :ivar files: name -> content, as it is served.
    :ivar stated: name -> content whose hashes are stated.
    :ivar without_lfs: names of large files that are not in Git LFS.
    :ivar truncated: names of files of which GET gives the first half.
    :ivar asked: every path asked for, in order.
    """

    def __init__(self, files: dict[str, bytes]):
        self.files = dict(files)
        self.stated = dict(files)
        self.without_lfs: set[str] = set()
        self.truncated: set[str] = set()
        self.asked: list[str] = []
        hub = self

        class Handler(HubHandler):
            """Answers for this hub."""

            def __init__(self, *args):
                self.hub = hub
                super().__init__(*args)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def facts(self) -> dict:
        """The model's facts, as ``/api/models/...?blobs=true`` gives them."""
        siblings = [self._sibling(*item) for item in self.stated.items()]
        return {"id": REPOSITORY, "sha": REVISION, "siblings": siblings}

    def _sibling(self, name: str, content: bytes) -> dict:
        size = len(content)
        sibling = {"rfilename": name, "size": size, "blobId": git_blob_id(content)}
        if is_large(name) and name not in self.without_lfs:
            digest = hashlib.sha256(content).hexdigest()
            sibling["lfs"] = {"sha256": digest, "size": size, "pointerSize": 134}
        return sibling


class HubHandler(BaseHTTPRequestHandler):
    """One request to a :class:`Hub`."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        path = self.path.partition("?")[0]
        self.hub.asked.append(path)
        facts = re.fullmatch(rf"/api/models/{REPOSITORY}/revision/([^/]+)", path)
        file = re.fullmatch(rf"/{REPOSITORY}/resolve/([^/]+)/(.+)", path)
        if path.startswith("/cdn/"):
            self._send_file(path.removeprefix("/cdn/"))
        elif not facts and not file:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif (facts or file)[1] not in (REVISION, "main"):
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif facts:
            self._send(200, json.dumps(self.hub.facts()).encode())
        elif file[2] not in self.hub.files:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        elif is_large(file[2]):
            self._redirect(file[2])
        else:
            self._send_file(file[2])

    def _redirect(self, name: str):
        """Point to where large files lie, offering the hub's own protocol too."""
        content = self.hub.files[name]
        headers = {
            "Location": f"{self.hub.endpoint}/cdn/{name}",
            "X-Repo-Commit": REVISION,
            "X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Linked-Size": str(len(content)),
            "X-Xet-Hash": "0" * 64,
            "Link": f'<{self.hub.endpoint}/xet-read-token>; rel="xet-auth"',
        }
        self._send(302, b"", headers)

    def _send_file(self, name: str):
        content = self.hub.files[name]
        if name in self.hub.truncated and self.command == "GET":
            content = content[: len(content) // 2]
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        self._send(200, content, {"X-Repo-Commit": REVISION, "ETag": etag})

    def _send(self, status: int, content: bytes, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *args):
        """Say nothing."""


def is_large(name: str) -> bool:
    return name.endswith((".safetensors", ".bin"))


def git_blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> dict[str, bytes]:
    """The files of a toy repository: exactly those of the published one."""
    from toy import write_bert

    directory = write_bert(tmp_path_factory.mktemp("published") / "toy")
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@contextmanager
def serving(files):
    hub = Hub(files)
    thread = threading.Thread(target=hub.server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        hub.server.shutdown()
        hub.server.server_close()
        thread.join()


@pytest.fixture
def hub(published):
    with serving(published) as hub:
        yield hub


class Fetched:
    """What ``model fetch`` did: exit code, output, and what is in ``models``."""

    def __init__(self, run: subprocess.CompletedProcess, models: Path):
        self.code, self.out, self.err = run.returncode, run.stdout, run.stderr
        self.left = sorted(p.name for p in models.iterdir()) if models.exists() else []
        self.directory = models / f"{REPOSITORY.replace('/', '--')}@{REVISION}"

    def files(self) -> set[str]:
        return {path.name for path in self.directory.iterdir()}

    def refused(self, *words: str) -> bool:
        """Whether one line on stderr says *words*, and nothing was left behind."""
        assert self.err.count("\n") == 1, self.err
        assert all(word in self.err for word in words), self.err
        return self.code == 2 and self.out == "" and self.left == []


def environment(endpoint: str, tmp_path: Path, **settings) -> dict[str, str]:
    """A clean environment for a child, its hub at *endpoint*."""
    kept = {name: os.environ[name] for name in ("PATH",)}
    home = {"HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    hub = {"HF_ENDPOINT": endpoint, "MODELS_DIR": str(tmp_path / "models")}
    return {**kept, **home, **hub, "NO_PROXY": "*", **settings}


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "negation_api", "model", "fetch", *args]


@pytest.fixture
def fetch(tmp_path):
    """Fetch REPOSITORY at REVISION from a hub into ``tmp_path / "models"``."""

    def run(endpoint, *, model=REPOSITORY, revision=REVISION, **settings):
        args = ("--model", model) if model else ()
        args += ("--revision", revision) if revision else ()
        run = subprocess.run(
            command(*args),
            cwd=ROOT,
            env=environment(endpoint, tmp_path, **settings),
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Fetched(run, tmp_path / "models")

    return run


# --- what works ---------------------------------------------------------------


def test_fetched_directory_is_complete_verified_and_traced(hub, fetch):
    from negation_api.model.artefact import verify

    fetched = fetch(hub.endpoint)

    assert (fetched.code, fetched.err) == (0, "")
    assert fetched.out == f"{fetched.directory}\n"
    assert fetched.files() == PUBLISHED | FROZEN | {"manifest.json"}
    assert fetched.left == [fetched.directory.name]
    artefact = verify(fetched.directory)
    assert (artefact.name, artefact.revision) == (REPOSITORY, REVISION)
    weights = hub.files["model.safetensors"]
    assert artefact.sha256 == hashlib.sha256(weights).hexdigest()


def test_model_and_revision_default_to_the_settings(hub, fetch):
    """`MODEL=owner/name MODEL_REVISION=... make model` fetches what will be served."""
    fetched = fetch(
        hub.endpoint,
        model=None,
        revision=None,
        MODEL=REPOSITORY,
        MODEL_REVISION=REVISION,
    )

    assert fetched.code == 0, fetched.err
    assert fetched.left == [fetched.directory.name]


def test_pinned_clinicalbert_is_what_is_fetched_by_default(hub, fetch):
    pinned = "bc4f03ba2923e41f3f4f03bfd7ad15b0ef25b8d5"
    name = "bvanaken/clinical-assertion-negation-bert"

    fetched = fetch(hub.endpoint, model=None, revision=None)

    assert fetched.refused(name, "no such repository")
    assert f"/api/models/{name}/revision/{pinned}" in hub.asked


def test_frozen_tokenizer_behaves_as_published(hub, fetch):
    """Lower-casing, `[entity]` in three pieces, at most 512 tokens."""
    from transformers import AutoTokenizer

    directory = fetch(hub.endpoint).directory
    (directory / "vocab.txt").unlink()  # what was frozen stands alone
    tokenizer = AutoTokenizer.from_pretrained(directory)

    pieces = tokenizer.tokenize("The Patient DENIES [entity] Fever [entity].")
    marker = ["[", "entity", "]"]
    assert pieces == ["the", "patient", "denies", *marker, "fever", *marker, "."]
    assert tokenizer.model_max_length == 512


def test_tokenizer_files_of_the_repository_are_kept(hub, fetch):
    """A repository that says it does not lower-case is believed."""
    config = b'{"do_lower_case": false, "tokenizer_class": "BertTokenizer"}'
    hub.files["tokenizer_config.json"] = hub.stated["tokenizer_config.json"] = config
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(fetch(hub.endpoint).directory)

    assert tokenizer.tokenize("denies Fever") == ["denies", "[UNK]"]


def test_only_what_is_needed_is_asked_for(hub, fetch):
    """No pickle, no code, no card: nothing but the files that are served."""
    extra = {"pytorch_model.bin": b"\x80", "modeling_x.py": b"", "README.md": b"#"}
    hub.files |= extra
    hub.stated |= extra

    assert fetch(hub.endpoint).code == 0
    assert {Path(path).name for path in hub.asked} == PUBLISHED | {REVISION}


def test_fetching_again_is_harmless_and_needs_no_hub(hub, fetch):
    first = fetch(hub.endpoint)
    inode = first.directory.stat().st_ino

    again = fetch("http://127.0.0.1:1")

    assert (again.code, again.out) == (0, first.out)
    assert again.directory.stat().st_ino == inode


def test_fetching_again_repairs_a_damaged_directory(hub, fetch):
    from negation_api.model.artefact import verify

    directory = fetch(hub.endpoint).directory
    (directory / "config.json").write_text("{}")

    again = fetch(hub.endpoint)

    assert again.code == 0, again.err
    assert again.left == [directory.name]
    verify(directory)


def test_progress_is_shown_on_a_terminal(hub, tmp_path):
    """And only there: the other tests find stderr empty."""
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (24, 80))
    child = subprocess.Popen(
        command("--model", REPOSITORY, "--revision", REVISION),
        cwd=ROOT,
        env=environment(hub.endpoint, tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=slave,
    )
    os.close(slave)
    shown = b""
    try:
        while chunk := os.read(master, 4096):
            shown += chunk
    except OSError:  # Linux' way to say that the child closed its end
        pass
    os.close(master)

    assert child.wait(60) == 0
    assert b"model.safetensors" in shown


# --- what does not ------------------------------------------------------------


def flip(content: bytes) -> bytes:
    """Change the last byte, as a broken disk or a bad proxy would."""
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_file_with_another_hash_is_refused(hub, fetch, name):
    hub.files[name] = flip(hub.files[name])

    assert fetch(hub.endpoint).refused(REPOSITORY, name, "differs from")


def test_truncated_download_is_refused(hub, fetch):
    hub.truncated.add("model.safetensors")

    assert fetch(hub.endpoint).refused(REPOSITORY, "model.safetensors", "size")


def test_weights_without_a_stated_sha256_are_refused(hub, fetch):
    hub.without_lfs.add("model.safetensors")

    assert fetch(hub.endpoint).refused("no SHA-256 of model.safetensors")


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("model.safetensors", "has no model.safetensors"),
        ("config.json", "has no config.json"),
        ("vocab.txt", "has neither tokenizer.json nor vocab.txt"),
    ],
)
def test_repository_that_lacks_a_file_is_refused(hub, fetch, missing, message):
    del hub.stated[missing]

    assert fetch(hub.endpoint).refused(REPOSITORY, message)
    assert not any("/resolve/" in path for path in hub.asked)


def test_repository_with_pickles_only_is_refused(hub, fetch):
    hub.stated["pytorch_model.bin"] = hub.stated.pop("model.safetensors")

    refused = fetch(hub.endpoint).refused("pytorch_model.bin", "never loaded")
    assert refused
    assert not any(path.endswith(".bin") for path in hub.asked)


def test_vocabulary_of_another_model_is_refused(hub, fetch):
    larger = hub.files["vocab.txt"] + b"one\ntwo\nthree\n"
    hub.files["vocab.txt"] = hub.stated["vocab.txt"] = larger

    assert fetch(hub.endpoint).refused("vocab.txt", "vocabulary ends at")


def test_hub_that_cannot_be_reached_is_named(fetch):
    endpoint = "http://127.0.0.1:1"

    assert fetch(endpoint).refused(endpoint, "cannot be reached")


def test_server_that_is_no_hub_is_named(fetch):
    """A proxy's log-in page, for example."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>Please log in</html>")

        def log_message(self, *args):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        assert fetch(endpoint).refused(endpoint, "does not answer like a hub")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_offline_mode_is_named(hub, fetch):
    assert fetch(hub.endpoint, HF_HUB_OFFLINE="1").refused("HF_HUB_OFFLINE")


def test_unknown_repository_is_named(hub, fetch):
    fetched = fetch(hub.endpoint, model="toy/other")

    assert fetched.refused("toy/other", "no such repository")


def test_unknown_revision_is_named(hub, fetch):
    unknown = "f" * 40

    fetched = fetch(hub.endpoint, revision=unknown)

    assert fetched.refused(REPOSITORY, f"no revision '{unknown}'")


def test_branch_is_refused_with_the_commit_to_pin(hub, fetch):
    """A branch moves; what is served must not."""
    fetched = fetch(hub.endpoint, revision="main")

    assert fetched.refused("'main' is not a commit", REVISION)


@pytest.mark.parametrize("model", ["assertion", "a/b/c", "../up", "toy/--"])
def test_what_is_no_hub_id_is_refused(hub, fetch, model):
    fetched = fetch(hub.endpoint, model=model)

    assert fetched.refused(model)
    assert hub.asked == []
