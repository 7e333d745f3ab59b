"""The CircleCI configuration: valid, whole, and gated before every change."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import images
from attested import (
    COMMIT,
    MODEL,
    FakeECR,
    FakeKMS,
    at_aws,
    digest,
    signing,
    write_image,
)
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


WORKFLOWS = ["deliver", "roll-back-dev", "roll-back-prod"]


def steps(job: str) -> str:
    """Give everything that a job runs, as text."""
    return yaml.safe_dump(CONFIG["jobs"][job]["steps"], width=1000)


def runs(job: str) -> list[str]:
    """Give what a job runs in a shell, command by command, those of commands too."""
    found = []
    for step in CONFIG["jobs"][job]["steps"]:
        name, members = step if isinstance(step, str) else next(iter(step)), step
        if name in CONFIG["commands"]:
            inner = CONFIG["commands"][name]["steps"]
            found += [each["run"]["command"] for each in inner if "run" in each]
        elif name == "run":
            run = members["run"]
            found.append(run if isinstance(run, str) else run["command"])
    return found


def shell(command: str, **options) -> subprocess.CompletedProcess:
    """Run a command as CircleCI does."""
    words = ["bash", "-eo", "pipefail", "-c", command]
    return subprocess.run(words, capture_output=True, text=True, **options)


def position(job: str, words: str) -> int:
    """Tell where in a job's commands *words* stand."""
    return "\n".join(runs(job)).index(words)


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
            own = CONFIG["commands"].keys() | {"checkout", "run", "when"}
            own |= {"store_artifacts"}
            assert step in own | {"persist_to_workspace", "attach_workspace"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_an_approval_stands_before_every_change(name):
    jobs = workflow(name)
    changes = [job for job in jobs.values() if job["job"] in CHANGES]
    assert changes
    for job in changes:
        (gate,) = job["requires"]
        assert jobs[gate]["type"] == "approval"


ROLE = {"push": "push", "dev": "deploy-dev", "prod": "deploy-prod"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_each_environment_has_its_context_and_its_role(name):
    for job in workflow(name).values():
        if job["job"] not in CHANGES:
            assert "context" not in job
            continue
        where = job.get("environment", "push")
        assert job["context"] == f"aws-{where}"
        (taken,) = (
            step["take-role"]["role"]
            for step in CONFIG["jobs"][job["job"]]["steps"]
            if "take-role" in step
        )
        assert taken.replace("<< parameters.environment >>", where) == ROLE[where]
        if name != "deliver":
            assert name == f"roll-back-{where}"


def test_no_other_job_takes_a_role():
    taking = {job for job in CONFIG["jobs"] if "take-role" in steps(job)}
    assert taking == CHANGES
    (role,) = re.findall(r"role_arn: (.*)", PATH.read_text())
    assert role.endswith(":role/negation-api-<< parameters.role >>")


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_a_roll_back_is_of_the_environment_that_was_asked_for(environment):
    condition = CONFIG["workflows"][f"roll-back-{environment}"]["when"]["and"]
    wanted = [environment, "<< pipeline.parameters.rollback-environment >>"]
    assert condition[0] == {"equal": wanted}
    revision = ["", "<< pipeline.parameters.rollback-revision >>"]
    assert condition[1] == {"not": {"equal": revision}}
    assert CONFIG["workflows"]["deliver"]["when"] == {"equal": revision}


def test_no_parameter_of_a_pipeline_is_pasted_into_a_shell():
    """An enumerated parameter of a job is its own; all else comes from outside."""
    own = "<< parameters.environment >>"
    for job in CONFIG["jobs"]:
        for command in runs(job):
            assert "<<" not in command.replace(own, "")
            if own in command:
                kind = CONFIG["jobs"][job]["parameters"]["environment"]
                assert kind == {"type": "enum", "enum": ["dev", "prod"]}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_only_main_changes_anything(name):
    for job in workflow(name).values():
        if job["job"] in CHANGES or job.get("type") == "approval":
            assert job["filters"] == {"branches": {"only": "main"}}


def test_every_push_is_tested_and_nothing_is_approved_untested():
    jobs = workflow("deliver")
    tests = {"lint", "test", "system", "image"}
    for name in tests:
        assert "filters" not in jobs[name]
    assert set(jobs["approve-push"]["requires"]) == tests


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
    assert [group.rpartition("/")[2] for group in groups] == ["dev", "prod"] * 2


# --- faults of a published pipeline of this kind, which this one must not have ------


def test_a_revision_is_registered_once_and_carried():
    registering = [job for job in CONFIG["jobs"] if "deploy.py register" in steps(job)]
    assert registering == ["register"]
    assert "$(cat deploy/<< parameters.environment >>)" in steps("update")
    assert "aws-ecs" not in PATH.read_text()  # its orb registers a second one


def test_prod_runs_what_dev_ran():
    building = [job for job in CONFIG["jobs"] if "docker build" in steps(job)]
    pushing = [job for job in CONFIG["jobs"] if "docker://$repository" in steps(job)]
    assert (building, pushing) == (["image"], ["push"])
    assert "$(cat deploy/image)" in steps("register")


def test_what_is_pushed_is_what_was_tested():
    """Written down once; what is run, listed, carried and pushed is read from that."""
    order = [
        "docker build",
        "docker save --output built.tar negation-api:built",
        "docker-archive:built.tar dir:image",
        "dir:image docker-archive:tested.tar:negation-api:tested",
        "docker load --input tested.tar",
        "docker run -d --name test",
        "python - < tests/inside.py",
        "python - < infra/sbom.py > sbom.json",
    ]
    places = [position("image", words) for words in order]
    assert places == sorted(places)
    ran = "\n".join(runs("image"))
    assert re.search(r"docker run [^#]*? negation-api:tested\n", ran)
    assert "negation-api:built" not in ran[places[3] :]
    (kept,) = (s["when"] for s in CONFIG["jobs"]["image"]["steps"] if "when" in s)
    assert kept["condition"] == {"equal": ["main", "<< pipeline.git.branch >>"]}
    paths = {"root": ".", "paths": ["image", "sbom.json"]}
    assert kept["steps"] == [{"persist_to_workspace": paths}]
    assert "--preserve-digests dir:image" in "\n".join(runs("push"))
    assert "docker " not in "\n".join(runs("push"))


def test_it_is_run_as_the_task_definition_says():
    command = "\n".join(runs("image"))
    for option in (
        "--read-only",
        "--cap-drop ALL",
        "--network none",
        "--security-opt no-new-privileges",
        "--init",
    ):
        assert option in command


def test_the_image_is_known_by_its_digest():
    (command,) = (run for run in runs("push") if "sign" in run)
    assert "tag=$(python infra/images.py tag image)" in command
    assert ":latest" not in PATH.read_text()
    assert position("push", "sign image") > position("push", "dir:image")


SKOPEO = """#!/bin/sh
echo "$*" >> skopeo.log
case "$1 $2" in
  "login --username") cat > /dev/null ;;
  "inspect --raw") cat "registry/${3##*:}" ;;
  "copy --preserve-digests")
    [ ! -e broken ] || exit 1
    cp "${3#dir:}/manifest.json" "registry/${4##*:}" ;;
esac
"""
AWS = """#!/bin/sh
[ "$*" = "ecr get-login-password" ] && echo secret
"""


def push(directory: Path, kms: str, image: Path) -> subprocess.CompletedProcess:
    """Run what the job ``push`` runs, beside an aws and a skopeo of a few lines."""
    tools, registry = directory / "bin", directory / "registry"
    for made in (tools, registry):
        made.mkdir(exist_ok=True)
    for name, text in {"aws": AWS, "skopeo": SKOPEO}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    for name in ("python", "infra"):
        target = Path(sys.executable) if name == "python" else ROOT / "infra"
        place = (tools if name == "python" else directory) / name
        place.unlink(missing_ok=True)
        place.symlink_to(target)
    (directory / "image").unlink(missing_ok=True)
    (directory / "image").symlink_to(image)
    (directory / "sbom.json").write_text("{}")
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", **at_aws(kms)}
    (command,) = (run for run in runs("push") if "docker://" in run)
    return shell(command, cwd=directory, env=environment)


@pytest.fixture(scope="module")
def kms():
    with signing() as address:
        yield address


def copies(directory: Path) -> list[str]:
    lines = (directory / "skopeo.log").read_text().splitlines()
    return [line.split()[2] for line in lines if line.startswith("copy")]


def test_what_was_tested_is_pushed_and_signed_once(tmp_path, kms):
    image = write_image(tmp_path / "tested")
    for _ in range(2):
        done = push(tmp_path, kms, image)
        assert done.returncode == 0, done.stderr
        name = (tmp_path / "deploy" / "image").read_text()
        registry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
        assert name == f"{registry}/negation-api@{digest(image)}\n"
    assert copies(tmp_path) == ["dir:image", "dir:attestation"]
    assert "secret" not in (tmp_path / "skopeo.log").read_text()
    ecr = FakeECR()
    attestation = images.attestation_tag(digest(image))
    ecr.manifests[attestation] = (tmp_path / "registry" / attestation).read_text()
    signed = images.verify(name.strip(), ecr, FakeKMS())
    assert (signed["commit"], signed["model"]) == (COMMIT, MODEL)


def test_another_model_of_the_same_commit_is_another_image(tmp_path, kms):
    names = set()
    for model in (MODEL, "embedded"):
        image = write_image(tmp_path / f"image-{model == MODEL}", model=model)
        assert push(tmp_path, kms, image).returncode == 0
        names.add((tmp_path / "deploy" / "image").read_text())
    assert len(names) == 2


def test_a_pipeline_run_again_does_not_replace_the_image(tmp_path, kms):
    first = write_image(tmp_path / "first")
    again = write_image(tmp_path / "again", salt="built at another time")
    for image in (first, again):
        assert push(tmp_path, kms, image).returncode == 0
    assert digest(first) in (tmp_path / "deploy" / "image").read_text()
    assert copies(tmp_path) == ["dir:image", "dir:attestation"]


def test_what_another_pushed_and_did_not_sign_is_not_signed(tmp_path, kms):
    mine, theirs = (write_image(tmp_path / name, salt=name) for name in "ab")
    (tmp_path / "registry").mkdir()
    tag = tmp_path / "registry" / images.tag(mine)
    tag.write_bytes((theirs / "manifest.json").read_bytes())
    done = push(tmp_path, kms, mine)
    assert done.returncode != 0 and digest(theirs) in done.stderr
    assert not (tmp_path / "deploy" / "image").exists()


def test_a_push_that_leaves_no_image_fails(tmp_path, kms):
    (tmp_path / "broken").touch()
    assert push(tmp_path, kms, write_image(tmp_path / "tested")).returncode != 0
    assert not (tmp_path / "deploy" / "image").exists()


def test_what_is_pushed_stands_on_a_base_named_by_digest(tmp_path, kms):
    done = push(tmp_path, kms, write_image(tmp_path / "tested", base="python:3.11"))
    assert done.returncode != 0 and "by digest" in done.stderr
    assert not (tmp_path / "skopeo.log").exists()


def test_a_release_is_asked_for_predictions():
    assert "deploy.py release" in "".join(runs("update"))
    assert "for step in update smoke" in "".join(runs("roll-back"))


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
    assert "make test-system" in steps("system")


def test_circleci_runs_what_the_gate_runs():
    gate = re.findall(r"^make (\S+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    ours = "\n".join(command for job in CONFIG["jobs"] for command in runs(job))
    assert {"lint", "test", "test-system"} == set(gate)
    for target in gate:
        assert re.search(rf"make {target}$", ours, re.MULTILINE)


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
    for argument in ("base", "model", "model-revision"):
        name = argument.upper().replace("-", "_")
        assert f'--build-arg {name}="${name}"' in "".join(runs("image"))
        given = CONFIG["jobs"]["image"]["environment"][name]
        assert given == f"<< pipeline.parameters.{argument} >>"


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
