"""Early exit: heads after an inner layer, which answer what is settled there.

They see the entity's two markers, as [CLS] knows of the entity in upper layers only; a
row without markers takes all layers. After Xin et al. 2020
(https://aclanthology.org/2020.acl-main.204/): a row leaves as soon as every question
has an answer of at least the exit's threshold, a probability that was chosen on
held-out rows (``training/exit_thresholds.py``). What leaves is no longer computed, and
no other row is touched by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from negation_api.model.linear import PlainLinear, make_linear

VALUES = 3  # of every question: the labels', and each axis'


@dataclass(frozen=True)
class ExitWeights:
    """What a model directory has of one exit.

    :ivar pooler: from what is at both markers, (rows, 2 * width), to (rows, pooled).
    :ivar head: to logits (rows, columns), VALUES columns for each question.
    :ivar threshold: the least probability of the most probable value, in 0..1.
    """

    pooler: torch.nn.Linear
    head: torch.nn.Linear
    threshold: float


class Exit:
    """Answers rows from what an inner layer has at their markers.

    :param labelled: whether the label, the first question, must be settled too.
    """

    def __init__(self, weights: ExitWeights, own, labelled: bool):
        self._pooler = PlainLinear(weights.pooler, own=own)
        self._head = PlainLinear(weights.head, own=own)
        self._threshold = weights.threshold
        self._first = 0 if labelled else 1

    def __call__(self, marks: torch.Tensor) -> tuple[torch.Tensor, list[bool]]:
        """Give logits (rows, columns) and which rows are settled.

        :param marks: (rows, 2 * width).
        """
        logits = self._head(self._pooler(marks).tanh())
        asked = logits.view(len(marks), -1, VALUES)[:, self._first :]
        least = asked.softmax(dim=-1).amax(dim=-1).amin(dim=-1)
        return logits, (least >= self._threshold).tolist()


def find_markers(row: Sequence[int], marker: Sequence[int]) -> tuple[int, int] | None:
    """Give where the middle tokens of the two markers in a row of token ids stand.

    None where there are fewer or more.

    :param marker: three token ids.

    >>> find_markers([101, 5, 6, 7, 40, 5, 6, 7, 6, 102], [5, 6, 7])
    (2, 6)
    """
    starts = marker_starts(row, marker)
    return (starts[0] + 1, starts[1] + 1) if len(starts) == 2 else None


def marker_starts(ids: Sequence[int], marker: Sequence[int]) -> list[int]:
    """Give where *marker* begins among *ids*, of tokens.

    >>> marker_starts([5, 6, 7, 40, 5, 6, 5, 6, 7], [5, 6, 7])
    [0, 6]
    """
    found, at = [], -1
    for _ in range(ids.count(marker[0])):
        at = ids.index(marker[0], at + 1)
        if list(ids[at : at + len(marker)]) == list(marker):
            found.append(at)
    return found


def read_exits(
    weights, thresholds: Mapping[str, float], num_columns: int
) -> dict[int, ExitWeights]:
    """Read the exits after the layers that have *thresholds*, of an open file.

    :param num_columns: of the questions that are asked, the first of the head's.
    """
    found = {}
    for layer, threshold in thresholds.items():
        pooler = read_linear(weights, f"exits.{layer}.pooler")
        head = read_linear(weights, f"exits.{layer}.head")
        asked = make_linear(head.weight[:num_columns], head.bias[:num_columns])
        found[int(layer)] = ExitWeights(pooler, asked, threshold)
    return found


def read_linear(weights, name: str) -> torch.nn.Linear:
    """Read a linear layer in float32 from an open file of weights."""
    parts = (f"{name}.{part}" for part in ("weight", "bias"))
    return make_linear(*(weights.get_tensor(part).float() for part in parts))
