"""What CONTRIBUTING.md asks of the code and no linter looks at."""

import ast

import pytest

from server import ROOT

MAX_LINES = {ast.FunctionDef: 40, ast.ClassDef: 200}
LONG = {"Settings"}  # a field for each setting
MODULES = [*sorted((ROOT / "negation_api").rglob("*.py")), ROOT / "gunicorn.conf.py"]


@pytest.mark.parametrize("kind", MAX_LINES)
def test_no_function_or_class_is_longer_than_can_be_read_at_once(kind):
    found = [
        (node.end_lineno - node.lineno + 1, f"{path.relative_to(ROOT)}: {node.name}")
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, kind) and node.name not in LONG
    ]
    assert len(found) > 100
    assert [each for each in found if each[0] > MAX_LINES[kind]] == []
