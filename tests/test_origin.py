"""What computes an answer is known by what it is, not by a version."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "negation_api"
TELL = "from negation_api.batch.origin import code_digest; print(code_digest())"


def digest(directory: Path) -> str:
    """Ask the package that lies in *directory*, or in a zip file."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[0] = {str(directory)!r}; {TELL}"],
        capture_output=True,
        check=True,
        text=True,
        cwd="/",
    )
    return done.stdout.strip()


@pytest.fixture
def copy(tmp_path):
    left_out = shutil.ignore_patterns("embedded", "static", "__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "negation_api", ignore=left_out)
    return tmp_path


def test_the_digest_is_of_the_code_that_computes(copy):
    before = digest(copy)
    assert digest(shutil.make_archive(copy / "zipped", "zip", copy)) == before
    for name, is_other in [("http/health.py", False), ("text/markers.py", True)]:
        with (copy / "negation_api" / name).open("a") as file:
            file.write("# another\n")
        assert (digest(copy) != before) == is_other
