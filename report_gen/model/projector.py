"""Patch features of all views of a study to its visual tokens, and the finding head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from report_gen.config import STATES
from report_gen.records.study import ViewPosition

VIEWS: tuple[ViewPosition, ...] = tuple(ViewPosition)
"""Order of the view positions in every tensor of them."""


@dataclass(frozen=True)
class VisualFeatures:
    """What the projector saw in the images of B studies, before any state of the F findings was decided."""

    finding_features: torch.Tensor
    """[B,F,D_img]: patches as each finding's query weighed them."""
    finding_logits: torch.Tensor
    """[B,F]."""
    finding_attention: torch.Tensor
    """[B,F,V*N]: the weights, 0 on missing views, summing to 1 over the patches."""
    patch_tokens: torch.Tensor
    """[B,K-F-A,D_txt]; conditioned by `numbers` the words of these [B,K,D_txt]."""
    patch_mask: torch.Tensor
    """[B,K-F-A] bool."""
    attribute_logits: tuple[torch.Tensor, ...] = ()
    """[B,values] of each of the A attributes."""


class Projector(nn.Module):
    """K visual tokens a study: one for each of the F findings, A for the attributes, the others carry the patches.

    Every finding has a query over the patches of all views. Queries start at zero, so the head starts as a logistic
    regression on the average patch, and learns where to look from there. What the images add to a finding's token
    starts at zero as well: texts without images teach the decoder the states alone, and a model that never saw an
    image-report pair is not disturbed by features that its decoder cannot read.

    Args:
        findings: F, the number of findings; 0 for a model without findings.
        attributes: Number of values of each of the A attributes; without any there is nothing of them in the model.
    """

    def __init__(
        self,
        *,
        findings: int,
        image_width: int,
        text_width: int,
        grid: int,
        patch_tokens: int | Literal["all"],
        hidden: int,
        dropout: float,
        attributes: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(image_width)
        self.dropout = nn.Dropout(dropout)
        self.view_embedding = nn.Embedding(len(VIEWS), image_width)
        self.row_embedding = nn.Parameter(torch.zeros(grid, 1, image_width))
        self.column_embedding = nn.Parameter(torch.zeros(1, grid, image_width))
        nn.init.zeros_(self.view_embedding.weight)

        self.finding_queries = nn.Parameter(torch.zeros(findings, image_width))
        self.finding_weight = nn.Parameter(torch.zeros(findings, image_width))
        self.finding_bias = nn.Parameter(torch.zeros(findings))
        self.finding_mlp: nn.Sequential | None = None
        if findings:
            self.finding_mlp = _mlp(image_width, hidden, text_width, dropout)
            _silence(self.finding_mlp)
        self.state_embedding = nn.Parameter(0.02 * torch.randn(findings, len(STATES), text_width))

        self.patch_queries: nn.Parameter | None = None
        self.patch_mlp: nn.Sequential | None = None
        if patch_tokens != 0:
            self.patch_mlp = _mlp(image_width, hidden, text_width, dropout)
        if patch_tokens not in (0, "all"):
            self.patch_queries = nn.Parameter(torch.randn(int(patch_tokens), image_width))
        self.attribute_heads = nn.ModuleList(_AttributeHead(values, image_width) for values in attributes)
        self.attribute_embeddings = nn.ParameterList(0.02 * torch.randn(1 + count, text_width) for count in attributes)

    def forward(
        self, patch_features: torch.Tensor, view_positions: torch.Tensor, view_mask: torch.Tensor
    ) -> VisualFeatures:
        """Look at the images; see `VisualFeatures` for the shapes.

        Args:
            patch_features: [B,V,N,D_img].
            view_positions: [B,V], indices into `VIEWS`.
            view_mask: [B,V] bool, False where a view is missing; every study has at least one view.
        """
        studies, _, patches, width = patch_features.shape
        normed = self.dropout(self.norm(patch_features))
        positions = (self.row_embedding + self.column_embedding).reshape(patches, width)  # [N,D_img]
        placed = normed + positions + self.view_embedding(view_positions).unsqueeze(2)
        placed = placed.reshape(studies, -1, width)  # [B,V*N,D_img]
        mask = view_mask.repeat_interleave(patches, dim=1)  # [B,V*N]

        finding_features, attention = _attend(self.finding_queries, placed, mask)
        finding_logits = (finding_features * self.finding_weight).sum(-1) + self.finding_bias
        patch_tokens, patch_mask = self._patch_tokens(placed, mask)
        attribute_logits = tuple(head(placed, mask) for head in self.attribute_heads)
        return VisualFeatures(finding_features, finding_logits, attention, patch_tokens, patch_mask, attribute_logits)

    def finding_tokens(self, states: torch.Tensor, visual: VisualFeatures | None) -> torch.Tensor:
        """States [B,F] (indices into `STATES`) and, where there are images, what was seen -> [B,F,D_txt]."""
        findings = torch.arange(states.shape[1], device=states.device)
        tokens: torch.Tensor = self.state_embedding[findings, states]  # [B,F,D_txt]
        if visual is None or self.finding_mlp is None:
            return tokens
        added: torch.Tensor = self.finding_mlp(visual.finding_features)
        return tokens + added

    def attribute_tokens(self, values: torch.Tensor) -> torch.Tensor:
        """Values [B,A] as the decoder is told them, 0 for unknown -> [B,A,D_txt]."""
        told = zip(self.attribute_embeddings, values.unbind(1), strict=True)
        tokens = [embedding[value] for embedding, value in told]
        width = self.state_embedding.shape[-1]
        return torch.stack(tokens, dim=1) if tokens else self.state_embedding.new_zeros(len(values), 0, width)

    def _patch_tokens(self, placed: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.patch_mlp is None:
            text_width = self.state_embedding.shape[-1]
            return placed.new_zeros(len(placed), 0, text_width), mask[:, :0]
        if self.patch_queries is not None:
            placed, _ = _attend(self.patch_queries, placed, mask)  # [B,K-F-A,D_img]
            mask = mask.new_ones(placed.shape[:2])
        return self.patch_mlp(placed), mask


class _AttributeHead(nn.Module):
    """A query over the patches of all views and a linear layer, both from zero, as a finding has them."""

    def __init__(self, values: int, image_width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, image_width))
        self.weight = nn.Parameter(torch.zeros(values, image_width))
        self.bias = nn.Parameter(torch.zeros(values))

    def forward(self, patches: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Placed patches [B,M,D_img], of which [B,M] are there -> logits [B,values]."""
        seen, _ = _attend(self.query, patches, mask)  # [B,1,D_img]
        return F.linear(seen.squeeze(1), self.weight, self.bias)


def _attend(queries: torch.Tensor, patches: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Single-head attention of Q queries [Q,D] over patches [B,M,D] -> pooled [B,Q,D] and weights [B,Q,M]."""
    scores = torch.einsum("qd,bmd->bqm", queries, patches) / queries.shape[-1] ** 0.5
    weights = scores.masked_fill(~mask.unsqueeze(1), float("-inf")).softmax(-1)
    return weights @ patches, weights


def _silence(mlp: nn.Sequential) -> None:
    """Make the last layer give zeros until it has learned otherwise."""
    for parameter in mlp[-1].parameters():
        nn.init.zeros_(parameter)


def _mlp(width_in: int, hidden: int, width_out: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width_in, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width_out))
