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
from negation_api.model.workspace import Workspace

VALUES = 3  # of every question: the labels', and each axis'


@dataclass(frozen=True)
class ExitWeights:
    """What a model directory has of one exit.

    :ivar pooler: from what is at both markers, (rows, 2 * width), to (rows, width).
    :ivar head: to logits (rows, columns), VALUES columns for each question.
    :ivar threshold: the least probability of the most probable value, in 0..1.
    """

    pooler: torch.nn.Linear
    head: torch.nn.Linear
    threshold: float


class Exit:
    """Answers rows from what an inner layer has at their markers."""

    def __init__(self, space: Workspace, weights: ExitWeights, own):
        self._pooler = PlainLinear(space, weights.pooler, own=own)
        self._head = PlainLinear(space, weights.head, own=own)
        self._threshold = weights.threshold

    def __call__(self, marks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Give logits (rows, columns) and which are settled (rows).

        The logits lie in the workspace, until the next linear layer.

        :param marks: (rows, 2 * width).
        """
        logits = self._head(self._pooler(marks).tanh())
        scores = logits.view(len(marks), -1, VALUES).softmax(dim=-1)
        return logits, scores.amax(dim=-1).amin(dim=-1) >= self._threshold


class Marks:
    """Where the markers stand in the rows of a batch.

    :ivar positions: (rows, 2), the middle token of each marker, counted from the row's
        first; 0 in a row without.
    :ivar present: (rows), which rows have them.
    """

    def __init__(self, positions: torch.Tensor, present: torch.Tensor):
        self.positions = positions
        self.present = present

    @classmethod
    def find(
        cls, ids: torch.Tensor, lengths: torch.Tensor, marker: Sequence[int]
    ) -> "Marks":
        """Find *marker*, three token ids, in packed rows of *ids*, (tokens)."""
        before, middle, after = marker
        found = ids[1:-1] == middle
        found &= (ids[:-2] == before) & (ids[2:] == after)
        tokens = 1 + found.nonzero().squeeze(1)
        rows = torch.arange(len(lengths)).repeat_interleave(lengths)[tokens]
        present = rows.bincount(minlength=len(lengths)) == 2
        starts = lengths.cumsum(0) - lengths
        positions = torch.zeros(len(lengths), 2, dtype=torch.long)
        positions[present] = (tokens - starts[rows])[present[rows]].view(-1, 2)
        return cls(positions, present)

    def take(self, rows: torch.Tensor) -> "Marks":
        """Give those of *rows*, a mask."""
        return Marks(self.positions[rows], self.present[rows])


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
