"""What a model answers to the rows of a file, read and batched as the service does."""

import json
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from tqdm import tqdm

from negation_api.commands.evaluate.rows import EvaluationError
from negation_api.contract.labels import AXES, Prediction
from negation_api.scoring import Rejected, Scorer, windows
from negation_api.settings import Settings

MAX_ROWS = 512  # of one text, and those that are sorted by length together


def answer_rows(classifier, rows: list[dict], settings=Settings()) -> list[Prediction]:
    """Classify every row; a progress bar on a terminal.

    :raises EvaluationError: names the first row that the service would refuse.
    """
    scorer, predictions = Scorer(classifier, settings), []
    with tqdm(total=len(rows), unit=" entities", disable=None, file=sys.stderr) as bar:
        for bodies in windows(_bodies(rows), _size, [MAX_ROWS]):
            for answered in scorer.score(bodies):
                if isinstance(answered, Rejected):
                    _refuse(answered, rows, len(predictions))
                predictions += answered.predictions
                bar.update(len(answered.predictions))
    return predictions


def _bodies(rows: list[dict]) -> Iterator[dict]:
    """Give a request for each text with the rows of it that follow each other."""
    for (text, unmarked), same in groupby(
        rows, key=lambda row: (row["text"], row["start"] is None)
    ):
        if unmarked:
            yield from ({"sentence": text} for _ in same)
            continue
        spans = [{"start": row["start"], "end": row["end"]} for row in same]
        for first in range(0, len(spans), MAX_ROWS):
            yield {"text": text, "entities": spans[first : first + MAX_ROWS]}


def _size(body: dict) -> list[int]:
    return [len(body.get("entities", "1"))]


def _refuse(rejected: Rejected, rows: list[dict], done: int) -> None:
    """Name the row: the pointer says which of the rejected body's."""
    error = rejected.errors[0]
    _, _, index = error["pointer"].partition("/entities/")
    number = done + int(index.partition("/")[0] or 0)
    name = rows[number].get("name", number + 1)
    raise EvaluationError(f"row {name}: {error['detail']}")


def write_predictions(path: Path, predictions: list[Prediction]) -> None:
    """Write one JSON object a line, in the order of the rows.

    :raises EvaluationError: when *path* cannot be written.
    """
    lines = [json.dumps(_dump(prediction)) for prediction in predictions]
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"{path}: {error.strerror}") from None


def _dump(prediction: Prediction) -> dict:
    dumped = {"label": prediction.label, "scores": prediction.scores}
    for axis in AXES:
        if choice := getattr(prediction, axis):
            dumped[axis] = {"label": choice.label, "scores": choice.scores}
    if prediction.holds is not None:
        dumped["holds"] = prediction.holds
    return dumped
