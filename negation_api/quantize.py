"""int8: linear layers with quantized weights, their inputs quantized as they come.

Weights are symmetric, a scale for each output channel; inputs are affine, a scale
for each batch (Jacob et al. 2018, https://arxiv.org/abs/1712.05877). The products
are oneDNN's (https://uxlfoundation.github.io/oneDNN/dev_guide_int8_computations.html),
reached by the operators that torch's own compiler uses;
``docs/decisions/20261124-int8.md`` compares what else there is.
"""

import math

import torch
from torch.nn import functional

from negation_api.workspace import Workspace

_TINY = 1e-12  # so that a layer, or an input, of zeros has a scale


class QuantizedLinear:
    """Computes what a ``torch.nn.Linear`` does, nearly, in int8.

    :param gelu: apply GELU to what comes out.
    """

    def __init__(self, space: Workspace, linear: torch.nn.Linear, gelu: bool = False):
        self._space = space
        weight = linear.weight.detach()  # (out, in)
        self._scales = weight_scales(weight)
        rounded = (weight / self._scales[:, None]).round().to(torch.int8)
        self._weight = torch.ops.onednn.qlinear_prepack(rounded, None)
        self._zeros = torch.zeros(len(weight), dtype=torch.int64)
        self._bias = None if linear.bias is None else linear.bias.detach().clone()
        self._after = ("gelu", [], "none") if gelu else ("none", [], "")

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (rows, in) to (rows, out), both float32."""
        num_rows = len(x)
        out = torch.ops.onednn.qlinear_pointwise(
            *_quantize(x, round_up(num_rows), self._space),
            self._weight,
            self._scales,
            self._zeros,
            self._bias,
            1.0,
            0,
            torch.float32,
            *self._after,
        )
        return out[:num_rows]


def round_up(num_rows: int) -> int:
    """Give the number of rows to compute for *num_rows*.

    oneDNN generates code for each number of rows that it meets, half a megabyte, and
    keeps it: all numbers up to 512 took 300 MB in each worker.

    >>> [round_up(n) for n in (1, 16, 17, 129, 500)]
    [16, 16, 32, 160, 512]
    """
    step = 16 if num_rows <= 128 else 32 if num_rows <= 256 else 64
    return -(-num_rows // step) * step


def _quantize(
    x: torch.Tensor, num_rows: int, space: Workspace
) -> tuple[torch.Tensor, float, int]:
    """Give x (rows, in) as bytes, their scale and the byte that stands for zero.

    The bytes have *num_rows* rows, of which the last mean nothing. Adding 2^23 to a
    number leaves the nearest integer in the low bits of its float32 (IEEE 754), which
    is several times faster to cut out than a float is to convert. 254 steps, so that
    no rounding leaves the 256 bytes.
    """
    low, high = (bound.item() for bound in torch.aminmax(x))
    low, high = min(0.0, low), max(0.0, high)
    scale = max((high - low) / 254, _TINY)
    zero = math.ceil(-low / scale)
    moved = space.take("moved", *x.shape)
    torch.add(torch.tensor(2.0**23 + zero), x, alpha=1 / scale, out=moved)
    quantized = torch.empty(num_rows, x.shape[1], dtype=torch.uint8)
    quantized[: len(x)] = moved.view(torch.int32)
    quantized[len(x) :] = 0
    return quantized, scale, zero


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
