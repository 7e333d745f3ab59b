"""What benchmarks are made of, and what their tables say."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

import pytest

import bulk
from exits import without_leaving
from negation_api.text.sentences import SegmentedText
from negation_api.text.spans import Span
from report import exits_table, fill
from sentences import (
    NOTE_ENTITIES,
    NOTE_WORDS,
    SHARES,
    is_held_out,
    notes,
    read_sentences,
    sentences,
    stream,
    written,
)

ROOT = Path(__file__).parent.parent
MACHINE = {"cpu": "x", "cores": 2, "int8": [], "python": "3", "torch": "2"}


def test_findings_are_denied_and_hedged_as_often_as_in_real_notes():
    """Entities of drawn sentences have the shares that were counted."""
    drawn = islice(stream(Random(1)), 1000)
    counts = Counter(kind for each in drawn for *_, kind in each.entities)
    for kind, share in SHARES.items():
        wanted = share / sum(SHARES.values())
        assert counts[kind] / counts.total() == pytest.approx(wanted, abs=0.02), kind


def test_no_sentence_is_one_that_training_reads():
    """A model is surer of those, and would leave them earlier."""
    trained = {row.text for row in read_sentences() if not is_held_out(row)}
    drawn = {sentence.text for deck in written().values() for sentence in deck}
    assert len(drawn) > 1000
    assert not drawn & trained


def test_a_note_is_as_long_as_real_ones_and_is_read_as_its_sentences_are():
    """Nothing of a neighbour, nor a heading, is read with an entity."""
    alone = {
        SegmentedText(sentence.text).mark(Span(start, end), headed=True)
        for deck in written().values()
        for sentence in deck
        for start, end, _ in sentence.entities
    }
    for note in notes(10):
        assert len(note["entities"]) == NOTE_ENTITIES
        assert NOTE_WORDS <= len(note["text"].split()) < NOTE_WORDS + 50
        read = SegmentedText(note["text"])
        for entity in note["entities"]:
            assert read.mark(Span(**entity), headed=True) in alone


def test_the_same_seed_gives_the_same_sentences():
    """So that a run can be repeated; another seed gives others."""
    assert sentences(50, seed=1) == sentences(50, seed=1) != sentences(50, seed=2)


def test_no_row_leaves_the_copy_early(tmp_path):
    """All its exits want certainty, and the original is as it was."""
    model = tmp_path / "model"
    model.mkdir()
    config = {"exits": {"2": 0.9, "3": 0.8}, "hidden_size": 8}
    (model / "config.json").write_text(json.dumps(config))
    (model / "manifest.json").write_text("{}")
    copy = without_leaving(model, tmp_path)
    found = json.loads((copy / "config.json").read_text())
    assert found == {"exits": {"2": 1.0, "3": 1.0}, "hidden_size": 8}
    assert not (copy / "manifest.json").exists()
    assert json.loads((model / "config.json").read_text()) == config


def test_modes_are_compared_within_rounds():
    """A machine that changes its pace between rounds changes no ratio."""
    paces = 1, 2, 10
    rounds = {
        mode: [
            {"clients": pace * rate, "note": pace * rate, "lone_ms": pace, "errors": 0}
            | {"core_ms": 1.5, "around_ms": 0.75}
            for pace in paces
        ]
        for mode, rate in {"off": 100, "on": 180}.items()
    }
    layers = {"off": {}, "on": {"2": 3, "6": 1}}
    run = {"precision": "int8", "rounds": rounds, "layers": layers}
    line = exits_table({"machine": MACHINE, "exits": [run]}).splitlines()[-1]
    assert line == (
        "| int8 | on | 360 (1.80) | 360 (1.80) | 2.0 (1.00) | 1.50 | 0.75 | 0"
        " | 2: 75%, 6: 25% |"
    )


@pytest.mark.parametrize("name", ["results", "shapes", "notes", "exits"])
def test_the_page_has_a_place_for_every_table(name, tmp_path):
    """Filling it twice is filling it once."""
    page = tmp_path / "performance.md"
    page.write_text((ROOT / "docs" / "performance.md").read_text())
    fill(page, name, "| table |")
    once = page.read_text()
    fill(page, name, "| table |")
    assert page.read_text() == once
    assert f"<!-- {name} -->\n\n| table |\n\n<!-- end of {name} -->" in once


@pytest.mark.system
def test_systems_answer_notes_in_turn_on_one_core(tmp_path):
    """Each with a rate, and with how right it is about the same labelled rows."""
    (tmp_path / "spacy").symlink_to(ROOT / ".venv-spacy")
    command = [sys.executable, "bench/one_core.py", "--notes", "2", "--rounds", "1"]
    command += ["--systems", "ours-fp32-on", "medspacy-naive", "negspacy"]
    output = tmp_path / "results" / "notes.json"
    subprocess.run(
        [*command, "--output", str(output)],
        cwd=ROOT,
        env=os.environ | {"RULES_VENVS": str(tmp_path)},
        check=True,
    )
    found = json.loads(output.read_text())
    assert found["entities"] == 2 * NOTE_ENTITIES
    for name, system in found["systems"].items():
        assert len(system["rates"]) == 1
        assert 0.7 < system["scores"]["negated or not"][0] <= 1, name


def test_the_commands_of_the_bulk_page_are_taken():
    """Not run: they want a quiet machine for a quarter of an hour, and Java."""
    page = (ROOT / "docs" / "bulk.md").read_text(encoding="utf-8")
    shown = re.findall(
        r"^\.venv/bin/python bench/bulk\.py (.*?) *#", page, re.MULTILINE
    )
    taken = [bulk.make_parser().parse_args(words.split()) for words in shown]
    assert [args.command for args in taken] == ["rates", "scale"]
    (file,) = re.findall(r"^\.venv/bin/pip install -r (\S+)", page, re.MULTILINE)
    assert "pyarrow==" in (ROOT / file).read_text()
