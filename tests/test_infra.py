"""The CloudFormation templates: least privilege, in step with the service."""

import fnmatch
import json
import re
import subprocess
import sys

import pytest

from cloudformation import INFRA, load, properties, resolve
from negation_api.settings import Settings

ORG = "11111111-1111-1111-1111-111111111111"
PROJECT = "22222222-2222-2222-2222-222222222222"
REPOSITORY = "github.com/acme/negation_api"
ACCOUNT = load("account")
ENVIRONMENT = load("environment")
TEMPLATES = {"account": ACCOUNT, "environment": ENVIRONMENT}


def resource(name: str) -> dict:
    return ENVIRONMENT["Resources"][name]["Properties"]


def attributes(pairs: list[dict]) -> dict:
    return {pair["Key"]: pair["Value"] for pair in pairs}


# --- who may take the deploy role ---------------------------------------------

RIGHT = {
    "aud": ORG,
    "oidc.circleci.com/project-id": PROJECT,
    "sub": f"org/{ORG}/project/{PROJECT}/user/33/vcs-origin/{REPOSITORY}"
    "/vcs-ref/refs/heads/main",
}


def substituted(text: str) -> str:
    """Do what !Sub does, for one project in one account."""
    for name, value in {
        "CircleCIOrganization": ORG,
        "CircleCIProject": PROJECT,
        "Repository": REPOSITORY,
        "AWS::Partition": "aws",
        "AWS::AccountId": "123456789012",
    }.items():
        text = text.replace(f"${{{name}}}", value)
    return text


def may_assume(claims: dict) -> bool:
    """Evaluate the trust policy, as far as it uses what IAM has."""
    role = ACCOUNT["Resources"]["DeployRole"]["Properties"]
    text = substituted(role["AssumeRolePolicyDocument"]["Fn::Sub"])
    (statement,) = json.loads(text)["Statement"]
    provider = f"oidc.circleci.com/org/{ORG}"
    federated = f"arn:aws:iam::123456789012:oidc-provider/{provider}"
    assert statement["Principal"] == {"Federated": federated}
    same = {
        "StringEquals": lambda given, wanted: given == wanted,
        "StringLike": fnmatch.fnmatchcase,
        "StringNotLike": lambda given, wanted: not fnmatch.fnmatchcase(given, wanted),
    }
    assert statement["Condition"].keys() == same.keys()
    return all(
        same[operator](claims.get(key.removeprefix(f"{provider}:"), ""), wanted)
        for operator, conditions in statement["Condition"].items()
        for key, wanted in conditions.items()
    )


def test_the_project_s_main_branch_may_deploy():
    assert may_assume(RIGHT)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "44444444-4444-4444-4444-444444444444"},
        {"oidc.circleci.com/project-id": "5" * 36},
        {"sub": RIGHT["sub"].replace("heads/main", "heads/feature")},
        {"sub": RIGHT["sub"].replace("heads/main", "heads/main-2")},
        {"sub": RIGHT["sub"].replace("heads/main", "pull/7")},
        # A branch whose name ends like main's subject.
        {"sub": RIGHT["sub"].replace("main", "x/" + RIGHT["sub"].partition("33/")[2])},
        {"sub": RIGHT["sub"].replace("acme", "fork")},
        {"sub": f"repo:{REPOSITORY}:ref:refs/heads/main"},
        {"sub": f"org/{ORG}/project/{PROJECT}/user/33"},
        {"sub": ""},
    ],
)
def test_nobody_else_may(claims):
    assert not may_assume(RIGHT | claims)


# --- least privilege ------------------------------------------------------------


def statements(template: dict):
    for role in properties(template, "AWS::IAM::Role").values():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield statement.get("Fn::If", [None, statement])[1]


@pytest.mark.parametrize("template", [ACCOUNT, ENVIRONMENT])
def test_no_policy_allows_everything(template):
    found = list(statements(template))
    assert found
    knows_no_resource = {
        "ecr:GetAuthorizationToken",
        "ecs:DescribeTaskDefinition",
        "ecs:RegisterTaskDefinition",
    }
    for statement in found:
        actions = statement["Action"]
        actions = [actions] if isinstance(actions, str) else actions
        assert not any("*" in action for action in actions)
        if statement["Resource"] == "*":
            assert set(actions) <= knows_no_resource


def test_roles_are_passed_to_ecs_tasks_only():
    (passed,) = (s for s in statements(ACCOUNT) if s["Action"] == "iam:PassRole")
    service = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    assert passed["Condition"] == {"StringEquals": service}
    names = [arn["Fn::Sub"].rpartition("/")[2] for arn in passed["Resource"]]
    assert names == ["negation-api-*-execution", "negation-api-*-task"]
    for role, name in zip(("ExecutionRole", "TaskRole"), names):
        own = resource(role)["RoleName"]["Fn::Sub"]
        assert own.replace("${Environment}", "*") == name


def test_the_service_s_own_role_may_do_nothing():
    assert "Policies" not in resource("TaskRole")
    assert "ManagedPolicyArns" not in resource("TaskRole")


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


def test_what_the_task_is_told_are_settings():
    told = {each["Name"]: each["Value"] for each in container()["Environment"]}
    told = resolve(ENVIRONMENT, told)
    settings = Settings.from_env(told)
    assert (settings.precision, settings.metrics_port) == ("int8", 9100)
    assert settings.inference_threads == 2  # of 2048 units


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
    assert {"commit", "model", "model-revision"} <= tags.keys()
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
    ],
)
def test_an_alarm_wakes_somebody(metric):
    alarms = properties(ENVIRONMENT, "AWS::CloudWatch::Alarm").values()
    (alarm,) = (alarm for alarm in alarms if alarm["MetricName"] == metric)
    assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}]


def wakes(event: dict) -> bool:
    """Evaluate the filter of the trail's log, as far as CloudWatch documents it."""
    (metric,) = properties(ACCOUNT, "AWS::Logs::MetricFilter").values()

    def compare(match) -> str:
        path, operator, wanted = match.groups()
        value = event
        for member in path.split("."):
            value = (value or {}).get(member)
        same = value is not None and fnmatch.fnmatchcase(value, wanted)
        return str(same if operator == "=" else not same)

    pattern = substituted(metric["FilterPattern"]["Fn::Sub"]).strip("{}")
    words = re.sub(r'\$\.([\w.]+) (!?=) "(.*?)"', compare, pattern)
    return eval(words.replace("&&", "and").replace("||", "or"))


TAKEN = {
    "eventName": "AssumeRoleWithWebIdentity",
    "userIdentity": {"userName": RIGHT["sub"]},
    "requestParameters": {
        "roleArn": "arn:aws:iam::123456789012:role/negation-api-deploy"
    },
}


@pytest.mark.parametrize(
    "members, expected",
    [
        ({}, False),
        ({"errorCode": "AccessDenied"}, True),
        ({"userIdentity": {"userName": RIGHT["sub"][:-4] + "feature"}}, True),
        ({"userIdentity": {"userName": RIGHT["sub"].replace(PROJECT, ORG)}}, True),
        ({"requestParameters": {"roleArn": "another"}, "errorCode": "x"}, False),
    ],
)
def test_an_unexpected_use_of_the_deploy_role_wakes_somebody(members, expected):
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
    assert fnmatch.fnmatchcase(written, balancers["Resource"]["Fn::Sub"])


def test_the_outputs_are_what_the_pipeline_asks_for():
    asked = {"Cluster", "Family", "Url", "Subnets", "SecurityGroup"}
    assert asked <= ENVIRONMENT["Outputs"].keys()


def test_the_costs_that_are_told_are_those_that_are_computed():
    document = (INFRA.parent / "docs" / "deploy.md").read_text()
    shown = re.search(r"^\| vCPU.*?\n\n", document, re.MULTILINE | re.DOTALL)[0]
    rates = re.findall(r"\| ([^|]+?) \((\d+)/s\)", shown)
    command = [sys.executable, INFRA / "costs.py", *map("=".join, rates)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == shown.strip()


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
