"""What is answered in Python: what a reply holds, with the words it is about."""

from collections.abc import Mapping
from dataclasses import dataclass

from negation_api.contract.labels import AXES, Choice, Prediction
from negation_api.text.markers import MARKER, is_marked, marked_span
from negation_api.text.offsets import Offsets

OWN = (
    "id",
    "term",
    "code",
    "context",
    "section",
    "layers",
    "fhir",
)  # as a reply has them


@dataclass(frozen=True)
class Cue:
    """Words without which an answer is the default; places as an answer has them."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Answer(Prediction):
    """The assertion status of one entity: ``label``, ``experiencer``, ``holds``, ...

    :ivar text: the entity, as written.
    :ivar start, end: where it stands, ``[start, end)`` in the unit asked with.
    :ivar id: the entity's, where it was given one.
    :ivar term, code: what it was found by, in a document with a list of terms.
    :ivar context: with *explain*: what the model read.
    :ivar section: with *explain*: the heading it stands under, if it does.
    :ivar layers: with *explain*: after how many of the model's layers it was answered.
    :ivar cues: with *explain*: ``label`` or an axis -> what decided, where the answer
        is not the default.
    :ivar fhir: with *fhir*: as in a reply (``docs/fhir.md``).
    """

    text: str
    start: int
    end: int
    id: str | int | None = None
    term: str | None = None
    code: str | int | None = None
    context: str | None = None
    section: str | None = None
    cues: Mapping[str, tuple[Cue, ...]] | None = None
    fhir: Mapping | None = None


def answers_of(document: Mapping, unit: str, reply: Mapping) -> list[Answer]:
    """Read the reply to one document, as HTTP gives it.

    :param document: as it was asked, valid.
    """
    if "predictions" in reply:
        offsets = Offsets(document["text"], unit)
        return [_answer(each, offsets) for each in reply["predictions"]]
    sentence = document["sentence"]
    offsets = Offsets(sentence, unit)
    start, end = map(offsets.from_code_point, _place(sentence))
    return [_answer({**reply, "id": None, "start": start, "end": end}, offsets)]


def _place(sentence: str) -> tuple[int, int]:
    """Give where the entity of a sentence stands, in code points; all if unmarked."""
    start, end = 0, len(sentence)
    if is_marked(sentence):
        span = marked_span(sentence)
        start, end = span.start + len(MARKER), span.end - len(MARKER)
    inside = sentence[start:end]
    first = start + len(inside) - len(inside.lstrip())
    return first, first + len(inside.strip())


def _answer(status: Mapping, offsets: Offsets) -> Answer:
    cues = status.get("cues")
    if cues is not None:
        cues = {
            question: tuple(Cue(**_words(span, offsets)) for span in spans)
            for question, spans in cues.items()
        }
    own = {name: status.get(name) for name in OWN}
    axes = {axis: Choice(status[axis]["scores"]) for axis in AXES if axis in status}
    scores = status["scores"]
    return Answer(scores, **axes, **_words(status, offsets), **own, cues=cues)


def _words(span: Mapping, offsets: Offsets) -> dict:
    start, end = span["start"], span["end"]
    return {"text": offsets.words(start, end), "start": start, "end": end}
