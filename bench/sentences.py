"""Sentences and notes with what is said of findings in real notes.

The text is this project's own: the sentences that training holds out, as a model is
surer of what it was trained on and leaves it earlier, and ``tests/behaviour``.
"""

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT), str(ROOT / "training")]

from data import is_held_out, read_sentences  # noqa: E402

from negation_api.text.sentences import SegmentedText  # noqa: E402
from negation_api.text.spans import Span  # noqa: E402

# What is said of 2,276 labelled mentions: all 818 of the NegEx test kit, and those of
# ACI-Bench's and PriMock57's 144 notes in training/annotations/axes_notes.tsv, which
# has more of the hypothetical ones than of others. The kit labels no hedges.
SHARES = {"plain": 868, "negated": 593, "hypothetical": 337, "historical": 318}
SHARES |= {"family": 85, "hedged": 75}
# Means of those 144 notes; findings are those of "terms": "common".
NOTE_ENTITIES = 20
NOTE_WORDS = 297
MAX_WORDS = 50  # of what is a sentence, or two


class Sentence(NamedTuple):
    """A sentence with what can be asked of it.

    :ivar entities: (start, end, kind), code points and a key of SHARES.
    """

    text: str
    entities: tuple[tuple[int, int, str], ...]


def kind_of(label: str | None, whose: set, when: set) -> str:
    """Give the key of SHARES of an entity; the sets are what may be right."""
    if "PATIENT" not in whose:
        return "family"
    if when in ({"HISTORICAL"}, {"HYPOTHETICAL"}):
        return min(when).lower()
    return {"PRESENT": "plain", "ABSENT": "negated", "POSSIBLE": "hedged"}[label]


@cache
def written() -> dict[str, list[Sentence]]:
    """Give the sentences by the kinds of their entities.

    Without whole documents and published reports, and without those that have a
    heading, which would be that of what follows in a note.
    """
    entities: dict[str, list] = {}
    for row in filter(is_held_out, read_sentences()):
        if "/literature_" in row.source:
            continue
        kind = kind_of(row.label, row.experiencer, row.temporality)
        entities.setdefault(row.text, []).append((row.start, row.end, kind))
    path = ROOT / "tests" / "behaviour" / "axes.jsonl"
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        kind = kind_of(row["label"], {row["experiencer"]}, {row["temporality"]})
        entities.setdefault(row["text"], []).append((row["start"], row["end"], kind))
    decks: dict[str, list[Sentence]] = {kind: [] for kind in SHARES}
    for text, found in entities.items():
        if len(text.split()) > MAX_WORDS:
            continue
        note = SegmentedText(text)
        if not any(note.section(Span(*entity[:2])) for entity in found):
            for kind in dict.fromkeys(kind for *_, kind in found):
                decks[kind].append(Sentence(text, tuple(found)))
    return decks


def stream(rng: random.Random) -> Iterator[Sentence]:
    """Draw sentences without end, their entities as SHARES has them.

    None comes again before all others with an entity of its kind.
    """
    decks: dict[str, list] = {kind: [] for kind in SHARES}
    drawn: Counter = Counter()
    while True:
        kind = min(SHARES, key=lambda kind: drawn[kind] / SHARES[kind])
        if not decks[kind]:
            decks[kind] = rng.sample(written()[kind], len(written()[kind]))
        sentence = decks[kind].pop()
        drawn.update(kind for *_, kind in sentence.entities)
        yield sentence


def sentences(count: int, seed: int = 20261124) -> list[str]:
    """Draw *count* marked sentences."""
    marked = (
        SegmentedText(sentence.text).mark(Span(start, end))
        for sentence in stream(random.Random(seed))
        for start, end, _ in sentence.entities
    )
    return list(islice(marked, count))


def note(count: int, seed: int) -> dict:
    """Make the request of a note with *count* entities, a paragraph a sentence."""
    return _note(stream(random.Random(seed)), count, 0)


def notes(count: int, seed: int = 20261128) -> list[dict]:
    """Make the requests of *count* whole notes.

    Of NOTE_ENTITIES each, and further sentences, of which nothing is asked, up to
    NOTE_WORDS.
    """
    drawn = stream(random.Random(seed))
    return [_note(drawn, NOTE_ENTITIES, NOTE_WORDS) for _ in range(count)]


def _note(drawn: Iterator[Sentence], num_entities: int, num_words: int) -> dict:
    """Join sentences, in the order they are drawn in; what is too much is not asked."""
    text, entities = "", []
    for sentence in drawn:
        for start, end, _ in sentence.entities[: num_entities - len(entities)]:
            entities.append({"start": len(text) + start, "end": len(text) + end})
        text += sentence.text + "\n\n"
        if len(entities) >= num_entities and len(text.split()) >= num_words:
            return {"text": text, "entities": entities}
