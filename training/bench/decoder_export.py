"""Export one forward pass of a decoder to ONNX, for the comparison with other software.

The exported arithmetic is that of `CachedDecoder`. Only the attention differs, because each runtime has its own way to
keep keys and values without copies:

- `grouped`: `com.microsoft.GroupQueryAttention` of ONNX Runtime, which writes the new keys and values into the cache.
- `concatenated`: operators of the ONNX standard. OpenVINO replaces them by one operator that stores the cache in the
  model, if the texts of the cache pass through a `Gather`, as in a beam search.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

from report_gen.generation import CachedDecoder

Attention = Literal["grouped", "concatenated"]

_OPSET = 23
"""The first one with `RMSNormalization`; `Gelu` needs 20."""
_TEXTS, _NEW, _PAST = 2, 3, 5
"""Sizes of the example for the export. They must differ from each other and from 1, or else they become constants."""


def export_step(decoder: CachedDecoder, width: int, path: Path, attention: Attention) -> None:
    """Write a forward pass over L new tokens of B texts as ONNX.

    Inputs: `embedded` [B,L,width], `positions` [B,L], `bias` [B,1,L,T], which is added to the products of queries and
    keys, and `past_0`, `past_1`, ...: keys and values of each layer [B,key_value_heads,T,head_width]. With `grouped`
    attention T is the room of the cache, and further inputs are `last` [B], the index of the last token of each text,
    and `total`, the number of tokens so far. With `concatenated` attention T - L is the length of the past, and a
    further input is `order` [B], the text whose past each text continues. These three are int32.

    Outputs: `logits` [B,vocabulary] of the next token, and the keys and values `present_0`, `present_1`, ...

    Args:
        decoder: The decoder, in float32 on the CPU.
        width: Width of its token embeddings.
        path: File to write.
        attention: See above.
    """
    shape = decoder.shape
    total = _NEW + _PAST
    stored = total if attention == "grouped" else _PAST
    sizes = (_TEXTS, shape.key_value_heads, stored, shape.head_width)
    past = [torch.zeros(sizes) for _ in range(2 * shape.layers)]
    inputs = {
        "embedded": torch.zeros(_TEXTS, _NEW, width),
        "positions": torch.arange(_PAST, total).repeat(_TEXTS, 1),
        "bias": torch.zeros(_TEXTS, 1, _NEW, total),
    }
    if attention == "grouped":
        inputs |= {
            "last": torch.full((_TEXTS,), total - 1, dtype=torch.int32),
            "total": torch.tensor(total, dtype=torch.int32),
        }
    else:
        inputs["order"] = torch.arange(_TEXTS, dtype=torch.int32)
    free = torch.export.Dim.DYNAMIC
    axes = {"embedded": (0, 1), "positions": (0, 1), "bias": (0, 2, 3), "last": (0,), "total": (), "order": (0,)}
    dynamic: list[object] = [dict.fromkeys(axes[name], free) for name in inputs]
    numbers = range(len(past))
    with torch.no_grad():
        torch.onnx.export(
            _Step(decoder, attention).eval(),
            (*inputs.values(), *past),
            path,
            dynamo=True,
            opset_version=_OPSET,
            input_names=[*inputs, *(f"past_{n}" for n in numbers)],
            output_names=["logits", *(f"present_{n}" for n in numbers)],
            dynamic_shapes=[(*dynamic, *({0: free, 2: free} for _ in past))],
            verbose=False,
        )


class _Step(nn.Module):
    """A forward pass as a function of tensors."""

    def __init__(self, decoder: CachedDecoder, attention: Attention) -> None:
        super().__init__()
        self._decoder = decoder
        self._attention = attention

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the outputs of `export_step`."""
        embedded, positions, bias = inputs[:3]
        scale = self._decoder.shape.scale
        cache: _Cache
        if self._attention == "grouped":
            cache = _GroupedCache(inputs[5:], bias, scale, last=inputs[3], total=inputs[4])
        else:
            cache = _ConcatenatedCache(inputs[4:], bias, scale, order=inputs[3])
        return self._decoder.next_logits(embedded, positions, cache), *cache.present


class _Cache(ABC):
    """The cache of a decoder during the export.

    Args:
        past: Keys and values of the layers.
        bias: See `export_step`.
        scale: Factor of the products of queries and keys.
    """

    has_cross_attention = False

    def __init__(self, past: Sequence[torch.Tensor], bias: torch.Tensor, scale: float) -> None:
        self._past = past
        self._bias = bias
        self._scale = scale
        self.present: list[torch.Tensor] = []

    @abstractmethod
    def attend(self, layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return the attention of queries; shapes as in `KeyValueCache.attend`."""

    def attend_across(self, layer: int, queries: torch.Tensor) -> torch.Tensor:
        """Raise an error: there is no cross-attention."""
        raise NotImplementedError("a decoder with cross-attention is not exported")


class _ConcatenatedCache(_Cache):
    """Appends the new keys and values to the past ones."""

    def __init__(self, *arguments: Any, order: torch.Tensor) -> None:
        super().__init__(*arguments)
        self._order = order

    def attend(self, layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        all_keys = torch.cat([self._in_order(self._past[2 * layer]), keys.transpose(1, 2)], dim=2)
        all_values = torch.cat([self._in_order(self._past[2 * layer + 1]), values.transpose(1, 2)], dim=2)
        self.present += [all_keys, all_values]
        return functional.scaled_dot_product_attention(
            queries.transpose(1, 2),
            all_keys,
            all_values,
            attn_mask=self._bias,
            scale=self._scale,
            enable_gqa=queries.shape[2] != keys.shape[2],
        ).transpose(1, 2)

    def _in_order(self, past: torch.Tensor) -> torch.Tensor:
        """Return `past.index_select(0, order)` as one operator: others beside it hide the pattern from OpenVINO."""
        return torch.onnx.ops.symbolic("Gather", [past, self._order], dtype=past.dtype, shape=past.shape)


class _GroupedCache(_Cache):
    """Leaves cache and attention to an operator of ONNX Runtime, which is causal itself."""

    def __init__(self, *arguments: Any, last: torch.Tensor, total: torch.Tensor) -> None:
        super().__init__(*arguments)
        self._last = last
        self._total = total

    def attend(self, layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        past_keys, past_values = self._past[2 * layer : 2 * layer + 2]
        flat = [part.flatten(2) for part in (queries, keys, values)]
        no_rotary = [None, None, None]  # the decoder rotates queries and keys
        attended, *present = torch.onnx.ops.symbolic_multi_out(
            "com.microsoft::GroupQueryAttention",
            [*flat, past_keys, past_values, self._last, self._total, *no_rotary, self._bias],
            {"num_heads": queries.shape[2], "kv_num_heads": keys.shape[2], "scale": self._scale},
            dtypes=(queries.dtype,) * 3,
            shapes=(flat[0].shape, past_keys.shape, past_values.shape),
            version=1,
        )
        self.present += present
        return attended.view(queries.shape)
