"""What changes an environment: one command for each step of the pipeline.

    python infra/deploy.py COMMAND --environment dev|prod --account ID ...

    register --image NAME@sha256:...   prints the new revision's ARN
    release --revision ARN   update and smoke; what ran before, if smoke fails
    update --revision ARN    waits until it is in service
    smoke --revision ARN     asks for predictions through the load balancer
    running                  prints what runs now, as the stack's parameters

Rolling back is ``update`` with an older revision. Every step may be run again. Exit
code 1 says that the step failed, and why in one line; 2 that the call was wrong.

A step never guesses: ``update`` takes exactly the revision that was registered and
approved, whatever was registered since; the number of tasks is autoscaling's. Nor does
it believe: an image counts only with the signature that says it was tested, and a
revision's tags are what was signed.
"""

import argparse
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from images import BY_DIGEST, TAGS, Failed, check_scan, verify

CONTAINER = "negation-api"
SERVICE = "negation-api"
POLL_SECONDS = 10
UPDATE_SECONDS = 30 * 60  # the circuit breaker trips long before
SMOKE_SECONDS = 5 * 60
# Members that describe_task_definition gives and register_task_definition refuses.
GIVEN_BY_ECS = (
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
)
# Run in the image, which has no other client than Python's; often enough to meet every
# task. An answer that is always the same is not one.
SMOKE = """
import json, os, sys, urllib.request
headers = {"Content-Type": "application/json"}
if "SMOKE_KEY" in os.environ:
    headers["X-API-Key"] = os.environ["SMOKE_KEY"]
wanted = {"Denies [entity] fever [entity].": "ABSENT",
          "The patient has a [entity] cough [entity].": "PRESENT"}
for _ in range(10):
    for sentence, label in wanted.items():
        body = json.dumps({"sentence": sentence}).encode()
        asked = urllib.request.Request(sys.argv[1] + "/predict", body, headers)
        found = json.load(urllib.request.urlopen(asked, timeout=60))["label"]
        if found != label:
            sys.exit(f"{found} instead of {label}")
"""


class Environment:
    """One environment, as its stack's outputs describe it.

    :param session: a ``boto3.Session`` or what makes clients like one.
    :raises Failed: when the account or the stack is not what was named.
    """

    def __init__(self, session, name: str, account: str, sleep=time.sleep):
        config = Config(retries={"mode": "standard", "max_attempts": 8})
        found = session.client("sts", config=config).get_caller_identity()["Account"]
        if found != account:
            raise Failed(f"the credentials are of account {found}, not {account}")
        self._deployer = f"negation-api-deploy-{name}"
        self._name = name
        self._ecs = session.client("ecs", config=config)
        self._ecr = session.client("ecr", config=config)
        self._kms = session.client("kms", config=config)
        stacks = session.client("cloudformation", config=config).describe_stacks(
            StackName=f"negation-api-{name}"
        )
        outputs = stacks["Stacks"][0]["Outputs"]
        self._outputs = {each["OutputKey"]: each["OutputValue"] for each in outputs}
        self._sleep = sleep

    @property
    def _cluster(self) -> str:
        return self._outputs["Cluster"]

    def _service(self) -> dict:
        found = self._ecs.describe_services(cluster=self._cluster, services=[SERVICE])
        if not found["services"] or found["services"][0]["status"] != "ACTIVE":
            raise Failed("there is no service yet: update the stack with Image first")
        return found["services"][0]

    def _definition(self, revision: str) -> dict:
        found = self._ecs.describe_task_definition(taskDefinition=revision)
        return found["taskDefinition"]

    def running(self) -> str:
        """Give the image that the service runs and its tags: ``Image=... Commit=...``.

        A stack that is updated with these parameters goes on running it.
        """
        found = self._ecs.describe_task_definition(
            taskDefinition=self._service()["taskDefinition"], include=["TAGS"]
        )
        tags = {each["key"]: each["value"] for each in found.get("tags", [])}
        values = {"Image": _container(found["taskDefinition"])["image"]}
        values |= {p: tags[tag] for tag, p in TAGS.items() if tag in tags}
        return " ".join(f"{name}={value}" for name, value in values.items())

    def register(self, image: str) -> str:
        """Register what the service runs, but with *image*; give the ARN.

        :param image: by digest, so that what runs is what was approved.
        :raises Failed: when it was not signed after its tests, or ECR's scan found
            what nobody accepted.
        """
        if not BY_DIGEST.fullmatch(image):
            raise Failed("the image must be named by digest")
        signed = verify(image, self._ecr, self._kms)
        check_scan(image, self._ecr, sleep=self._sleep)
        definition = self._definition(self._service()["taskDefinition"])
        for member in GIVEN_BY_ECS:
            definition.pop(member, None)
        _container(definition)["image"] = image
        values = {"project": "negation_api", "environment": self._name}
        values |= {tag: signed[tag] for tag in TAGS}
        tags = [{"key": key, "value": value} for key, value in values.items()]
        made = self._ecs.register_task_definition(**definition, tags=tags)
        return made["taskDefinition"]["taskDefinitionArn"]

    def release(self, revision: str) -> None:
        """Put *revision* into service and ask it; take it back if it does not answer.

        What fails earlier ECS takes back itself: tasks that do not start, and alarms.

        :raises Failed: with what is in service then.
        """
        before = self._service()["taskDefinition"]
        self.update(revision)
        try:
            self.smoke(revision)
        except Failed as error:
            if before == revision:
                raise Failed(f"{error}; it ran before, so nothing was put back")
            self._put(before)  # as it was, whoever signed it
            raise Failed(f"{error}; {before} is back in service") from None

    def update(self, revision: str) -> None:
        """Put *revision* into service and wait until it is.

        :raises Failed: at once when ECS gives up or rolls back, or when somebody
            deploys something else; otherwise after ``UPDATE_SECONDS``.
        """
        self._check(revision)
        self._put(revision)

    def _put(self, revision: str) -> None:
        service = self._service()
        deployment = _deployment_of(service, revision)
        if deployment is None:
            service = self._ecs.update_service(
                cluster=self._cluster, service=SERVICE, taskDefinition=revision
            )["service"]
            deployment = _deployment_of(service, revision)
        if deployment is None:
            raise Failed("another deployment took this one's place")
        self._wait(deployment["id"])

    def _check(self, revision: str) -> None:
        definition = self._definition(revision)
        family, wanted = definition["family"], self._outputs["Family"]
        if definition["taskDefinitionArn"] != revision or family != wanted:
            raise Failed(f"the revision must be an ARN of family {wanted}")
        if definition["status"] != "ACTIVE":
            raise Failed(f"the revision is {definition['status']}")
        # Who may register at all may do so in any family, but not under another name.
        by = definition.get("registeredBy", "")
        other = ":assumed-role/negation-api-" in by
        if other and f":assumed-role/{self._deployer}/" not in by:
            raise Failed(f"the revision was registered by {by}")
        verify(_container(definition)["image"], self._ecr, self._kms)

    def _wait(self, deployment_id: str) -> None:
        for _ in range(UPDATE_SECONDS // POLL_SECONDS):
            deployments = {d["id"]: d for d in self._service()["deployments"]}
            ours = deployments.get(deployment_id)
            if ours is None:
                raise Failed("the deployment is gone: another took its place")
            state = ours.get("rolloutState")
            if state == "FAILED":
                raise Failed(f"ECS gave up: {ours.get('rolloutStateReason', '')}")
            if ours["status"] != "PRIMARY":
                raise Failed("another deployment took this one's place")
            if state == "COMPLETED":
                return
            self._sleep(POLL_SECONDS)
        raise Failed(f"not in service after {UPDATE_SECONDS} s")

    def smoke(self, revision: str) -> None:
        """Ask for predictions through the load balancer, from a task beside it."""
        if self._service()["taskDefinition"] != revision:
            raise Failed("the service runs another revision")
        command = ["python", "-c", SMOKE, self._outputs["Url"]]
        started = self._ecs.run_task(
            cluster=self._cluster,
            taskDefinition=f"{self._outputs['Family']}-smoke",
            launchType="FARGATE",
            startedBy="smoke-test",
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": self._outputs["Subnets"].split(","),
                    "securityGroups": [self._outputs["SecurityGroup"]],
                    "assignPublicIp": "DISABLED",
                }
            },
            overrides={"containerOverrides": [{"name": "smoke", "command": command}]},
        )
        if not started["tasks"]:
            raise Failed(f"no task: {started['failures'][0].get('reason')}")
        self._wait_for_task(started["tasks"][0]["taskArn"])

    def _wait_for_task(self, arn: str) -> None:
        for _ in range(SMOKE_SECONDS // POLL_SECONDS):
            found = self._ecs.describe_tasks(cluster=self._cluster, tasks=[arn])
            for task in found["tasks"]:
                if task["lastStatus"] != "STOPPED":
                    continue
                code = task["containers"][0].get("exitCode")
                if code != 0:
                    reason = task.get("stoppedReason", "")
                    raise Failed(
                        f"the smoke test ended with {code} ({reason}); the log streams"
                        " smoke/... say why"
                    )
                return
            self._sleep(POLL_SECONDS)
        raise Failed(f"the smoke test has not ended after {SMOKE_SECONDS} s")


def _container(definition: dict) -> dict:
    (container,) = (
        c for c in definition["containerDefinitions"] if c["name"] == CONTAINER
    )
    return container


def _deployment_of(service: dict, revision: str) -> dict | None:
    """Give the deployment that is to bring, or brought, *revision* into service."""
    for deployment in service["deployments"]:
        primary = deployment["status"] == "PRIMARY"
        if primary and deployment["taskDefinition"] == revision:
            return deployment if deployment.get("rolloutState") != "FAILED" else None
    return None


def main(argv: list[str]) -> int:
    """Run one step."""
    parser = argparse.ArgumentParser(prog="deploy.py", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    wanted = {
        "register": ("--image",),
        "release": ("--revision",),
        "update": ("--revision",),
        "smoke": ("--revision",),
        "running": (),
    }
    for name, options in wanted.items():
        step = steps.add_parser(name)
        for option in ("--environment", "--account", *options):
            step.add_argument(option, required=True)
    args = vars(parser.parse_args(argv))
    step, name, account = (args.pop(k) for k in ("step", "environment", "account"))
    try:
        environment = Environment(boto3.Session(), name, account)
        told = getattr(environment, step)(**args)
    except (Failed, ClientError, BotoCoreError) as error:
        print(f"{step}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    if told:
        print(told)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
