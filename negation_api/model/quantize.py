"""int8: linear layers with quantized weights, their inputs quantized as they come.

Symmetric (Jacob et al. 2018, https://arxiv.org/abs/1712.05877), with a scale for each
output channel of the weights and for each row of the input: one token is many times as
large as the others, and a row's result is not to depend on those beside it. The
products are oneDNN's
(https://uxlfoundation.github.io/oneDNN/dev_guide_int8_computations.html), reached by
the operators that torch's own compiler uses;
``docs/decisions/20261124-int8.md`` compares what else there is.
"""

import torch
from torch.nn import functional

from negation_api.model.workspace import Workspace

ZERO = 128  # the byte that stands for 0
_TINY = 1e-12  # so that a layer, or an input, of zeros has a scale


class QuantizedLinear:
    """Computes what a ``torch.nn.Linear`` does, nearly, in int8.

    Uses the workspace as :class:`~negation_api.model.bert.PlainLinear` does, and may
    write over an input that lies in "wide".

    :param gelu: apply GELU to what comes out.
    """

    def __init__(self, space: Workspace, linear: torch.nn.Linear, gelu: bool = False):
        self._space = space
        weight = linear.weight.detach()  # (out, in)
        self._inputs = weight.shape[1]
        scales = weight_scales(weight)
        rounded = (weight / scales[:, None]).round().to(torch.int8)
        self._scales = scales / 127  # times the largest of a row of the input
        self._weight = torch.ops.onednn.qlinear_prepack(rounded, None)
        self._zeros = torch.zeros(len(weight), dtype=torch.int64)
        self._bias = torch.zeros(len(weight))
        if linear.bias is not None:
            self._bias.copy_(linear.bias.detach())
        self._move = move_by(self._inputs)
        self._gelu = gelu
        self._room = "wide" if gelu else "linear"

    def __call__(
        self, x: torch.Tensor, plus: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Map (rows, in) to (rows, out), both float32, and add *plus* (rows, out)."""
        num_rows, width = round_up(len(x)), len(self._scales)
        data = self._space.take("bytes", num_rows, self._inputs, torch.uint8)
        largest, inverse = _quantize(x, self._move, data[: len(x)], self._space)
        # The operator makes room for its result, except where it adds to one.
        room = self._space.take(self._room, num_rows, width)
        out = room[: len(x)]
        if plus is None:
            room.zero_()
        else:
            torch.mul(plus, inverse, out=out)
        torch.ops.onednn.qlinear_pointwise.binary(
            *(data, 1.0, ZERO),
            *(self._weight, self._scales, self._zeros),
            *(room, None),
            *(1.0, 0, torch.float32),  # of the result: not quantized
            *(1.0, 0, "sum", 1.0),  # of what it is added to
            *("none", [], ""),
        )
        torch.addcmul(self._bias, out, largest, out=out)
        if self._gelu:
            torch._C._nn.gelu_(room)
        return out

    @torch.inference_mode()
    def prepare(self, most: int) -> None:
        """Have oneDNN generate its code for 1 to *most* rows.

        It keeps a quarter of a megabyte for each layer's shape and number of rows.
        What it has before a fork, the forked processes share.
        """
        for num_rows in sorted({round_up(n + 1) for n in range(most)}):
            self(torch.zeros(num_rows, self._inputs))


def round_up(num_rows: int) -> int:
    """Give the number of rows to compute for *num_rows*.

    oneDNN generates code for each number of rows that it meets, and keeps it: for all
    numbers up to 512 that took 300 MB in each worker.

    >>> [round_up(n) for n in (1, 16, 17, 129, 500)]
    [16, 16, 32, 160, 512]
    """
    step = 16 if num_rows <= 128 else 32 if num_rows <= 256 else 64
    return -(-num_rows // step) * step


def move_by(width: int) -> torch.Tensor:
    """Give what is added to make bytes: a row, as one number takes twice as long."""
    return torch.full((width,), 2.0**23 + ZERO)


def _quantize(
    x: torch.Tensor, move: torch.Tensor, out: torch.Tensor, space: Workspace
) -> tuple[torch.Tensor, torch.Tensor]:
    """Write x (rows, in) to *out* as bytes.

    Gives what 127 steps are in each row (rows, 1), and one divided by that.

    Adding 2^23 to a number leaves the nearest integer in the low bits of its float32
    (IEEE 754), which is several times faster to cut out than a float is to convert.

    :param move: (in), of ``move_by``.
    """
    low, high = x.amin(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)
    largest = torch.maximum(high, low.neg_()).clamp_(min=_TINY)
    moved = space.take("wide", *x.shape)
    inverse = largest.reciprocal()
    torch.addcmul(move, x, inverse, value=127, out=moved)
    out.copy_(moved.view(torch.int32))
    return largest, inverse


def weight_scales(weight: torch.Tensor) -> torch.Tensor:
    """Choose the scale of each channel of *weight* (out, in); -127..127 hold it.

    A CPU that does not multiply bytes itself (VNNI, AMX) adds the products of two
    neighbours in 16 bits: there a channel's scale is such that even the largest
    inputs, 255, times two neighbours of one sign stay below 32,768.
    """
    most = weight.abs().amax(dim=1)
    if not torch.cpu._is_vnni_supported():
        even = functional.pad(weight, (0, weight.shape[1] % 2))
        for signed in (even, -even):
            pairs = signed.clamp(min=0).unflatten(1, (-1, 2)).sum(dim=2)
            # 127, as rounding may add one half to each: 255 * 128 = 32,640.
            most = most.maximum(pairs.amax(dim=1))
    return (most / 127).clamp(min=_TINY)
