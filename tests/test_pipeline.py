"""The CircleCI configuration: valid, whole, and gated before every change."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PATH = ROOT / ".circleci" / "config.yml"
CONFIG = yaml.safe_load(PATH.read_text())
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
    assert "negation-api@$(digest)" in steps("push")
    assert ":latest" not in PATH.read_text()


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


def test_the_model_is_in_the_image_at_a_pinned_revision():
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "model fetch" in dockerfile
    assert "HF_HUB_OFFLINE=1" in dockerfile
    assert re.search(r"ARG MODEL_REVISION=[0-9a-f]{40}", dockerfile)


def test_the_container_is_not_root():
    dockerfile = (ROOT / "Dockerfile").read_text()
    last_stage = dockerfile.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)", last_stage, re.MULTILINE) == ["10001:10001"]
