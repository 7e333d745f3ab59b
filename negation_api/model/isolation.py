"""Telling the row on which the model fails from the others of its batch."""

from collections.abc import Callable, Sequence

from negation_api.contract.labels import Prediction

Ids = Sequence[int]


def classify_each(
    classify: Callable[[Sequence[Ids]], Sequence[Prediction]], rows: Sequence[Ids]
) -> list[Prediction | Exception]:
    """Classify *rows* of token ids; in the place of one that fails is its error.

    A batch that fails is halved until what fails is alone: as many more calls for each
    such row as it takes to halve the batch down to it, twice.

    >>> classify_each(lambda rows: [12 / row for row in rows], [1, 2, 0, 4])
    [12.0, 6.0, ZeroDivisionError('division by zero'), 3.0]
    """
    try:
        return list(classify(rows))
    except Exception as error:
        if len(rows) == 1:
            return [error]
    middle = len(rows) // 2
    halves = rows[:middle], rows[middle:]
    return [each for half in halves for each in classify_each(classify, half)]
