"""A Spark cluster on loopback: a master and workers, processes of their own."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from server import free_port, wait_until

ROOT = Path(__file__).parents[1]
JOB = ROOT / "negation_api" / "batch" / "spark.py"
START_SECONDS = 120
QUICK = "--driver-java-options", "-XX:TieredStopAtLevel=1"  # compiles less


def program(name: str) -> Path:
    """Give the path of one of Spark's programs."""
    import pyspark  # late: where it is missing tests are collected all the same

    return Path(pyspark.__file__).parent / "bin" / name


def environment() -> dict[str, str]:
    """Give the environment of all that belongs to Spark, less where packages are."""
    own = {
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return inherited | own


def submit(*args, job: Path = JOB, job_args=(), cwd: Path | None = None):
    """Start pyspark's own spark-submit; give its process, with its output in a pipe."""
    command = [program("spark-submit"), "--conf", "spark.ui.enabled=false", *QUICK]
    return subprocess.Popen(
        [str(part) for part in [*command, *args, job, *job_args]],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@dataclass
class Cluster:
    """Workers of one core each. ::

        with Cluster(tmp_path) as cluster:
            job = submit(*cluster.args)
            cluster.kill(0)

    :param directory: for the logs and the workers' directories.
    """

    directory: Path
    num_workers: int = 2
    _processes: list = field(default_factory=list)

    def __enter__(self) -> "Cluster":
        self._log = (self.directory / "cluster.log").open("w")
        at, port = ("--host", "127.0.0.1"), free_port()
        self._start("master.Master", *at, "--port", port, "--webui-port", free_port())
        self.url = f"spark://127.0.0.1:{port}"
        for number in range(self.num_workers):
            own = ("--work-dir", self.work(number), "--webui-port", free_port())
            size = ("--cores", 1, "--memory", "1g")
            self._start("worker.Worker", *at, *own, *size, self.url)
        wait_until(self._is_whole, START_SECONDS, "workers")
        return self

    def __exit__(self, *exception) -> None:
        for number in range(-1, self.num_workers):
            self.kill(number)
        self._log.close()

    @property
    def args(self) -> tuple[str, ...]:
        """The options of spark-submit."""
        conf = ["spark.executor.memory=512m", "spark.driver.host=127.0.0.1"]
        conf += [f"spark.executor.extraJavaOptions={QUICK[1]}"]
        return "--master", self.url, *(a for c in conf for a in ("--conf", c))

    def work(self, number: int) -> Path:
        """Give the directory in which a worker's executors run."""
        return self.directory / f"work{number}"

    def kill(self, number: int) -> None:
        """Kill a worker and all its executors; -1 is the master."""
        process = self._processes[number + 1]
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()

    def _start(self, name: str, *args) -> None:
        command = [program("spark-class"), f"org.apache.spark.deploy.{name}"]
        process = subprocess.Popen(
            [str(part) for part in [*command, *args]],
            env=environment(),
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._processes.append(process)

    def _is_whole(self) -> bool:
        log = (self.directory / "cluster.log").read_text()
        return len(re.findall("Registering worker 127", log)) == self.num_workers
