"""``negation-api doctor``: do the settings that must agree, agree?

Looks at ``gunicorn.conf.py``, the packaged one if there is none, under the environment
of the task, ``Dockerfile``, ``infra/environment.yaml`` and ``.circleci/config.yml``, as
far as they are there (an image has only the first). Each finding says what is wrong,
with both numbers, and what would come of it. Exit code 1 when there
is one.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from negation_api.commands.serve import GUNICORN, configuration
from negation_api.layout import Layout
from negation_api.server.connection import MAX_BODIES
from negation_api.settings import Settings

TEMPLATE = "infra/environment.yaml"
DOCKERFILE = "Dockerfile"
PIPELINE = ".circleci/config.yml"

STARTUP_SECONDS = 45  # to import torch and load BERT-base on one busy core
MODEL_MB = {"embedded": 50}
LARGE_MODEL_MB = 433  # BERT-base at fp32
# Measured with bench/run.py and bench/soak.py: Python with torch; the private part of
# a worker, its batches and buffers at their largest.
BASE_MB, WORKER_MB = 500, 250
COPIES = 2  # of the weights: as they were read, and as they are computed with

# Gunicorn executes its configuration, so a process of its own does.
READ_GUNICORN = """
import json, runpy, sys
conf = runpy.run_path(sys.argv[1])
names = "keepalive graceful_timeout timeout preload_app"
print(json.dumps({name: conf[name] for name in names.split()}))
"""


# Of each two facts the first must be below the other, or this comes of it.
RULES = {
    ("ALB idle timeout", "Gunicorn keepalive"): (
        "the service closes a connection that the load balancer is about to use: 502"
    ),
    ("REQUEST_TIMEOUT", "ALB idle timeout"): (
        "the load balancer gives up first and answers 504 in the service's place"
    ),
    ("REQUEST_TIMEOUT", "Gunicorn graceful_timeout"): (
        "a stopping worker is ended before it has answered what it took"
    ),
    ("Gunicorn graceful_timeout", "ECS StopTimeout"): (
        "ECS kills the container while it still answers"
    ),
    ("Gunicorn graceful_timeout", "Gunicorn timeout"): (
        "Gunicorn takes a worker that is stopping for one that hangs"
    ),
    ("REQUEST_TIMEOUT", "deregistration delay"): (
        "the load balancer cuts requests off when it takes a task out"
    ),
    ("start-up", "container StartPeriod"): (
        "a container that is still loading its model counts as ill"
    ),
    ("start-up", "ECS grace period"): (
        "ECS replaces tasks that are still loading their model, for ever"
    ),
    ("start-up", "Dockerfile start-period"): (
        "a container that is still loading its model counts as ill"
    ),
    ("memory needed", "task memory"): (
        "the kernel kills workers under load; fewer workers or more memory"
    ),
}


def add_arguments(parser) -> None:
    """Say where the files are."""
    parser.add_argument("--root", type=Path, default=Path("."), help="of the files")


def main(args, settings: Settings) -> int:
    """Print the findings."""
    findings = list(examine(args.root, settings))
    for finding in findings:
        print(f"WRONG  {finding}")
    for name in (DOCKERFILE, TEMPLATE, PIPELINE):
        if not (args.root / name).exists():
            print(f"not checked: {name} is not here")
    print(f"wrong: {len(findings)}" if findings else "all agree")
    return bool(findings)


def examine(root: Path, settings: Settings) -> Iterator[str]:
    """Give what is wrong, a line each.

    :param settings: those of this process; the template's count where there is one.
    """
    template = Template(root / TEMPLATE)
    if (root / TEMPLATE).exists():
        settings = Settings.from_env(template.environment())
    facts = template.facts()
    own = root / GUNICORN
    conf = own if own.exists() else configuration()
    facts |= _gunicorn_facts(conf, template.environment())
    facts |= _docker_facts(root / DOCKERFILE)
    facts["REQUEST_TIMEOUT"] = settings.request_timeout
    facts["start-up"] = STARTUP_SECONDS
    facts["memory needed"] = _memory(settings, Layout.of(settings).workers)
    yield from _compare(facts)
    if "task vCPU" in facts:
        yield from _cores(settings, facts["task vCPU"])
    yield from _architecture(root, facts.get("architecture"))
    yield from _signal_and_preload(facts)


def _compare(facts: dict) -> Iterator[str]:
    for (low, high), why in RULES.items():
        if low not in facts or high not in facts:
            continue
        given, allowed = float(facts[low]), float(facts[high])
        unit = "MB" if high == "task memory" else "s"
        if not given < allowed:
            yield (
                f"{low}, {given:g} {unit}, must be below {high}, {allowed:g} {unit}:"
                f" {why}"
            )


def _memory(settings: Settings, workers: int) -> int:
    """Estimate the memory that the service needs at most, MB."""
    bodies = 2 * MAX_BODIES * settings.max_body_bytes / 1024**2  # and answers
    models = {settings.model} | ({"embedded"} if settings.axes else set())
    weights = sum(MODEL_MB.get(model, LARGE_MODEL_MB) for model in models)
    return round(BASE_MB + COPIES * weights + workers * (WORKER_MB + bodies))


def _cores(settings: Settings, cores: float) -> Iterator[str]:
    """A worker's threads take turns at the cores if there is one for each."""
    workers, threads = settings.web_concurrency or 2, settings.inference_threads
    if threads > cores:
        yield (
            f"INFERENCE_THREADS, {threads}, is more than the task's {cores:g} vCPU:"
            " threads wait for each other in the middle of a batch"
        )
    elif threads and threads < cores and workers * threads > cores:
        yield (
            f"WEB_CONCURRENCY x INFERENCE_THREADS, {workers} x {threads}, is more than"
            f" the task's {cores:g} vCPU: threads wait for each other in the middle of"
            " a batch"
        )
    elif threads and workers * threads < cores:
        yield (
            f"WEB_CONCURRENCY x INFERENCE_THREADS, {workers} x {threads}, is less than"
            f" the task's {cores:g} vCPU: cores that are paid for stand idle"
        )


def _architecture(root: Path, wanted: str | None) -> Iterator[str]:
    """Compare where the image is built with where it runs."""
    pipeline = yaml.safe_load(_text(root / PIPELINE)) or {}
    executors = pipeline.get("executors", {}).values()
    machines = [each.get("resource_class", "") for each in executors]
    platform = re.search(
        r"^FROM\s+--platform=\S*?(arm64|amd64)", _text(root / DOCKERFILE), re.M
    )
    if not wanted or not (platform or machines):
        return
    arm = any(each.startswith("arm.") for each in machines)
    arm = platform[1] == "arm64" if platform else arm
    built = "ARM64" if arm else "X86_64"
    if built != wanted:
        yield (
            f"the image is built for {built}, the task is {wanted}:"
            " it ends with 'exec format error'"
        )


def _signal_and_preload(facts: dict) -> Iterator[str]:
    signal = facts.get("stop signal", "SIGTERM")
    if signal != "SIGTERM":
        yield (
            f"Dockerfile's STOPSIGNAL is {signal}, not SIGTERM: the service drains on"
            " no other, and requests in flight are lost"
        )
    if not facts.get("Gunicorn preload_app", True):
        yield (
            "Gunicorn's preload_app is off: each worker loads a model of its own, and"
            " memory is needed for all of them"
        )


# --- what the files say ---------------------------------------------------------


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _gunicorn_facts(path: Path, environment: dict[str, str]) -> dict:
    if not path.exists():
        return {}
    variables = [f"{name}={value}" for name, value in environment.items()]
    command = ["env", *variables, sys.executable, "-c", READ_GUNICORN, str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(run.stdout.splitlines()[-1])
    return {f"Gunicorn {name}": value for name, value in found.items()}


def _docker_facts(path: Path) -> dict:
    text, facts = _text(path), {}
    if start := re.search(r"^HEALTHCHECK.*--start-period=(\d+)s", text, re.M):
        facts["Dockerfile start-period"] = int(start[1])
    if signal := re.search(r"^STOPSIGNAL\s+(\S+)", text, re.M):
        facts["stop signal"] = signal[1]
    return facts


class Template:
    """The CloudFormation template, its parameters at their defaults."""

    def __init__(self, path: Path):
        self._template = yaml.load(_text(path), _Loader) or {}

    def facts(self) -> dict:
        """Give the numbers that others must agree with; none without a template."""
        if not self._template:
            return {}
        task = self._task()
        (container,) = task["ContainerDefinitions"]
        balancer = self._properties("AWS::ElasticLoadBalancingV2::LoadBalancer")
        targets = self._properties("AWS::ElasticLoadBalancingV2::TargetGroup")
        attributes = balancer["LoadBalancerAttributes"]
        delay = targets["TargetGroupAttributes"]
        service = self._properties("AWS::ECS::Service")
        return {
            "ALB idle timeout": _value(attributes, "idle_timeout.timeout_seconds", 60),
            "deregistration delay": _value(
                delay, "deregistration_delay.timeout_seconds", 300
            ),
            "ECS StopTimeout": container.get("StopTimeout", 30),
            "container StartPeriod": container["HealthCheck"].get("StartPeriod", 0),
            "ECS grace period": service.get("HealthCheckGracePeriodSeconds", 0),
            "task vCPU": float(self._resolve(task["Cpu"])) / 1024,
            "task memory": self._resolve(task["Memory"]),
            "architecture": self._resolve(
                task.get("RuntimePlatform", {}).get("CpuArchitecture", "X86_64")
            ),
        }

    def environment(self) -> dict[str, str]:
        """Give what the template sets in the container's environment."""
        if not self._template:
            return {}
        (container,) = self._task()["ContainerDefinitions"]
        pairs = container.get("Environment", [])
        return {each["Name"]: str(self._resolve(each["Value"])) for each in pairs}

    def _task(self) -> dict:
        """Give the task definition that the service runs."""
        name = self._properties("AWS::ECS::Service")["TaskDefinition"]["Ref"]
        return self._template["Resources"][name]["Properties"]

    def _properties(self, kind: str) -> dict:
        resources = self._template["Resources"].values()
        (found,) = (each for each in resources if each["Type"] == kind)
        return found["Properties"]

    def _resolve(self, value):
        """Follow ``!Ref`` and ``!FindInMap``; other short forms stay as they are."""
        if isinstance(value, dict) and "Ref" in value:
            return self._template["Parameters"][value["Ref"]].get("Default", "")
        if isinstance(value, dict) and "FindInMap" in value:
            name, *keys = (self._resolve(each) for each in value["FindInMap"])
            return self._template["Mappings"][name][str(keys[0])][keys[1]]
        return value


def _value(attributes: list[dict], key: str, default: int):
    """Give the value of *key*, or what AWS takes without it."""
    return {a["Key"]: a["Value"] for a in attributes}.get(key, default)


class _Loader(yaml.SafeLoader):
    """Knows CloudFormation's short forms, such as ``!Ref``."""


def _intrinsic(loader, name, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {name: value}


_Loader.add_multi_constructor("!", _intrinsic)
