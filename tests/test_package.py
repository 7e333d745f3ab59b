"""The wheel: what it needs, what is in it, and that it works where it is installed."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
import venv
import zipfile
from email.parser import BytesParser
from importlib.metadata import packages_distributions, version
from pathlib import Path
from urllib.request import urlopen

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from negation_api import __version__
from server import START_SECONDS, free_port, wait_until

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = {
    "parquet": "requirements-bulk.txt",
    "spark": "requirements-spark.txt",
    "otel": "requirements-otel.txt",
}
UV = [Path(sys.executable).with_name("uv"), "pip"]
MAX_WHEEL_BYTES = 60_000_000


def pins(name: str) -> dict[str, str]:
    """Give what a requirements file pins, by canonical name."""
    found = {}
    for line in (ROOT / name).read_text("utf-8").splitlines():
        if line.startswith("-r "):
            found |= pins(line.split()[1])
        elif "==" in line:
            package, _, version = line.partition("==")
            found[canonicalize_name(package)] = version.split()[0]
    return found


def needs(extra: str | None = None) -> dict[str, Requirement]:
    """Give what the package says it needs, by canonical name."""
    optional = PROJECT["optional-dependencies"]
    lines = optional[extra] if extra else PROJECT["dependencies"]
    found = map(Requirement, lines)
    return {canonicalize_name(each.name): each for each in found}


@pytest.mark.parametrize("extra", [None, *EXTRAS])
def test_what_is_needed_has_a_range_that_holds_what_is_tested(extra):
    tested = pins(EXTRAS.get(extra, "requirements.txt"))
    for name, requirement in needs(extra).items():
        if name != PROJECT["name"]:
            assert requirement.specifier.contains(tested[name]), name


def test_all_that_is_imported_is_needed():
    graph = grimp.build_graph("negation_api", include_external_packages=True)
    ours = {module for module in graph.modules if module.startswith("negation_api")}
    imported = graph.modules - ours - sys.stdlib_module_names
    known = packages_distributions()
    names = {
        canonicalize_name(known[module][0])
        for module in imported
        if module.split(".")[0] in known
    }
    named = set(needs()).union(*map(needs, PROJECT["optional-dependencies"]))
    assert names - named <= {"markupsafe", "numpy"}  # come with jinja2, transformers
    assert {"torch", "flask", "gunicorn", "marshmallow"} <= names


def test_the_version_is_that_of_the_changelog():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^## (\d+\.\d+\.\d+) - ", text, re.MULTILINE)[0] == __version__


# --- built and installed ----------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built with what is installed here: nothing is downloaded."""
    place = tmp_path_factory.mktemp("dist")
    options = "-q --disable-pip-version-check --no-build-isolation --no-deps -w".split()
    command = [sys.executable, "-m", "pip", "wheel", *options, place, ROOT]
    subprocess.run(command, check=True)
    (path,) = place.iterdir()
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """An environment with the wheel and what it names alone, and an empty directory.

    The torch that is tested is PyTorch's for CPUs, as in scripts/install.sh, or from
    where pip finds it. uv links to its cache, so that takes seconds and not minutes.
    """
    place = tmp_path_factory.mktemp("installed")
    venv.create(place / "venv", with_pip=False)
    (place / "elsewhere").mkdir()
    (place / "tested").write_text(f"torch=={version('torch')}\n", encoding="utf-8")
    python = place / "venv" / "bin" / "python"
    links = os.environ.get("PIP_FIND_LINKS")
    env = os.environ | ({"UV_FIND_LINKS": links.replace(" ", ",")} if links else {})
    pip = [sys.executable, "-m", "pip", "--python", python, "install"]
    quick = [*UV, "install", "--python", python]
    for way in [*quick, "--torch-backend=cpu"], quick, pip:
        command = [*way, "-q", "-c", place / "tested", wheel]
        found = subprocess.run(command, env=env, capture_output=True, text=True)
        if found.returncode == 0:
            return place
    raise AssertionError(found.stderr)


def run(installed: Path, *args: str, **env: str) -> subprocess.CompletedProcess:
    """Run a program of the environment, from a directory without anything of ours."""
    return subprocess.run(
        [installed / "venv" / "bin" / args[0], *args[1:]],
        cwd=installed / "elsewhere",
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )


def environment(**more: str) -> dict[str, str]:
    """Of what is set here, what is not about ours; torch is compiled once."""
    ours = ("PYTHONPATH", "MODEL", "PYTHONDONTWRITEBYTECODE")
    return {k: v for k, v in os.environ.items() if k not in ours} | more


@pytest.mark.system
def test_a_wheel_has_all_and_is_small(wheel):
    assert wheel.name == f"negation_api-{__version__}-py3-none-any.whl"
    assert wheel.stat().st_size < MAX_WHEEL_BYTES
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = subprocess.check_output(["git", "ls-files", "negation_api"], cwd=ROOT)
    wanted = {*ours.decode().split(), "negation_api/gunicorn.conf.py"}
    assert wanted | {"negation_api/wsgi.py"} == {
        name for name in names if ".dist-info/" not in name
    }


def is_up(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=START_SECONDS) as reply:
            return reply.status == 200
    except OSError:
        return False


# What the service gives and a model in the process, by their largest difference.
COMPARE = """
import sys, negation_api
note, spans = "Denies fever. Mother had asthma.", [(7, 12), (25, 31)]
client = negation_api.Client(sys.argv[1])
model = negation_api.load()
pairs = list(zip(model.predict(note, spans), client.predict(note, spans), strict=True))
print(max(abs(a.scores[x] - b.scores[x]) for a, b in pairs for x in a.scores))
print(*(a.label for a, _ in pairs))
print(model.describe() == client.describe())
print(negation_api.__file__)
"""


@pytest.mark.system
def test_an_installed_wheel_serves_and_is_asked(installed):
    port = free_port()
    settings = {"PORT": str(port), "WEB_CONCURRENCY": "1"}
    log = open(installed / "log", "w+b")
    server = subprocess.Popen(
        [installed / "venv" / "bin" / "negation-api", "serve"],
        cwd=installed / "elsewhere",
        env=environment(**settings),
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: is_up(url), START_SECONDS, "the service answers")
        found = run(installed, "python", "-c", COMPARE, url)
        assert not found.stderr
        difference, labels, is_same, place = found.stdout.splitlines()
        assert float(difference) < 1e-4
        assert (labels, is_same) == ("ABSENT PRESENT", "True")
        assert place.startswith(str(installed))
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(START_SECONDS)
        log.seek(0)
        output = log.read().decode()
        log.close()
    assert code == 0, output
    # With the packaged settings: every line that is logged is JSON.
    assert all(map(json.loads, output.splitlines()))


# Imports all, and prints which packages are not there for that.
IMPORT_ALL = """
import importlib, pkgutil, negation_api
lost = set()
for module in pkgutil.walk_packages(negation_api.__path__, "negation_api."):
    if not module.name.endswith(("__main__", ".wsgi", ".conf")):
        try:
            importlib.import_module(module.name)
        except Exception as error:
            lost.add((error.__cause__ or error).name)
print(*sorted(lost))
"""


@pytest.mark.system
def test_an_installed_wheel_brings_all_but_its_extras(installed):
    found = run(installed, "python", "-c", IMPORT_ALL)
    assert found.stdout.split() == ["opentelemetry", "pyarrow", "spacy"], found.stderr
    python = installed / "venv" / "bin" / "python"
    checked = subprocess.run([*UV, "check", "--python", python], capture_output=True)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.system
def test_an_installed_wheel_says_what_it_needs(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    said = BytesParser().parsebytes(archive.read(name))
    assert set(said.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])
    requirements = list(map(Requirement, said.get_all("Requires-Dist")))
    for extra in (None, *PROJECT["optional-dependencies"]):
        found = {
            canonicalize_name(each.name): each.specifier
            for each in requirements
            if (each.marker is None) == (extra is None)
            and (extra is None or each.marker.evaluate({"extra": extra}))
        }
        wanted = needs(extra)
        own = wanted.pop(PROJECT["name"], None)  # an extra that names another
        for other in own.extras if own else ():
            wanted |= needs(other)
        assert found == {name: each.specifier for name, each in wanted.items()}


@pytest.mark.system
def test_an_installed_wheel_counts_a_list_of_terms(installed):
    texts = "Denies fever.", "Has chest pain.", "Mother had asthma.", "No cough."
    rows = (f"{n},{n % 100},{texts[n % 4]} Bed {n}." for n in range(1000))
    notes, terms = (installed / "elsewhere" / n for n in ("notes.csv", "terms.csv"))
    notes.write_text("\n".join(["id,patient_id,text", *rows]), encoding="utf-8")
    terms.write_text("term,code\nfever,R50\nchest pain,R07\nasthma,J45\ncough,R05\n")
    command = "negation-api predict notes.csv --terms terms.csv --summary".split()
    found = run(installed, *command)
    assert found.returncode == 0, found.stderr
    counts = {each["term"]: each for each in csv.DictReader(found.stdout.splitlines())}
    kinds = {"fever": "denying", "chest pain": "holding"}
    kinds |= {"asthma": "family", "cough": "denying"}
    assert counts.keys() == kinds.keys()
    for term, kind in kinds.items():
        assert counts[term]["notes"] == counts[term][f"notes_{kind}"] == "250"
        assert counts[term]["patients"] == "25"


@pytest.mark.system
@pytest.mark.parametrize("command", ["serve", "predict", "evaluate", "model", "doctor"])
def test_an_installed_wheel_has_its_commands(installed, command):
    found = run(installed, "negation-api", command, "--help")
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith(f"usage: negation-api {command}")


@pytest.mark.system
def test_an_installed_doctor_reads_the_packaged_settings(installed):
    found = run(installed, "negation-api", "doctor", REQUEST_TIMEOUT="54")
    assert found.stdout.splitlines()[-1] == "all agree"
    found = run(installed, "negation-api", "doctor", GRACEFUL_TIMEOUT="2")
    assert "negation_api: REQUEST_TIMEOUT=50 must be below" in found.stderr
    assert run(installed, "negation-api", "--version").stdout == f"{__version__}\n"
