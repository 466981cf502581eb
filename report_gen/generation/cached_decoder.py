"""Base class of decoders with a forward pass of their own, which generate faster than `generate` of transformers.

A small decoder spends most of a step of `generate` outside its arithmetic: in the cache, the masks, the checks and the
calls of modules. A `CachedDecoder` reads the weights of a model and computes the same numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import nn

from report_gen.generation.key_value_cache import CacheShape, KeyValueCache
from report_gen.generation.linear_layers import Layer


class AttentionCache(Protocol):
    """The part of a cache that a forward pass uses. Implemented by `KeyValueCache`."""

    @property
    def has_cross_attention(self) -> bool:
        """Whether the texts attend to something else than themselves."""

    def attend(self, layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Store the keys and values of the new tokens and return their attention."""

    def attend_across(self, layer: int, queries: torch.Tensor) -> torch.Tensor:
        """Return the cross-attention of queries."""


class CachedDecoder(ABC):
    """A causal language model that computes the logits of next tokens from cached keys and values.

    Args:
        shape: Layers and heads.
        embeddings: Token embeddings.
        output: Output layer.
    """

    supports_speculation: ClassVar[bool] = True
    """Whether `step_tokens` may be used for speculative decoding, see `proposals.py`."""

    def __init__(self, shape: CacheShape, *, embeddings: nn.Module, output: Layer) -> None:
        self.shape = shape
        self._embeddings = embeddings
        self._output = output

    def begin(self, inputs: Mapping[str, torch.Tensor]) -> Prefix:
        """Compute what B texts begin with.

        Args:
            inputs: `Conditioning.decoder_inputs` for visual tokens and prompts, with P columns.
        """
        embedded = inputs["inputs_embeds"] if "inputs_embeds" in inputs else self._embeddings(inputs["input_ids"])
        mask = inputs["attention_mask"]
        cross, cross_mask = self._cross_attention(inputs)
        dtype = self._cache_dtype(embedded)
        cache = KeyValueCache(self.shape, mask, length=mask.shape[1], dtype=dtype, cross=cross, cross_mask=cross_mask)
        return Prefix(cache, self.next_logits(embedded, cache.extend(mask.shape[1]), cache))

    def step(self, token_ids: torch.Tensor, cache: KeyValueCache) -> torch.Tensor:
        """Append the tokens [N] to the texts of a cache and return the logits [N,vocabulary] of the next tokens."""
        return self.next_logits(self._embeddings(token_ids[:, None]), cache.extend(1), cache)

    def next_logits(self, embedded: torch.Tensor, positions: torch.Tensor, cache: AttentionCache) -> torch.Tensor:
        """Return the logits [N,vocabulary] that follow token embeddings [N,L,D] at positions [N or 1,L]."""
        return self._output(self._hidden(embedded, positions, cache)[:, -1])

    def step_tokens(self, token_ids: Sequence[int], cache: KeyValueCache) -> torch.Tensor:
        """Append L tokens to the only text of a cache and return the logits [L,vocabulary] after each of them."""
        embedded = self._embeddings(torch.tensor([token_ids], device=cache.device))
        return self._output(self._hidden(embedded, cache.extend(len(token_ids)), cache)[0])

    @abstractmethod
    def _hidden(self, embedded: torch.Tensor, positions: torch.Tensor, cache: AttentionCache) -> torch.Tensor:
        """Return the input of the output layer [N,L,D] for token embeddings [N,L,D] at positions [N or 1,L]."""

    def _cross_attention(self, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return keys and values of the cross-attention and their mask, see `KeyValueCache`."""
        return None, None

    @staticmethod
    def _cache_dtype(embedded: torch.Tensor) -> torch.dtype:
        """Return the type of keys and values: that of the weights, or of the autocast that computes them."""
        kind = embedded.device.type
        return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else embedded.dtype


@dataclass(frozen=True)
class Prefix:
    """What B texts begin with: visual tokens, prompt and begin token. It is computed once for all their candidates."""

    cache: KeyValueCache
    logits: torch.Tensor
    """Logits [B,vocabulary] of the first report tokens."""

    def start(self, rows: Sequence[int], *, max_tokens: int) -> tuple[KeyValueCache, torch.Tensor]:
        """Return a cache for texts that begin with `rows`, and the logits [N,vocabulary] of their first tokens."""
        cache = self.cache.copy_rows(rows, length=self.cache.filled + max_tokens)
        return cache, self.logits[list(rows)]
