"""int8: what it changes, and what it leaves alone."""

import os
import subprocess
import sys

import pytest
import torch

from negation_api.model import quantize
from negation_api.model.classifier import load_classifier
from negation_api.model.linear import PlainLinear
from negation_api.model.quantize import (
    ZERO,
    QuantizedLinear,
    _quantize,
    rounding_shift,
    weight_scales,
)
from negation_api.settings import Settings


def layer(inputs=64, outputs=96, **kwargs) -> torch.nn.Linear:
    torch.manual_seed(7)
    return torch.nn.Linear(inputs, outputs, **kwargs)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])
@torch.inference_mode()
def test_what_it_computes_is_near(shift, bias):
    """Also where no input, or every input, is below zero."""
    exact = layer(bias=bias)
    x = torch.rand(15, 64) * 2 - 1 + shift
    wanted, given = exact(x), QuantizedLinear(exact)(x)
    assert given.shape == wanted.shape
    error = (given - wanted).abs().max()
    assert 0 < error < 0.05 * wanted.abs().max()


@torch.inference_mode()
def test_no_input_leaves_the_range_of_its_byte():
    """The least and the largest are where rounding could wrap around."""
    generator = torch.Generator().manual_seed(5)
    for low, width in (torch.randn(3000, 2, generator=generator) * 4).exp().tolist():
        for first in (-low, low, -width / 2, -width):
            x = torch.linspace(first, first + width, 9)[None]
            padded, largest, inverse = _quantize(x, rounding_shift(9))
            bytes_ = padded[:1]
            scale = largest / 127
            assert torch.isclose(largest * inverse, torch.ones(1))
            assert 1 <= bytes_.min() <= bytes_.max() <= 255
            error = (bytes_.double() - ZERO) * scale - x
            assert error.abs().max() <= 0.501 * scale


@torch.inference_mode()
def test_a_row_does_not_depend_on_those_beside_it():
    quantized = QuantizedLinear(layer())
    x = torch.randn(15, 64)
    alone = quantized(x[:1])
    x[1:] *= 1_000
    assert torch.equal(quantized(x)[:1], alone)


@torch.inference_mode()
def test_gelu_can_be_applied_on_the_way():
    exact = layer()
    x = torch.randn(15, 64)
    wanted = torch.nn.functional.gelu(exact(x))
    error = (QuantizedLinear(exact, gelu=True)(x) - wanted).abs().max()
    assert 0 < error < 0.05 * wanted.abs().max()


@pytest.mark.parametrize("num_rows", [1, 15, 40])
@torch.inference_mode()
def test_what_is_to_be_added_is_not_quantized(num_rows):
    quantized = QuantizedLinear(layer())
    x, plus = torch.randn(num_rows, 64), 100 * torch.randn(num_rows, 96)
    torch.testing.assert_close(quantized(x, plus=plus), quantized(x) + plus)


@pytest.mark.parametrize("kind", [PlainLinear, QuantizedLinear])
@pytest.mark.parametrize("gelu", [False, True])
@torch.inference_mode()
def test_what_goes_in_is_left_as_it_is(kind, gelu):
    x, plus = torch.randn(16, 64), torch.randn(16, 96)
    before = x.clone(), plus.clone()
    kind(layer(), gelu)(x, plus=plus)
    assert torch.equal(x, before[0]) and torch.equal(plus, before[1])


@torch.inference_mode()
def test_zeros_give_the_bias():
    exact = layer(8, 3)
    quantized, x = QuantizedLinear(exact), torch.zeros(2, 8)
    assert torch.equal(quantized(x), exact.bias.expand(2, 3))
    plus = torch.randn(2, 3)
    torch.testing.assert_close(quantized(x, plus=plus), exact.bias + plus)


@torch.inference_mode()
def test_one_large_channel_does_not_spoil_the_others():
    """The weights' scales are each channel's own."""
    exact = layer(32, 4)
    with torch.no_grad():
        exact.weight[0] *= 1_000
    x = torch.randn(16, 32)
    wanted = exact(x)[:, 1:]
    error = (QuantizedLinear(exact)(x)[:, 1:] - wanted).abs().max()
    assert error < 0.05 * wanted.abs().max()


@pytest.mark.parametrize("inputs", [768, 769])
@pytest.mark.parametrize("sign", [1, -1])
@torch.inference_mode()
def test_sums_of_two_products_fit_sixteen_bits(sign, inputs):
    """Where the CPU needs that: the largest inputs and neighbours of one sign."""
    exact = layer(inputs, 32)
    exact.weight.fill_(sign)
    exact.bias.zero_()
    for num_rows in (1, 40):
        given = QuantizedLinear(exact)(torch.ones(num_rows, inputs))
        assert (given - sign * inputs).abs().max() < 0.01 * inputs


CLASSIFY = """
from negation_api.model.classifier import load_classifier
from negation_api.settings import Settings

classifier = load_classifier(Settings(precision="int8"))
print("ready", flush=True)
for lengths in ([5], [40] * 3, [9, 200], [33] * 8, [64] * 6):
    classifier.classify([[101, *[1000] * length, 102] for length in lengths])
"""


def test_what_onednn_generates_is_there_before_the_first_request():
    """In the master, so that workers share it. oneDNN says when it generates."""
    output = subprocess.run(
        [sys.executable, "-c", CLASSIFY],
        env={**os.environ, "ONEDNN_VERBOSE": "profile_create"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    before, after = output.split("ready\n")
    assert "cache_miss,cpu,matmul" in before
    assert "cache_hit,cpu,matmul" in after
    assert "cache_miss" not in after


@pytest.mark.parametrize("vnni, most", [(True, 127), (False, 64)])
def test_an_older_cpu_keeps_neighbours_of_one_sign_small(monkeypatch, vnni, most):
    capabilities = {"avx512_vnni": vnni}
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities)
    scales = weight_scales(torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]]))
    quantized = (torch.ones(3) / scales).round().tolist()
    assert quantized == [most, most, 127]


class Lacking:
    """Stands in for a torch without the operator."""

    def __init__(self, *args):
        raise AttributeError("no operator qlinear_prepack\nand a page more")


class Wrong(QuantizedLinear):
    """Stands in for a CPU on which the operator computes something else."""

    def __call__(self, x, plus=None):
        return 2 * super().__call__(x)


@pytest.mark.parametrize(
    "stand_in, reason",
    [(Lacking, "no operator qlinear_prepack"), (Wrong, "a result is 10")],
)
def test_where_int8_cannot_be_computed_fp32_is(
    monkeypatch, caplog, toy_model, stand_in, reason
):
    """With one line in the log; replies say which it is."""
    monkeypatch.setattr(quantize, "QuantizedLinear", stand_in)
    settings = Settings(model=str(toy_model), precision="int8")
    classifier = load_classifier.__wrapped__(settings)
    assert classifier.precision == "fp32"
    assert len(classifier.classify([classifier.encode("no pain")])) == 1
    (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert record.message == "int8 cannot be computed; fp32 instead"
    assert record.error.startswith(reason)


def test_where_int8_can_be_computed_it_is(toy_model):
    assert quantize.why_not() is None
    settings = Settings(model=str(toy_model), precision="int8")
    assert load_classifier.__wrapped__(settings).precision == "int8"
