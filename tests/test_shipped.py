"""The jobs' own commands, from the image that was built to the one in a registry.

podman is called docker here; skopeo and the registry are real, the key is not. The
registry lets everybody in, without TLS, which skopeo would refuse to log in to.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import images
from attested import BASE, COMMIT, FakeECR, FakeKMS, at_aws, digest, signing
from containers import Engine
from inside import WANTED
from server import free_port, wait_until
from test_pipeline import REQUIREMENTS, normal, runs, shell

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[1]
REGISTRY = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {directory}}}}}
http: {{addr: "127.0.0.1:{port}"}}
log: {{level: error}}
"""
INSECURE = '[[registry]]\nlocation = "localhost:{port}"\ninsecure = true\n'
# What is built stands on the stand-in, and says that it stands on the real base.
BUILD = """
case "$1" in
  build) buildah --runtime runc bud --pull-never --format docker -q -t "{tag}" - <<END
FROM {built}
LABEL org.opencontainers.image.base.name="{base}"
END
  ;;
  *) exec podman "$@" ;;
esac
"""


@pytest.fixture(scope="module")
def engine(request) -> Engine:
    return Engine(Path(request.config.cache.mkdir("containers")))


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """An empty registry on loopback; gives its port."""
    directory, port = tmp_path_factory.mktemp("registry"), free_port()
    file = directory / "config.yml"
    file.write_text(REGISTRY.format(directory=directory / "data", port=port))
    with subprocess.Popen(
        ["docker-registry", "serve", file], stderr=subprocess.DEVNULL
    ) as process:
        wait_until(lambda: answers(port), 20, "the registry listens")
        yield port
        process.terminate()


def answers(port: int) -> bool:
    try:
        return get(port, "").status == 200
    except OSError:
        return False


def get(port: int, path: str):
    accept = {"Accept": f"{images.MANIFEST}, {DOCKER}"}
    asked = urllib.request.Request(f"http://localhost:{port}/v2/{path}", headers=accept)
    return urllib.request.urlopen(asked, timeout=20)


DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture(scope="module")
def job(engine, registry, tmp_path_factory):
    """Run jobs' commands in one checkout: ``job(JOB)`` gives what each wrote."""
    directory = tmp_path_factory.mktemp("job")
    arguments = {"MODEL": "embedded", "MODEL_REVISION": "1", "COMMIT": COMMIT}
    built = "localhost/negation-api:test"
    engine.build(built, **arguments)
    tools = directory / "bin"
    tools.mkdir()
    docker = BUILD.format(tag="negation-api:built", built=built, base=BASE)
    aws = '[ "$*" = "ecr get-login-password" ] && echo secret'
    insecure = directory / "registries.conf"
    insecure.write_text(INSECURE.format(port=registry))
    real = f"{shutil.which('skopeo')} --registries-conf {insecure}"
    skopeo = f'[ "$1" != login ] || exec cat > /dev/null\nexec {real} "$@"'
    for name, text in {"docker": docker, "aws": aws, "skopeo": skopeo}.items():
        (tools / name).write_text(f"#!/bin/sh\nset -eu\n{text}\n")
        (tools / name).chmod(0o755)
    (tools / "python").symlink_to(sys.executable)
    for name in ("infra", "tests"):
        (directory / name).symlink_to(ROOT / name)
    (directory / "auth.json").write_text("{}")
    with signing() as kms:
        environment = engine.environment | at_aws(kms)
        environment |= {"REGISTRY_AUTH_FILE": str(directory / "auth.json")}
        environment |= {"PATH": f"{tools}:{os.environ['PATH']}"}
        environment |= {"BASE": BASE, "MODEL": "embedded", "MODEL_REVISION": "1"}

        def job(name: str) -> list[str]:
            outputs = []
            for command in runs(name):
                if "apt-get" in command or "pip install" in command:
                    continue
                host = '"$AWS_ORG_ACCOUNT.dkr.ecr.$AWS_REGION.amazonaws.com"'
                command = command.replace(host, f"localhost:{registry}")
                done = shell(command, cwd=directory, env=environment)
                assert done.returncode == 0, done.stdout + done.stderr
                outputs.append(done.stdout)
            return outputs

        job.directory = directory
        yield job
        engine.run("podman", "rm", "--force", "--time=0", "test", check=False)


@pytest.fixture(scope="module")
def tested(job) -> list[str]:
    return job("image")


@pytest.fixture(scope="module")
def pushed(job, tested) -> list[str]:
    return job("push")


def test_what_was_written_down_is_what_answered(job, engine, tested):
    """The container ran the image whose configuration the manifest names."""
    facts = next(line for line in "".join(tested).splitlines() if '"uid"' in line)
    assert json.loads(facts) == WANTED
    (container,) = json.loads(engine.run("podman", "inspect", "test").stdout)
    manifest = json.loads((job.directory / "image" / "manifest.json").read_text())
    assert manifest["config"]["digest"] == f"sha256:{container['Image']}"


def test_what_was_tested_and_what_is_in_the_registry_have_one_digest(
    job, registry, pushed
):
    wanted = digest(job.directory / "image")
    name = (job.directory / "deploy" / "image").read_text().strip()
    assert name == f"localhost:{registry}/negation-api@{wanted}"
    tag = images.tag(job.directory / "image")
    reply = get(registry, f"negation-api/manifests/{tag}")
    assert reply.headers["Docker-Content-Digest"] == wanted
    assert images.digest_of(reply.read()) == wanted
    assert f"Image={name} Commit={COMMIT} Model=embedded" in pushed[-1]


def test_its_attestation_lies_beside_it_and_is_signed(job, registry, pushed):
    wanted = digest(job.directory / "image")
    tag = images.attestation_tag(wanted)
    manifest = get(registry, f"negation-api/manifests/{tag}").read().decode()
    assert json.loads(manifest)["subject"]["digest"] == wanted
    ecr = FakeECR()
    ecr.manifests[tag] = manifest
    name = (job.directory / "deploy" / "image").read_text().strip()
    assert images.verify(name, ecr, FakeKMS())["model"] == "embedded"


def test_its_bill_of_materials_lists_what_is_pinned(job, registry, pushed):
    tag = images.attestation_tag(digest(job.directory / "image"))
    manifest = json.load(get(registry, f"negation-api/manifests/{tag}"))
    (layer,) = manifest["layers"]
    bill = json.load(get(registry, f"negation-api/blobs/{layer['digest']}"))
    purls = (each.get("purl", "") for each in bill["components"])
    listed = {re.split("%2B|[?]", purl)[0] for purl in purls}  # 2.13.0+cpu is 2.13.0
    for pin in re.findall(r"^[\w.-]+==\S+", REQUIREMENTS, re.MULTILINE):
        assert f"pkg:pypi/{normal(pin).replace('==', '@')}" in listed
    assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in listed)


def test_pushed_again_nothing_is_pushed(job, registry, pushed):
    before = (job.directory / "deploy" / "image").read_text()
    job("push")
    assert (job.directory / "deploy" / "image").read_text() == before
    tags = json.load(get(registry, "negation-api/tags/list"))["tags"]
    assert len(tags) == 2
