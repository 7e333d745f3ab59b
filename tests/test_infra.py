"""The CloudFormation templates: least privilege, in step with the service."""

import json
import logging
import re
import subprocess
import sys

import pytest

import costs
import report
from cloudformation import INFRA, Stack, load, properties
from iam import allows, as_list, like
from negation_api.settings import Settings
from negation_api.http.telemetry import JSONFormatter

ORG = "11111111-1111-1111-1111-111111111111"
PROJECT = "22222222-2222-2222-2222-222222222222"
ALICE = "33333333-3333-3333-3333-333333333333"  # pushes, and deploys to dev
BOB = "44444444-4444-4444-4444-444444444444"  # the same
CAROL = "55555555-5555-5555-5555-555555555555"  # deploys to prod
MALLORY = "66666666-6666-6666-6666-666666666666"
REPOSITORY = "github.com/acme/negation_api"
ID = "123456789012"
ACCOUNT = load("account")
ENVIRONMENT = load("environment")
TEMPLATES = {"account": ACCOUNT, "environment": ENVIRONMENT}
OF_ALL = {
    "CircleCIOrganization": ORG,
    "CircleCIProject": PROJECT,
    "Repository": REPOSITORY,
}
KEY = f"arn:aws:kms:eu-central-1:{ID}:key/1"
STACKS = {
    "push": Stack(ACCOUNT, Pushers=f"{ALICE},{BOB}", **OF_ALL),
    "dev": Stack(
        ENVIRONMENT,
        Environment="dev",
        Deployers=f"{ALICE},{BOB}",
        SigningKey=KEY,
        **OF_ALL,
    ),
    "prod": Stack(
        ENVIRONMENT, Environment="prod", Deployers=CAROL, SigningKey=KEY, **OF_ALL
    ),
}
ROLES = {"push": "PushRole", "dev": "DeployRole", "prod": "DeployRole"}
ENVIRONMENTS = ("dev", "prod")


def resource(name: str) -> dict:
    return ENVIRONMENT["Resources"][name]["Properties"]


def attributes(pairs: list[dict]) -> dict:
    return {pair["Key"]: pair["Value"] for pair in pairs}


# --- who may take the roles -----------------------------------------------------


def subject(user=ALICE, repository=REPOSITORY, ref="refs/heads/main") -> str:
    """Give the subject of CircleCI's second kind of token."""
    return (
        f"org/{ORG}/project/{PROJECT}/user/{user}"
        f"/vcs-origin/{repository}/vcs-ref/{ref}"
    )


def may_assume(role: str, claims: dict) -> bool:
    """Evaluate the trust policy on claims, of which STS shows IAM these.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html
    """
    text = STACKS[role].resource(ROLES[role])["AssumeRolePolicyDocument"]
    policy = json.loads(text)
    provider = f"oidc.circleci.com/org/{ORG}"
    for statement in policy["Statement"]:
        federated = f"arn:aws:iam::{ID}:oidc-provider/{provider}"
        assert statement["Principal"] == {"Federated": federated}
    shown = {"aud", "sub", "oidc.circleci.com/project-id"}
    context = {f"{provider}:{k}": v for k, v in claims.items() if k in shown}
    return allows([policy], "sts:AssumeRoleWithWebIdentity", **context)


RIGHT = {
    "aud": ORG,
    "oidc.circleci.com/project-id": PROJECT,
    "oidc.circleci.com/context-ids": ["77777777-7777-7777-7777-777777777777"],
    "oidc.circleci.com/ssh-rerun": False,
    "sub": subject(),
}
PLAIN = f"org/{ORG}/project/{PROJECT}/user/{ALICE}"  # of the first kind of token
CLAIMS = {
    "a user who may, on main": ({}, True),
    "another who may": ({"sub": subject(BOB)}, True),
    # What CircleCI knows and STS does not show: docs/deploy.md says what follows.
    "a user who may, without a context": ({"oidc.circleci.com/context-ids": []}, True),
    "a user who may, by SSH": ({"oidc.circleci.com/ssh-rerun": True}, True),
    "another user": ({"sub": subject(MALLORY)}, False),
    "another user, by SSH": (
        {"sub": subject(MALLORY), "oidc.circleci.com/ssh-rerun": True},
        False,
    ),
    "the other environment's user": ({"sub": subject(CAROL)}, False),
    "a user whose id begins the same": ({"sub": subject(ALICE + "0")}, False),
    "every user": ({"sub": subject("*")}, False),
    "no user": ({"sub": subject("")}, False),
    "another organization": ({"aud": ALICE}, False),
    "another audience": ({"aud": "sts.amazonaws.com"}, False),
    "another project": ({"oidc.circleci.com/project-id": ORG}, False),
    "a subject of another project": (
        {"sub": subject().replace(f"project/{PROJECT}", f"project/{ORG}")},
        False,
    ),
    "another branch": ({"sub": subject(ref="refs/heads/feature")}, False),
    "a branch that begins with main": (
        {"sub": subject(ref="refs/heads/main-2")},
        False,
    ),
    "a branch that ends with main": ({"sub": subject(ref="refs/heads/x/main")}, False),
    "a tag called main": ({"sub": subject(ref="refs/tags/main")}, False),
    "a pull request": ({"sub": subject(ref="refs/pull/7/head")}, False),
    "a pull request as a branch": ({"sub": subject(ref="refs/heads/pull/7")}, False),
    "a pull request from a fork": (
        {"sub": subject(repository="github.com/mallory/negation_api")},
        False,
    ),
    "a pull request from a fork, by another": (
        {
            "sub": subject(
                MALLORY, "github.com/mallory/negation_api", "refs/heads/pull/7"
            )
        },
        False,
    ),
    "a branch whose name ends like a subject": (
        {"sub": subject(ref=f"refs/heads/x/{subject().partition('user/')[2]}")},
        False,
    ),
    "another user, a branch whose name ends like a subject": (
        {"sub": subject(MALLORY, ref=f"refs/heads/x/{subject()}")},
        False,
    ),
    "another user, a branch named after one who may": (
        {"sub": subject(MALLORY, ref=f"refs/heads/user/{ALICE}/vcs-origin/x")},
        False,
    ),
    "GitHub's form": ({"sub": f"repo:{REPOSITORY}:ref:refs/heads/main"}, False),
    "the first kind of token": ({"sub": PLAIN}, False),
    "a pipeline of a webhook, which has no branch": (
        {"sub": f"{PLAIN}/vcs-origin/{REPOSITORY}"},
        False,
    ),
    "an empty subject": ({"sub": ""}, False),
}


@pytest.mark.parametrize("claims, expected", CLAIMS.values(), ids=CLAIMS)
@pytest.mark.parametrize("role", ["push", "dev"])
def test_main_and_the_users_who_are_named_take_a_role(role, claims, expected):
    assert may_assume(role, RIGHT | claims) is expected


@pytest.mark.parametrize("claim", ["aud", "sub", "oidc.circleci.com/project-id"])
@pytest.mark.parametrize("role", ROLES)
def test_a_token_that_lacks_a_claim_takes_no_role(role, claim):
    claims = RIGHT | {"sub": subject(CAROL if role == "prod" else ALICE)}
    assert may_assume(role, claims)
    assert not may_assume(role, {k: v for k, v in claims.items() if k != claim})


def test_who_deploys_to_dev_does_not_to_prod():
    taken = {
        user: [
            role for role in ROLES if may_assume(role, RIGHT | {"sub": subject(user)})
        ]
        for user in (ALICE, CAROL, MALLORY)
    }
    assert taken == {ALICE: ["push", "dev"], CAROL: ["prod"], MALLORY: []}


@pytest.mark.parametrize("role", ROLES)
def test_iam_takes_a_trust_policy_with_ten_users(role):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
    users = {name: ",".join([ALICE] * 10) for name in ("Pushers", "Deployers")}
    stack = STACKS[role]
    names = stack.template["Parameters"].keys() & users.keys()
    made = Stack(stack.template, **OF_ALL, **{name: users[name] for name in names})
    assert len(made.resource(ROLES[role])["AssumeRolePolicyDocument"]) <= 2048


@pytest.mark.parametrize(
    "template, name", [(ACCOUNT, "Pushers"), (ENVIRONMENT, "Deployers")]
)
def test_users_are_named_by_their_ids_and_by_no_pattern(template, name):
    parameter = template["Parameters"][name]
    assert "Default" not in parameter
    assert re.fullmatch(parameter["AllowedPattern"], ALICE)
    for other in ("*", "", f"{ALICE[:-1]}*", f'{ALICE}"'):
        assert not re.fullmatch(parameter["AllowedPattern"], other)


# --- what the roles may do --------------------------------------------------------


def policies(role: str) -> list[dict]:
    made = STACKS[role].resource(ROLES[role])["Policies"]
    return [policy["PolicyDocument"] for policy in made]


def arn(service: str, rest: str) -> str:
    region = "" if service == "iam" else "eu-central-1"
    return f"arn:aws:{service}:{region}:{ID}:{rest}"


def of(name: str) -> dict[str, tuple]:
    """Give what a deployment to an environment does: action, resource, context."""
    definition = arn("ecs", f"task-definition/negation-api-{name}:7")
    service = arn("ecs", f"service/negation-api-{name}/negation-api")
    smoke = arn("ecs", f"task-definition/negation-api-{name}-smoke:1")
    cluster = {"ecs__cluster": arn("ecs", f"cluster/negation-api-{name}")}
    passed = {"iam__PassedToService": "ecs-tasks.amazonaws.com"}
    stack = arn("cloudformation", f"stack/negation-api-{name}/1")
    task = arn("ecs", f"task/negation-api-{name}/1")
    tagging = {"ecs__CreateAction": "RegisterTaskDefinition"}
    return {
        "register": (
            "ecs:RegisterTaskDefinition",
            "*",
            {"aws__RequestTag/environment": name},
        ),
        "tag": ("ecs:TagResource", definition, tagging),
        "look": ("ecs:DescribeServices", service, {}),
        "update": ("ecs:UpdateService", service, {"ecs__task-definition": definition}),
        "run the smoke test": ("ecs:RunTask", smoke, cluster),
        "wait for it": ("ecs:DescribeTasks", task, {}),
        "read outputs": ("cloudformation:DescribeStacks", stack, {}),
        "pass the execution role": (
            "iam:PassRole",
            arn("iam", f"role/negation-api-{name}-execution"),
            passed,
        ),
        "pass the task role": (
            "iam:PassRole",
            arn("iam", f"role/negation-api-{name}-task"),
            passed,
        ),
    }


@pytest.mark.parametrize("step", of("dev"))
@pytest.mark.parametrize("own, other", [("dev", "prod"), ("prod", "dev")])
def test_a_role_deploys_to_its_environment_and_not_to_the_other(step, own, other):
    action, resource, context = of(own)[step]
    assert allows(policies(own), action, resource, **context)
    action, resource, context = of(other)[step]
    assert not allows(policies(own), action, resource, **context)


def test_what_is_registered_in_another_family_would_have_to_be_tagged_there():
    """The action knows no family; a tag is asked for, and tagging knows one."""
    register, _, context = of("dev")["register"]
    assert allows(policies("dev"), register, "*", **context)
    assert not allows(policies("dev"), register, "*")
    assert not allows(policies("dev"), *of("prod")["tag"][:2], **of("dev")["tag"][2])


def test_a_service_takes_no_revision_of_the_other_environment():
    action, service, _ = of("dev")["update"]
    _, _, context = of("prod")["update"]
    assert not allows(policies("dev"), action, service, **context)


def test_the_smoke_test_runs_in_its_own_cluster_only():
    action, definition, _ = of("dev")["run the smoke test"]
    _, _, context = of("prod")["run the smoke test"]
    assert not allows(policies("dev"), action, definition, **context)


NOBODY = [
    ("ecr:BatchDeleteImage", arn("ecr", "repository/negation-api"), {}),
    ("ecs:CreateService", arn("ecs", "service/negation-api-prod/other"), {}),
    ("ecs:DeleteService", arn("ecs", "service/negation-api-prod/negation-api"), {}),
    ("ecs:ExecuteCommand", arn("ecs", "task/negation-api-prod/1"), {}),
    ("ecs:RunTask", *of("prod")["tag"][1:2], of("prod")["run the smoke test"][2]),
    ("iam:PassRole", arn("iam", "role/Admin"), of("prod")["pass the task role"][2]),
    ("iam:PassRole", of("prod")["pass the task role"][1], {}),
    ("iam:PutRolePolicy", arn("iam", "role/negation-api-deploy-prod"), {}),
    ("iam:UpdateAssumeRolePolicy", arn("iam", "role/negation-api-deploy-prod"), {}),
    ("kms:DisableKey", KEY, {}),
    ("kms:PutKeyPolicy", KEY, {}),
    ("secretsmanager:GetSecretValue", arn("secretsmanager", "secret:keys"), {}),
    ("sts:AssumeRole", arn("iam", "role/negation-api-deploy-prod"), {}),
    (
        "cloudformation:UpdateStack",
        arn("cloudformation", "stack/negation-api-prod/1"),
        {},
    ),
    ("application-autoscaling:RegisterScalableTarget", "*", {}),
    ("cloudwatch:DeleteAlarms", "*", {}),
    ("cloudtrail:StopLogging", "*", {}),
]


@pytest.mark.parametrize("action, resource, context", NOBODY, ids=lambda x: str(x)[:40])
@pytest.mark.parametrize("role", ROLES)
def test_no_role_of_the_pipeline_s_may(role, action, resource, context):
    assert not allows(policies(role), action, resource, **context)


def signing_key() -> str:
    return STACKS["push"].resolve({"Fn::GetAtt": ["SigningKey", "Arn"]})


@pytest.mark.parametrize(
    "action, resource, may",
    [
        ("ecr:PutImage", arn("ecr", "repository/negation-api"), ["push"]),
        ("ecr:PutImage", arn("ecr", "repository/other"), []),
        ("kms:Sign", signing_key(), ["push"]),
        ("kms:Sign", KEY, []),  # the deployers' name for it
        ("kms:Verify", KEY, ["dev", "prod"]),
        ("ecr:BatchGetImage", arn("ecr", "repository/negation-api"), list(ROLES)),
        ("ecs:DescribeTaskDefinition", "*", ["dev", "prod"]),
    ],
)
def test_who_pushes_signs_and_who_deploys_only_checks(action, resource, may):
    assert [role for role in ROLES if allows(policies(role), action, resource)] == may


def statements(stack: Stack):
    for name, role in properties(stack.template, "AWS::IAM::Role").items():
        for policy in stack.resource(name).get("Policies", []):
            yield from policy["PolicyDocument"]["Statement"]


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_no_policy_allows_everything(stack):
    found = list(statements(stack))
    assert found
    knows_no_resource = {
        "ecr:GetAuthorizationToken",
        "ecs:DescribeTaskDefinition",
        "ecs:RegisterTaskDefinition",
    }
    for statement in found:
        actions = as_list(statement["Action"])
        assert not any("*" in action for action in actions)
        if statement["Resource"] == "*":
            assert set(actions) <= knows_no_resource


def test_the_service_s_own_role_may_do_nothing():
    assert "Policies" not in resource("TaskRole")
    assert "ManagedPolicyArns" not in resource("TaskRole")


def test_secrets_are_read_by_ecs_where_they_are_given():
    secrets = {
        "ApiKeysSecret": arn("secretsmanager", "secret:digests"),
        "SmokeKeySecret": arn("secretsmanager", "secret:key"),
    }
    stack = Stack(ENVIRONMENT, **secrets)
    (policy,) = stack.resource("ExecutionRole")["Policies"]
    read = [policy["PolicyDocument"]]
    for secret in secrets.values():
        assert allows(read, "secretsmanager:GetSecretValue", secret)
    (policy,) = Stack(ENVIRONMENT).resource("ExecutionRole")["Policies"]
    assert "secretsmanager" not in json.dumps(policy)


# --- images -----------------------------------------------------------------------


def test_image_tags_are_immutable_and_images_scanned():
    (images,) = properties(ACCOUNT, "AWS::ECR::Repository").values()
    assert images["ImageTagMutability"] == "IMMUTABLE"
    assert images["ImageScanningConfiguration"] == {"ScanOnPush": True}
    rules = json.loads(images["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert {rule["action"]["type"] for rule in rules} == {"expire"}


def test_only_an_image_named_by_digest_is_taken():
    pattern = ENVIRONMENT["Parameters"]["Image"]["AllowedPattern"]
    assert pattern == "|.+@sha256:[0-9a-f]{64}"


# --- the service --------------------------------------------------------------------


def test_a_deployment_that_fails_is_rolled_back():
    deployment = resource("Service")["DeploymentConfiguration"]
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    assert deployment["MinimumHealthyPercent"] == 100


def test_a_release_that_answers_with_errors_is_rolled_back():
    watched = STACKS["prod"].resource("Service")["DeploymentConfiguration"]["Alarms"]
    assert watched["Enable"] is True and watched["Rollback"] is True
    assert watched["AlarmNames"] == ["ServiceErrorRate", "LoadBalancerErrorRate"]


def test_the_number_of_tasks_is_autoscaling_s():
    assert "DesiredCount" not in resource("Service")
    metrics = {
        resource(name)["TargetTrackingScalingPolicyConfiguration"][
            "PredefinedMetricSpecification"
        ]["PredefinedMetricType"]
        for name in ("ScaleOnRequests", "ScaleOnCpu")
    }
    assert metrics == {"ALBRequestCountPerTarget", "ECSServiceAverageCPUUtilization"}


def container() -> dict:
    (container,) = resource("Task")["ContainerDefinitions"]
    return container


def test_the_container_may_do_nothing_it_need_not():
    assert container()["ReadonlyRootFilesystem"] is True
    assert container()["User"] == "10001"
    assert container()["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
    network = resource("Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "DISABLED"


def test_secrets_come_from_secrets_manager():
    condition, secrets, _ = container()["Secrets"]["Fn::If"]
    assert secrets == [
        {"Name": "API_KEYS_SHA256", "ValueFrom": {"Ref": "ApiKeysSecret"}}
    ]
    names = {each["Name"] for each in container()["Environment"]}
    assert "API_KEYS_SHA256" not in names


def test_the_smoke_test_has_a_key_where_keys_are_on_and_the_service_has_none():
    secret = arn("secretsmanager", "secret:key")
    stack = Stack(ENVIRONMENT, SmokeKeySecret=secret)
    (client,) = stack.resource("SmokeTask")["ContainerDefinitions"]
    assert client["Secrets"] == [{"Name": "SMOKE_KEY", "ValueFrom": secret}]
    assert secret not in json.dumps(stack.resource("Task"))
    (client,) = Stack(ENVIRONMENT).resource("SmokeTask")["ContainerDefinitions"]
    assert "Secrets" not in client
    (rule,) = ENVIRONMENT["Rules"].values()
    given = Stack(ENVIRONMENT, ApiKeysSecret=secret)
    assert given.resolve(rule["RuleCondition"]) is True
    (assertion,) = rule["Assertions"]
    assert given.resolve(assertion["Assert"]) is False
    assert stack.resolve(assertion["Assert"]) is True


def test_the_smoke_test_may_do_no_more_than_the_service():
    (client,) = resource("SmokeTask")["ContainerDefinitions"]
    assert "TaskRoleArn" not in resource("SmokeTask")
    for member in ("User", "ReadonlyRootFilesystem"):
        assert client[member] == container()[member]
    assert client["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}


def test_what_the_task_is_told_are_settings():
    told = {each["Name"]: each["Value"] for each in container()["Environment"]}
    told = Stack(ENVIRONMENT).resolve(told)
    settings = Settings.from_env(told)
    assert (settings.precision, settings.metrics_port) == ("int8", 9100)
    assert settings.cpus == settings.inference_threads == 2  # of 2048 units


def test_every_size_has_as_many_threads_as_cores():
    for size in ENVIRONMENT["Parameters"]["Cpu"]["AllowedValues"]:
        threads = ENVIRONMENT["Mappings"]["Cpus"][size]["Threads"]
        assert int(threads) * 1024 == int(size)


def test_times_agree_with_the_service_s():
    """Each is shorter than the next that waits for it."""
    settings = Settings()
    balancer = attributes(resource("LoadBalancer")["LoadBalancerAttributes"])
    targets = attributes(resource("Targets")["TargetGroupAttributes"])
    idle = int(balancer["idle_timeout.timeout_seconds"])
    drain = int(targets["deregistration_delay.timeout_seconds"])
    assert settings.request_timeout < idle < settings.keepalive
    assert settings.request_timeout < drain
    assert settings.graceful_timeout < container()["StopTimeout"] <= 120


def test_what_runs_is_tagged_with_commit_and_model():
    tags = attributes(resource("Task")["Tags"])
    assert {"environment", "commit", "model", "model-revision"} <= tags.keys()
    assert resource("Service")["PropagateTags"] == "TASK_DEFINITION"


def test_metrics_are_out_of_reach_from_outside():
    (rule,) = properties(
        ENVIRONMENT, "AWS::ElasticLoadBalancingV2::ListenerRule"
    ).values()
    (condition,) = rule["Conditions"]
    assert "/metrics" in condition["PathPatternConfig"]["Values"]
    (action,) = rule["Actions"]
    assert action["FixedResponseConfig"]["StatusCode"] == "404"
    ingress = properties(ENVIRONMENT, "AWS::EC2::SecurityGroupIngress")
    assert {each["ToPort"] for each in ingress.values()} == {8000, 443}


def test_the_listener_speaks_tls_only():
    listeners = properties(ENVIRONMENT, "AWS::ElasticLoadBalancingV2::Listener")
    (listener,) = listeners.values()
    assert (listener["Protocol"], listener["Port"]) == ("HTTPS", 443)
    assert "TLS13" in listener["SslPolicy"]


@pytest.mark.parametrize(
    "metric",
    [
        "HTTPCode_Target_5XX_Count",
        "HTTPCode_ELB_5XX_Count",
        "TargetResponseTime",
        "UnHealthyHostCount",
        "HealthyHostCount",
        "Throttled",
        "Faults",
    ],
)
def test_an_alarm_watches(metric):
    alarms = properties(ENVIRONMENT, "AWS::CloudWatch::Alarm").values()
    assert [a for a in alarms if a.get("MetricName") == metric]


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_every_alarm_wakes_somebody(template):
    for alarm in properties(template, "AWS::CloudWatch::Alarm").values():
        assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}]


def fires(name: str, minutes: list[dict]) -> bool:
    """Evaluate an alarm on a rate: sums of its metrics, minute by minute."""
    alarm = resource(name)
    (rate,) = (each for each in alarm["Metrics"] if "Expression" in each)
    ids = [each["Id"] for each in alarm["Metrics"] if each is not rate]
    breaching = 0
    for minute in minutes[-alarm["EvaluationPeriods"] :]:
        values = {name: minute.get(name) for name in ids}
        values["FILL"] = lambda value, instead: instead if value is None else value
        try:
            breaching += eval(rate["Expression"], {}, values) >= alarm["Threshold"]
        except TypeError:  # a metric without data gives none
            assert alarm["TreatMissingData"] == "notBreaching"
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    return breaching >= alarm["DatapointsToAlarm"]


@pytest.mark.parametrize(
    "name, minute, expected",
    [
        ("ServiceErrorRate", {"errors": 4, "requests": 4}, True),
        ("ServiceErrorRate", {"errors": 1, "requests": 1}, True),
        ("ServiceErrorRate", {"errors": 50, "requests": 1000}, True),
        ("ServiceErrorRate", {"errors": 49, "requests": 1000}, False),
        ("ServiceErrorRate", {"requests": 4}, False),
        ("ServiceErrorRate", {}, False),
        ("LoadBalancerErrorRate", {"errors": 4}, True),
        ("LoadBalancerErrorRate", {"errors": 4, "requests": 4}, True),
        ("LoadBalancerErrorRate", {"errors": 1, "requests": 1000}, False),
        ("LoadBalancerErrorRate", {"requests": 4}, False),
    ],
)
def test_a_rate_is_watched_however_little_traffic_there_is(name, minute, expected):
    assert fires(name, [minute] * 5) is expected
    quiet = {"requests": 100}
    assert fires(name, [quiet, quiet, quiet, minute, minute]) is False  # a moment


@pytest.mark.parametrize("name", ["ServiceErrorRate", "LoadBalancerErrorRate"])
def test_rates_are_of_the_environment_s_own_load_balancer(name):
    wanted = {
        "errors": {
            "ServiceErrorRate": "HTTPCode_Target_5XX_Count",
            "LoadBalancerErrorRate": "HTTPCode_ELB_5XX_Count",
        }[name],
        "requests": "RequestCount",
    }
    metrics = [each for each in resource(name)["Metrics"] if "MetricStat" in each]
    assert {m["Id"]: m["MetricStat"]["Metric"]["MetricName"] for m in metrics} == wanted
    for each in metrics:
        assert each["ReturnData"] is False
        assert each["MetricStat"]["Stat"] == "Sum"
        (dimension,) = each["MetricStat"]["Metric"]["Dimensions"]
        assert dimension["Value"] == {
            "Fn::GetAtt": ["LoadBalancer", "LoadBalancerFullName"]
        }


def line(level: int, message: str, **extra) -> dict:
    """Log a line as the service does."""
    record = logging.makeLogRecord(
        {"levelno": level, "levelname": logging.getLevelName(level), "msg": message}
        | extra
    )
    return json.loads(JSONFormatter().format(record))


@pytest.mark.parametrize(
    "level, message, counted",
    [
        (logging.CRITICAL, "batch hangs", "FaultsFilter"),
        (logging.ERROR, "inference thread died; replaced", "FaultsFilter"),
        (logging.ERROR, "counts of a worker lost: ValueError", "FaultsFilter"),
        (logging.WARNING, "request not handled", None),
        (logging.INFO, "Booting worker with pid: 7", None),
    ],
)
def test_what_the_log_says_is_counted(level, message, counted):
    filters = properties(ENVIRONMENT, "AWS::Logs::MetricFilter").items()
    said = line(level, message)
    assert [name for name, each in filters if matches(each["FilterPattern"], said)] == (
        [counted] if counted else []
    )


def test_refusals_are_counted():
    pattern = resource("ThrottledFilter")["FilterPattern"]
    assert matches(pattern, line(logging.INFO, "request", status=429))
    assert not matches(pattern, line(logging.INFO, "request", status=200))


def test_what_is_counted_has_an_alarm():
    for name, each in properties(ENVIRONMENT, "AWS::Logs::MetricFilter").items():
        (made,) = each["MetricTransformations"]
        (alarm,) = (
            alarm
            for alarm in properties(ENVIRONMENT, "AWS::CloudWatch::Alarm").values()
            if alarm.get("MetricName") == made["MetricName"]
        )
        assert alarm["Namespace"] == made["MetricNamespace"]
        assert each["LogGroupName"] == {"Ref": "Log"}


def wakes(event: dict) -> bool:
    """Evaluate the filter of the trail's log."""
    (name,) = properties(ACCOUNT, "AWS::Logs::MetricFilter")
    return matches(STACKS["push"].resource(name)["FilterPattern"], event)


def matches(pattern: str, event: dict) -> bool:
    """Evaluate a filter's pattern, as far as CloudWatch documents it."""

    def compare(match) -> str:
        path, operator, wanted = match.groups()
        value = event
        for member in path.split("."):
            value = (value or {}).get(member)
        same = value is not None and like(str(value), wanted)
        return str(same if operator == "=" else not same)

    form = r'\$\.([\w.]+) (!?=) "?([^"&|)}]*)"?'
    words = re.sub(form, compare, " ".join(pattern.split()).strip("{}"))
    return eval(words.replace("&&", "and").replace("||", "or"))


TAKEN = {
    "eventName": "AssumeRoleWithWebIdentity",
    "userIdentity": {"userName": RIGHT["sub"]},
    "requestParameters": {"roleArn": arn("iam", "role/negation-api-deploy-dev")},
}


@pytest.mark.parametrize(
    "members, expected",
    [
        ({}, False),
        ({"errorCode": "AccessDenied"}, True),
        ({"userIdentity": {"userName": RIGHT["sub"][:-4] + "feature"}}, True),
        ({"userIdentity": {"userName": RIGHT["sub"].replace(PROJECT, ORG)}}, True),
        ({"requestParameters": {"roleArn": "another"}, "errorCode": "x"}, False),
        (
            {
                "requestParameters": {"roleArn": arn("iam", "role/negation-api-push")},
                "errorCode": "AccessDenied",
            },
            True,
        ),
    ],
)
def test_an_unexpected_use_of_a_role_wakes_somebody(members, expected):
    assert wakes(TAKEN | members) is expected


def test_that_filter_has_an_alarm_and_a_trail():
    (metric,) = properties(ACCOUNT, "AWS::Logs::MetricFilter").values()
    (alarm,) = properties(ACCOUNT, "AWS::CloudWatch::Alarm").values()
    (transformation,) = metric["MetricTransformations"]
    assert alarm["MetricName"] == transformation["MetricName"]
    assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}]
    (trail,) = properties(ACCOUNT, "AWS::CloudTrail::Trail").values()
    assert trail["IsLogging"] and trail["IncludeGlobalServiceEvents"]
    assert metric["LogGroupName"] == {"Ref": "TrailLog"}
    assert trail["CloudWatchLogsLogGroupArn"] == {"Fn::GetAtt": ["TrailLog", "Arn"]}


def test_logs_are_let_into_their_buckets():
    policies = properties(ACCOUNT, "AWS::S3::BucketPolicy")
    writes = {
        statement["Principal"]["Service"]: statement
        for policy in policies.values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "s3:PutObject"
    }
    trail = writes["cloudtrail.amazonaws.com"]
    (name,) = properties(ACCOUNT, "AWS::CloudTrail::Trail").values()
    source = trail["Condition"]["StringEquals"]["aws:SourceArn"]["Fn::Sub"]
    assert source.rpartition("/")[2] == name["TrailName"]
    assert trail["Resource"]["Fn::Sub"].endswith("/AWSLogs/${AWS::AccountId}/*")
    balancers = writes["logdelivery.elasticloadbalancing.amazonaws.com"]
    balancer = attributes(resource("LoadBalancer")["LoadBalancerAttributes"])
    prefix = balancer["access_logs.s3.prefix"]["Fn::Sub"]
    written = f"${{AccessLogs.Arn}}/{prefix}/AWSLogs/${{AWS::AccountId}}/*"
    assert like(written, balancers["Resource"]["Fn::Sub"])


def test_the_outputs_are_what_the_pipeline_asks_for():
    asked = {"Cluster", "Family", "Url", "Subnets", "SecurityGroup"}
    assert asked <= ENVIRONMENT["Outputs"].keys()


def test_the_costs_that_are_told_are_of_the_rates_that_were_measured():
    """If not: python infra/costs.py"""
    for path, wanted in costs.pages().items():
        assert path.read_text() == wanted


def test_rates_are_read_as_the_benchmark_writes_them():
    rest = {"p50": 1, "p95": 1, "p99": 1, "errors": 0}
    ours = {
        "clients": {"1": {"rate": 10.4} | rest, "32": {"rate": 333.4} | rest},
        "notes": {"1000": {"seconds": 2.0, "rate": 500.4}},
        "beside": {"quiet": rest, "busy": rest},
        "memory_mb": 1,
        "start_seconds": 1,
        "timing": {},
    }
    run = {"model": "base", "precision": "int8", "ours": ours}
    served, noted = costs.measured(report.section(run))
    assert (served, noted) == ({"BERT-base, int8": 333}, {"BERT-base, int8": 500})


def test_a_million_entities_cost_what_the_hours_cost():
    """At 100 a second 10,000 seconds, of two vCPUs and four GiB."""
    command = [sys.executable, INFRA / "costs.py", "x=100"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    row = next(line for line in run.stdout.splitlines() if line.startswith("| 2, 4 |"))
    wanted = 1e4 / 3600 * (2 * 0.04048 + 4 * 0.004445)
    assert float(row.split("|")[3]) == round(wanted, 2)


@pytest.mark.parametrize("name, template", TEMPLATES.items())
def test_the_page_gives_each_stack_what_it_needs(name, template):
    page = (INFRA.parent / "docs" / "deploy.md").read_text().replace("\\\n", " ")
    lines = [line for line in page.splitlines() if f"infra/{name}.yaml" in line]
    given = [
        set(re.findall(r" (\w+)=", line.partition("--parameter-overrides")[2]))
        for line in lines
    ]
    parameters = template["Parameters"]
    needed = {key for key, value in parameters.items() if "Default" not in value}
    assert needed <= given[0]  # the first time; CloudFormation remembers
    assert set().union(*given) <= parameters.keys()
    made = f"--stack-name negation-api-{'account' if name == 'account' else 'dev'}"
    assert all(made in line for line in lines)
