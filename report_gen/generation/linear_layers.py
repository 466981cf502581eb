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
    plain: Layer
    if type(module) is nn.Linear:
        weight, bias = part.weight, part.bias
        plain, packable = lambda inputs: functional.linear(inputs, weight, bias), weight
    elif transposed is not None and type(module) is transposed:
        weight, bias = part.weight, part.bias
        plain, packable = lambda inputs: torch.addmm(bias, inputs, weight), weight.T
    else:
        return module
    return _PackedLayer(plain, packable, bias) if _can_pack(weight) else plain


class _PackedLayer:
    """A linear layer that computes few rows with a packed copy of its weight.

    The copy is made at the second call with few rows, because a prompt can have few rows and is computed once. A single
    row is left to `plain`: the order of the weights in memory makes no difference for it.

    Args:
        plain: Function of the layer for inputs [rows,in].
        weight: [out,in].
        bias: [out]; None for none.
    """

    def __init__(self, plain: Layer, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self._plain, self._weight, self._bias = plain, weight, bias
        self._is_called = False
        self._packed: torch.Tensor | None = None

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs [rows,out]."""
        if torch.compiler.is_exporting():  # other software packs the weights itself, for any number of rows
            return self._plain(inputs)
        if not 1 < len(inputs) <= _MOST_ROWS or torch.is_autocast_enabled("cpu"):
            return self._plain(inputs)
        if not self._is_called:
            self._is_called = True
            return self._plain(inputs)
        if self._packed is None:
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self._weight.detach(), _MOST_ROWS)
        outputs: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self._packed, self._bias, "none", [], "")
        return outputs


def _can_pack(weight: torch.Tensor) -> bool:
    """Return whether oneDNN is available and supports the weight. `torch.compile` uses the same two operators."""
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))
