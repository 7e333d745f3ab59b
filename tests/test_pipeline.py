"""The CircleCI configuration: valid, whole, and gated before every change."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from negation_api.settings import Settings

ROOT = Path(__file__).parents[1]
PATH = ROOT / ".circleci" / "config.yml"
CONFIG = yaml.safe_load(PATH.read_text())
REQUIREMENTS = (ROOT / "requirements.txt").read_text()
CHANGES = {"push", "register", "update", "roll-back"}  # jobs that change something


def workflow(name: str) -> dict[str, dict]:
    """Give the jobs of a workflow by the names under which they run."""
    jobs = {}
    for entry in CONFIG["workflows"][name]["jobs"]:
        ((job, members),) = ({entry: {}} if isinstance(entry, str) else entry).items()
        jobs[members.get("name", job)] = {"job": job, **members}
    return jobs


WORKFLOWS = ["deliver", "roll-back"]


def steps(job: str) -> str:
    """Give everything that a job runs, as text."""
    return yaml.safe_dump(CONFIG["jobs"][job]["steps"], width=1000)


def runs(job: str) -> list[str]:
    """Give what a job runs in a shell, command by command."""
    steps = CONFIG["jobs"][job]["steps"]
    runs = (step["run"] for step in steps if isinstance(step, dict) and "run" in step)
    return [run if isinstance(run, str) else run["command"] for run in runs]


def normal(pin: str) -> str:
    """Write a distribution's name as PEP 503 does."""
    name, _, version = pin.partition("==")
    return f"{re.sub('[-_.]+', '-', name).lower()}=={version}"


def test_the_schema_finds_nothing():
    command = [sys.executable, "-m", "check_jsonschema"]
    run = subprocess.run(
        [*command, "--builtin-schema", "vendor.circle-ci", str(PATH)],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("name", WORKFLOWS)
def test_everything_that_is_named_exists(name):
    jobs = workflow(name)
    for job in jobs.values():
        assert set(job.get("requires", [])) <= jobs.keys()
        if job.get("type") != "approval":
            assert job["job"] in CONFIG["jobs"]
    for job in CONFIG["jobs"].values():
        assert job["executor"] in CONFIG["executors"]
        for step in job["steps"]:
            step = step if isinstance(step, str) else next(iter(step))
            own = CONFIG["commands"].keys() | {"checkout", "setup_remote_docker", "run"}
            assert step in own | {"persist_to_workspace", "attach_workspace"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_an_approval_stands_before_every_change(name):
    jobs = workflow(name)
    changes = [job for job in jobs.values() if job["job"] in CHANGES]
    assert changes
    for job in changes:
        (gate,) = job["requires"]
        assert jobs[gate]["type"] == "approval"
        assert job["context"] == "aws"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_only_main_changes_anything(name):
    for job in workflow(name).values():
        if job["job"] in CHANGES or job.get("type") == "approval":
            assert job["filters"] == {"branches": {"only": "main"}}


def test_every_push_is_tested_and_nothing_is_approved_untested():
    jobs = workflow("deliver")
    for name in ("lint", "test", "image"):
        assert "filters" not in jobs[name]
    assert set(jobs["approve-push"]["requires"]) == {"lint", "test", "image"}


def test_prod_comes_after_dev():
    jobs, order = workflow("deliver"), []
    name = "update-prod"
    while name:
        order.append(name)
        name, *_ = jobs[name].get("requires", [None])
    assert order[::-1] == [
        "lint",
        "approve-push",
        "push",
        "approve-register-dev",
        "register-dev",
        "approve-update-dev",
        "update-dev",
        "approve-register-prod",
        "register-prod",
        "approve-update-prod",
        "update-prod",
    ]


def test_deployments_to_one_environment_take_turns():
    groups = [
        job["serial-group"]
        for name in WORKFLOWS
        for job in workflow(name).values()
        if job["job"] in ("update", "roll-back")
    ]
    assert [group.rpartition("/")[2] for group in groups[:2]] == ["dev", "prod"]
    assert groups[2].endswith("<< pipeline.parameters.rollback-environment >>")


# --- faults of a published pipeline of this kind, which this one must not have ------


def test_a_revision_is_registered_once_and_carried():
    registering = [job for job in CONFIG["jobs"] if "deploy.py register" in steps(job)]
    assert registering == ["register"]
    assert "$(cat deploy/<< parameters.environment >>)" in steps("update")
    assert "aws-ecs" not in PATH.read_text()  # its orb registers a second one


def test_prod_runs_what_dev_ran():
    building = [job for job in CONFIG["jobs"] if "docker push" in steps(job)]
    assert building == ["push"]
    assert "$(cat deploy/image)" in steps("register")


def test_images_are_tagged_with_the_whole_commit_and_named_by_digest():
    assert "negation-api:$CIRCLE_SHA1" in steps("push")
    assert "pushed=$(digest)" in steps("push")
    assert "negation-api@$pushed" in steps("push")
    assert ":latest" not in PATH.read_text()


AWS = """#!/bin/sh
case "$*" in
  *describe-images*) [ -e pushed ] && echo sha256:abc || exit 254 ;;
  *get-login-password*) echo secret ;;
esac
"""
DOCKER = """#!/bin/sh
[ "$1" != login ] || cat > /dev/null
echo "$*" >> docker.log
[ "$1" != push ] || [ -e broken ] || touch pushed
"""


def push(directory: Path, base="python@sha256:" + "0" * 64) -> int:
    """Run what the job ``push`` runs, beside an aws and a docker of a few lines."""
    tools = directory / "bin"
    tools.mkdir(exist_ok=True)
    for name, text in {"aws": AWS, "docker": DOCKER}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    environment = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "AWS_ORG_ACCOUNT": "123456789012",
        "AWS_REGION": "eu-central-1",
        "CIRCLE_SHA1": "c" * 40,
    }
    (command,) = (run for run in runs("push") if "docker push" in run)
    script = command.replace("<< pipeline.parameters.base >>", base)
    shell = ["bash", "-eo", "pipefail", "-c", script]  # CircleCI's
    return subprocess.run(
        shell, cwd=directory, env=environment, capture_output=True
    ).returncode


def test_a_commit_is_built_and_pushed_once(tmp_path):
    for _ in range(2):
        assert push(tmp_path) == 0
        image = (tmp_path / "deploy" / "image").read_text()
        registry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
        assert image == f"{registry}/negation-api@sha256:abc\n"
    log = (tmp_path / "docker.log").read_text().splitlines()
    assert [line.split()[0] for line in log] == ["login", "build", "push"]
    assert all("secret" not in line for line in log)


def test_a_push_that_leaves_no_image_fails(tmp_path):
    (tmp_path / "broken").touch()
    assert push(tmp_path) != 0
    assert not (tmp_path / "deploy" / "image").exists()


def test_what_is_pushed_stands_on_a_base_named_by_digest(tmp_path):
    assert push(tmp_path, base="python:3.11") != 0
    assert not (tmp_path / "docker.log").exists()


def test_nothing_sets_the_number_of_tasks():
    assert "desired" not in PATH.read_text().lower()


def test_there_is_no_long_lived_key():
    text = PATH.read_text()
    assert "AWS_SECRET_ACCESS_KEY" not in text and "AWS_ACCESS_KEY_ID" not in text
    assert "role_arn" in text


def test_one_region_and_one_account_for_all():
    text = PATH.read_text()
    assert not re.search(r"\b(us|eu|ap)-[a-z]+-\d\b", text)
    assert not re.search(r"\b\d{12}\b", text)


def test_one_python_everywhere():
    (image,) = (d["image"] for d in CONFIG["executors"]["python"]["docker"])
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert image == "cimg/python:3.11"
    assert "python:3.11-slim-bookworm" in dockerfile
    assert "python3.11" in (ROOT / "Makefile").read_text()


def test_the_same_commands_as_on_a_laptop():
    assert "make lint" in steps("lint") and "make test" in steps("test")


def test_every_push_is_audited_for_known_vulnerabilities():
    assert "make audit" in steps("lint")
    audit = (ROOT / "Makefile").read_text().partition("\naudit:")[2]
    audited = re.findall(r"-r (\S+)", audit.partition("\n\n")[0])
    assert {"requirements.txt", "requirements-otel.txt"} <= set(audited)


def test_the_model_is_in_the_image_at_a_pinned_revision():
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "model fetch" in dockerfile
    assert "HF_HUB_OFFLINE=1" in dockerfile
    pinned = CONFIG["parameters"]["model-revision"]["default"]
    assert pinned == Settings().model_revision
    assert re.fullmatch(r"[0-9a-f]{40}", pinned)
    for argument in ("model", "model-revision"):
        name = argument.upper().replace("-", "_")
        wanted = f'--build-arg {name}="<< pipeline.parameters.{argument} >>"'
        assert wanted in "".join(runs("push"))


def test_dependencies_of_the_image_have_hashes():
    """All but torch, which differs between indexes: docs/decisions/."""
    pins = re.findall(r"^[\w.-]+==\S+", REQUIREMENTS, re.MULTILINE)
    text = (ROOT / "requirements-hashes.txt").read_text()
    hashed = re.findall(r"^([\w.-]+==\S+) \\\n    --hash=sha256:", text, re.MULTILINE)
    torch = [pin for pin in pins if pin.startswith("torch==")]
    assert sorted(map(normal, hashed + torch)) == sorted(map(normal, pins))
    assert "--require-hashes" in (ROOT / "scripts/install.sh").read_text()


@pytest.mark.parametrize("job", CONFIG["jobs"])
def test_shellcheck_finds_nothing_in_what_is_run(job):
    for command in runs(job):
        script = re.sub(r"<<[^>]*>>", "value", command)
        shellcheck = Path(sys.executable).with_name("shellcheck")
        options = ["--shell=bash", "--severity=style", "--exclude=SC2194", "-"]
        run = subprocess.run(
            [shellcheck, *options], input=script, capture_output=True, text=True
        )
        assert (run.returncode, run.stdout) == (0, "")


def test_the_container_is_not_root():
    dockerfile = (ROOT / "Dockerfile").read_text()
    last_stage = dockerfile.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)", last_stage, re.MULTILINE) == ["10001:10001"]
