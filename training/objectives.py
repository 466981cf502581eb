"""What a training step makes small."""

from __future__ import annotations

import torch
from torch.nn import functional as F

IGNORED = -100
"""Label of prefix, prompt and padding, as in torch and transformers."""


def report_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy, nats, of the report tokens: labels [B,L] at t + 1 judge logits [B,L,vocabulary] at t."""
    return F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=IGNORED)


def finding_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean binary cross-entropy, nats, over targets [B,14] in 0..1; NaN marks what the corpus does not say."""
    known = ~targets.isnan()
    if not known.any():
        return logits.sum() * 0.0
    return F.binary_cross_entropy_with_logits(logits[known].float(), targets[known])
