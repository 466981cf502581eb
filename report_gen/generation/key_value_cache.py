"""The keys and values of all layers of a decoder, in memory that is allocated once per batch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class CacheShape:
    """Dimensions of a decoder that determine its cache."""

    layers: int
    key_value_heads: int
    head_width: int
    scale: float
    """Factor of the products of queries and keys, usually 1 / sqrt(head_width)."""


class KeyValueCache:
    """Keys and values of N texts of one length.

    The cache attends for the decoder. Per forward pass the decoder calls `extend` once and `attend` once per layer.

    Args:
        shape: Layers and heads of the decoder.
        mask: Attention mask [N,P] of the first tokens, 1 or 0. Every later token is attended to.
        length: Largest number of tokens T of a text, P included.
        dtype: Type of the keys and values.
        cross: Keys and values [N,2*layers,heads,K,head_width] that do not depend on the text, for cross-attention.
        cross_mask: Which of the K are attended to [N,K] bool; None for all.
    """

    def __init__(
        self,
        shape: CacheShape,
        mask: torch.Tensor,
        *,
        length: int,
        dtype: torch.dtype,
        cross: torch.Tensor | None = None,
        cross_mask: torch.Tensor | None = None,
    ) -> None:
        texts = len(mask)
        self.shape = shape
        self._filled = 0
        self._stored = torch.empty(
            (texts, 2 * shape.layers, shape.key_value_heads, length, shape.head_width), dtype=dtype, device=mask.device
        )
        self._divide_layers()
        self._visible = torch.ones((texts, length), dtype=torch.bool, device=mask.device)
        self._set_mask(mask)
        self._cross, self._cross_mask = cross, cross_mask
        self._bias: torch.Tensor | None = None
        self._causal = False

    @property
    def filled(self) -> int:
        """Number of tokens of each text."""
        return self._filled

    @property
    def device(self) -> torch.device:
        """Device of the keys and values."""
        return self._stored.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the keys and values."""
        return self._stored.dtype

    @property
    def has_cross_attention(self) -> bool:
        """Whether the texts attend to something else than themselves."""
        return self._cross is not None

    def extend(self, length: int) -> torch.Tensor:
        """Reserve the next L tokens of every text, mask what each may attend to, and return positions [N or 1,L]."""
        start, end = self._filled, self._filled + length
        self._filled = end
        self._causal, self._bias = False, None
        if not self._padded and start == 0:
            self._causal = length > 1
        elif self._padded or length > 1:
            rows = torch.arange(start, end, device=self._stored.device)
            seen = torch.arange(end, device=self._stored.device) <= rows[:, None]  # [L,end]
            allowed = self._visible[:, None, None, :end] & seen
            # The smallest number instead of -inf: a padding token before the first visible one may see nothing.
            smallest = torch.finfo(self._stored.dtype).min
            self._bias = torch.zeros_like(allowed, dtype=self._stored.dtype).masked_fill_(~allowed, smallest)
        return (self._counts[:, start:end] - 1).clamp(min=0)

    def remove_last(self, tokens: int) -> None:
        """Remove the last tokens of every text. The next call of `extend` overwrites their keys and values."""
        self._filled -= tokens

    def attend(self, layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Store the keys and values of the tokens of `extend` and return their attention [N,L,heads,head_width].

        Args:
            layer: Number of the layer.
            queries: [N,L,heads,head_width].
            keys: [N,L,key_value_heads,head_width].
            values: [N,L,key_value_heads,head_width].
        """
        if self._arrays and keys.shape[1] == 1:
            return self._attend_one(layer, queries, keys, values)
        end, start = self._filled, self._filled - keys.shape[1]
        all_keys, all_values = self._layers[2 * layer], self._layers[2 * layer + 1]
        all_keys[:, :, start:end] = keys.transpose(1, 2)
        all_values[:, :, start:end] = values.transpose(1, 2)
        return functional.scaled_dot_product_attention(
            queries.transpose(1, 2),
            all_keys[:, :, :end],
            all_values[:, :, :end],
            attn_mask=self._bias,
            is_causal=self._causal,
            scale=self.shape.scale,
            enable_gqa=queries.shape[2] != keys.shape[2],
        ).transpose(1, 2)

    def _attend_one(self, layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Do the work of `attend` for one new token of every text, on a CPU.

        The BLAS of NumPy takes less time than `scaled_dot_product_attention`, which divides the work into blocks of
        many queries.
        """
        end = self._filled
        all_keys, all_values = self._arrays[2 * layer], self._arrays[2 * layer + 1]
        all_keys[:, :, end - 1] = keys[:, 0].numpy()
        all_values[:, :, end - 1] = values[:, 0].numpy()
        texts, _, heads, width = queries.shape
        shared = (texts, all_keys.shape[1], heads // all_keys.shape[1])  # queries that share keys are rows of a product
        scaled = (queries.numpy() * np.float32(self.shape.scale)).reshape(*shared, width)
        with np.errstate(all="ignore"):  # numbers that are not finite are reported with the text, as by torch
            scores = scaled @ all_keys[:, :, :end].swapaxes(2, 3)
            if self._bias is not None:
                scores += self._bias.numpy()
            scores -= scores.max(-1, keepdims=True)
            np.exp(scores, out=scores)
            attended = scores @ all_values[:, :, :end]
            attended /= scores.sum(-1, keepdims=True)
        return torch.from_numpy(attended).view(queries.shape)

    def attend_across(self, layer: int, queries: torch.Tensor) -> torch.Tensor:
        """Return the cross-attention [N,L,heads,head_width] of queries of that shape."""
        if self._cross is None:
            raise ValueError("the texts attend to nothing else than themselves")
        return functional.scaled_dot_product_attention(
            queries.transpose(1, 2),
            self._cross[:, 2 * layer],
            self._cross[:, 2 * layer + 1],
            attn_mask=None if self._cross_mask is None else self._cross_mask[:, None, None],
            scale=self.shape.scale,
        ).transpose(1, 2)

    def copy_rows(self, rows: Sequence[int], *, length: int) -> KeyValueCache:
        """Return a cache of N texts that begin with the texts `rows`, with room for T tokens each."""
        index = torch.tensor(rows, device=self.device)
        copy = KeyValueCache(
            self.shape,
            self._visible[index, : self._filled],
            length=length,
            dtype=self.dtype,
            cross=None if self._cross is None else self._cross[index],
            cross_mask=None if self._cross_mask is None else self._cross_mask[index],
        )
        copy._copy_from(self, index)
        return copy

    def remove(self, ended: Collection[int]) -> list[int]:
        """Remove texts and return the earlier numbers of the others in their new order.

        The last texts take the places of those that are removed, so that only they are copied.
        """
        kept = [text for text in range(len(self._stored)) if text not in ended]
        holes = [text for text in range(len(kept)) if text in ended]
        moved = kept[len(kept) - len(holes) :]
        order = list(range(len(kept)))
        for hole, text in zip(holes, moved, strict=True):
            order[hole] = text
        if holes:
            targets, sources = torch.tensor(holes, device=self.device), torch.tensor(moved, device=self.device)
            for rows in self._rows():
                rows.index_copy_(0, targets, rows.index_select(0, sources))
        self._keep_first(len(kept))
        return order

    def reorder(self, rows: Sequence[int]) -> None:
        """Replace every text by another one that begins with the same P tokens: only what follows them is copied."""
        moved = [text for text, row in enumerate(rows) if text != row]
        if moved:
            device = self._stored.device
            written = self._stored[:, :, :, self._first : self._filled]
            copied = written.index_select(0, torch.tensor([rows[text] for text in moved], device=device))
            written.index_copy_(0, torch.tensor(moved, device=device), copied)

    def _set_mask(self, mask: torch.Tensor) -> None:
        """Set the attention mask [N,P] of the first tokens."""
        self._first = mask.shape[1]
        self._visible[:, : self._first] = mask
        self._padded = not bool(mask.all())
        ones = self._visible if self._padded else self._visible[:1]
        self._counts = ones.long().cumsum(1)  # visible tokens up to each column [N or 1,T]

    def _copy_from(self, other: KeyValueCache, index: torch.Tensor) -> None:
        """Begin with the keys and values of the texts `index` [N] of another cache."""
        self._filled = other._filled
        self._stored[:, :, :, : self._filled] = other._stored[:, :, :, : self._filled].index_select(0, index)

    def _rows(self) -> Iterator[torch.Tensor]:
        """Yield what belongs to single texts: tensors whose first axis is that of the texts."""
        yield self._stored[:, :, :, : self._filled]
        yield self._visible
        if self._padded:
            yield self._counts
        if self._cross is not None:
            yield self._cross
        if self._cross_mask is not None:
            yield self._cross_mask

    def _keep_first(self, texts: int) -> None:
        """Drop all but the first texts, whose keys and values stay at the same addresses."""
        self._stored, self._visible = self._stored[:texts], self._visible[:texts]
        self._divide_layers()
        if self._padded:
            self._counts = self._counts[:texts]
        if self._cross is not None:
            self._cross = self._cross[:texts]
        if self._cross_mask is not None:
            self._cross_mask = self._cross_mask[:texts]

    def _divide_layers(self) -> None:
        """Set `_layers`, the views of the keys and values of each layer, and `_arrays`, the same as arrays of NumPy."""
        self._layers = self._stored.unbind(1)
        in_numpy = self._stored.device.type == "cpu" and self._stored.dtype == torch.float32
        self._arrays: tuple[Floats, ...] = tuple(layer.numpy() for layer in self._layers) if in_numpy else ()
