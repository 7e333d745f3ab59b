"""What is loaded when a part of the package is imported; lint has who imports whom."""

import subprocess
import sys

import pytest

import draw_layers

WEB = ("flask", "werkzeug", "gunicorn", "prometheus_client")


def loaded(statement: str) -> set[str]:
    """Give the modules that a fresh Python has after *statement*."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


@pytest.mark.parametrize("module", ["scoring", "batch.bulk"])
def test_files_are_answered_without_a_web_server(module):
    assert loaded(f"import negation_api.{module}").isdisjoint(WEB)


def test_spark_answers_without_a_web_server():
    pytest.importorskip("pyspark")
    assert loaded("import negation_api.batch.spark").isdisjoint(WEB)


def test_the_package_itself_loads_nothing_of_its_own_or_of_others():
    bare = loaded("import importlib")
    assert loaded("import negation_api") - bare == {"negation_api"}


def test_the_package_still_has_its_factory():
    assert "flask" in loaded("from negation_api import create_app")
    assert "flask" in loaded("import negation_api; negation_api.create_app")


def test_an_unknown_name_is_none_of_the_package():
    import negation_api

    assert not hasattr(negation_api, "create_apps")


def test_the_picture_is_of_today_s_imports():
    """`make picture` draws it."""
    text = draw_layers.PAPER.read_text(encoding="utf-8")
    assert draw_layers.redrawn(text) == text


def test_the_picture_has_the_way_of_a_request():
    picture = draw_layers.draw()
    for arrow in ("server --> http", "http --> scoring", "contract --> text"):
        assert f"    {arrow}\n" in picture
    assert "batch[" not in picture
