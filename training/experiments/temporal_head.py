"""A head on the features of a finding in two studies, to measure whether they show more of a change than probabilities.

The features of a finding are the patches of a study, averaged with the attention weights of the finding. The direction
of their difference between the two studies is learned for each finding.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

_EPOCHS = 8
_BATCH = 256
_RATE = 5e-3


class PairedFindings(NamedTuple):
    """The F findings of P pairs of an earlier and a present study."""

    prior_features: torch.Tensor
    """[P,F,D]."""
    features: torch.Tensor
    """[P,F,D]."""
    prior_logits: torch.Tensor
    """[P,F] calibrated log-odds."""
    logits: torch.Tensor
    """[P,F]."""

    def rows(self, rows: torch.Tensor) -> PairedFindings:
        """Return these pairs, with features in float32."""
        return PairedFindings(*(one[rows].float() for one in self))


class TemporalHead(nn.Module):
    """Computes the logits of new, unchanged, resolved and absent in both studies for each finding of a pair.

    It starts as the joint distribution of `report_gen.model.finding_changes` for independent studies. What the features
    add starts at zero. If the two studies are swapped, "new" and "resolved" are swapped as well.

    Args:
        findings: Number of findings F.
        width: Width D of the features.
    """

    def __init__(self, findings: int, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(findings))
        self.persistence = nn.Parameter(torch.zeros(findings))
        self.direction = nn.Parameter(torch.zeros(findings, width))

    def forward(self, pairs: PairedFindings) -> torch.Tensor:
        """Return the logits [P,F,4]."""
        difference = pairs.features - pairs.prior_features  # [P,F,D]
        change = (difference * self.direction).sum(-1) / self.direction.shape[-1] ** 0.5  # [P,F]
        before = self.scale * pairs.prior_logits + self.bias - change
        now = self.scale * pairs.logits + self.bias + change
        return torch.stack([now, before + now + self.persistence, before, torch.zeros_like(now)], dim=-1)


def train_head(pairs: PairedFindings, cells: torch.Tensor, *, decay: float, seed: int) -> TemporalHead:
    """Train a head with AdamW.

    Args:
        pairs: P pairs. The features should have a standard deviation of about 1.
        cells: [P,F,4] bool, which of the four cases a pair is; none if a label is unknown.
        decay: Weight decay of the direction.
        seed: Seed of the order of the pairs.
    """
    generator = torch.Generator().manual_seed(seed)
    head = TemporalHead(*pairs.features.shape[1:])
    others = [parameter for name, parameter in head.named_parameters() if name != "direction"]
    groups = [{"params": others, "weight_decay": 0.0}, {"params": [head.direction], "weight_decay": decay}]
    optimizer = torch.optim.AdamW(groups, lr=_RATE)
    for _ in range(_EPOCHS):
        for rows in torch.split(torch.randperm(len(cells), generator=generator), _BATCH):
            loss = negative_log_likelihood(head(pairs.rows(rows)), cells[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return head.eval()


def negative_log_likelihood(logits: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """Return the mean negative log-likelihood of the known cases, nats.

    Args:
        logits: [P,F,4].
        cells: [P,F,4] bool.
    """
    known = cells.any(-1)
    return F.cross_entropy(logits[known], cells[known].int().argmax(-1))
