"""Packed weights: the same results as those of the layer, and when they are packed."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from report_gen.generation import linear_layers
from report_gen.generation.linear_layers import linear_layer
from report_gen.model.gpt2 import TransposedLinear

needs_onednn = pytest.mark.skipif(
    not linear_layers._can_pack(torch.zeros(1, 1)), reason="this build of PyTorch has no oneDNN"
)
needs_fbgemm = pytest.mark.skipif(
    not linear_layers._fits_16_bits(torch.zeros(1, 1)), reason="this build of PyTorch does not use FBGEMM"
)


@pytest.fixture(params=["with bias", "without bias", "transposed"])
def module(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    if request.param == "transposed":
        return TransposedLinear(48, 20)
    return nn.Linear(48, 20, bias=request.param == "with bias")


@pytest.fixture(params=[torch.float32, torch.float16, torch.bfloat16], ids=str)
def saved_module(request: pytest.FixtureRequest, module: nn.Module) -> nn.Module:
    """A module in float32 with weights that were saved as another type."""
    return module.to(request.param).float()


@torch.inference_mode()
def test_results_are_those_of_the_layer_in_float32(saved_module: nn.Module) -> None:
    layer = linear_layer(saved_module, transposed=TransposedLinear)
    exact = copy.deepcopy(saved_module).double()
    for rows in (65, 3, 1, 4, 64, 66, 2, 1):
        inputs = torch.randn(rows, 48)
        torch.testing.assert_close(layer(inputs), exact(inputs.double()).float(), rtol=1e-6, atol=2e-6)


@needs_onednn
@torch.inference_mode()
def test_weights_are_packed_once_for_calls_with_few_rows(module: nn.Module) -> None:
    layer = linear_layer(module, transposed=TransposedLinear)
    assert isinstance(layer, linear_layers._PackedLayer)
    layer(torch.randn(100, 48))
    assert layer._packed is None
    layer(torch.randn(1, 48))
    packed = layer._packed
    assert packed is not None
    layer(torch.randn(6, 48))
    assert layer._packed is packed


@needs_fbgemm
@pytest.mark.parametrize(
    ("weights", "fits"),
    [
        pytest.param(torch.randn(64, 64), False, id="float32"),
        pytest.param(torch.randn(64, 64).half().float(), True, id="float16"),
        pytest.param((torch.randn(64, 64) * 0.02).bfloat16().float(), True, id="bfloat16"),
        pytest.param(torch.tensor([[1.0, 1e-9]]), True, id="smallest number lost"),
        pytest.param(torch.tensor([[1e-6, 1.1e-6]]), False, id="all numbers small"),
        pytest.param(torch.tensor([[1.0, 70_000.0]]), False, id="too large"),
        pytest.param(torch.zeros(4, 4), True, id="zero"),
    ],
)
def test_weights_with_16_bits(weights: torch.Tensor, fits: bool) -> None:
    assert linear_layers._fits_16_bits(weights) == fits


@torch.inference_mode()
def test_other_layers_and_types_are_left_as_they_are() -> None:
    other = nn.Sequential(nn.Linear(4, 4))
    assert linear_layer(other) is other
    assert linear_layer(TransposedLinear(4, 4)).__class__ is TransposedLinear  # its type was not given
    half = linear_layer(nn.Linear(4, 4).bfloat16())
    assert not isinstance(half, linear_layers._PackedLayer)
    inputs = torch.randn(3, 4)
    layer = linear_layer(nn.Linear(4, 4))
    with torch.autocast("cpu", torch.bfloat16):
        assert [layer(inputs).dtype for _ in range(3)] == [torch.bfloat16] * 3
