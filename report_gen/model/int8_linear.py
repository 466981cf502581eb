"""Dynamic quantization of linear layers to 8 bits for the CPU. Generation reads a quarter of the bytes per step."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import nn

from report_gen.errors import UsageError

_LARGEST = 127
"""Largest absolute value of a quantized weight."""
_TRANSPOSED = frozenset({"TransposedLinear", "Conv1D"})
"""Names of the linear layers of a GPT-2, here and in transformers, whose weights are stored as [in,out]. The layers are
recognized by name because importing transformers takes longer than a draft."""


class Int8Linear(nn.Module):
    """A linear layer with 8-bit weights, for inference on the CPU.

    The weights are quantized once, with one scale per output. The inputs are quantized in each call, with one scale for
    all rows, so a result depends slightly on the other rows of the batch.

    Args:
        weight: [out,in] float32.
        bias: [out] float32; None for none.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        weight = weight.detach().contiguous()
        scales = weight.abs().amax(1).clamp(min=torch.finfo(weight.dtype).tiny) / _LARGEST
        zeros = torch.zeros(len(scales), dtype=torch.long)
        with warnings.catch_warnings():
            # A later release of PyTorch will remove quantized tensors, and `_is_available` will then return False. The
            # other 8-bit products of PyTorch need inputs of 8 bits, or are slower than float32.
            warnings.filterwarnings("ignore", message=".*quantized tensor creation functions.*deprecated")
            quantized = torch.quantize_per_channel(weight, scales.double(), zeros, 0, torch.qint8)
        self._outputs = len(weight)
        self._packed = torch.ops.quantized.linear_prepack(quantized, None if bias is None else bias.detach())

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs [...,out] of inputs [...,in]; all of them are NaN if any input is NaN or infinite."""
        # True (`reduce_range`) limits inputs to 7 bits. Processors without VNNI add products of 8-bit numbers in 16
        # bits, which would overflow.
        outputs: torch.Tensor
        if inputs.isfinite().all():
            outputs = torch.ops.quantized.linear_dynamic(inputs, self._packed, True)
        else:  # quantization would turn NaN into a finite number, or raise an error
            outputs = inputs.new_full((*inputs.shape[:-1], self._outputs), math.nan)
        return outputs


def quantize_linear_layers(module: nn.Module) -> None:
    """Replace the linear layers of a module, at any depth, by layers with 8-bit weights, in place.

    Layers of other types and layers with a low-rank adapter are not changed.

    Args:
        module: A module on the CPU, in float32.

    Raises:
        UsageError: This build of PyTorch does not support quantized tensors.
    """
    if not _is_available():
        raise UsageError("dtype int8: this build of PyTorch has no 8-bit layers; choose auto, float32 or bfloat16")
    for name, child in list(module.named_children()):
        part: Any = child
        if type(child) is nn.Linear:
            setattr(module, name, Int8Linear(part.weight, part.bias))
        elif type(child).__name__ in _TRANSPOSED:
            setattr(module, name, Int8Linear(part.weight.T, part.bias))
        elif not hasattr(child, "base_layer"):  # PEFT keeps the layer below an adapter in `base_layer`
            quantize_linear_layers(child)


def is_quantized(module: nn.Module) -> bool:
    """Return whether a module has layers of `quantize_linear_layers`."""
    return any(isinstance(part, Int8Linear) for part in module.modules())


def _is_available() -> bool:
    """Return whether this build of PyTorch supports quantized tensors and their linear layers."""
    operators = hasattr(torch.ops.quantized, "linear_dynamic") and hasattr(torch, "quantize_per_channel")
    return operators and str(torch.backends.quantized.engine) != "none"
