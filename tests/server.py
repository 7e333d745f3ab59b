"""A real Gunicorn on a free loopback port, for tests and benchmarks."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
START_SECONDS = 120  # torch is slow to import on a busy machine
STOP_SECONDS = 60


@dataclass(frozen=True)
class Reply:
    """What the server answered; *headers* by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


def samples(text: str, name: str) -> list[tuple[dict[str, str], float]]:
    """Read the samples *name* of Prometheus' text format: labels and number of each."""
    # Here: what is set before it is imported says where it counts.
    from prometheus_client.parser import text_string_to_metric_families

    families = text_string_to_metric_families(text)
    found = (sample for family in families for sample in family.samples)
    return [(sample.labels, sample.value) for sample in found if sample.name == name]


@dataclass
class Server:
    """Gunicorn with the configuration of this repository. ::

        with Server(model=toy, env={"WEB_CONCURRENCY": "2"}) as server:
            server.post({"sentence": "denies [entity] pain [entity]"}).json

    :param model: directory of a model; the embedded one if not given.
    :param env: settings, and whatever else is to stand in the environment.
    :param app: another application, such as one that fails on purpose.
    :param args: more of Gunicorn's arguments.
    :param port: TCP port; a free one if not given.
    :param reply_seconds: how long a reply may take.
    :param host: the address that settings let it listen on, if not the usual one.
    :param prefix: a command to run Gunicorn under, such as ``unshare --mount``.
    :param root: another checkout, of a commit before.
    """

    model: Path | str = "embedded"
    env: dict[str, str] = field(default_factory=dict)
    app: str = "wsgi:app"
    args: tuple[str, ...] = ()
    port: int = 0
    host: str = ""
    prefix: tuple[str, ...] = ()
    reply_seconds: float = 60
    root: Path = ROOT

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *exception) -> None:
        self.stop()
        self._files.cleanup()

    def start(self) -> None:
        """Start and wait until it answers and has its workers.

        :raises RuntimeError: with its output, when it ends or never answers.
        """
        self._files = tempfile.TemporaryDirectory(prefix="negation-api-server-")
        self.port = self.port or free_port()
        args = [self.app, *self.args]
        if not self.host:
            args += ["--bind", f"127.0.0.1:{self.port}"]
        given = {"MODEL": self.model, "PORT": self.port, **self.env}
        env = {**os.environ, **{name: str(v) for name, v in given.items()}}
        with open(self._path("log"), "wb") as log, open(self._path("err"), "wb") as err:
            self._process = self._spawn(args, env, log, err)
        try:
            wait_until(self._answers, START_SECONDS, "the server answers")
        except BaseException as error:
            output = self._path("log").read_text() + self.stderr()
            self.stop()
            self._files.cleanup()
            if isinstance(error, Exception):
                raise RuntimeError(f"the server did not start:\n{output}") from error
            raise

    def _spawn(self, args, env, log, err) -> subprocess.Popen:
        return subprocess.Popen(
            [*self.prefix, sys.executable, "-m", "gunicorn", *args],
            cwd=self.root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=err,
            start_new_session=True,  # so that nothing of it outlives the test
        )

    def stop(self, sig: int = signal.SIGTERM) -> int:
        """Send *sig* to the master and wait; give its exit code.

        What has not ended by then is killed, its workers too.
        """
        if self._process.poll() is None:
            self._process.send_signal(sig)
        try:
            return self._process.wait(STOP_SECONDS)
        finally:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process that was started: Gunicorn's master, unless there is a prefix."""
        return self._process.pid

    def workers(self) -> list[int]:
        """Process ids of the workers that live."""
        return children(self.pid)

    def log(self, **members) -> list[dict]:
        """What was written to stdout so far, an object a line, complete lines only.

        :param members: only lines that have these, such as ``event="request"``.
        """
        lines = self._path("log").read_text().split("\n")[:-1]
        events = [json.loads(line) for line in lines if line]
        return [e for e in events if members.items() <= e.items()]

    def stderr(self) -> str:
        """What was written to stderr so far; should be nothing."""
        return self._path("err").read_text()

    def get(self, path: str, **headers) -> Reply:
        return self.request("GET", path, None, headers)

    def post(self, body, path: str = "/predict", **headers) -> Reply:
        """Post *body*, as JSON unless it is bytes."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **headers}
        return self.request("POST", path, raw, headers)

    def request(self, method, path, body, headers) -> Reply:
        """Make one request on a connection of its own."""
        connection = http.client.HTTPConnection(
            self.host or "127.0.0.1", self.port, timeout=self.reply_seconds
        )
        try:
            connection.request(method, path, body, headers)
            return read_reply(connection)
        finally:
            connection.close()

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"exit code {self._process.returncode}")
        num_workers = int(self.env.get("WEB_CONCURRENCY", 1))
        try:
            answers = self.get("/health").status == 200
            return answers and len(self.workers()) >= num_workers
        except OSError:
            return False

    def _path(self, name: str) -> Path:
        return Path(self._files.name) / name


def read_reply(connection: http.client.HTTPConnection) -> Reply:
    """Read the reply to the request that was sent on *connection*."""
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read())


def children(pid: int) -> list[int]:
    """Process ids of the children of *pid*."""
    return [
        int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ]


def private_mb(pid: int) -> float:
    """Memory that *pid* shares with nobody, in MB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(map(int, re.findall(r"Private_\w+:\s+(\d+) kB", rollup))) / 1024


def free_port() -> int:
    """Find a port that nothing listens on; another may take it, if hardly ever."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_until(condition, seconds: float, what: str) -> None:
    """Wait for *condition* to hold.

    :raises TimeoutError: when it does not within *seconds*.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.05)
