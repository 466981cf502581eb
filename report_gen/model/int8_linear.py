"""Linear layers with 8-bit weights for the CPU: a step of the generation reads a quarter of the bytes."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn

from report_gen.errors import UsageError

_LARGEST = 127
_TRANSPOSED = frozenset({"TransposedLinear", "Conv1D"})
"""Names of the linear layers of a GPT-2, here and in transformers, whose weights are stored as [in,out]. They are names
because importing transformers takes longer than a draft."""


class Int8Linear(nn.Module):
    """A linear layer with 8-bit weights, for inference on the CPU.

    Weights are rounded to multiples of a scale per output. Inputs are rounded in each call, to multiples of one scale
    for all rows, so that a result depends a little on the other rows of a batch.

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
            # A later release of PyTorch will have no such tensors; `_is_available` will then be false. Its other 8-bit
            # products take ready-made 8-bit inputs, or are slower than float32.
            warnings.filterwarnings("ignore", message=".*quantized tensor creation functions.*deprecated")
            rounded = torch.quantize_per_channel(weight, scales.double(), zeros, 0, torch.qint8)
        self._packed = torch.ops.quantized.linear_prepack(rounded, None if bias is None else bias.detach())

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs [...,out] of inputs [...,in]."""
        # Inputs of 7 bits: processors without VNNI add products of 8 bits in 16 bits, which would overflow.
        outputs: torch.Tensor = torch.ops.quantized.linear_dynamic(inputs, self._packed, True)
        return outputs


def round_linear_layers(module: nn.Module) -> None:
    """Replace the linear layers of a module, at any depth, by layers with 8-bit weights.

    Layers of other types stay as they are, and so do layers with a low-rank adapter.

    Args:
        module: A module on the CPU, in float32.

    Raises:
        UsageError: This build of PyTorch has no 8-bit layers.
    """
    if not _is_available():
        raise UsageError("this build of PyTorch has no layers with 8-bit weights; choose another dtype")
    for name, child in list(module.named_children()):
        part: Any = child
        if type(child) is nn.Linear:
            setattr(module, name, Int8Linear(part.weight, part.bias))
        elif type(child).__name__ in _TRANSPOSED:
            setattr(module, name, Int8Linear(part.weight.T, part.bias))
        elif not hasattr(child, "base_layer"):  # what PEFT calls the layer below an adapter
            round_linear_layers(child)


def _is_available() -> bool:
    """Return whether this build of PyTorch computes with 8-bit weights."""
    operators = hasattr(torch.ops.quantized, "linear_dynamic") and hasattr(torch, "quantize_per_channel")
    return operators and str(torch.backends.quantized.engine) != "none"
