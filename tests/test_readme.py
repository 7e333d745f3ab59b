"""What the README shows is what happens."""

import contextlib
import io
import json
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from negation_api.settings import Settings
from server import Server

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        yield server


def rounded(value):
    """What is the same in every run, to three places."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items() if k != "time_ms"}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value


def near(given, shown) -> bool:
    """Tell whether two replies agree, scores to 0.005: CPUs differ in the last bits."""
    given, shown = json.dumps(given), json.dumps(shown)
    number = re.compile(r"\d+\.\d+")
    pairs = zip(number.findall(given), number.findall(shown))
    same = number.sub("#", given) == number.sub("#", shown)
    return same and all(abs(float(a) - float(b)) <= 0.005 for a, b in pairs)


def test_each_curl_gives_what_is_shown(server):
    curls = [text for text in blocks("sh") if text.startswith("curl")]
    assert len(curls) == len(blocks("json")) == 2
    for curl, shown in zip(curls, blocks("json")):
        words = shlex.split(curl.replace("\\\n", ""))
        header = "Content-Type: application/json"
        assert words[:5] == ["curl", "localhost:8000/predict", "-H", header, "-d"]
        reply = server.post(words[5].encode())
        given, shown = rounded(reply.json), rounded(json.loads(shown))
        order = list(shown)
        assert near({key: given.pop(key) for key in order}, shown)
        assert not given


def test_the_python_client_works(server):
    (code,) = blocks("python")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code.replace("http://localhost:8000", server.url), {})
    assert out.getvalue().split("\n")[:2] == [
        "chest pain ABSENT",
        "viral pharyngitis POSSIBLE",
    ]


def test_every_setting_is_in_the_table():
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| (.*?) \| (.*) \|$", README, re.MULTILINE)
    wanted = [
        (f.name.upper(), f.default != "" and f"`{f.default}`" or "", f.metadata["doc"])
        for f in fields(Settings)
    ]
    assert rows == wanted


def test_every_target_and_file_that_is_named_exists():
    root = Path(__file__).parent.parent
    makefile = (root / "Makefile").read_text()
    for target in re.findall(r"`(?:[A-Z]+=\S+ )?make ([a-z-]+)", README):
        assert f"\n{target}:" in makefile
    for path in re.findall(r"`((?:docs|training)/[\w./-]*)`", README):
        assert (root / path).exists()
    for module in re.findall(r"`(\w+\.py)`", README):
        assert (root / "negation_api" / module).exists()
