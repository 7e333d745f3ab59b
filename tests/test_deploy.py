"""infra/deploy.py: the good path against moto, the bad ones against a small fake."""

import json
import subprocess
import sys
import threading
import warnings
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core.botocore_stubber import MockRawResponse

import deploy
import images
from attested import COMMIT, MODEL, REVISION, FakeECR, FakeKMS, attest, digest
from attested import write_image
from cloudformation import INFRA, load

ACCOUNT = "123456789012"
REGION = "eu-central-1"
ORG = "11111111-1111-1111-1111-111111111111"
FAMILY = "negation-api-dev"
ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{FAMILY}:"
OLD = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/negation-api@sha256:{'0' * 64}"
REGISTRY = OLD.partition("/")[0]
BUILT = {"commit": COMMIT, "model": MODEL, "model-revision": REVISION}
OURS = f"arn:aws:sts::{ACCOUNT}:assumed-role/negation-api-deploy-dev/circleci-1"
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
        self.registered_by = OURS
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
            "registeredBy": self.registered_by,
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
        container = {"name": "smoke", "exitCode": self.exit_code}
        task = {"lastStatus": "STOPPED", "containers": [container]}
        return {"tasks": [task | {"stoppedReason": "Essential container exited"}]}


class FakeSession:
    """An account with images that are signed, by *key*: OLD and those it is given."""

    def __init__(self, ecs, account=ACCOUNT, key=b"ours"):
        self._clients = {"ecs": ecs, "sts": self, "cloudformation": self}
        self._clients |= {"ecr": FakeECR(), "kms": FakeKMS()}
        self._account = account

    def client(self, name, config):
        return self._clients[name]

    def get_caller_identity(self):
        return {"Account": self._account}

    def describe_stacks(self, StackName):
        assert StackName == FAMILY
        pairs = [{"OutputKey": k, "OutputValue": v} for k, v in OUTPUTS.items()]
        return {"Stacks": [{"Outputs": pairs}]}


class World:
    """An environment, what it stands on, and images that somebody signed."""

    def __init__(self, directory, states=("COMPLETED",)):
        self.ecs, self.slept = FakeECS(states), []
        self._session, self._directory = FakeSession(self.ecs), directory
        self.dev = deploy.Environment(
            self._session, "dev", ACCOUNT, sleep=self.slept.append
        )
        self.ecs.revisions[1] = self.image("old")

    def image(self, salt="new", key=b"ours", scans=None) -> str:
        """Make an image, sign it; give its name."""
        image = write_image(self._directory / salt, salt=salt)
        ecr = self._session.client("ecr", None)
        if scans:
            ecr._scans = scans
        return ecr.put(image, attest(image, FakeKMS(key)))


@pytest.fixture
def world(tmp_path):
    return lambda *states: World(tmp_path, states or ("COMPLETED",))


def test_exactly_the_registered_revision_is_put_into_service(world):
    world = world("IN_PROGRESS", "IN_PROGRESS", "COMPLETED")
    image = world.image()
    revision = world.dev.register(image)
    other = world.dev.register(world.image("another commit's, meanwhile"))
    assert other != revision
    world.dev.update(revision)
    (update,) = world.ecs.updates
    assert update["taskDefinition"] == revision
    assert world.ecs.revisions[int(revision[-1])] == image


def test_the_number_of_tasks_is_left_alone(world):
    world = world()
    world.dev.update(ARN + "1")
    world.dev.update(world.dev.register(world.image()))
    assert all("desiredCount" not in update for update in world.ecs.updates)


def test_a_revision_is_tagged_with_what_was_signed(world):
    world = world()
    world.dev.register(world.image())
    assert world.ecs.tags == BUILT | {
        "project": "negation_api",
        "environment": "dev",
    }


@pytest.mark.parametrize("step", ["register", "update"])
def test_what_is_not_signed_by_the_pipeline_goes_nowhere(world, step):
    world = world()
    image = world.image("theirs", key=b"theirs")
    with pytest.raises(images.Failed, match="not our key's"):
        if step == "register":
            world.dev.register(image)
        else:
            world.ecs.revisions[2] = image
            world.dev.update(ARN + "2")
    assert not world.ecs.updates and len(world.ecs.revisions) <= 2


def test_an_image_with_a_critical_vulnerability_is_not_registered(world):
    world = world()
    found = {"findings": [{"name": "CVE-2", "severity": "CRITICAL"}]}
    with pytest.raises(images.Failed, match="CVE-2"):
        world.dev.register(world.image(scans=[("COMPLETE", found)]))
    assert list(world.ecs.revisions) == [1]


def test_a_step_run_again_changes_nothing(world):
    world = world()
    revision = world.dev.register(world.image())
    world.dev.update(revision)
    world.dev.update(revision)
    assert len(world.ecs.updates) == 1


@pytest.mark.parametrize(
    "states, message, polls",
    [
        (["IN_PROGRESS", "FAILED"], "ECS gave up: tasks failed to start", 1),
        (["IN_PROGRESS", "gone"], "another took its place", 1),
        (["overtaken"], "another deployment took", 0),
        (["IN_PROGRESS"] * 200, "not in service after 1800 s", 180),
    ],
)
@pytest.mark.parametrize("step", ["update", "release"])
def test_a_deployment_that_does_not_succeed_fails_at_once(
    world, step, states, message, polls
):
    """Alarms and the circuit breaker make it FAILED; ECS puts the old one back."""
    world = world(*states)
    revision = world.dev.register(world.image())
    with pytest.raises(deploy.Failed, match=message):
        getattr(world.dev, step)(revision)
    assert len(world.slept) == polls
    assert len(world.ecs.updates) == 1


def test_a_release_that_answers_wrongly_is_taken_back(world):
    world = world("COMPLETED", "COMPLETED")
    revision = world.dev.register(world.image())
    world.ecs.exit_code = 1
    with pytest.raises(deploy.Failed, match=f"{ARN}1 is back in service"):
        world.dev.release(revision)
    assert [update["taskDefinition"] for update in world.ecs.updates] == [
        revision,
        ARN + "1",
    ]


def test_a_release_that_answers_stays(world):
    world = world()
    revision = world.dev.register(world.image())
    world.dev.release(revision)
    assert world.ecs.service_revision == revision


def test_a_release_that_ran_before_is_not_taken_back(world):
    """Run again, it does not know what else to put back."""
    world = world()
    world.ecs.exit_code = 1
    with pytest.raises(deploy.Failed, match="nothing was put back"):
        world.dev.release(ARN + "1")
    assert not world.ecs.updates


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


def test_throttling_is_not_success(world):
    error = {"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}
    world = world(ClientError(error, "DescribeServices"))
    with pytest.raises(ClientError):
        world.dev.update(world.dev.register(world.image()))


def test_another_account_is_refused():
    with pytest.raises(deploy.Failed, match="of account 999999999999, not 1234"):
        session = FakeSession(FakeECS(), "999999999999")
        deploy.Environment(session, "dev", ACCOUNT)


def test_only_a_digest_is_registered(world):
    with pytest.raises(deploy.Failed, match="by digest"):
        world().dev.register(OLD.partition("@")[0] + ":latest")


@pytest.mark.parametrize("revision", [FAMILY, f"{FAMILY}:1", ARN[:-1]])
def test_only_an_arn_with_its_number_is_put_into_service(world, revision):
    world = world()
    world.ecs.describe_task_definition = lambda taskDefinition: {
        "taskDefinition": {
            "taskDefinitionArn": ARN + "1",
            "family": FAMILY,
            "status": "ACTIVE",
        }
    }
    with pytest.raises(deploy.Failed, match="must be an ARN"):
        world.dev.update(revision)
    assert not world.ecs.updates


@pytest.mark.parametrize(
    "by, refused",
    [
        (OURS, False),
        (OURS.replace("deploy-dev", "deploy-prod"), True),
        (OURS.replace("deploy-dev", "push"), True),
        (OURS.replace("deploy-dev", "deploy-dev-2"), True),
        # Who makes the stack makes its first revision.
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/Admin/somebody", False),
    ],
)
def test_what_another_deployer_registered_is_not_put_into_service(world, by, refused):
    world = world()
    revision = world.dev.register(world.image())
    world.ecs.registered_by = by
    if refused:
        with pytest.raises(deploy.Failed, match="registered by arn"):
            world.dev.update(revision)
    else:
        world.dev.update(revision)
    assert bool(world.ecs.updates) is not refused


def test_an_older_revision_can_be_put_back(world):
    world = world("COMPLETED", "COMPLETED")
    world.dev.update(world.dev.register(world.image()))
    world.dev.update(ARN + "1")
    assert world.ecs.service_revision == ARN + "1"


def test_the_smoke_test_runs_in_a_task_of_its_own_inside_the_network(world):
    world = world()
    world.dev.smoke(ARN + "1")
    assert world.ecs.run["taskDefinition"] == f"{FAMILY}-smoke"
    (override,) = world.ecs.run["overrides"]["containerOverrides"]
    assert override["command"][-1] == OUTPUTS["Url"]
    (container,) = load("environment")["Resources"]["SmokeTask"]["Properties"][
        "ContainerDefinitions"
    ]
    assert override["name"] == container["Name"]


@pytest.mark.parametrize("exit_code", [1, None])
def test_a_smoke_test_that_fails_fails_the_step(world, exit_code):
    world = world()
    world.ecs.exit_code = exit_code
    with pytest.raises(deploy.Failed, match=f"ended with {exit_code}"):
        world.dev.smoke(ARN + "1")


def test_a_smoke_test_that_finds_no_place_fails_the_step(world):
    world = world()
    world.ecs.run_task = lambda **_: {"tasks": [], "failures": [{"reason": "Capacity"}]}
    with pytest.raises(deploy.Failed, match="no task: Capacity"):
        world.dev.smoke(ARN + "1")


def test_a_revision_that_is_not_in_service_is_not_smoke_tested(world):
    world = world()
    with pytest.raises(deploy.Failed, match="another revision"):
        world.dev.smoke(world.dev.register(world.image()))


class Service(BaseHTTPRequestHandler):
    """Answers the smoke test as ``server.answer(sentence, key)`` says."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers.get("X-API-Key")
        status, label = self.server.answer(body["sentence"], key)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps({"label": label}).encode())

    def log_message(self, *_):
        pass


def smoke(answer, **environment) -> subprocess.CompletedProcess:
    """Run what the smoke test's task runs, against a service that answers so."""
    server = HTTPServer(("127.0.0.1", 0), Service)
    server.answer = answer
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        return subprocess.run(
            [
                sys.executable,
                "-c",
                deploy.SMOKE,
                f"http://127.0.0.1:{server.server_port}",
            ],
            env=environment,
            capture_output=True,
            text=True,
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def right(sentence, key=None):
    return 200, "ABSENT" if "enies" in sentence else "PRESENT"


@pytest.mark.parametrize(
    "answer, passes",
    [
        (right, True),
        (lambda sentence, key: (500, ""), False),
        (lambda sentence, key: (401, ""), False),
        (lambda sentence, key: (429, ""), False),
        (lambda sentence, key: (200, "ABSENT"), False),  # always the same
        (lambda sentence, key: (200, None), False),
    ],
)
def test_the_smoke_test_passes_on_predictions_only(answer, passes):
    assert (smoke(answer).returncode == 0) is passes


def test_the_smoke_test_has_the_key_that_it_is_given():
    def guarded(sentence, key):
        return right(sentence) if key == "secret" else (401, "")

    assert smoke(guarded, SMOKE_KEY="secret").returncode == 0
    wrong = smoke(guarded, SMOKE_KEY="wrong-key")
    assert wrong.returncode == 1 and "wrong-key" not in wrong.stderr


def test_one_bad_task_of_many_fails_the_smoke_test():
    answers = iter([right] * 15 + [lambda sentence: (500, "")] * 5)
    assert smoke(lambda sentence, key: next(answers)(sentence)).returncode == 1


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
        "CircleCIOrganization": ORG,
        "CircleCIProject": ORG,
        "Deployers": ORG,
        "SigningKey": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1",
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


@pytest.fixture
def pushed(aws, tmp_path) -> str:
    """An image that was pushed, signed and scanned; gives its name."""
    kms, ecr = boto3.client("kms"), boto3.client("ecr")
    key = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
    kms.create_alias(AliasName=images.KEY, TargetKeyId=key["KeyMetadata"]["KeyId"])
    ecr.create_repository(repositoryName="negation-api")
    image = write_image(tmp_path / "image")
    for tag, manifest, name in (
        (images.tag(image), (image / "manifest.json").read_text(), digest(image)),
        (images.attestation_tag(digest(image)), attest(image, kms), None),
    ):
        members = {"imageManifest": manifest, "imageTag": tag}
        members |= {"imageDigest": name} if name else {}
        ecr.put_image(
            repositoryName="negation-api",
            imageManifestMediaType=json.loads(manifest)["mediaType"],
            **members,
        )
    ecr.start_image_scan(
        repositoryName="negation-api", imageId={"imageDigest": digest(image)}
    )
    return f"{REGISTRY}/negation-api@{digest(image)}"


def test_before_the_first_image_there_is_all_but_a_service(pushed, aws, capsys):
    outputs = make_stack(image="")
    assert OUTPUTS.keys() <= outputs.keys()
    assert aws.list_services(cluster=outputs["Cluster"])["serviceArns"] == []
    code, _, error = run(capsys, "register", image=pushed)
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


def test_a_revision_is_registered_in_aws(service, pushed, capsys):
    code, revision, error = run(capsys, "register", image=pushed)
    assert (code, error) == (0, "")
    found = service.describe_task_definition(
        taskDefinition=revision.strip(), include=["TAGS"]
    )
    (container,) = found["taskDefinition"]["containerDefinitions"]
    assert container["image"] == pushed
    assert {"key": "commit", "value": COMMIT} in found["tags"]
    assert run(capsys, "running")[:2] == (0, f"Image={OLD}\n")


def test_what_runs_is_told_as_the_stack_s_parameters(service, pushed, capsys):
    _, revision, _ = run(capsys, "register", image=pushed)
    service.update_service(
        cluster=FAMILY, service="negation-api", taskDefinition=revision.strip()
    )
    code, told, _ = run(capsys, "running")
    assert (code, dict(word.split("=") for word in told.split())) == (
        0,
        {
            "Image": pushed,
            "Commit": COMMIT,
            "Model": MODEL,
            "ModelRevision": REVISION,
        },
    )
    parameters = load("environment")["Parameters"]
    assert {word.split("=")[0] for word in told.split()} <= parameters.keys()


def test_in_aws_too_an_image_without_a_signature_is_refused(service, pushed, capsys):
    name = pushed[:-4] + "0000"
    code, out, error = run(capsys, "register", image=name)
    assert (code, out) == (1, "") and "has no attestation" in error


def test_a_wrong_account_is_told_in_one_line(aws, capsys):
    argv = ["running", "--environment", "dev", "--account", "999999999999"]
    assert deploy.main(argv) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert error == (
        "running: the credentials are of account 123456789012, not 999999999999\n"
    )
