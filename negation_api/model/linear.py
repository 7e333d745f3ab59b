"""Linear layers: the plain one; ``quantize.py`` has the other."""

import torch


class PlainLinear:
    """Computes what a ``torch.nn.Linear`` does, in float32.

    :param gelu: apply GELU to what comes out.
    """

    def __init__(
        self, linear: torch.nn.Linear, gelu: bool = False, own=torch.Tensor.detach
    ):
        self._weight = own(linear.weight.detach()).t()  # (in, out)
        self._bias = own(linear.bias.detach())
        self._gelu = gelu

    def __call__(
        self, x: torch.Tensor, plus: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Map (rows, in) to (rows, out), and add *plus* (rows, out)."""
        padded = self._bias.repeat(round_up(len(x)), 1)
        out = padded[: len(x)]
        if plus is not None:
            out.add_(plus)
        out.addmm_(x, self._weight)
        if self._gelu:  # oneDNN's, which keeps code for each number of rows
            torch.ops.aten.gelu_(padded)
        return out


def make_linear(weight: torch.Tensor, bias: torch.Tensor) -> torch.nn.Linear:
    """Make a linear layer of *weight* (out, in) and *bias* (out), not to be trained."""
    linear = torch.nn.Linear(*weight.shape[::-1], device="meta")
    linear.weight = torch.nn.Parameter(weight.detach(), requires_grad=False)
    linear.bias = torch.nn.Parameter(bias.detach(), requires_grad=False)
    return linear


def round_up(num_rows: int) -> int:
    """Give the number of rows to compute for *num_rows*.

    oneDNN generates code for each number of rows that it meets, and keeps it: for all
    numbers up to 512 that took 300 MB in each worker.

    >>> [round_up(n) for n in (1, 16, 17, 129, 500)]
    [16, 16, 32, 160, 512]
    """
    step = 16 if num_rows <= 128 else 32 if num_rows <= 256 else 64
    return -(-num_rows // step) * step
