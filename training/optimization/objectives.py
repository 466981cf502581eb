"""Losses that training minimizes, in nats."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional as F

from report_gen.tokenizer import BOS_ID, PAD_ID, UNK_ID

from ..data import IGNORED

NON_REPORT_TOKENS = (PAD_ID, UNK_ID, BOS_ID)
"""Tokens that are never generated."""


def report_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None = None, smoothing: float = 0.0
) -> torch.Tensor:
    """Compute the weighted mean cross-entropy of the report tokens; 0 if the sum of weights is 0.

    Args:
        logits: [B,L,vocabulary]; logits at t predict the label at t + 1.
        labels: [B,L] token ids, IGNORED where there is no loss.
        weights: [B,L] of the labels; all 1 if None.
        smoothing: Share of every target that is spread over the vocabulary (Szegedy et al., CVPR 2016).
    """
    losses = _token_nll(logits, labels, smoothing)
    counted = (labels[:, 1:] != IGNORED).float()
    counted = counted if weights is None else counted * weights[:, 1:]
    return (losses * counted).sum() / counted.sum().clamp(min=torch.finfo(torch.float32).tiny)


def policy_loss(
    logits: torch.Tensor, labels: torch.Tensor, advantages: torch.Tensor, *, temperature: float, tokens: torch.Tensor
) -> torch.Tensor:
    """Compute the self-critical loss (Rennie et al., CVPR 2017, eq. 9): negative log-likelihood times advantage.

    Args:
        logits: [B,L,vocabulary] of the sampled drafts.
        labels: [B,L] of the sampled drafts, as for `report_loss`.
        advantages: [B], reward of the sampled draft minus reward of the greedy draft.
        temperature: Sampling temperature.
        tokens: Number of report tokens, by which the sum is divided to match the scale of `report_loss`. Dividing by
            the number of draft tokens instead would favor long drafts.
    """
    excluded = torch.tensor(NON_REPORT_TOKENS, device=logits.device)
    losses = _token_nll((logits.float() / temperature).index_fill(-1, excluded, -torch.inf), labels, 0.0)
    return (losses * advantages[:, None]).sum() / tokens.clamp(min=1)


def finding_loss(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Compute the weighted mean binary cross-entropy of the known targets of B studies; 0 if there are none.

    Args:
        logits: [B,F].
        targets: [B,F] in 0..1; NaN targets are skipped.
        weights: [B] of the studies.
    """
    known = ~targets.isnan()
    if not known.any():
        return logits.sum() * 0.0
    shares = weights[:, None].expand_as(targets)[known]
    losses = F.binary_cross_entropy_with_logits(logits[known].float(), targets[known], reduction="none")
    return (losses * shares).sum() / shares.sum()


def attribute_loss(logits: Sequence[torch.Tensor], targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Compute the weighted mean cross-entropy over the known attribute values of B studies; 0 if there are none.

    Args:
        logits: [B,values] of each of the A attributes, A >= 1.
        targets: [B,A]: 0 if unknown, n for the value of logit n - 1.
        weights: [B] of the studies.
    """
    losses = [
        (F.cross_entropy(one.float(), value - 1, ignore_index=-1, reduction="none") * weights).sum()
        for one, value in zip(logits, targets.unbind(1), strict=True)
    ]
    counted = ((targets > 0).sum(dim=1) * weights).sum()
    return torch.stack(losses).sum() / counted.clamp(min=torch.finfo(torch.float32).tiny)


def location_loss(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Compute the weighted mean binary cross-entropy of the known location parts of B studies; 0 if there are none.

    Args:
        logits: [B,F,P].
        targets: [B,F,P]: 1 or 0; NaN targets are skipped.
        weights: [B] of the studies.
    """
    return finding_loss(logits.flatten(1), targets.flatten(1), weights)


def attention_loss(attention: torch.Tensor, boxes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Compute the weighted mean of -log(attention inside the boxes) over the boxed findings; 0 if there are none.

    A patch counts by the share of it that the boxes of the finding cover, relative to the most covered patch, so that a
    box smaller than a patch can reach a loss of 0. The division of the attention among several boxes is not trained.

    Args:
        attention: [B,F,V*N] attention weights of the findings.
        boxes: [B,V,F,K,4] left, top, right and bottom edge in shares 0..1 of the square, NaN where there is none.
        weights: [B] of the studies.
    """
    boxed = has_boxes(boxes)  # [B,F]
    if not boxed.any():
        return attention.sum() * 0.0
    views = boxes.shape[1]
    covered = _covered_shares(boxes, grid=math.isqrt(attention.shape[2] // views))  # [B,F,V*N]
    inside = (attention.float() * covered).sum(-1)[boxed]
    shares = weights[:, None].expand_as(boxed)[boxed]
    return -(inside.clamp(min=_LEAST_INSIDE).log() * shares).sum() / shares.sum()


def has_boxes(boxes: torch.Tensor) -> torch.Tensor:
    """Return whether each finding of each study has a box, [B,F] bool, for boxes [B,V,F,K,4]."""
    return (~boxes.isnan()).flatten(3).any(3).any(1)


_LEAST_INSIDE = 1e-6
"""Attention inside the boxes below which the loss does not rise further."""


def _covered_shares(boxes: torch.Tensor, grid: int) -> torch.Tensor:
    """Return the share [B,F,V*N] of each patch inside a box, relative to the most covered patch of the finding.

    Boxes that overlap count by the larger share.
    """
    left, top, right, bottom = boxes.nan_to_num(0.0).unsqueeze(-1).unbind(-2)  # each [B,V,F,K,1]
    edges = torch.arange(grid + 1, device=boxes.device) / grid
    columns = (torch.minimum(right, edges[1:]) - torch.maximum(left, edges[:-1])).clamp(min=0)  # [B,V,F,K,grid]
    rows = (torch.minimum(bottom, edges[1:]) - torch.maximum(top, edges[:-1])).clamp(min=0)
    areas = (rows.unsqueeze(-1) * columns.unsqueeze(-2)).amax(3)  # [B,V,F,grid,grid]
    areas = areas.transpose(1, 2).flatten(2)  # [B,F,V*N]
    return areas / areas.amax(-1, keepdim=True).clamp(min=torch.finfo(areas.dtype).tiny)


def _token_nll(logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Return the cross-entropy [B,L-1] of each label at t + 1 from the logits at t; 0 where it is IGNORED."""
    losses: torch.Tensor = F.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(),
        labels[:, 1:].flatten(),
        ignore_index=IGNORED,
        label_smoothing=smoothing,
        reduction="none",
    )
    return losses.reshape(labels[:, 1:].shape)
