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
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
LABELS = ("PRESENT", "ABSENT", "POSSIBLE")
EXPERIENCERS = ("PATIENT", "FAMILY", "OTHER")
TEMPORALITIES = ("CURRENT", "HISTORICAL", "HYPOTHETICAL")
# What a row says of an axis is the set of values that are right; all of them say
# nothing. Sentences written before there were axes are of what happened.
HAPPENED = frozenset(TEMPORALITIES[:2])

KINDS = (*LABELS, None)  # a row's label; None where the row does not say
SIGNS = dict(zip("+-?~", KINDS))
WHOSE = dict(zip("pfo", EXPERIENCERS))
WHEN = dict(zip("chy", TEMPORALITIES))
CORPORA = ("chia", "phee", "bionlp_id", "bionlp_epi", "bioscope_neg", "lct")

_MARK = re.compile(r"\{([+?~-])(?:([pfo])([chy])\|)?([^{}|]+)\}")
# Without any of these a sentence tells of nothing past.
_PAST = re.compile(
    r"""\b(histor\w*|hx|h/o|s/p|status|post|post\w+|prev\w*|prior|past|former\w*|ago|old
    |last|years?|months?|yrs?|since|child\w*|had|were|was|remote\w*|earlier|before|never
    |after|once|ever|used|known|pm?h|psh|pmhx|resol\w*|surg\w*|\w+(ectomy|plasty|otomy)
    |underwent|treated|diagnosed|during|in\ \d+|\w+ed|(19|20)\d\d)\b""",
    re.IGNORECASE | re.VERBOSE,
)


class DataError(RuntimeError):
    """The data is not what the recipe expects; the message names file and line."""


@dataclass(frozen=True)
class Row:
    """One entity and its label.

    :ivar start, end: code points into *text*; both None in a sentence that is
        shown without markers.
    :ivar source: the file it comes from, for weights and reports.
    :ivar group: rows of one group are never divided between training and held-out.
    :ivar label: None where the row does not say.
    :ivar before, after: the neighbour sentences in the note, or "".
    :ivar experiencer, temporality: the values that are right.
    """

    text: str
    start: int | None
    end: int | None
    label: str | None
    source: str
    group: str
    before: str = ""
    after: str = ""
    experiencer: frozenset[str] = frozenset({"PATIENT"})
    temporality: frozenset[str] = HAPPENED


def happened(text: str) -> frozenset[str]:
    """Give what a sentence without labels of time may be: past only with a cue.

    >>> sorted(happened("Denies fever.")), len(happened("history of asthma"))
    (['CURRENT'], 2)
    """
    return HAPPENED if _PAST.search(text) else frozenset({"CURRENT"})


def label_only(row: Row) -> Row:
    """Give *row* as one that says nothing of the axes."""
    everyone, ever = frozenset(EXPERIENCERS), frozenset(TEMPORALITIES)
    return replace(row, experiencer=everyone, temporality=ever)


def axis(value: str | None, values: tuple[str, ...]) -> frozenset[str]:
    """Give the set of right values; all where the source does not say."""
    return frozenset({value} if value else values)


# --- readers ------------------------------------------------------------------


def parse_sentence(line: str) -> tuple[str, list[tuple]]:
    """Take the inline marks out of a line of ``sentences/``.

    >>> parse_sentence("{+Pain}, father had {+fh|gout}.")[0]
    'Pain, father had gout.'
    >>> parse_sentence("{+Pain}, father had {+fh|gout}.")[1]
    [(0, 4, 'PRESENT', None, None), (17, 21, 'PRESENT', 'FAMILY', 'HISTORICAL')]
    """
    text, entities, last = "", [], 0
    line = line.replace("\\n", "\n")
    for found in _MARK.finditer(line):
        sign, whose, when, entity = found.groups()
        text += line[last : found.start()]
        span = len(text), len(text) + len(entity)
        entities.append((*span, SIGNS[sign], WHOSE.get(whose), WHEN.get(when)))
        text += entity
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
            rows += [_written(text, *entity, source) for entity in entities]
    return rows


def _written(text, start, end, label, whose, when, source) -> Row:
    return Row(
        *(text, start, end, label, source, text.lower()),
        experiencer=frozenset({whose or "PATIENT"}),
        temporality=frozenset({when}) if when else happened(text),
    )


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
    heading = f"{label['section']}:\n" if label.get("section") else ""
    span = (len(heading) + int(label[key]) for key in ("start", "end"))
    source, document = f"annotations/{path.stem}", _document(note)
    when = label.get("temporality")
    return Row(
        *(heading + text, *span, label["label"] or None, source, document),
        experiencer=axis(label.get("experiencer", "PATIENT"), EXPERIENCERS),
        temporality=frozenset({when}) if when else happened(text),
    )


def read_corpora(data: Path) -> list[Row]:
    """Read the labelled corpora of other projects."""
    rows = []
    for name in CORPORA:
        for row in _json_lines(data / "train" / f"{name}.jsonl"):
            span = row["start"], row["end"], row["label"]
            axes = dict(
                experiencer=axis(row.get("experiencer"), EXPERIENCERS),
                temporality=axis(row.get("temporality"), TEMPORALITIES),
            )
            rows.append(Row(row["text"], *span, name, _document(row), **axes))
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
            temporality=happened(row["text"]),
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

    Dropped are rows whose folded text is *forbidden* (as it is evaluated),
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
        replace(same[0], start=None, end=None)
        for text, same in by_text.items()
        if same[0].label
        and len({(row.label, row.experiencer, row.temporality) for row in same}) == 1
    ]


def count(rows: list[Row]) -> dict[str, dict[str, int]]:
    """Count rows by source and label."""
    counts = Counter((row.source, row.label) for row in rows)
    sources = sorted({row.source for row in rows})
    return {s: {str(label): counts[s, label] for label in KINDS} for s in sources}


def read_evaluated_texts(*folders: Path) -> frozenset[str]:
    """Read the folded texts of labelled files, which are never trained on."""
    return frozenset(
        fold(row["text"])
        for folder in folders
        for path in folder.glob("*.jsonl")
        for row in _json_lines(path)
    )
