"""Linear layers as functions, with their weights packed once for the few rows of a step of the generation.

A step multiplies the weights with one row per text. The matrix product of torch packs the weights (rearranges them in
memory) in every call, which takes longer than the product of a few rows. oneDNN can keep the packed weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

Layer = Callable[[torch.Tensor], torch.Tensor]

_MOST_ROWS = 64
"""Number of rows above which packed weights save less than a quarter of the time."""


def linear_layer(module: nn.Module, transposed: type[nn.Module] | None = None) -> Layer:
    """Return the function of a linear layer for inputs [rows,in].

    Args:
        module: An `nn.Linear` or a layer of the type `transposed`. A layer of another type, such as one with a low-rank
            adapter, is returned as it is.
        transposed: Type of linear layers whose weights are stored as [in,out]; None if the model has none.
    """
    part: Any = module
    if type(module) is nn.Linear:
        weight, bias = part.weight, part.bias
        return _with_packed_weight(lambda inputs: functional.linear(inputs, weight, bias), weight, bias)
    if transposed is not None and type(module) is transposed:
        weight, bias = part.weight, part.bias
        return _with_packed_weight(lambda inputs: torch.addmm(bias, inputs, weight), weight.T, bias)
    return module


def _with_packed_weight(plain: Layer, weight: torch.Tensor, bias: torch.Tensor | None) -> Layer:
    """Return a function that computes few rows with a packed copy of a weight [out,in], which the second call makes.

    `plain` computes a single row, for which the order of the weights in memory makes no difference.
    """
    if not _can_pack(weight):
        return plain
    packed: list[torch.Tensor] = []
    waited: list[bool] = []

    def layer(inputs: torch.Tensor) -> torch.Tensor:
        if not 1 < len(inputs) <= _MOST_ROWS or torch.is_autocast_enabled("cpu"):
            return plain(inputs)
        if not waited:  # a prompt has few rows as well, but is computed once
            waited.append(True)
            return plain(inputs)
        if not packed:
            packed.append(torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _MOST_ROWS))
        outputs: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, packed[0], bias, "none", [], "")
        return outputs

    return layer


def _can_pack(weight: torch.Tensor) -> bool:
    """Return whether oneDNN is available and supports the weight. `torch.compile` uses the same two operators."""
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))
