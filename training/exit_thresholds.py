"""How sure an exit must be of a row, so that the row may leave there."""

import math

import torch

from network import COLUMNS, by_question

MAX_CHANGED = 0.0006  # held-out rows that one exit answers otherwise than all layers do


@torch.no_grad()
def choose_thresholds(model, observed: torch.Tensor) -> dict[str, float]:
    """Choose for each exit the least probability at which a row may leave there.

    The lowest with which no more than MAX_CHANGED of all rows get another answer to any
    question than the last layer's.

    :param observed: as ``network.fit_exits`` has it, of held-out rows.
    """
    found = {}
    for (layer, leave), each in zip(model.exits.items(), observed, strict=True):
        last, marks = each[:, :COLUMNS], each[:, COLUMNS:]
        last, early = (
            torch.stack(by_question(logits), dim=1) for logits in (last, leave(marks))
        )
        scores = early.softmax(dim=-1)
        changed = (scores.argmax(-1) != last.argmax(-1)).any(-1)
        sure, order = scores.amax(-1).amin(-1).sort(descending=True)
        allowed = (changed[order].cumsum(0) <= MAX_CHANGED * len(order)).sum()
        found[layer] = math.ceil(1e4 * sure[max(0, allowed - 1)].item()) / 1e4
    return found
