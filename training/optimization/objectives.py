"""What a training step makes small."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from report_gen.tokenizer import BOS_ID, PAD_ID, UNK_ID

IGNORED = -100
"""Label of prefix, prompt and padding, as in torch and transformers."""

NEVER_WRITTEN = (PAD_ID, UNK_ID, BOS_ID)
"""Tokens that no draft holds."""


def report_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None = None, smoothing: float = 0.0
) -> torch.Tensor:
    """Cross-entropy, nats, of the report tokens, averaged over their weights; 0 where nothing has a weight.

    Args:
        logits: [B,L,vocabulary]; those at t are judged by the labels at t + 1.
        labels: [B,L].
        weights: [B,L] of the labels; those of IGNORED ones do not count. All 1 when not given.
        smoothing: share of every target that is spread over the vocabulary (Szegedy et al., CVPR 2016).
    """
    losses = _token_nll(logits, labels, smoothing)
    counted = (labels[:, 1:] != IGNORED).float()
    counted = counted if weights is None else counted * weights[:, 1:]
    return (losses * counted).sum() / counted.sum().clamp(min=torch.finfo(torch.float32).tiny)


def policy_loss(
    logits: torch.Tensor, labels: torch.Tensor, advantages: torch.Tensor, *, temperature: float, tokens: torch.Tensor
) -> torch.Tensor:
    """Self-critical loss of sampled drafts (Rennie et al., CVPR 2017, eq. 9): their surprise, times how much better
    than the greedy drafts they scored.

    Args:
        logits: [B,L,vocabulary] of the sampled drafts, with labels [B,L] as for `report_loss`.
        advantages: [B], reward of the sampled draft less that of the greedy one.
        temperature: of the sampling.
        tokens: how many the sum is divided by: those of the reports, which makes it commensurate with `report_loss`.
            Their own number would make long drafts cheap.
    """
    never = torch.tensor(NEVER_WRITTEN, device=logits.device)
    losses = _token_nll((logits.float() / temperature).index_fill(-1, never, -torch.inf), labels, 0.0)
    return (losses * advantages[:, None]).sum() / tokens.clamp(min=1)


def finding_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean binary cross-entropy, nats, over targets [B,F] in 0..1; NaN marks what the corpus does not say."""
    known = ~targets.isnan()
    if not known.any():
        return logits.sum() * 0.0
    return F.binary_cross_entropy_with_logits(logits[known].float(), targets[known])


def attribute_loss(logits: Sequence[torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy, nats, over the known attribute values of B studies.

    Args:
        logits: [B,values] of each of the A attributes, at least one.
        targets: [B,A]: 0 marks what the corpus does not say, n the value of the logit n - 1.
    """
    losses = [
        F.cross_entropy(one.float(), place - 1, ignore_index=-1, reduction="sum")
        for one, place in zip(logits, targets.unbind(1), strict=True)
    ]
    return torch.stack(losses).sum() / (targets > 0).sum().clamp(min=1)


def _token_nll(logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> torch.Tensor:
    """[B,L-1]: cross-entropy of the label at t + 1 from the logits at t; 0 where it is IGNORED."""
    losses: torch.Tensor = F.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(),
        labels[:, 1:].flatten(),
        ignore_index=IGNORED,
        label_smoothing=smoothing,
        reduction="none",
    )
    return losses.reshape(labels[:, 1:].shape)
