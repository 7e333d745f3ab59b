"""The image, built on a stand-in for its base and run as the task definition says."""

import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from balancer import HEADERS, NUM_CLIENTS, Balancer, Load, connected
from cloudformation import Stack, load
from containers import BASE, Container, Engine
from inside import WANTED
from server import free_port, read_reply, wait_until
from toy import write_bert_base

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[1]
TAG = "localhost/negation-api:test"
COMMIT = "c" * 40
REVISION = json.loads((ROOT / "negation_api/embedded/manifest.json").read_text())[
    "revision"
]
MAX_ADDED_MB = 900  # to the base image
START_SECONDS = 120
TEMPLATE = load("environment")
TASK = Stack(TEMPLATE).resource("Task")
(DEFINITION,) = TASK["ContainerDefinitions"]
MEMORY_BYTES = int(TASK["Memory"]) * 2**20


@pytest.fixture(scope="module")
def engine(request) -> Engine:
    """Images stay in pytest's cache: the next session builds what has changed."""
    return Engine(Path(request.config.cache.mkdir("containers")))


@pytest.fixture(scope="module")
def image(engine) -> str:
    arguments = {"MODEL": "embedded", "MODEL_REVISION": REVISION, "COMMIT": COMMIT}
    engine.build(TAG, **arguments)
    return TAG


def as_on_fargate(*options: str, **environment) -> list[str]:
    """Give podman's options that say what the task definition says."""
    linux = DEFINITION["LinuxParameters"]
    told = {each["Name"]: each["Value"] for each in DEFINITION["Environment"]}
    words = [f"--env={name}={value}" for name, value in {**told, **environment}.items()]
    words += [f"--cap-drop={name}" for name in linux["Capabilities"]["Drop"]]
    for mount in linux["Tmpfs"]:
        flags = [f"size={mount['Size']}m", *mount["MountOptions"]]
        words.append(f"--tmpfs={mount['ContainerPath']}:{','.join(flags)}")
    if DEFINITION["ReadonlyRootFilesystem"]:
        words += ["--read-only", "--read-only-tmpfs=false"]
    if linux["InitProcessEnabled"]:
        words.append("--init")
    words += [
        f"--user={DEFINITION['User']}",
        f"--cpus={int(TASK['Cpu']) / 1024}",
        f"--memory={MEMORY_BYTES}",
        f"--memory-swap={MEMORY_BYTES}",
        "--shm-size=64m",  # Fargate's
        "--security-opt=no-new-privileges",  # Fargate's too
        *options,
    ]
    return words


def health(container: Container) -> int:
    """Run the task's health check; give its exit code."""
    kind, *command = DEFINITION["HealthCheck"]["Command"]
    assert kind == "CMD"
    return container.exec(*command).returncode


def wait_for(container: Container) -> None:
    """Wait until the health check passes, asking no more than once a second.

    :raises RuntimeError: with its log, when the container has ended.
    """
    began = time.monotonic()
    while health(container):
        if not container.inspect()["State"]["Running"]:
            raise RuntimeError(container.log())
        assert time.monotonic() - began < START_SECONDS, container.log()
        time.sleep(1)


@pytest.fixture(scope="module")
def alone(engine, image):
    """A healthy container without a network."""
    with Container(engine, *as_on_fargate("--network=none"), image) as container:
        wait_for(container)
        yield container


@pytest.fixture
def start(engine, image):
    """Start containers on this machine's loopback: ``start(PORT=..., ...)``."""
    with ExitStack() as stack:

        def start(*options, **environment) -> Container:
            port, metrics = environment.pop("PORT", free_port()), free_port()
            ports = {"PORT": port, "METRICS_PORT": metrics}
            words = as_on_fargate("--network=host", *options, **ports, **environment)
            container = stack.enter_context(Container(engine, *words, image))
            container.port = port
            wait_for(container)
            return container

        yield start


# --- what the image is --------------------------------------------------------


@pytest.fixture(scope="module")
def built(engine, image) -> dict:
    (found,) = json.loads(engine.run("podman", "image", "inspect", image).stdout)
    return found


def test_the_labels_say_what_it_was_made_of(built):
    labels = built["Labels"]
    assert labels["org.opencontainers.image.revision"] == COMMIT
    assert labels["negation-api.model"] == "embedded"
    assert labels["negation-api.model-revision"] == REVISION


def test_it_is_small(engine, built):
    (base,) = json.loads(engine.run("podman", "image", "inspect", BASE).stdout)
    assert built["Size"] - base["Size"] < MAX_ADDED_MB * 10**6


def test_its_health_check_is_the_task_s(built):
    assert built["Healthcheck"]["Test"] == DEFINITION["HealthCheck"]["Command"]


@pytest.mark.parametrize("tool", ["pip", "gcc", "curl", "git", "pytest", "black"])
def test_there_are_no_tools_in_it(alone, tool):
    assert alone.exec("which", tool).returncode == 1
    assert alone.exec("python", "-c", f"import {tool}").returncode == 1


def test_only_the_service_s_files_are_in_it(alone):
    names = alone.exec("ls", "/app").stdout.split()
    assert sorted(set(names) - {"__pycache__"}) == [
        "gunicorn.conf.py",
        "healthcheck.py",
        "negation_api",
        "wsgi.py",
    ]


# --- what it may do -----------------------------------------------------------


def test_it_answers_with_no_rights_no_network_and_nothing_to_write_to(alone):
    run = alone.exec("python", "-", input=(ROOT / "tests/inside.py").read_text())
    assert run.returncode == 0, run.stdout + run.stderr
    assert json.loads(run.stdout) == WANTED


def test_shared_memory_is_enough(alone):
    run = alone.exec("df", "--output=used,size", "-k", "/dev/shm")
    used, size = map(int, run.stdout.split()[-2:])
    assert size == 64 * 1024
    assert used < 10 * 1024


def test_the_health_check_fails_where_nothing_listens(alone):
    _, *command = DEFINITION["HealthCheck"]["Command"]
    assert alone.exec("env", "PORT=9", *command).returncode == 1


# --- what it needs ------------------------------------------------------------


def test_clinicalbert_stays_within_the_task_s_memory(start, tmp_path):
    """A model of its size, with the workers it chooses, at fp32, which needs most."""
    model = write_bert_base(tmp_path / "bert")
    for file in model.iterdir():
        file.chmod(0o644)
    container = start(f"--volume={model}:/model:ro", MODEL="/model", PRECISION="fp32")
    body = json.dumps(entities_in_a_note(10))
    statuses = []

    def ask():
        with connected(container.port) as connection:
            connection.request("POST", "/predict", body, HEADERS)
            statuses.append(read_reply(connection).status)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 4
    assert peak_bytes(container) < 0.75 * MEMORY_BYTES
    assert "SIGKILL" not in container.log()


def entities_in_a_note(count: int) -> dict:
    """Ask for as many entities, in as many sentences, no two of them the same."""
    rest = "days but has had chest pain, a dry cough, nausea and a headache since"
    sentences = [f"Denies fever for {n} {rest} yesterday. " for n in range(count)]
    starts = [sum(map(len, sentences[:n])) + len("Denies ") for n in range(count)]
    spans = [{"start": start, "end": start + len("fever")} for start in starts]
    return {"text": "".join(sentences), "entities": spans}


def peak_bytes(container: Container) -> int:
    """Give the most memory that the container ever had, of either cgroup version."""
    v1, v2 = "memory/memory.max_usage_in_bytes", "memory.peak"
    files = " ".join(f"/sys/fs/cgroup/{name}" for name in (v1, v2))
    return int(container.exec("sh", "-c", f"cat {files} 2>/dev/null").stdout)


# --- how it ends --------------------------------------------------------------


def test_sigterm_lets_a_request_in_flight_end(start):
    container = start()
    body = json.dumps(entities_in_a_note(900))
    with connected(container.port) as connection:
        connection.request("POST", "/predict", body, HEADERS)
        with connected(container.port) as later:  # so the first one is accepted
            later.request("GET", "/health")
            assert read_reply(later).status == 200
        container.kill("TERM")
        reply = read_reply(connection)
    assert reply.status == 200 and len(reply.json["predictions"]) == 900
    assert container.stop(DEFINITION["StopTimeout"]) == 0
    log = container.log()
    assert log.index("signal: term") < log.index('"route": "/predict"')


def test_a_rolling_replacement_fails_no_request_and_a_kill_does(start, tmp_path):
    """The kill is what the rest would see if something failed."""
    containers = {name: start() for name in "ab"}
    ports = [container.port for container in containers.values()]
    with Balancer(tmp_path, ports) as balancer, Load(balancer.port) as load:
        for name, old in list(containers.items()):
            before = load.num_answered
            containers[name] = start()
            balancer.drain(name)
            assert old.stop(DEFINITION["StopTimeout"]) == 0
            balancer.admit(name, containers[name].port)
            wait_until(lambda: load.num_answered > before + NUM_CLIENTS, 20, "load")
        assert load.failures == []

        containers["a"].kill("KILL")
        wait_until(lambda: load.failures, 20, "failures")
