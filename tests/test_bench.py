"""What benchmarks are made of."""

from collections import Counter
from itertools import islice
from random import Random

import pytest

from negation_api.text.sentences import Note
from negation_api.text.spans import Span
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
        Note(sentence.text).mark(Span(start, end), headed=True)
        for deck in written().values()
        for sentence in deck
        for start, end, _ in sentence.entities
    }
    for note in notes(10):
        assert len(note["entities"]) == NOTE_ENTITIES
        assert NOTE_WORDS <= len(note["text"].split()) < NOTE_WORDS + 50
        read = Note(note["text"])
        for entity in note["entities"]:
            assert read.mark(Span(**entity), headed=True) in alone


def test_the_same_seed_gives_the_same_sentences():
    """So that a run can be repeated; another seed gives others."""
    assert sentences(50, seed=1) == sentences(50, seed=1) != sentences(50, seed=2)
