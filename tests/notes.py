"""Synthetic notes from a few templates, for the tests and measurements of bulk work."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

CONCEPTS = "fever chills pain cough nausea pneumonia effusion dyspnea".split()
SENTENCES = (
    "The patient denies any {}.",
    "Possible {} in the left lung, to be ruled out with a scan on Monday.",
    "History of severe {} and cough; was seen by Dr. Smith for it.",
    "No {} at the left heart border, unchanged from the patient's prior study.",
    "Plan:\n- treat the {}\n- follow up",
)


def make_notes(number: int, seed: int = 8) -> Iterator[dict]:
    """Give *number* bodies of form 2, of one to six entities each; few are alike."""
    chance = random.Random(seed)
    for index in range(number):
        text, entities = "", []
        for place in range(chance.randint(1, 6)):
            template = chance.choice(SENTENCES)
            concept = f"{chance.choice(CONCEPTS)} {chance.randint(0, 9999)}"
            start = len(text) + template.index("{}")
            end = start + len(concept)
            entities.append({"id": place, "start": start, "end": end})
            text += template.format(concept) + " "
        yield {"id": f"n{index}", "text": text, "entities": entities}


def write_jsonl(path: Path, rows) -> Path:
    """Write one row a line; bytes as they are."""
    with path.open("wb") as file:
        for row in rows:
            line = row if isinstance(row, bytes) else json.dumps(row).encode()
            file.write(line + b"\n")
    return path
