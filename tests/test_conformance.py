"""The service is as its own OpenAPI document says, and no request upsets it.

By schemathesis, https://schemathesis.readthedocs.io/en/stable/reference/checks/
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fork_server import Server
from server import ROOT

pytestmark = pytest.mark.system

# In conformance.py, less what OpenAPI has no words for.
REPLACED = "negative_data_rejection,positive_data_acceptance"
OPTIONS = ["--no-color", "run", "--checks", "all", "--exclude-checks", REPLACED]


@pytest.fixture(scope="module")
def server(toy_model):
    with Server(model=toy_model, env={"WEB_CONCURRENCY": "2"}) as server:
        yield server


@pytest.mark.parametrize(
    "phases, examples, cases",
    [("examples,coverage,fuzzing", 150, 600), ("coverage,fuzzing,stateful", 20, 400)],
)
def test_schemathesis_finds_nothing(server, tmp_path, phases, examples, cases):
    """At least *cases* requests, from at most *examples* of each operation."""
    workers = server.workers()
    command = [Path(sys.executable).with_name("schemathesis"), *OPTIONS]
    command += ["--seed", "20261125", "--phases", phases]
    command += ["--max-examples", str(examples), f"{server.url}/openapi.json"]
    hooks = {"PYTHONPATH": str(ROOT / "tests"), "SCHEMATHESIS_HOOKS": "conformance"}
    run = subprocess.run(
        command,
        cwd=tmp_path,  # it keeps what it finds where it is
        env={**os.environ, **hooks},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    for phase in phases.split(","):
        assert f"{phase.capitalize()} (in " in run.stdout
    (generated,) = re.findall(r"([\d,]+) generated", run.stdout)
    assert int(generated.replace(",", "")) >= cases
    assert server.workers() == workers
    assert server.stderr() == ""
