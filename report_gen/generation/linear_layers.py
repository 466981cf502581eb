"""Linear layers as functions, with their weights rearranged once for the few rows of a step of the generation.

A step multiplies the weights with one row per text. It takes as long as reading the weights from memory, and the matrix
product of torch also rearranges them in every call. Two libraries that come with torch keep rearranged weights:

- FBGEMM stores 16-bit numbers and computes in float32. It reads half as many bytes. It is used for weights that 16 bits
  represent, as those of a model that was saved with 16 bits, so that the results are those of float32.
- oneDNN stores the weights as they are.
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
_ROUNDING = torch.finfo(torch.float32).eps / 2
"""Relative error of a number that is rounded to float32."""


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
    """A linear layer that computes few rows with a packed copy of its weight, which is made when it is needed first.

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
        if torch.compiler.is_exporting():  # other software packs the weights itself, for any number of rows
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
    """Return whether FBGEMM is available, and 16-bit numbers represent a weight within the precision of float32.

    They represent every weight that was saved as float16. Of one saved as bfloat16 they round the smallest numbers.
    """
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        return False
    rounding = (weight.half().float() - weight).norm()
    return bool(rounding <= _ROUNDING * weight.norm())


def _pack_with_16_bits(weight: torch.Tensor, bias: torch.Tensor | None) -> Layer:
    packed = torch.ops.quantized.linear_prepack_fp16(weight.contiguous(), bias)
    return lambda inputs: torch.ops.quantized.linear_dynamic_fp16(inputs, packed)


def _pack(weight: torch.Tensor, bias: torch.Tensor | None) -> Layer:
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, _MOST_ROWS)
    return lambda inputs: torch.ops.mkldnn._linear_pointwise(inputs, packed, bias, "none", [], "")
