"""Linear layers: where their results lie, and the plain one.

``quantize.py`` has the other. Neither allocates anything.
"""

import torch

from negation_api.model.workspace import Workspace


class Linear:
    """What computes a ``torch.nn.Linear`` into a buffer of the workspace.

    Its result lies in "wide" when GELU is applied to it, otherwise in "linear", where
    its input must not lie.

    :param width: numbers that come out for each row.
    :param gelu: apply GELU to what comes out.
    """

    def __init__(self, space: Workspace, width: int, gelu: bool):
        self._space = space
        self._width = width
        self._gelu = gelu

    def _take(self, num_rows: int) -> torch.Tensor:
        name = "wide" if self._gelu else "linear"
        return self._space.take(name, num_rows, self._width)

    def _activate(self, buffer: torch.Tensor) -> None:
        if self._gelu:  # oneDNN's, which keeps code for each number of rows
            torch.ops.aten.gelu_(buffer)


class PlainLinear(Linear):
    """Computes in float32."""

    def __init__(
        self,
        space: Workspace,
        linear: torch.nn.Linear,
        gelu: bool = False,
        own=torch.Tensor.detach,
    ):
        super().__init__(space, linear.out_features, gelu)
        self._weight = own(linear.weight.detach()).t()  # (in, out)
        self._bias = own(linear.bias.detach())

    def __call__(
        self, x: torch.Tensor, plus: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Map (rows, in) to (rows, out), and add *plus* (rows, out)."""
        buffer = self._take(round_up(len(x)))
        out = buffer[: len(x)]
        if plus is None:
            torch.addmm(self._bias, x, self._weight, out=out)
        else:
            torch.add(plus, self._bias, out=out).addmm_(x, self._weight)
        self._activate(buffer)
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
