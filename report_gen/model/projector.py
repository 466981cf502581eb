"""The projector: patch features of all views of a study to visual tokens, finding logits and attribute logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from report_gen.config import STATES, VIEWS
from report_gen.model.location_head import LocationHead
from report_gen.records import LOCATION_PARTS


@dataclass(frozen=True)
class VisualFeatures:
    """Projector output for B studies: finding logits, attention weights and visual tokens."""

    finding_features: torch.Tensor
    """[B,F,D_img]: patches, averaged with the attention weights of each finding."""
    finding_logits: torch.Tensor
    """[B,F]."""
    finding_attention: torch.Tensor
    """[B,F,V*N]: attention weights, 0 on missing views; they add up to 1 over the patches of a study."""
    patch_tokens: torch.Tensor
    """[B,K-F-A,D_txt]; with the conditioning `numbers` the token embeddings [B,K,D_txt] of the written numbers."""
    patch_mask: torch.Tensor
    """[B,K-F-A] bool."""
    attribute_logits: tuple[torch.Tensor, ...] = ()
    """[B,values] of each of the A attributes."""
    location_logits: torch.Tensor | None = None
    """[B,F,P] of the P `LOCATION_PARTS`; None for a model without locations."""


class Projector(nn.Module):
    """Makes K visual tokens per study: F for the findings, A for the attributes, and the patch tokens.

    Every finding has a query over the patches of all views. Queries start at zero, so the finding head starts as a
    logistic regression on the mean patch and learns from there which patches matter. What the images add to the token
    of a finding starts at zero as well. Reports without images train the decoder on states alone, and a model that was
    never trained on pairs of image and report does not get features that its decoder cannot use.

    Args:
        findings: Number of findings F; 0 for a model without findings.
        image_width: Width D_img of the patch features.
        text_width: Width D_txt of the token embeddings.
        grid: Rows and columns of the patch grid; N = depth * grid * grid.
        depth: Depth of the patch grid; 1 for images.
        patch_tokens: Number of attention-pooled patch tokens, "all" for one token per patch, or 0.
        hidden: Width inside the multi-layer perceptrons.
        dropout: Dropout of patch features and inside the multi-layer perceptrons.
        attributes: Number of values of each of the A attributes.
        locations: Whether the model predicts the locations of findings and is conditioned on them.
    """

    def __init__(
        self,
        *,
        findings: int,
        image_width: int,
        text_width: int,
        grid: int,
        depth: int = 1,
        patch_tokens: int | Literal["all"],
        hidden: int,
        dropout: float,
        attributes: Sequence[int] = (),
        locations: bool = False,
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(image_width)
        self.dropout = nn.Dropout(dropout)
        self.view_embedding = nn.Embedding(len(VIEWS), image_width)
        self.row_embedding = nn.Parameter(torch.zeros(depth * grid, 1, image_width))
        self.column_embedding = nn.Parameter(torch.zeros(1, grid, image_width))
        nn.init.zeros_(self.view_embedding.weight)

        self.finding_queries = nn.Parameter(torch.zeros(findings, image_width))
        self.finding_weight = nn.Parameter(torch.zeros(findings, image_width))
        self.finding_bias = nn.Parameter(torch.zeros(findings))
        self.finding_mlp: nn.Sequential | None = None
        if findings:
            self.finding_mlp = _mlp(image_width, hidden, text_width, dropout)
            _zero_last_layer(self.finding_mlp)
        self.state_embedding = _random(findings, len(STATES), text_width)

        self.patch_queries: nn.Parameter | None = None
        self.patch_mlp: nn.Sequential | None = None
        if patch_tokens != 0:
            self.patch_mlp = _mlp(image_width, hidden, text_width, dropout)
        if patch_tokens not in (0, "all"):
            self.patch_queries = _random(int(patch_tokens), image_width, std=1.0)
        self.attribute_heads = nn.ModuleList(_AttributeHead(values, image_width) for values in attributes)
        self.attribute_embeddings = nn.ParameterList(_random(1 + count, text_width) for count in attributes)
        self.location_head: LocationHead | None = None
        self.location_embedding: nn.Parameter | None = None
        if locations:
            self.location_head = LocationHead(grid)
            self.location_embedding = _random(len(LOCATION_PARTS), text_width)

    def forward(
        self, patch_features: torch.Tensor, view_positions: torch.Tensor, view_mask: torch.Tensor
    ) -> VisualFeatures:
        """Compute the visual features of B studies; see `VisualFeatures` for the shapes.

        Args:
            patch_features: [B,V,N,D_img].
            view_positions: [B,V], indices into `VIEWS`.
            view_mask: [B,V] bool, False for missing views; every study has at least one view.
        """
        studies, _, patches, width = patch_features.shape
        normalized = self.dropout(self.norm(patch_features))
        positions = (self.row_embedding + self.column_embedding).reshape(patches, width)  # [N,D_img]
        positioned = normalized + positions + self.view_embedding(view_positions).unsqueeze(2)
        positioned = positioned.reshape(studies, -1, width)  # [B,V*N,D_img]
        mask = view_mask.repeat_interleave(patches, dim=1)  # [B,V*N]

        finding_features, attention = _attend(self.finding_queries, positioned, mask)
        finding_logits = (finding_features * self.finding_weight).sum(-1) + self.finding_bias
        patch_tokens, patch_mask = self._patch_tokens(positioned, mask)
        attribute_logits = tuple(head(positioned, mask) for head in self.attribute_heads)
        location_logits = None
        if self.location_head is not None:
            location_logits = self.location_head(attention, view_positions, view_mask)
        return VisualFeatures(
            finding_features,
            finding_logits,
            attention,
            patch_tokens,
            patch_mask,
            attribute_logits,
            location_logits,
        )

    def finding_tokens(
        self, states: torch.Tensor, visual: VisualFeatures | None, locations: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the tokens of the findings [B,F,D_txt].

        Args:
            states: [B,F], indices into `STATES`.
            visual: Visual features of the studies; None for studies without images.
            locations: [B,F,P] 0 or 1, the parts of the location of each finding; all 0 for an unknown location, and by
                default. A model without locations ignores them.
        """
        findings = torch.arange(states.shape[1], device=states.device)
        tokens: torch.Tensor = self.state_embedding[findings, states]  # [B,F,D_txt]
        if locations is not None and self.location_embedding is not None:
            tokens = tokens + locations.to(tokens.dtype) @ self.location_embedding
        if visual is None or self.finding_mlp is None:
            return tokens
        added: torch.Tensor = self.finding_mlp(visual.finding_features)
        return tokens + added

    def attribute_tokens(self, values: torch.Tensor) -> torch.Tensor:
        """Return the tokens of the attributes [B,A,D_txt].

        Args:
            values: [B,A], indices into `AttributeConfig.conditioning_values`, 0 for unknown.
        """
        pairs = zip(self.attribute_embeddings, values.unbind(1), strict=True)
        tokens = [embedding[value] for embedding, value in pairs]
        width = self.state_embedding.shape[-1]
        return torch.stack(tokens, dim=1) if tokens else self.state_embedding.new_zeros(len(values), 0, width)

    def _patch_tokens(self, patches: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the patch tokens [B,K-F-A,D_txt] and their mask of patches [B,M,D_img] with mask [B,M]."""
        if self.patch_mlp is None:
            text_width = self.state_embedding.shape[-1]
            return patches.new_zeros(len(patches), 0, text_width), mask[:, :0]
        if self.patch_queries is not None:
            patches, _ = _attend(self.patch_queries, patches, mask)  # [B,K-F-A,D_img]
            mask = mask.new_ones(patches.shape[:2])
        return self.patch_mlp(patches), mask


class _AttributeHead(nn.Module):
    """A query over the patches of all views and a linear layer, both starting at zero, as for a finding."""

    def __init__(self, values: int, image_width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, image_width))
        self.weight = nn.Parameter(torch.zeros(values, image_width))
        self.bias = nn.Parameter(torch.zeros(values))

    def forward(self, patches: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the logits [B,values] of patches [B,M,D_img] with mask [B,M]."""
        pooled, _ = _attend(self.query, patches, mask)  # [B,1,D_img]
        return F.linear(pooled.squeeze(1), self.weight, self.bias)


def _attend(queries: torch.Tensor, patches: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return patches [B,M,D] pooled by single-head attention of queries [Q,D], [B,Q,D], and the weights [B,Q,M]."""
    scores = torch.einsum("qd,bmd->bqm", queries, patches) / queries.shape[-1] ** 0.5
    weights = scores.masked_fill(~mask.unsqueeze(1), float("-inf")).softmax(-1)
    return weights @ patches, weights


def _random(*shape: int, std: float = 0.02) -> nn.Parameter:
    """Return normally distributed values, drawn by `nn.init` so that `WithoutInitialization` can leave them out."""
    parameter = nn.Parameter(torch.empty(shape))
    nn.init.normal_(parameter, std=std)
    return parameter


def _zero_last_layer(mlp: nn.Sequential) -> None:
    """Make a perceptron return zeros until it is trained."""
    for parameter in mlp[-1].parameters():
        nn.init.zeros_(parameter)


def _mlp(width_in: int, hidden: int, width_out: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width_in, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width_out))
