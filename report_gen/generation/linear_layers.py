"""Linear layers as functions, with weights that are packed once for the few rows of a generation step.

A step multiplies the weights with one row per text. Its time is that of reading the weights from memory, and the matrix
product of torch also packs them in every call. Two libraries that come with torch keep packed weights:

- FBGEMM stores 16-bit weights, reads half as many bytes, and computes in float32. It is used only where 16 bits
  represent the weights, as in a model that was saved with 16 bits. The results are therefore those of float32.
- oneDNN stores 32-bit weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

Layer = Callable[[torch.Tensor], torch.Tensor]

_MOST_ROWS = 64
"""Largest number of rows that packed weights compute. With more rows they save less than a quarter of the time."""
_ROUNDING = torch.finfo(torch.float32).eps / 2
"""Largest relative error of rounding to float32."""

_FBGEMM = frozenset({"fbgemm", "x86"})
"""Quantized engines of torch that compute with FBGEMM."""


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

    The copy is made at the first call with few rows. Later changes of the weight do not reach it.

    Args:
        plain: Function of the layer for inputs [rows,in].
        weight: [out,in].
        bias: [out]; None for none.
    """

    def __init__(self, plain: Layer, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self._plain, self._weight, self._bias = plain, weight, bias
        self._packed: Layer | None = None

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs [rows,out]."""
        if torch.compiler.is_exporting():  # the importing software packs the weights itself, for any number of rows
            return self._plain(inputs)
        if inputs.shape[0] > _MOST_ROWS or torch.is_autocast_enabled("cpu"):
            return self._plain(inputs)
        if self._packed is None:
            weight = self._weight.detach()
            pack = _pack_with_16_bits if _fits_16_bits(weight) else _pack
            self._packed = pack(weight, self._bias)
        return self._packed(inputs)


def _can_pack(weight: torch.Tensor) -> bool:
    """Return whether oneDNN is available and supports the weight. `torch.compile` uses the same two operators."""
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))


def _fits_16_bits(weight: torch.Tensor) -> bool:
    """Return whether FBGEMM is the quantized engine, and float16 represents a weight within the precision of float32.

    float16 represents every weight that was saved as float16. Of a weight that was saved as bfloat16 it rounds the
    smallest numbers, so the norm of the errors is compared with the norm of the weight.
    """
    if torch.backends.quantized.engine not in _FBGEMM or not hasattr(torch.ops.quantized, "linear_prepack_fp16"):
        return False
    errors = weight.half().float() - weight
    return bool(errors.norm() <= _ROUNDING * weight.norm())


def _pack_with_16_bits(weight: torch.Tensor, bias: torch.Tensor | None) -> Layer:
    packed = torch.ops.quantized.linear_prepack_fp16(weight.contiguous(), bias)
    return lambda inputs: torch.ops.quantized.linear_dynamic_fp16.default(inputs, packed)


def _pack(weight: torch.Tensor, bias: torch.Tensor | None) -> Layer:
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, _MOST_ROWS)
    return lambda inputs: torch.ops.mkldnn._linear_pointwise.default(inputs, packed, bias, "none", [], "")
