"""Measure any model on any labelled file: ``python -m negation_api evaluate``.

``rows.py`` says what a file holds. A file without POSSIBLE is scored as negated or
not only: there a predicted POSSIBLE counts as not negated. With ``--invariance`` the
rows are asked again with changes that must not matter; ``--recipe`` tells how to make
a file of a corpus that may not be handed on. Nothing here imports torch.
"""

from negation_api.commands.evaluate.answers import answer_rows, write_predictions
from negation_api.commands.evaluate.command import add_arguments, main
from negation_api.commands.evaluate.report import evaluate, table, worst
from negation_api.commands.evaluate.rows import (
    TWO_CLASSES,
    EvaluationError,
    read_rows,
)

__all__ = [
    "TWO_CLASSES",
    "EvaluationError",
    "add_arguments",
    "evaluate",
    "main",
    "answer_rows",
    "read_rows",
    "table",
    "worst",
    "write_predictions",
]
