"""Images and containers with buildah and podman, as root: no engine, no registry.

The base image is a stand-in made of Debian's own packages, of the same release and
with the same Python. What pip finds on this machine (an index, a folder of wheels, a
certificate) is lent to the build, so that the Dockerfile stays as it is.
"""

import ast
import json
import os
import re
import ssl
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
BASE = "localhost/python:3.11-stand-in"
RELEASE = "bookworm"
PACKAGES = "ca-certificates,python3,python3-venv"
# cgroupfs and runc: there need be no systemd. Limits below what any machine allows.
CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=8192:8192", "nproc=8192:8192"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
STORAGE_CONF = """
[storage]
driver = "{driver}"
graphroot = "{directory}/graph"
runroot = "{directory}/run"
"""


class Engine:
    """buildah and podman with storage of their own.

    :param directory: for images and containers, some 5 GB; not on an overlay.
    :ivar environment: in which other commands find the same.
    """

    def __init__(self, directory: Path):
        self._directory = directory
        kind = _output("stat", "--file-system", "--format=%T", str(directory)).strip()
        driver = "vfs" if kind == "overlayfs" else "overlay"
        files = {
            "CONTAINERS_CONF": CONTAINERS_CONF,
            "CONTAINERS_STORAGE_CONF": STORAGE_CONF.format(
                driver=driver, directory=directory
            ),
        }
        self.environment = dict(os.environ)
        for name, text in files.items():
            path = directory / name.lower()
            path.write_text(text)
            self.environment[name] = str(path)

    def run(self, *command, check=True, **options) -> subprocess.CompletedProcess:
        """Run a command of buildah's or podman's.

        :raises RuntimeError: with what it wrote, when it fails.
        """
        done = subprocess.run(
            [str(word) for word in command],
            env=self.environment,
            capture_output=True,
            text=True,
            **options,
        )
        if check and done.returncode:
            output = (done.stdout + done.stderr)[-4000:]
            raise RuntimeError(f"{command[:2]} ended with {done.returncode}: {output}")
        return done

    def make_base(self) -> None:
        """Make the stand-in for the base image, unless it is there."""
        if not self.run("podman", "image", "exists", BASE, check=False).returncode:
            return
        root = self._directory / "base"
        _output("rm", "-rf", str(root))
        self.run(
            *("debootstrap", "--variant=minbase", f"--include={PACKAGES}"),
            *(RELEASE, root, _mirror()),
        )
        # Where the real one has its Python, and the name it is called by.
        for name in ("python", "python3"):
            (root / "usr/local/bin" / name).symlink_to("/usr/bin/python3.11")
        tar = ["tar", "--numeric-owner", "-C", str(root), "-c", "."]
        with subprocess.Popen(tar, stdout=subprocess.PIPE) as packed:
            self.run("podman", "import", "-", BASE, stdin=packed.stdout)
        _output("rm", "-rf", str(root))

    def build(self, tag: str, **arguments: str) -> None:
        """Build the Dockerfile on the stand-in."""
        self.make_base()
        options = [
            f"--build-arg={name}={value}"
            for name, value in {"BASE": BASE, **arguments}.items()
        ]
        options += [f"--volume={v}" for v in self._lent()]
        self.run(
            *("buildah", "--runtime", "runc", "bud", "--pull-never", "--layers"),
            *("--format=docker", "--network=host", "--tag", tag, *options, ROOT),
        )

    def _lent(self) -> list[str]:
        """Give what pip uses of this machine, as volumes of the same path."""
        settings = pip_settings()
        file = self._directory / "pip.conf"
        lines = [f"{name} = {value}" for name, value in settings.items()]
        file.write_text("\n".join(["[global]", *lines, ""]))
        volumes = {str(path): str(path) for path in local_paths(settings)}
        volumes["/etc/pip.conf"] = str(file)
        bundle = (
            os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
        )
        if bundle:
            volumes["/etc/ssl/certs/ca-certificates.crt"] = bundle
        return [f"{source}:{target}:ro" for target, source in volumes.items()]


class Container:
    """A running container. ::

    with Container(engine, "--read-only", image) as container: ...
    """

    def __init__(self, engine: Engine, *options):
        self._engine = engine
        self._options = options

    def __enter__(self) -> "Container":
        run = self._engine.run("podman", "run", "--detach", *self._options)
        self.id = run.stdout.strip()
        return self

    def __exit__(self, *exception) -> None:
        self._engine.run("podman", "rm", "--force", "--time=0", self.id)

    def exec(self, *command, **options) -> subprocess.CompletedProcess:
        """Run a command inside; it may fail."""
        words = ("podman", "exec", "--interactive", self.id, *command)
        return self._engine.run(*words, check=False, **options)

    def inspect(self) -> dict:
        (found,) = json.loads(self._engine.run("podman", "inspect", self.id).stdout)
        return found

    def kill(self, signal: str) -> None:
        self._engine.run("podman", "kill", f"--signal={signal}", self.id)

    def stop(self, seconds: int) -> int:
        """Send SIGTERM, wait so long before SIGKILL; give the exit code."""
        self._engine.run("podman", "stop", f"--time={seconds}", self.id)
        return self.inspect()["State"]["ExitCode"]

    def log(self) -> str:
        run = self._engine.run("podman", "logs", self.id)
        return run.stdout + run.stderr


def pip_settings() -> dict[str, str]:
    """Read what pip is told on this machine; the environment wins, as for pip."""
    lines = _output(sys.executable, "-m", "pip", "config", "list").splitlines()
    found = [re.fullmatch(r"(global|install|:env:)\.([\w-]+)=(.*)", s) for s in lines]
    found = sorted(filter(None, found), key=lambda match: match[1] == ":env:")
    return {match[2]: " ".join(ast.literal_eval(match[3]).split()) for match in found}


def local_paths(settings: dict[str, str]) -> list[Path]:
    """Give the files and folders of this machine that *settings* name.

    An index is lent with its parent, where its files are.

    >>> local_paths({"find-links": "/tmp", "index-url": "https://example.org/tmp"})
    [PosixPath('/tmp')]
    """
    words = [word for value in settings.values() for word in value.split()]
    indexes = [Path(urlsplit(w).path).parent for w in words if w.startswith("file:")]
    paths = indexes + [Path(word) for word in words if word.startswith("/")]
    return sorted({path for path in paths if path.exists() and path != Path("/")})


def _mirror() -> str:
    """Give the Debian mirror that this machine installs from."""
    targets = _output("apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)")
    found = [
        uri for name, uri in map(str.split, targets.splitlines()) if name == RELEASE
    ]
    return found[0] if found else "http://deb.debian.org/debian"


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
