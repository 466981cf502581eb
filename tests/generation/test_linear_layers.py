"""Packed weights: the same results as those of the layer, and when they are packed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from report_gen.generation import linear_layers
from report_gen.generation.linear_layers import linear_layer
from report_gen.model.gpt2 import TransposedLinear

HAS_ONEDNN = linear_layers._can_pack(torch.zeros(1, 1))
needs_onednn = pytest.mark.skipif(not HAS_ONEDNN, reason="this build of PyTorch has no oneDNN")


@pytest.fixture(params=["with bias", "without bias", "transposed"])
def module(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    if request.param == "transposed":
        return TransposedLinear(48, 20)
    return nn.Linear(48, 20, bias=request.param == "with bias")


@torch.inference_mode()
def test_results_are_those_of_the_layer(module: nn.Module) -> None:
    layer = linear_layer(module, transposed=TransposedLinear)
    for rows in (3, 3, 1, 4, 64, 65, 2):  # the second call packs the weight
        inputs = torch.randn(rows, 48)
        torch.testing.assert_close(layer(inputs), module(inputs))


@needs_onednn
@torch.inference_mode()
def test_weights_are_packed_for_further_calls_with_few_rows(module: nn.Module) -> None:
    layer = linear_layer(module, transposed=TransposedLinear)
    assert isinstance(layer, linear_layers._PackedLayer)
    for rows in (5, 1, 1, 100):  # a prompt, single rows, many rows
        layer(torch.randn(rows, 48))
        assert layer._packed is None
    layer(torch.randn(5, 48))
    packed = layer._packed
    assert packed is not None
    layer(torch.randn(6, 48))
    assert layer._packed is packed


@torch.inference_mode()
def test_other_layers_and_types_are_left_as_they_are() -> None:
    others = nn.Sequential(nn.Linear(4, 4)), TransposedLinear(4, 4), nn.Linear(4, 4).bfloat16()  # no type was given
    assert not any(isinstance(linear_layer(other), linear_layers._PackedLayer) for other in others)
    inputs = torch.randn(3, 4)
    layer = linear_layer(nn.Linear(4, 4))
    with torch.autocast("cpu", torch.bfloat16):
        assert [layer(inputs).dtype for _ in range(3)] == [torch.bfloat16] * 3
