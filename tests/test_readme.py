"""What the README shows is what happens."""

import contextlib
import io
import json
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from fork_server import Server
from negation_api import __version__
from negation_api.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
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
    assert len(curls) == len(blocks("json")) == 4
    for curl, shown in zip(curls, blocks("json")):
        words = shlex.split(curl.replace("\\\n", ""))
        header = "Content-Type: application/json"
        assert words[:5] == ["curl", "localhost:8000/predict", "-H", header, "-d"]
        reply = server.post(words[5].encode())
        given, shown = rounded(reply.json), rounded(json.loads(shown))
        order = list(shown)
        assert near({key: given.pop(key) for key in order}, shown)
        assert not given


def test_the_lines_of_python_work(server):
    (code,) = blocks("python")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        for instead in ("negation_api.load()", f"negation_api.Client({server.url!r})"):
            names = {}
            exec(code.replace("negation_api.load()", instead), names)
    names["model"].close()
    wanted = "chest pain ABSENT False\nviral pharyngitis POSSIBLE False\n"
    assert out.getvalue() == 2 * wanted


def test_the_python_page_prints_what_it_shows(server):
    """It is run from top to bottom."""
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    found = re.findall(r"```(python|text)\n(.*?)```", page, re.DOTALL)
    names, printed = {}, ""
    for kind, block in found:
        if kind == "text":
            assert printed == block
            printed = ""
            continue
        assert not printed
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(block.replace("http://localhost:8000", server.url), names)
        printed = out.getvalue()
    names["client"].close()
    assert not printed
    assert len(found) > 10


def test_every_setting_is_in_the_table():
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| (.*?) \| (.*) \|$", README, re.MULTILINE)
    wanted = [
        (f.name.upper(), shown(f.default), f.metadata["doc"]) for f in fields(Settings)
    ]
    assert rows == wanted


def shown(default) -> str:
    """Write a default as one would set it."""
    switch = {True: "on", False: "off"}
    value = switch[default] if isinstance(default, bool) else default
    return f"`{value}`" if value != "" else ""


PAPERS = [
    "README.md",
    "README-local.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/architecture.md",
]


@pytest.mark.parametrize("paper", PAPERS)
def test_every_target_and_file_that_is_named_exists(paper):
    text = (ROOT / paper).read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text()
    commands = re.findall(r"`(?:[A-Z]+=\S+ )?make ([a-z-]+)", text)
    commands += re.findall(r"^(?:[A-Z]+=\S+ )?make ([a-z-]+)", text, re.MULTILINE)
    for target in commands:
        assert f"\n{target}:" in makefile
    paths = re.findall(r"(?:`| )((?:docs|training|tests|scripts)/[\w./-]*)", text)
    paths += re.findall(r"`(http/[\w./-]*)`", text)
    paths += re.findall(r"`([\w/-]+\.(?:py|md|cff))`", text)
    assert paths
    for path in paths:
        assert (ROOT / path).exists() or (ROOT / "negation_api" / path).exists(), path


THREATS = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")


def test_every_threat_has_a_test_and_the_test_exists():
    rows = [r for r in THREATS.splitlines() if r.startswith("|")][2:]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row)
        assert named, row
        for file, test in named:
            code = (ROOT / "tests" / file).read_text(encoding="utf-8")
            assert f"\ndef {test}(" in code, f"{file}::{test}"


FOLDERS = [ROOT, *(ROOT / name for name in ("bench", "infra", "tests", "training"))]
FOLDERS += (ROOT / "negation_api").glob("**/")
PAPERS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
PAPERS.remove(ROOT / "CHANGELOG.md")  # of what was once
OTHERS = {"workers/gthread.py"}  # Gunicorn's


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_every_module_that_a_page_names_exists(paper):
    named = set(re.findall(r"`([\w./-]+\.py)\b", paper.read_text(encoding="utf-8")))
    lost = {n for n in named if not any((each / n).exists() for each in FOLDERS)}
    assert lost <= OTHERS


def test_pictures_are_small_enough_to_show():
    for picture in re.findall(r"!\[[^]]+\]\(([^)]+)\)", README):
        assert (ROOT / picture).stat().st_size < 200_000


def test_every_figure_of_quality_is_that_of_the_model_card():
    card = (ROOT / "docs" / "model-card.md").read_text(encoding="utf-8")
    section = README.partition("## How good it is")[2].partition("\n## ")[0]
    figures = re.findall(r"0\.\d{3}", section)
    assert len(figures) >= 5
    for figure in figures:
        assert figure in card


def test_the_citation_is_valid_and_of_this_version():
    command = ["check-jsonschema", "--builtin-schema", "vendor.citation-file-format"]
    command[0] = str(Path(sys.executable).with_name(command[0]))
    subprocess.run([*command, ROOT / "CITATION.cff"], check=True, capture_output=True)
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in text
    for line in README.partition("## Citation")[2].splitlines():
        for url in re.findall(r"<(https://\S+)>", line):
            assert url in text


def test_the_specimens_in_contributing_are_in_the_code():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = "".join(p.read_text() for p in ROOT.glob("negation_api/**/*.py"))
    code += "".join(p.read_text() for p in ROOT.glob("tests/*.py"))
    for specimen in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        assert specimen in code
