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

from negation_api.model.linear import round_up

ZERO = 128  # the byte that stands for 0
MAX_ERROR = 0.05  # of the largest result; it is some 0.01
_TINY = 1e-12  # so that a layer, or an input, of zeros has a scale


class QuantizedLinear:
    """Computes what a ``torch.nn.Linear`` does, nearly, in int8.

    :param gelu: apply GELU to what comes out.
    """

    def __init__(self, linear: torch.nn.Linear, gelu: bool = False):
        weight = linear.weight.detach()  # (out, in)
        scales = weight_scales(weight)
        rounded = (weight / scales[:, None]).round().to(torch.int8)
        self._scales = scales / 127  # times the largest of a row of the input
        self._weight = torch.ops.onednn.qlinear_prepack(rounded, None)
        self._zeros = torch.zeros(len(weight), dtype=torch.int64)
        self._bias = torch.zeros(len(weight))
        if linear.bias is not None:
            self._bias.copy_(linear.bias.detach())
        self._shift = rounding_shift(weight.shape[1])
        self._gelu = gelu

    def __call__(
        self, x: torch.Tensor, plus: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Map (rows, in) to (rows, out), both float32, and add *plus* (rows, out)."""
        data, largest, inverse = _quantize(x, self._shift)
        padded = torch.ops.onednn.qlinear_pointwise(
            *(data, 1.0, ZERO),
            *(self._weight, self._scales, self._zeros, None),
            *(1.0, 0, torch.float32),  # of the result: not quantized
            *("none", [], ""),
        )
        out = padded[: len(x)]
        if plus is not None:
            out.add_(plus * inverse)
        torch.addcmul(self._bias, out, largest, out=out)
        if self._gelu:
            torch.ops.aten.gelu_(padded)
        return out

    @torch.inference_mode()
    def prepare(self, most: int) -> None:
        """Have oneDNN generate its code for 1 to *most* rows.

        It keeps a quarter of a megabyte for each layer's shape and number of rows.
        What it has before a fork, the forked processes share.
        """
        for num_rows in sorted({round_up(n + 1) for n in range(most)}):
            self(torch.zeros(num_rows, len(self._shift)))


def why_not() -> str | None:
    """Tell why int8 cannot be computed here; None where it can.

    The operators are torch's own, and no promise of its: another version, or a CPU of
    another make, may lack them or compute something else.
    """
    exact, x = torch.nn.Linear(16, 16), torch.linspace(-1, 1, 16)[None]
    exact.weight.data = torch.linspace(-1, 1, 256).view(16, 16)
    try:
        with torch.inference_mode():
            wanted, given = exact(x), QuantizedLinear(exact)(x)
    except (AttributeError, RuntimeError, TypeError) as error:
        return (str(error) or type(error).__name__).splitlines()[0]
    error = float((given - wanted).abs().max() / wanted.abs().max())
    return None if error < MAX_ERROR else f"a result is {error:.0%} away"


def rounding_shift(width: int) -> torch.Tensor:
    """Give what is added to make bytes: a row, as one number takes twice as long."""
    return torch.full((width,), 2.0**23 + ZERO)


def _quantize(
    x: torch.Tensor, shift: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Give x (rows, in) as bytes, with rows of no meaning up to ``round_up``.

    And what 127 steps are in each row (rows, 1), and one divided by that.

    Adding 2^23 to a number leaves the nearest integer in the low bits of its float32
    (IEEE 754), which is several times faster to cut out than a float is to convert.

    :param shift: (in), of ``rounding_shift``.
    """
    largest = x.abs().amax(dim=1, keepdim=True).clamp_(min=_TINY)
    inverse = largest.reciprocal()
    shifted = torch.addcmul(shift, x, inverse, value=127)
    data = torch.empty(round_up(len(x)), x.shape[1], dtype=torch.uint8)
    data[: len(x)] = shifted.view(torch.int32)
    return data, largest, inverse


def weight_scales(weight: torch.Tensor) -> torch.Tensor:
    """Choose the scale of each channel of *weight* (out, in); -127..127 hold it.

    A CPU that does not multiply bytes itself (VNNI, AMX) adds the products of two
    neighbours in 16 bits: there a channel's scale is such that even the largest
    inputs, 255, times two neighbours of one sign stay below 32,768.
    """
    most = weight.abs().amax(dim=1)
    if not torch.cpu.get_capabilities().get("avx512_vnni"):
        even = functional.pad(weight, (0, weight.shape[1] % 2))
        for signed in (even, -even):
            pairs = signed.clamp(min=0).unflatten(1, (-1, 2)).sum(dim=2)
            # 127, as rounding may add one half to each: 255 * 128 = 32,640.
            most = most.maximum(pairs.amax(dim=1))
    return (most / 127).clamp(min=_TINY)
