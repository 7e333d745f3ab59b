"""int8: what it changes, and what it leaves alone."""

import pytest
import torch

from negation_api.quantize import QuantizedLinear, input_levels, quantize


def network() -> torch.nn.Sequential:
    torch.manual_seed(7)
    inner = torch.nn.Sequential(torch.nn.Linear(64, 96), torch.nn.GELU())
    return torch.nn.Sequential(inner, torch.nn.Linear(96, 8, bias=False)).eval()


def test_every_linear_layer_is_replaced():
    quantized = network()
    quantize(quantized)
    kinds = [type(module) for module in quantized.modules()]
    assert kinds.count(QuantizedLinear) == 2
    assert torch.nn.Linear not in kinds


@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])
@torch.inference_mode()
def test_what_it_computes_is_near(shift):
    """Also where no input, or every input, is below zero."""
    exact, quantized = network(), network()
    quantize(quantized)
    x = torch.rand(5, 3, 64) * 2 - 1 + shift
    wanted, given = exact(x), quantized(x)
    assert given.shape == wanted.shape
    error = (given - wanted).abs().max()
    assert 0 < error < 0.05 * wanted.abs().max()


@torch.inference_mode()
def test_zeros_give_the_bias():
    exact = torch.nn.Linear(8, 3)
    quantized = torch.nn.Sequential(exact)
    quantize(quantized)
    assert torch.equal(quantized(torch.zeros(2, 8)), exact.bias.expand(2, 3))


@torch.inference_mode()
def test_one_large_channel_does_not_spoil_the_others():
    """The weights' scales are each channel's own."""
    exact = torch.nn.Linear(32, 4)
    with torch.no_grad():
        exact.weight[0] *= 1_000
    quantized = torch.nn.Sequential(exact)
    x = torch.randn(16, 32)
    wanted = exact(x)[:, 1:]
    quantize(quantized)
    error = (quantized(x)[:, 1:] - wanted).abs().max()
    assert error < 0.05 * wanted.abs().max()


@pytest.mark.parametrize("vnni, levels", [(True, 255), (False, 127)])
def test_an_older_cpu_gets_inputs_of_seven_bits(monkeypatch, vnni, levels):
    monkeypatch.setattr("torch.cpu._is_vnni_supported", lambda: vnni)
    assert input_levels() == levels
