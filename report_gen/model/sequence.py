"""Sequence encoders: relate the views of a study (slices, phases, prior images) before the projector pools them.

Axes: B studies, V views, N patches per view, D_img width of the patch features, W inner width, H heads, and O offsets
of a view: millimeters, seconds and days, as in `ViewOffset`; NaN where an offset is not known.

The patches at one place of all views are one sequence, so a study has N sequences of length V. Patches at different
places do not meet here, because the image encoder has related the patches of each view already.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from report_gen.config import SequenceConfig


def build_sequence_encoder(config: SequenceConfig, *, image_width: int) -> SequenceEncoder:
    """Build the sequence encoder of a configuration for patch features of width D_img."""
    if config.kind == "mean":
        return MeanEncoder()
    sizes = {"image_width": image_width, "width": config.width, "layers": config.layers}
    if config.kind == "recurrent":
        return RecurrentEncoder(**sizes, cell=config.cell, dropout=config.dropout)
    return AttentionEncoder(**sizes, heads=config.heads, dropout=config.dropout)


class SequenceEncoder(nn.Module, ABC):
    """Relates the views of a study to each other.

    The order of the views does not matter, nor which view is the reference of the offsets, nor what missing views
    contain. Views without known offsets are a set, except that `RecurrentEncoder` reads them in the given order.
    """

    pools_views: ClassVar[bool] = False
    """Whether the views of a study become one."""

    @abstractmethod
    def forward(
        self, patch_features: torch.Tensor, view_mask: torch.Tensor, view_offsets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the patch features and the view mask that the projector gets; V is 1 if `pools_views`.

        Args:
            patch_features: [B,V,N,D_img].
            view_mask: [B,V] bool, False for missing views; every study has at least one view.
            view_offsets: [B,V,O] float32.
        """


class MeanEncoder(SequenceEncoder):
    """Averages the views: a baseline that knows neither order nor distance."""

    pools_views = True

    def forward(
        self, patch_features: torch.Tensor, view_mask: torch.Tensor, view_offsets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        present = view_mask[:, :, None, None]  # [B,V,1,1]
        total = (patch_features * present).sum(1, keepdim=True)  # [B,1,N,D_img]
        return total / present.sum(1, keepdim=True), view_mask.any(1, keepdim=True)


class _ResidualEncoder(SequenceEncoder):
    """Adds to the features of every view what a subclass computes from all views and their offsets.

    It computes in an inner width W, because the cost of relating views grows with the square of the width. The last
    layer starts at zero: an untrained encoder changes nothing, so that a trained model can be extended by one.
    """

    def __init__(self, *, image_width: int, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(image_width)
        self.reduce = nn.Linear(image_width, width)
        self.embed = nn.Linear(OFFSET_FEATURES, width)
        self.dropout = nn.Dropout(dropout)
        self.expand = nn.Linear(width, image_width)
        for parameter in self.expand.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, patch_features: torch.Tensor, view_mask: torch.Tensor, view_offsets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        offsets = offset_features(_from_first(view_offsets, view_mask)).to(patch_features.dtype)  # [B,V,features]
        hidden = self.reduce(self.norm(patch_features)) + self.embed(offsets).unsqueeze(2)  # [B,V,N,W]
        related = self.relate(hidden, view_mask, view_offsets)  # [B,V,N,W]
        return patch_features + self.expand(self.dropout(related)), view_mask

    @abstractmethod
    def relate(self, hidden: torch.Tensor, view_mask: torch.Tensor, view_offsets: torch.Tensor) -> torch.Tensor:
        """Return hidden [B,V,N,W] after the views were related to each other."""


class RecurrentEncoder(_ResidualEncoder):
    """Reads the views with a bidirectional LSTM or GRU in the order of their offsets (`sort_views`).

    Args:
        image_width: D_img.
        width: W, even; each direction has half of it.
        layers: Layers of the recurrent network.
        cell: Kind of the recurrent network.
        dropout: Dropout between the layers and of the output.
    """

    def __init__(
        self, *, image_width: int, width: int, layers: int, cell: Literal["lstm", "gru"], dropout: float
    ) -> None:
        super().__init__(image_width=image_width, width=width, dropout=dropout)
        network = nn.LSTM if cell == "lstm" else nn.GRU
        between = dropout if layers > 1 else 0.0  # torch warns of a dropout that has no effect
        self.network = network(width, width // 2, layers, batch_first=True, bidirectional=True, dropout=between)

    def relate(self, hidden: torch.Tensor, view_mask: torch.Tensor, view_offsets: torch.Tensor) -> torch.Tensor:
        studies, views, patches, _ = hidden.shape
        order = sort_views(view_mask, view_offsets)  # [B,V]
        rows = torch.arange(studies, device=order.device).unsqueeze(1)  # [B,1]
        sequences = hidden[rows, order].transpose(1, 2).flatten(0, 1)  # [B*N,V,W]
        # Packed, so that the backward direction starts at the last view and not at the missing ones behind it.
        lengths = view_mask.sum(1).repeat_interleave(patches).cpu()
        packed = pack_padded_sequence(sequences, lengths, batch_first=True, enforce_sorted=False)
        output, _ = pad_packed_sequence(self.network(packed)[0], batch_first=True, total_length=views)  # [B*N,V,W]
        in_order = output.reshape(studies, patches, views, -1).transpose(1, 2)  # [B,V,N,W]
        related: torch.Tensor = in_order[rows, order.argsort(1)]  # back to the order of the views
        return related


class AttentionEncoder(_ResidualEncoder):
    """Lets every view attend to all views in transformer layers, by their content and their distance.

    Args:
        image_width: D_img.
        width: W, a multiple of `heads`.
        layers: Transformer layers.
        heads: H.
        dropout: Dropout of what each layer adds and of the output.
    """

    def __init__(self, *, image_width: int, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__(image_width=image_width, width=width, dropout=dropout)
        self.layers = nn.ModuleList(_AttentionLayer(width, heads, dropout) for _ in range(layers))
        self.last_norm = nn.LayerNorm(width)

    def relate(self, hidden: torch.Tensor, view_mask: torch.Tensor, view_offsets: torch.Tensor) -> torch.Tensor:
        # From the attending view (second axis) to the attended view (third axis); positive to a later or higher one.
        distances = offset_features(view_offsets.unsqueeze(1) - view_offsets.unsqueeze(2))  # [B,V,V,features]
        by_patch = hidden.transpose(1, 2)  # [B,N,V,W]
        for layer in self.layers:
            by_patch = layer(by_patch, view_mask, distances.to(hidden.dtype))
        related: torch.Tensor = self.last_norm(by_patch).transpose(1, 2)
        return related


class _AttentionLayer(nn.Module):
    """A pre-norm transformer layer whose heads add a bias by distance to the attention scores.

    The bias is a small network of the distance, because distances between views are irregular numbers of three units:
    a table of distances as in T5 (Raffel et al., JMLR 2020) would need one entry for each of them.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.distance_bias = nn.Sequential(nn.Linear(OFFSET_FEATURES, 32), nn.GELU(), nn.Linear(32, heads))
        self.output = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: torch.Tensor, view_mask: torch.Tensor, distances: torch.Tensor) -> torch.Tensor:
        """Return hidden [B,N,V,W] after one layer.

        Args:
            hidden: [B,N,V,W].
            view_mask: [B,V] bool.
            distances: [B,V,V,features], of the attending view to the attended view.
        """
        projected = self.query_key_value(self.norm(hidden)).unflatten(-1, (3, self.heads, -1))  # [B,N,V,3,H,W/H]
        query, key, value = projected.permute(3, 0, 1, 4, 2, 5)  # each [B,N,H,V,W/H]
        bias = self.distance_bias(distances).permute(0, 3, 1, 2)  # [B,H,V,V]
        bias = bias.masked_fill(~view_mask[:, None, None], float("-inf")).unsqueeze(1)  # [B,1,H,V,V]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)  # [B,N,H,V,W/H]
        hidden = hidden + self.dropout(self.output(mixed.transpose(2, 3).flatten(3)))
        after: torch.Tensor = hidden + self.dropout(self.mlp(hidden))
        return after


def sort_views(view_mask: torch.Tensor, view_offsets: torch.Tensor) -> torch.Tensor:
    """Return the indices [B,V] that sort the views of each study by days, then millimeters, then seconds.

    Millimeters precede seconds, because slices are acquired in either direction or interleaved. Views with an unknown
    offset follow those with a known one, equal views keep their order, and missing views come last.

    Args:
        view_mask: [B,V] bool.
        view_offsets: [B,V,O].
    """
    mm, seconds, days = view_offsets.nan_to_num(nan=torch.inf).unbind(-1)  # each [B,V]
    order = torch.arange(mm.shape[1], device=mm.device).expand_as(mm)
    for key in (seconds, mm, days, ~view_mask):  # each sort is stable, so the last key has precedence
        order = order.gather(1, key.gather(1, order).argsort(dim=1, stable=True))
    return order


_WAVELENGTHS = ((1.0, 1000.0), (0.1, 1000.0), (1.0, 3650.0))
"""Shortest and longest wavelength of each offset: from a thin slice to the length of a trunk, millimeters; from a phase
of the heart to a late phase of contrast, seconds; and from a day to ten years."""
_WAVES = 10
"""Wavelengths of each offset, log-spaced; one is 2 to 3 times the next shorter one."""
OFFSET_FEATURES = len(_WAVELENGTHS) * (2 * _WAVES + 2)
"""Number of features that `offset_features` makes of the O offsets of a view."""


def offset_features(offsets: torch.Tensor) -> torch.Tensor:
    """Return features [...,OFFSET_FEATURES] of offsets or of their differences [...,O], in float32.

    Each offset has the sine and cosine at every wavelength (Fourier features; Tancik et al., NeurIPS 2020), its signed
    logarithm, which grows beyond the longest wavelength, and a 1. All of them are 0 for an offset that is not known.
    """
    offsets = offsets.float().unsqueeze(-1)  # [...,O,1]; in bfloat16 the phases would be noise
    known, values = offsets.isfinite(), offsets.nan_to_num(0.0, 0.0, 0.0)
    shortest, longest = torch.tensor(_WAVELENGTHS, device=offsets.device).unsqueeze(1).unbind(-1)  # each [O,1]
    waves = shortest * (longest / shortest) ** torch.linspace(0, 1, _WAVES, device=offsets.device)  # [O,_WAVES]
    phases = 2 * math.pi * values / waves  # [...,O,_WAVES]
    logarithm = torch.asinh(values / shortest) / torch.asinh(longest / shortest)  # [...,O,1]
    features = torch.cat([phases.sin(), phases.cos(), logarithm, torch.ones_like(values)], dim=-1)
    return (features * known).flatten(-2)


def _from_first(view_offsets: torch.Tensor, view_mask: torch.Tensor) -> torch.Tensor:
    """Return the offsets [B,V,O] relative to the smallest known one of each study."""
    known = view_offsets.isfinite() & view_mask.unsqueeze(-1)
    return view_offsets - view_offsets.masked_fill(~known, torch.inf).amin(1, keepdim=True)
