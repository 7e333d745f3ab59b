"""infra/deploy.py: the good path against moto, the bad ones against a small fake."""

import importlib.util
import warnings
from pathlib import Path

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core.botocore_stubber import MockRawResponse

from cloudformation import INFRA, load

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
MODEL = {
    "model": "bvanaken/clinical-assertion-negation-bert",
    "model_revision": "b" * 40,
}
BUILT = {"image": NEW, "commit": COMMIT, **MODEL}
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

    def describe_task_definition(self, taskDefinition, include=()):
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
    revision = dev.register(**BUILT)
    other = dev.register(OLD, "d" * 40, **MODEL)  # another commit's, meanwhile
    assert other != revision
    dev.update(revision)
    (update,) = ecs.updates
    assert update["taskDefinition"] == revision
    assert ecs.revisions[int(revision[-1])] == NEW


def test_the_number_of_tasks_is_left_alone():
    ecs = FakeECS()
    environment(ecs).update(ARN + "1")
    revision = environment(ecs).register(**BUILT)
    environment(ecs).update(revision)
    assert all("desiredCount" not in update for update in ecs.updates)


def test_a_revision_is_tagged_with_its_commit_and_model():
    ecs = FakeECS()
    environment(ecs).register(**BUILT)
    assert ecs.tags["commit"] == COMMIT
    assert ecs.tags["model"] == MODEL["model"]
    assert ecs.tags["model-revision"] == MODEL["model_revision"]


def test_a_step_run_again_changes_nothing():
    ecs = FakeECS()
    dev = environment(ecs)
    revision = dev.register(**BUILT)
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
    revision = dev.register(**BUILT)
    with pytest.raises(deploy.Failed, match=message):
        dev.update(revision)
    assert len(slept) == polls


def test_a_throttled_call_is_made_again(service, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # botocore's
    calls = []

    def throttle(request, **_):
        calls.append(request.url)
        if len(calls) < 3:
            body = b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'
            return AWSResponse(request.url, 400, {}, MockRawResponse(body))

    session = boto3.Session()
    session.events.register_first("before-send.ecs.DescribeServices", throttle)
    assert deploy.Environment(session, "dev", ACCOUNT).running() == f"Image={OLD}"
    assert len(calls) == 3


def test_throttling_is_not_success():
    error = {"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}
    ecs = FakeECS([ClientError(error, "DescribeServices")])
    dev = environment(ecs)
    with pytest.raises(ClientError):
        dev.update(dev.register(**BUILT))


def test_another_account_is_refused():
    with pytest.raises(deploy.Failed, match="of account 999999999999, not 1234"):
        session = FakeSession(FakeECS(), "999999999999")
        deploy.Environment(session, "dev", ACCOUNT)


@pytest.mark.parametrize(
    "image, commit", [(NEW.partition("@")[0] + ":latest", COMMIT), (NEW, "abc")]
)
def test_only_a_digest_and_a_whole_commit_are_registered(image, commit):
    with pytest.raises(deploy.Failed, match="by digest"):
        environment(FakeECS()).register(image, commit, **MODEL)


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
    dev.update(dev.register(**BUILT))
    ecs.states = ["COMPLETED"]
    dev.update(ARN + "1")
    assert dev.running() == f"Image={OLD}"


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


def test_a_smoke_test_that_finds_no_place_fails_the_step():
    ecs = FakeECS()
    ecs.run_task = lambda **_: {"tasks": [], "failures": [{"reason": "Capacity"}]}
    with pytest.raises(deploy.Failed, match="no task: Capacity"):
        environment(ecs).smoke(ARN + "1")


def test_a_revision_that_is_not_in_service_is_not_smoke_tested():
    ecs = FakeECS()
    dev = environment(ecs)
    with pytest.raises(deploy.Failed, match="another revision"):
        dev.smoke(dev.register(**BUILT))


@pytest.fixture
def aws(monkeypatch):
    """An account that moto plays, with a VPC and a certificate; gives ECS."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("MOTO_ECS_SERVICE_RUNNING", "1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("ecs")


def make_stack(image: str) -> dict:
    """Make an environment of the template, as docs/deploy.md says; give its outputs."""
    subnets = boto3.client("ec2").describe_subnets()["Subnets"][:2]
    ids = ",".join(subnet["SubnetId"] for subnet in subnets)
    certificate = boto3.client("acm").request_certificate(DomainName="n.example")
    values = {
        "Environment": "dev",
        "Vpc": subnets[0]["VpcId"],
        "TaskSubnets": ids,
        "LoadBalancerSubnets": ids,
        "Certificate": certificate["CertificateArn"],
        "HostName": "n.example",
        "AccessLogBucket": "logs",
        "AlarmTopic": f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms",
        "Image": image,
    }
    pairs = [{"ParameterKey": k, "ParameterValue": v} for k, v in values.items()]
    stacks = boto3.client("cloudformation")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # moto knows not every resource
        stacks.create_stack(
            StackName=FAMILY,
            TemplateBody=(INFRA / "environment.yaml").read_text(),
            Parameters=pairs,
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
    (stack,) = stacks.describe_stacks(StackName=FAMILY)["Stacks"]
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


@pytest.fixture
def service(aws):
    """An environment that runs ``OLD``."""
    make_stack(image=OLD)
    return aws


def test_before_the_first_image_there_is_all_but_a_service(aws, capsys):
    outputs = make_stack(image="")
    assert OUTPUTS.keys() <= outputs.keys()
    assert aws.list_services(cluster=outputs["Cluster"])["serviceArns"] == []
    code, _, error = run(capsys, "register", **BUILT)
    assert (code, error) == (
        1,
        "register: there is no service yet: update the stack with Image first\n",
    )


def run(capsys, step, **options):
    argv = [step, "--environment", "dev", "--account", ACCOUNT]
    for name, value in options.items():
        argv += [f"--{name.replace('_', '-')}", value]
    code = deploy.main(argv)
    return code, *capsys.readouterr()


def test_a_revision_is_registered_in_aws(service, capsys):
    code, revision, error = run(capsys, "register", **BUILT)
    assert (code, error) == (0, "")
    found = service.describe_task_definition(
        taskDefinition=revision.strip(), include=["TAGS"]
    )
    (container,) = found["taskDefinition"]["containerDefinitions"]
    assert container["image"] == NEW
    assert {"key": "commit", "value": COMMIT} in found["tags"]
    assert run(capsys, "running")[:2] == (0, f"Image={OLD}\n")


def test_what_runs_is_told_as_the_stack_s_parameters(service, capsys):
    _, revision, _ = run(capsys, "register", **BUILT)
    service.update_service(
        cluster=FAMILY, service="negation-api", taskDefinition=revision.strip()
    )
    code, told, _ = run(capsys, "running")
    assert (code, dict(word.split("=") for word in told.split())) == (
        0,
        {
            "Image": NEW,
            "Commit": COMMIT,
            "Model": MODEL["model"],
            "ModelRevision": MODEL["model_revision"],
        },
    )
    parameters = load("environment")["Parameters"]
    assert {word.split("=")[0] for word in told.split()} <= parameters.keys()


def test_a_wrong_account_is_told_in_one_line(aws, capsys):
    argv = ["running", "--environment", "dev", "--account", "999999999999"]
    assert deploy.main(argv) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert error == (
        "running: the credentials are of account 123456789012, not 999999999999\n"
    )
