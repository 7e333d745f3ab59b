"""The doctor: finds nothing in this repository, and each fault in a copy of it."""

import shutil

import pytest

from negation_api import __main__
from negation_api.commands import doctor
from negation_api.settings import Settings
from server import ROOT

FILES = (doctor.GUNICORN, doctor.TEMPLATE, doctor.DOCKERFILE, doctor.PIPELINE)
INF_THREADS = "INFERENCE_THREADS, Value: !FindInMap [Cpus, !Ref Cpu, Threads]"

# file, what stands there, what is put there instead, what the finding must hold
FAULTS = {
    "keep-alive": (
        doctor.GUNICORN,
        "keepalive = _settings.keepalive",
        "keepalive = 60",
        ("ALB idle timeout, 60 s", "Gunicorn keepalive, 60 s", "502"),
    ),
    "keep-alive of the task": (
        doctor.TEMPLATE,
        '{Name: METRICS_PORT, Value: "9100"}',
        '{Name: KEEPALIVE, Value: "40"}',
        ("ALB idle timeout, 60 s", "Gunicorn keepalive, 40 s"),
    ),
    "idle timeout": (
        doctor.TEMPLATE,
        'idle_timeout.timeout_seconds, Value: "60"',
        'idle_timeout.timeout_seconds, Value: "30"',
        ("REQUEST_TIMEOUT, 50 s", "ALB idle timeout, 30 s", "504"),
    ),
    "graceful timeout": (
        doctor.GUNICORN,
        "graceful_timeout = _settings.graceful_timeout",
        "graceful_timeout = 45",
        ("REQUEST_TIMEOUT, 50 s", "graceful_timeout, 45 s"),
    ),
    "stop timeout": (
        doctor.TEMPLATE,
        "StopTimeout: 70",
        "StopTimeout: 50",
        ("graceful_timeout, 55 s", "ECS StopTimeout, 50 s"),
    ),
    "worker timeout": (
        doctor.GUNICORN,
        "timeout = _settings.graceful_timeout + 35",
        "timeout = 30",
        ("graceful_timeout, 55 s", "Gunicorn timeout, 30 s"),
    ),
    "deregistration": (
        doctor.TEMPLATE,
        'deregistration_delay.timeout_seconds, Value: "60"',
        'deregistration_delay.timeout_seconds, Value: "10"',
        ("REQUEST_TIMEOUT, 50 s", "deregistration delay, 10 s"),
    ),
    "start period": (
        doctor.TEMPLATE,
        "StartPeriod: 60",
        "StartPeriod: 5",
        ("start-up, 45 s", "container StartPeriod, 5 s"),
    ),
    "grace period": (
        doctor.TEMPLATE,
        "HealthCheckGracePeriodSeconds: 90",
        "HealthCheckGracePeriodSeconds: 20",
        ("start-up, 45 s", "ECS grace period, 20 s"),
    ),
    "image's start period": (
        doctor.DOCKERFILE,
        "--start-period=60s",
        "--start-period=10s",
        ("start-up, 45 s", "Dockerfile start-period, 10 s"),
    ),
    "memory": (
        doctor.TEMPLATE,
        "Memory: {Type: Number, Default: 4096",
        "Memory: {Type: Number, Default: 1024",
        ("memory needed, ", " MB", "task memory, 1024 MB"),
    ),
    "too many threads": (
        doctor.TEMPLATE,
        INF_THREADS,
        'INFERENCE_THREADS, Value: "8"',
        ("INFERENCE_THREADS, 8", "2 vCPU"),
    ),
    "workers times threads": (
        doctor.TEMPLATE,
        INF_THREADS + "}",
        'INFERENCE_THREADS, Value: "1"}\n'
        '            - {Name: WEB_CONCURRENCY, Value: "4"}',
        ("4 x 1", "2 vCPU"),
    ),
    "idle cores": (
        doctor.TEMPLATE,
        INF_THREADS + "}",
        'INFERENCE_THREADS, Value: "1"}\n'
        '            - {Name: WEB_CONCURRENCY, Value: "1"}',
        ("1 x 1", "2 vCPU", "idle"),
    ),
    "architecture of the task": (
        doctor.TEMPLATE,
        "Memory: !Ref Memory\n      RuntimePlatform: {CpuArchitecture: X86_64",
        "Memory: !Ref Memory\n      RuntimePlatform: {CpuArchitecture: ARM64",
        ("built for X86_64", "ARM64"),
    ),
    "architecture of what builds": (
        doctor.PIPELINE,
        "ubuntu-2404:current\n    resource_class: large",
        "ubuntu-2404:current\n    resource_class: arm.large",
        ("built for ARM64", "X86_64"),
    ),
    "architecture of the image": (
        doctor.DOCKERFILE,
        "FROM ${BASE} AS packages",
        "FROM --platform=linux/arm64 ${BASE} AS packages",
        ("built for ARM64", "X86_64"),
    ),
    "stop signal": (
        doctor.DOCKERFILE,
        "STOPSIGNAL SIGTERM",
        "STOPSIGNAL SIGQUIT",
        ("SIGQUIT", "SIGTERM"),
    ),
    "preload": (
        doctor.GUNICORN,
        "preload_app = True",
        "preload_app = False",
        ("preload_app is off",),
    ),
}


@pytest.fixture
def copy(tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(capsys, root) -> tuple[int, list[str]]:
    code = __main__.main(["doctor", "--root", str(root)])
    return code, capsys.readouterr().out.splitlines()


def test_this_repository_is_well(capsys):
    assert run(capsys, ROOT) == (0, ["all agree"])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_with_both_numbers(capsys, copy, fault):
    name, right, wrong, said = FAULTS[fault]
    text = (copy / name).read_text()
    assert text.count(right) == 1
    (copy / name).write_text(text.replace(right, wrong))
    code, (finding, summary) = run(capsys, copy)
    assert (code, summary) == (1, "wrong: 1")
    assert all(each in finding for each in said)


def test_without_a_template_the_settings_of_the_process_count(tmp_path, monkeypatch):
    monkeypatch.setenv("REQUEST_TIMEOUT", "30")
    monkeypatch.setenv("GRACEFUL_TIMEOUT", "40")
    shutil.copy(ROOT / doctor.GUNICORN, tmp_path)
    shutil.copytree(ROOT / "negation_api", tmp_path / "negation_api")
    assert not list(doctor.examine(tmp_path, Settings.from_env()))
    faulty = Settings(request_timeout=45)  # longer than Gunicorn's 40
    (finding,) = doctor.examine(tmp_path, faulty)
    assert "REQUEST_TIMEOUT, 45 s" in finding


@pytest.mark.parametrize(
    "model, axes, megabytes",
    [
        ("embedded", True, 50),
        ("embedded", False, 50),
        ("a/b", False, 433),
        ("a/b", True, 483),
    ],
)
def test_the_model_beside_needs_memory_too(model, axes, megabytes):
    needed = doctor._memory(Settings(model=model, axes=axes), 0)
    assert needed == doctor.BASE_MB + doctor.COPIES * megabytes


def test_in_an_image_it_says_what_is_not_there(capsys, copy):
    for name in FILES[1:]:
        (copy / name).unlink()
    code, lines = run(capsys, copy)
    absent = [f"not checked: {name} is not here" for name in FILES[1:]]
    assert (code, sorted(lines)) == (0, sorted([*absent, "all agree"]))
