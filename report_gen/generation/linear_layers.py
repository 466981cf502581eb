"""Linear layers as functions, with their weights rearranged once for the few rows of a step of the generation.

A step multiplies the weights with one row per text. The matrix product of torch rearranges the weights in memory in
every call, which takes longer than the product of a few rows. Two libraries are faster with weights that are rearranged
once: oneDNN for a few rows, and the BLAS of NumPy for a single row. On processors of AMD the BLAS of torch, which is
Intel's, takes two to four times as long for a single row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

Function = Callable[[torch.Tensor], torch.Tensor]

_MOST_ROWS = 64
"""Number of rows above which packed weights save less than a quarter of the time."""
_BLOCK = 16
"""Outputs of a block of weights for a single row, the width of a vector register with 512 bits.

OpenBLAS divides a product with more than 9,216 weights among threads, which takes longer than the product.
"""


class LinearLayer:
    """A linear layer, optionally followed by an activation or a sum.

    Args:
        function: Function of the layer for inputs [rows,in].
    """

    def __init__(self, function: Function) -> None:
        self._function = function

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs [rows,out] for inputs [rows,in]."""
        return self._function(inputs)

    def add(self, inputs: torch.Tensor, summand: torch.Tensor) -> torch.Tensor:
        """Return `summand` [rows,out] plus the outputs for inputs [rows,in]."""
        return summand + self._function(inputs)

    def tanh_gelu(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the GELU in its approximation with tanh of the outputs [rows,out] for inputs [rows,in]."""
        return functional.gelu(self._function(inputs), approximate="tanh")


def linear_layer(module: nn.Module, transposed: type[nn.Module] | None = None) -> LinearLayer:
    """Return the function of a linear layer for inputs [rows,in].

    Args:
        module: An `nn.Linear` or a layer of the type `transposed`. A layer of another type, such as one with a low-rank
            adapter, is called as it is.
        transposed: Type of linear layers whose weights are stored as [in,out]; None if the model has none.
    """
    part: Any = module
    function: Function
    if type(module) is nn.Linear:
        weight, bias = part.weight, part.bias
        function, packable = lambda inputs: functional.linear(inputs, weight, bias), weight
    elif transposed is not None and type(module) is transposed:
        weight, bias = part.weight, part.bias
        function, packable = lambda inputs: torch.addmm(bias, inputs, weight), weight.T
    else:
        return LinearLayer(module)
    return _PackedLayer(function, packable, bias) if _can_pack(weight) else LinearLayer(function)


class _PackedLayer(LinearLayer):
    """A linear layer that computes few rows with a rearranged copy of its weight.

    A copy is made at the second call with few rows, because a prompt can have few rows and is computed once.

    Args:
        function: Function of the layer for inputs [rows,in].
        weight: [out,in].
        bias: [out]; None for none.
    """

    def __init__(self, function: Function, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__(function)
        self._weight, self._bias = weight, bias
        self._is_called = False
        self._packed: torch.Tensor | None = None
        self._row_product: _RowProduct | None = None

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        if not self._is_packed_for(inputs):
            return self._function(inputs)
        if len(inputs) == 1:
            return self._single_row(inputs)
        outputs: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            inputs, self._packed_weight(), self._bias, "none", [], ""
        )
        return outputs

    def add(self, inputs: torch.Tensor, summand: torch.Tensor) -> torch.Tensor:
        if not self._is_packed_for(inputs):
            return super().add(inputs, summand)
        if len(inputs) == 1:
            return self._single_row(inputs).add_(summand)
        outputs: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(
            inputs, summand, self._packed_weight(), self._bias, "add"
        )
        return outputs

    def tanh_gelu(self, inputs: torch.Tensor) -> torch.Tensor:
        if not self._is_packed_for(inputs):
            return super().tanh_gelu(inputs)
        if len(inputs) == 1:
            return functional.gelu(self._single_row(inputs), approximate="tanh")
        outputs: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            inputs, self._packed_weight(), self._bias, "gelu", [], "tanh"
        )
        return outputs

    def _is_packed_for(self, inputs: torch.Tensor) -> bool:
        """Return whether inputs are computed with a rearranged weight."""
        if torch.compiler.is_exporting():  # other software rearranges the weights itself, for any number of rows
            return False
        if inputs.shape[0] > _MOST_ROWS or torch.is_autocast_enabled("cpu"):
            return False
        was_called, self._is_called = self._is_called, True
        return was_called

    def _packed_weight(self) -> torch.Tensor:
        if self._packed is None:
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self._weight.detach(), _MOST_ROWS)
        return self._packed

    def _single_row(self, inputs: torch.Tensor) -> torch.Tensor:
        if self._row_product is None:
            self._row_product = _RowProduct(self._weight.detach(), self._bias)
        return self._row_product(inputs)


class _RowProduct:
    """The product of a single row and a weight, by the BLAS of NumPy, plus a bias.

    Args:
        weight: [out,in].
        bias: [out]; None for none.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self._outputs = len(weight)
        blocks = -(-self._outputs // _BLOCK)
        padded = functional.pad(weight, (0, 0, 0, blocks * _BLOCK - self._outputs))
        self._weight = padded.view(blocks, _BLOCK, -1).transpose(1, 2).contiguous().numpy()  # [blocks,in,16]
        self._bias = None if bias is None else bias.detach().numpy()

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs [1,out] for inputs [1,in]."""
        outputs = np.matmul(inputs[0].numpy(), self._weight).reshape(1, -1)[:, : self._outputs]
        if self._bias is not None:
            outputs += self._bias
        return torch.from_numpy(outputs)


def _can_pack(weight: torch.Tensor) -> bool:
    """Return whether oneDNN is available and supports the weight. `torch.compile` uses the same two operators."""
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))
