"""infra/deploy.py: the good path against moto, the bad ones against a small fake."""

import importlib.util
import json
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("deploy", ROOT / "infra" / "deploy.py")
deploy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(deploy)

ACCOUNT = "123456789012"
REGION = "eu-central-1"
FAMILY = "negation-api-dev"
ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{FAMILY}:"
OLD = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/negation-api@sha256:{'0' * 64}"
NEW = OLD.replace("0" * 64, "1" * 64)
COMMIT = "c" * 40
OUTPUTS = {
    "Cluster": FAMILY,
    "Family": FAMILY,
    "Url": "https://negation.example",
    "Subnets": "subnet-1,subnet-2",
    "SecurityGroup": "sg-1",
}


class FakeECS:
    """As much of ECS as a deployment meets; *states* is what polling finds."""

    def __init__(self, states=("COMPLETED",)):
        self.revisions = {1: OLD}
        self.service_revision = ARN + "1"
        self.states = list(states)
        self.deployments = [self._deployment(ARN + "1", "COMPLETED")]
        self.updates: list[dict] = []
        self.exit_code: int | None = 0

    def _deployment(self, revision, state, status="PRIMARY"):
        members = {"rolloutState": state, "rolloutStateReason": "tasks failed to start"}
        return {"id": f"d-{revision}", "taskDefinition": revision, **members} | {
            "status": status
        }

    def describe_services(self, cluster, services):
        if self.deployments[0]["rolloutState"] == "IN_PROGRESS" and self.states:
            self._step(self.states.pop(0))
        service = {
            "status": "ACTIVE",
            "taskDefinition": self.service_revision,
            "deployments": self.deployments,
        }
        return {"services": [service]}

    def _step(self, state):
        if isinstance(state, Exception):
            raise state
        new = self.updates[-1]["taskDefinition"]
        if state == "gone":
            self.deployments = [self._deployment(ARN + "9", "IN_PROGRESS")]
        elif state == "overtaken":
            self.deployments = [
                self._deployment(ARN + "9", "IN_PROGRESS"),
                self._deployment(new, "IN_PROGRESS", "ACTIVE"),
            ]
        else:
            self.deployments = [self._deployment(new, state)]

    def describe_task_definition(self, taskDefinition):
        number = int(taskDefinition.rpartition(":")[2])
        definition = {
            "taskDefinitionArn": ARN + str(number),
            "family": FAMILY,
            "revision": number,
            "status": "ACTIVE",
            "registeredBy": "somebody",
            "cpu": "2048",
            "containerDefinitions": [
                {"name": "negation-api", "image": self.revisions[number]}
            ],
        }
        return {"taskDefinition": definition}

    def register_task_definition(self, **members):
        assert "registeredBy" not in members and members["cpu"] == "2048"
        number = max(self.revisions) + 1
        self.tags = {tag["key"]: tag["value"] for tag in members["tags"]}
        self.revisions[number] = members["containerDefinitions"][0]["image"]
        return {"taskDefinition": {"taskDefinitionArn": ARN + str(number)}}

    def update_service(self, **members):
        self.updates.append(members)
        self.service_revision = members["taskDefinition"]
        self.deployments = [self._deployment(self.service_revision, "IN_PROGRESS")]
        return {"service": {"deployments": self.deployments}}

    def run_task(self, **members):
        self.run = members
        return {"tasks": [{"taskArn": "task"}]}

    def describe_tasks(self, cluster, tasks):
        container = {"exitCode": self.exit_code}
        task = {"lastStatus": "STOPPED", "containers": [container]}
        return {"tasks": [task | {"stoppedReason": "Essential container exited"}]}


class FakeSession:
    def __init__(self, ecs, account=ACCOUNT):
        self._clients = {"ecs": ecs, "sts": self, "cloudformation": self}
        self._account = account

    def client(self, name, config):
        return self._clients[name]

    def get_caller_identity(self):
        return {"Account": self._account}

    def describe_stacks(self, StackName):
        assert StackName == FAMILY
        pairs = [{"OutputKey": k, "OutputValue": v} for k, v in OUTPUTS.items()]
        return {"Stacks": [{"Outputs": pairs}]}


def environment(ecs, slept=None):
    sleep = (slept if slept is not None else []).append
    return deploy.Environment(FakeSession(ecs), "dev", ACCOUNT, sleep=sleep)


def test_exactly_the_registered_revision_is_put_into_service():
    ecs = FakeECS(["IN_PROGRESS", "IN_PROGRESS", "COMPLETED"])
    dev = environment(ecs)
    revision = dev.register(image=NEW, commit=COMMIT)
    other = dev.register(image=OLD, commit="d" * 40)  # another commit's, meanwhile
    assert other != revision
    dev.update(revision)
    (update,) = ecs.updates
    assert update["taskDefinition"] == revision
    assert ecs.revisions[int(revision[-1])] == NEW


def test_the_number_of_tasks_is_left_alone():
    ecs = FakeECS()
    environment(ecs).update(ARN + "1")
    revision = environment(ecs).register(image=NEW, commit=COMMIT)
    environment(ecs).update(revision)
    assert all("desiredCount" not in update for update in ecs.updates)


def test_a_revision_is_tagged_with_its_commit():
    ecs = FakeECS()
    environment(ecs).register(image=NEW, commit=COMMIT)
    assert ecs.tags["commit"] == COMMIT
    assert ecs.tags["image"] == "sha256:" + "1" * 64


def test_a_step_run_again_changes_nothing():
    ecs = FakeECS()
    dev = environment(ecs)
    revision = dev.register(image=NEW, commit=COMMIT)
    dev.update(revision)
    dev.update(revision)
    assert len(ecs.updates) == 1


@pytest.mark.parametrize(
    "states, message, polls",
    [
        (["IN_PROGRESS", "FAILED"], "ECS gave up: tasks failed to start", 1),
        (["IN_PROGRESS", "gone"], "another took its place", 1),
        (["overtaken"], "another deployment took", 0),
        (["IN_PROGRESS"] * 200, "not in service after 1800 s", 180),
    ],
)
def test_a_deployment_that_does_not_succeed_fails_at_once(states, message, polls):
    ecs, slept = FakeECS(states), []
    dev = environment(ecs, slept)
    revision = dev.register(image=NEW, commit=COMMIT)
    with pytest.raises(deploy.Failed, match=message):
        dev.update(revision)
    assert len(slept) == polls


def test_throttling_is_not_success():
    error = {"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}
    ecs = FakeECS([ClientError(error, "DescribeServices")])
    dev = environment(ecs)
    with pytest.raises(ClientError):
        dev.update(dev.register(image=NEW, commit=COMMIT))


def test_another_account_is_refused():
    with pytest.raises(deploy.Failed, match="of account 999999999999, not 1234"):
        session = FakeSession(FakeECS(), "999999999999")
        deploy.Environment(session, "dev", ACCOUNT)


@pytest.mark.parametrize(
    "image, commit", [(NEW.partition("@")[0] + ":latest", COMMIT), (NEW, "abc")]
)
def test_only_a_digest_and_a_whole_commit_are_registered(image, commit):
    with pytest.raises(deploy.Failed, match="by digest"):
        environment(FakeECS()).register(image=image, commit=commit)


@pytest.mark.parametrize("revision", [FAMILY, f"{FAMILY}:1", ARN[:-1]])
def test_only_an_arn_with_its_number_is_put_into_service(revision):
    ecs = FakeECS()
    ecs.describe_task_definition = lambda taskDefinition: {
        "taskDefinition": {
            "taskDefinitionArn": ARN + "1",
            "family": FAMILY,
            "status": "ACTIVE",
        }
    }
    with pytest.raises(deploy.Failed, match="must be an ARN"):
        environment(ecs).update(revision)
    assert not ecs.updates


def test_an_older_revision_can_be_put_back():
    ecs = FakeECS()
    dev = environment(ecs)
    dev.update(dev.register(image=NEW, commit=COMMIT))
    ecs.states = ["COMPLETED"]
    dev.update(ARN + "1")
    assert dev.image() == OLD


def test_the_smoke_test_runs_the_new_revision_inside_the_network():
    ecs = FakeECS()
    environment(ecs).smoke(ARN + "1")
    assert ecs.run["taskDefinition"] == ARN + "1"
    (override,) = ecs.run["overrides"]["containerOverrides"]
    assert override["command"][-1] == OUTPUTS["Url"]
    compile(override["command"][2], "smoke", "exec")


@pytest.mark.parametrize("exit_code", [1, None])
def test_a_smoke_test_that_fails_fails_the_step(exit_code):
    ecs = FakeECS()
    ecs.exit_code = exit_code
    with pytest.raises(deploy.Failed, match=f"ended with {exit_code}"):
        environment(ecs).smoke(ARN + "1")


def test_a_revision_that_is_not_in_service_is_not_smoke_tested():
    ecs = FakeECS()
    dev = environment(ecs)
    with pytest.raises(deploy.Failed, match="another revision"):
        dev.smoke(dev.register(image=NEW, commit=COMMIT))


@pytest.fixture
def aws(monkeypatch):
    """moto's AWS with a stack's outputs and a service."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("MOTO_ECS_SERVICE_RUNNING", "1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        ecs = boto3.client("ecs")
        ecs.create_cluster(clusterName=FAMILY)
        container = {"name": "negation-api", "image": OLD, "memory": 4096}
        first = ecs.register_task_definition(
            family=FAMILY, containerDefinitions=[container]
        )["taskDefinition"]["taskDefinitionArn"]
        ecs.create_service(
            cluster=FAMILY,
            serviceName="negation-api",
            taskDefinition=first,
            desiredCount=1,
        )
        template = {
            "Resources": {"Log": {"Type": "AWS::Logs::LogGroup"}},
            "Outputs": {name: {"Value": value} for name, value in OUTPUTS.items()},
        }
        boto3.client("cloudformation").create_stack(
            StackName=FAMILY, TemplateBody=json.dumps(template)
        )
        yield ecs


def run(capsys, step, **options):
    argv = [step, "--environment", "dev", "--account", ACCOUNT]
    for name, value in options.items():
        argv += [f"--{name}", value]
    code = deploy.main(argv)
    return code, *capsys.readouterr()


def test_a_revision_is_registered_in_aws(aws, capsys):
    code, revision, error = run(capsys, "register", image=NEW, commit=COMMIT)
    assert (code, error) == (0, "")
    found = aws.describe_task_definition(
        taskDefinition=revision.strip(), include=["TAGS"]
    )
    (container,) = found["taskDefinition"]["containerDefinitions"]
    assert container["image"] == NEW
    assert {"key": "commit", "value": COMMIT} in found["tags"]
    assert run(capsys, "image")[:2] == (0, OLD + "\n")


def test_a_wrong_account_is_told_in_one_line(aws, capsys):
    argv = ["image", "--environment", "dev", "--account", "999999999999"]
    assert deploy.main(argv) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert error == (
        "image: the credentials are of account 123456789012, not 999999999999\n"
    )
