"""The labelled rows that training reads, and how they are divided.

Sources: ``sentences/*.txt`` (written for this project), ``annotations/*.tsv``
(labels of this project; their sentences stay in the data directory), the corpora
under ``DATA_DIR/train``, and the silver rows of ``silver.py``.
"""

import csv
import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
LABELS = ("PRESENT", "ABSENT", "POSSIBLE")
SIGNS = dict(zip("+-?", LABELS))
CORPORA = ("chia", "phee", "bionlp_id", "bionlp_epi", "bioscope_neg")

_MARK = re.compile(r"\{([+?-])([^{}]+)\}")


class DataError(RuntimeError):
    """The data is not what the recipe expects; the message names file and line."""


@dataclass(frozen=True)
class Row:
    """One entity and its label.

    :ivar start, end: code points into *text*; both None in a sentence that is
        shown without markers.
    :ivar source: the file it comes from, for weights and reports.
    :ivar group: rows of one group are never divided between training and held-out.
    :ivar before, after: the neighbour sentences in the note, or "".
    """

    text: str
    start: int | None
    end: int | None
    label: str
    source: str
    group: str
    before: str = ""
    after: str = ""


# --- readers ------------------------------------------------------------------


def parse_sentence(line: str) -> tuple[str, list[tuple[int, int, str]]]:
    """Take the inline marks out of a line of ``sentences/``.

    >>> parse_sentence("{+Pain}, no {-fever}.")
    ('Pain, no fever.', [(0, 4, 'PRESENT'), (9, 14, 'ABSENT')])
    """
    text, entities, last = "", [], 0
    line = line.replace("\\n", "\n")
    for found in _MARK.finditer(line):
        text += line[last : found.start()]
        entities.append((len(text), len(text) + len(found[2]), SIGNS[found[1]]))
        text += found[2]
        last = found.end()
    return text + line[last:], entities


def read_sentences(folder: Path = HERE / "sentences") -> list[Row]:
    """Read the hand-written sentences, one row for each of their entities."""
    rows = []
    for path in sorted(folder.glob("*.txt")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            text, entities = parse_sentence(line)
            if not entities or "{" in text or "}" in text:
                raise DataError(f"{path.name}:{number}: no entity, or a stray brace")
            source = f"sentences/{path.stem}"
            rows += [Row(text, *entity, source, text.lower()) for entity in entities]
    return rows


def read_annotations(data: Path, folder: Path = HERE / "annotations") -> list[Row]:
    """Read the stand-off labels and find their sentences under *data*.

    :raises DataError: when a sentence is not the one that was annotated.
    """
    notes, rows = {}, []
    for path in sorted(folder.glob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            for label in csv.DictReader(file, delimiter="\t"):
                name, line = label["file"], int(label["line"])
                if name not in notes:
                    notes[name] = _json_lines(data / name)
                rows.append(_annotated(path, label, notes[name], line))
    return rows


def _annotated(path: Path, label: dict, notes: list[dict], line: int) -> Row:
    note = notes[line - 1] if line <= len(notes) else {"text": ""}
    text = note["text"]
    if hashlib.sha256(text.encode()).hexdigest()[:10] != label["sha256"]:
        raise DataError(f"{label['file']}:{line}: not the sentence of {path.name}")
    span = int(label["start"]), int(label["end"])
    source = f"annotations/{path.stem}"
    return Row(text, *span, label["label"], source, _document(note))


def read_corpora(data: Path) -> list[Row]:
    """Read the labelled corpora of other projects."""
    rows = []
    for name in CORPORA:
        for row in _json_lines(data / "train" / f"{name}.jsonl"):
            span = row["start"], row["end"], row["label"]
            rows.append(Row(row["text"], *span, name, _document(row)))
    return rows


def read_silver(path: Path) -> list[Row]:
    """Read what ``silver.py`` wrote."""
    return [
        Row(
            *(row[key] for key in ("text", "start", "end", "label")),
            f"silver/{row['source']}",
            _document(row),
            row.get("before", ""),
            row.get("after", ""),
        )
        for row in _json_lines(path)
    ]


def _json_lines(path: Path) -> list[dict]:
    try:
        with path.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.strip()]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None


def _document(row: dict) -> str:
    return f"{row['source']}:{row['doc']}"


# --- division -----------------------------------------------------------------


def is_held_out(row: Row, percent: int = 12) -> bool:
    """Tell whether *row* is kept from training, to tune and calibrate on.

    Only hand-written and annotated rows are held out, whole sentences or whole
    notes of them, chosen by a hash and so the same in every run.
    """
    if not row.source.startswith(("sentences/", "annotations/")):
        return False
    return int(hashlib.sha256(row.group.encode()).hexdigest()[:8], 16) % 100 < percent


def divide(rows: list[Row], forbidden: frozenset[str]) -> tuple[list[Row], list[Row]]:
    """Divide into training and held-out rows, and drop what may not be in either.

    Dropped are rows whose folded text is *forbidden* (the behavioural suite),
    other rows of a held-out note, and silver labels of annotated sentences.
    """
    rows = [row for row in rows if fold(row.text) not in forbidden]
    held = [row for row in rows if is_held_out(row)]
    groups = {row.group for row in held}
    by_hand = {fold(row.text) for row in rows if not row.source.startswith("silver/")}
    train = [
        row
        for row in rows
        if row.group not in groups
        and not (row.source.startswith("silver/") and fold(row.text) in by_hand)
    ]
    return train, held


def fold(text: str) -> str:
    """Give the words of *text* alone, so that near-identical sentences are equal.

    >>> fold("No fever,  chills.") == fold("no FEVER chills")
    True
    """
    return " ".join(re.findall(r"[a-z0-9?+]+", text.lower()))


def unmarked(rows: list[Row]) -> list[Row]:
    """Give sentences as rows without a span, where all their entities agree."""
    by_text = {}
    for row in rows:
        by_text.setdefault(row.text, []).append(row)
    return [
        Row(text, None, None, same[0].label, same[0].source, same[0].group)
        for text, same in by_text.items()
        if len({row.label for row in same}) == 1
    ]


def count(rows: list[Row]) -> dict[str, dict[str, int]]:
    """Count rows by source and label."""
    counts = Counter((row.source, row.label) for row in rows)
    sources = sorted({row.source for row in rows})
    return {s: {label: counts[s, label] for label in LABELS} for s in sources}


def read_behaviour_texts(path: Path) -> frozenset[str]:
    """Read the folded texts of the behavioural suite, which are never trained on."""
    return frozenset(fold(case["text"]) for case in _json_lines(path))
