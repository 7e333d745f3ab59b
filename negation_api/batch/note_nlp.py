"""Answers as rows of NOTE_NLP, of OHDSI's common data model 5.4.

https://ohdsi.github.io/CommonDataModel/cdm54.html#note_nlp; ``docs/omop.md`` says what
each column holds. Lengths are counted in bytes of UTF-8: PostgreSQL counts characters,
but Redshift and SQL Server count bytes.
"""

import re
from collections.abc import Iterator
from datetime import datetime

from marshmallow import fields

from negation_api import __version__
from negation_api.batch.columns import Columns, Int32
from negation_api.contract.errors import Invalid
from negation_api.contract.labels import Prediction
from negation_api.contract.request import Document
from negation_api.scoring import Answered
from negation_api.text.markers import MARKER, marked_span
from negation_api.text.spans import Span

MIN_INTEGER, MAX_INTEGER = -(2**31), 2**31 - 1
MAX_BYTES = 250  # of snippet, lexical_variant and nlp_system
SNIPPET_CHARS = 1000  # looked at on either side; white space may come in long runs
RULE_CHARS = 200  # likewise, for "rule out"
NO_CONCEPT = 0

COLUMNS: Columns = {
    "note_nlp_id": Int32(),
    "note_id": Int32(),
    "section_concept_id": Int32(),
    "snippet": fields.String(),
    "offset": fields.String(),
    "lexical_variant": fields.String(),
    "note_nlp_concept_id": Int32(),
    "note_nlp_source_concept_id": Int32(),
    "nlp_system": fields.String(),
    "nlp_date": fields.Date(),
    "nlp_datetime": fields.NaiveDateTime(),
    "term_exists": fields.String(),
    "term_temporal": fields.String(),
    "term_modifiers": fields.String(),
}
# Columns of OMOP's NOTE, and what they are called here.
NOTE_NAMES = {"note_id": "id", "note_text": "text"}

# MedTagger's words, which sites have in term_modifiers
CERTAINTY = {"PRESENT": "Positive", "ABSENT": "Negated", "POSSIBLE": "Possible"}
TEMPORAL = {"CURRENT": "present", "HISTORICAL": "past"}

_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_BEFORE = re.compile(r"\S+\s*")  # words with what parts them from the entity
_AFTER = re.compile(r"\s*\S+")
_WHOLE = re.compile(r"\s*([+-]?[0-9]{1,18})(?:\.0*)?\s*")  # pandas writes 17.0

_RULE_OUT = re.compile(
    r"(?<!\w)(?:r\s?/\s?o|rul(?:e|es|ing)[\s-]out)(?!\w)\s?:?", re.IGNORECASE
)
_RULED_OUT = re.compile(r"\b(?:be|being)\s(?:\w+\s)?ruled[\s-]out\b", re.IGNORECASE)
# Between the words and the entity: what is ruled out is something else; before the
# words: it cannot be.
_OTHER = re.compile(
    r"[;:.!?]|\b(?:but|however|likely|probabl[ey]|possibl[ey]|suspect\w*|suspicion|"
    r"suggest\w*|concern\w*|consistent|versus|vs)\b",
    re.IGNORECASE,
)
_CANNOT = re.compile(
    r"\b(?:not|cannot|can't|couldn't|unable|difficult|hard)\b[^;:.!?]{0,24}$",
    re.IGNORECASE,
)


def system_of(model: dict) -> str:
    """Name what answered: versions and hashes, at most ``MAX_BYTES``.

    >>> model = {"name": "m", "revision": "2", "sha256": "0", "precision": "fp32"}
    >>> system_of(model).partition(" ")[2]
    'm@2 sha256:0 fp32'

    :param model: as every reply has it. Two models' hashes are cut to 16 digits when
        they do not fit, then the names.
    """
    models = [model, *([model["axes"]] if model.get("axes") else [])]
    sizes = (MAX_BYTES, 64), (MAX_BYTES, 16), (40, 16), (20, 16)
    for name_bytes, digits in sizes:
        parts = [_artefact(each, name_bytes, digits) for each in models]
        system = f"negation_api/{__version__} {' axes '.join(parts)}"
        if len(system.encode()) <= MAX_BYTES:
            break
    return cut(system)


def _artefact(model: dict, name_bytes: int, digits: int) -> str:
    name = cut(squeeze(model["name"]), name_bytes)
    revision = f"@{cut(model['revision'], 40)}" if model["revision"] else ""
    return f"{name}{revision} sha256:{model['sha256'][:digits]} {model['precision']}"


# --- rows ----------------------------------------------------------------------


def check(document: Document) -> None:
    """See that *document* has what a row needs.

    :raises Invalid: when it has not.
    """
    number = whole(document.id)
    if number is None or not MIN_INTEGER <= number <= MAX_INTEGER:
        allowed = f"{MIN_INTEGER} to {MAX_INTEGER}, NOTE_NLP's note_id"
        given = "" if number is None else f"; given {number}"
        raise Invalid.at(f"Must be a whole number from {allowed}{given}.", "id")
    if document.entities is None and not document.marked:
        raise Invalid.at(
            f"Must hold {MARKER} markers: NOTE_NLP has a row for each entity.",
            "sentence",
        )


def rows(answer: Answered, system: str, time: datetime) -> Iterator[dict]:
    """Give a row for each entity, but for ``note_nlp_id``.

    :param system: as of :func:`system_of`.
    :param time: of the processing, without a zone.
    """
    document = answer.document
    entities = [None] if document.entities is None else document.entities
    for entity, prediction in zip(entities, answer.predictions, strict=True):
        text, span = _place(document, entity)
        yield {
            "note_id": whole(document.id),
            "snippet": snippet(text, span),
            "offset": str(span.start),
            "lexical_variant": cut(squeeze(text[span.start : span.end])),
            "note_nlp_concept_id": _concept(entity and entity.code),
            "note_nlp_source_concept_id": NO_CONCEPT,
            "nlp_system": system,
            "nlp_date": time.date(),
            "nlp_datetime": time,
            **_terms(prediction, document, entity),
        }


def whole(value) -> int | None:
    """Read a whole number of at most 18 digits; None if it is no such.

    >>> whole("17"), whole("17.0"), whole("17a")
    (17, 17, None)
    """
    if isinstance(value, int):
        return value if abs(value) < 10**18 else None
    found = _WHOLE.fullmatch(value) if isinstance(value, str) else None
    return int(found[1]) if found else None


def _concept(code) -> int:
    number = whole(code)
    is_id = number is not None and 0 <= number <= MAX_INTEGER
    return number if is_id else NO_CONCEPT


def _place(document: Document, entity) -> tuple[str, Span]:
    """Give the text without markers, and the span of the entity without blanks."""
    text = document.text
    if entity is None:
        marked, (inside,) = marked_span(text), document.entity_texts
        before, inside = text[: marked.start], inside.strip()
        text = before + inside + text[marked.end :]
        start, end = len(before), len(before) + len(inside)
    else:
        start, end = entity.span.start, entity.span.end
    while _BLANKS.match(text[start]):
        start += 1
    while _BLANKS.match(text[end - 1]):
        end -= 1
    return text, Span(start, end)


# --- what is asserted ------------------------------------------------------------


def _terms(prediction: Prediction, document: Document, entity) -> dict:
    """Give the three columns of what is asserted; without axes only the certainty."""
    certainty = CERTAINTY[prediction.label]
    if prediction.holds is None:
        return {"term_modifiers": f"certainty={certainty}"}
    temporality = prediction.temporality.label
    experiencer = prediction.experiencer.label
    certainty = "Hypothetical" if temporality == "HYPOTHETICAL" else certainty
    whose = "Patient" if experiencer == "PATIENT" else "Other"
    history = "FamilyHistoryOf" if experiencer == "FAMILY" else "HistoryOf"
    status = history if temporality == "HISTORICAL" else "Present"
    exists = whose == "Patient" and certainty in ("Positive", "Possible")
    if exists and certainty == "Possible":
        marked = document.text if entity is None else document.note.mark(entity.span)
        exists = not is_rule_out(marked)
    return {
        "term_exists": "Y" if exists else "N",
        "term_temporal": TEMPORAL.get(temporality),
        "term_modifiers": f"certainty={certainty},experiencer={whose},status={status}",
    }


def is_rule_out(marked: str) -> bool:
    """Tell whether a marked sentence has its entity to be ruled out.

    That is POSSIBLE among the labels, and does not exist by OMOP's rule, where what is
    likely does.

    >>> is_rule_out("CT to r/o [entity] PE [entity].")
    True
    >>> is_rule_out("CT to r/o PE; likely [entity] pneumonia [entity].")
    False
    """
    span = marked_span(marked)
    before, after = marked[: span.start][-RULE_CHARS:], marked[span.end :][:RULE_CHARS]
    for found in _RULE_OUT.finditer(before):
        if not _OTHER.search(before, found.end()):
            if not _CANNOT.search(before[: found.start()]):
                return True
    found = _RULED_OUT.search(after)
    between = after[: found.start()] if found else ""
    return bool(found) and not _OTHER.search(between) and not _CANNOT.search(between)


# --- pieces of the text ------------------------------------------------------------


def squeeze(piece: str) -> str:
    """Make each run of white space and control characters one blank.

    So a row is one line, which every loader of CSV reads alike.
    """
    return _BLANKS.sub(" ", piece).strip()


def cut(piece: str, max_bytes: int = MAX_BYTES) -> str:
    """Keep the first whole words, or of one that is too long its beginning.

    >>> cut("a long entity", 8), cut("polymyositis", 4)
    ('a long', 'poly')
    """
    encoded = piece.encode()
    if len(encoded) <= max_bytes:
        return piece
    kept = encoded[:max_bytes].decode("utf-8", "ignore")
    if not piece[len(kept)].isspace():
        kept = kept.rpartition(" ")[0] or kept
    return kept.rstrip()


def snippet(text: str, span: Span) -> str:
    """Give the entity and the whole words round it, at most ``MAX_BYTES``.

    Both sides get alike; what one does not need, the other takes.
    """
    found = squeeze(text[span.start : span.end])
    if len(found.encode()) > MAX_BYTES:
        return cut(found)
    words = [_words_before(text, span.start), _words_after(text, span.end)]
    used, growing = [0, 0], [0, 1]
    while growing:
        side = min(growing, key=used.__getitem__)
        word = next(words[side], None)
        if word is None or len((found + word).encode()) > MAX_BYTES:
            growing.remove(side)
            continue
        found = found + word if side else word + found
        used[side] += len(word.encode())
    return found


def _words_before(text: str, end: int) -> Iterator[str]:
    """Give the words before *end*, the nearest first, each with its blank."""
    start = max(0, end - SNIPPET_CHARS)
    words = _BEFORE.findall(_BLANKS.sub(" ", text[start:end]))
    if start and not _BLANKS.match(text[start - 1]):
        words = words[1:]  # the first may be half a word
    return reversed(words)


def _words_after(text: str, start: int) -> Iterator[str]:
    end = start + SNIPPET_CHARS
    words = _AFTER.findall(_BLANKS.sub(" ", text[start:end]))
    if end < len(text) and not _BLANKS.match(text[end]):
        words = words[:-1]
    return iter(words)
