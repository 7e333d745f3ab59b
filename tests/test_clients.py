"""The programs in docs/clients.md print what its table says."""

import re
import subprocess
from pathlib import Path

import pytest

from server import Server

pytestmark = pytest.mark.system

PAGE = Path(__file__).parents[1] / "docs" / "clients.md"
TEXT = PAGE.read_text(encoding="utf-8")
PRINTED = re.findall(r"^\| \d+ \|.*\| `([^`]+)` \|$", TEXT, re.MULTILINE)
COMMANDS = {"js": ("clients.mjs", ["node"]), "java": ("Clients.java", ["java"])}


@pytest.fixture(scope="module")
def server():
    env = {"WEB_CONCURRENCY": "1", "INFERENCE_THREADS": "1"}
    args = ("--pythonpath", "tests")
    with Server(env=env, app="keywords:app", args=args) as server:
        yield server
        assert server.stderr() == ""


@pytest.mark.parametrize("language", COMMANDS)
def test_the_program_prints_what_the_page_says(server, language, tmp_path):
    name, command = COMMANDS[language]
    (code,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert code.splitlines()[0].endswith(f"{name} http://localhost:8000")
    (tmp_path / name).write_text(code, encoding="utf-8")
    done = subprocess.run(
        [*command, tmp_path / name, server.url],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == PRINTED
    assert len(PRINTED) == 10
