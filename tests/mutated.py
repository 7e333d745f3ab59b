"""Run in a copy of the repository: changes a file, runs tests, puts the file back.

Reads a list of ``[file, old, new, test file, -k]`` from standard input, writes for each
pytest's exit code. In one process, since most of a run's time is imports.
"""

import contextlib
import io
import json
import sys
from pathlib import Path

import pytest


def outcome(file: str, old: str, new: str, tests: str, words: str) -> int:
    """Give pytest's exit code with *old* replaced wherever it stands."""
    path = Path(file)
    text = path.read_text()
    if text.count(old) < 1:
        return -1
    path.write_text(text.replace(old, new))
    # What reads templates reads them again; what is only slow stays.
    own = {Path(p).stem for p in Path("tests").glob("*.py")} | {"images", "deploy"}
    for name in own & set(sys.modules):
        del sys.modules[name]
    # Of its own: two that clean the common directory up at once may both unlink a link.
    command = ["-x", "-q", "-p", "no:cacheprovider", "--basetemp=.own-tmp"]
    command += [f"tests/{tests}", "-k", words]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return int(pytest.main(command))
    finally:
        path.write_text(text)


if __name__ == "__main__":
    json.dump([outcome(*each) for each in json.load(sys.stdin)], sys.stdout)
