"""The loss of a step: a mean over all report tokens and all finding targets of all its batches on all processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from .batches import Batch
from .objectives import finding_loss, report_loss
from .recipe import StageRecipe


class Weights(NamedTuple):
    """How much one or more batches weigh in the two means of a step."""

    tokens: float = 0.0
    """Report tokens by their weight in the loss."""
    targets: float = 0.0
    """Known finding targets."""

    @classmethod
    def of(cls, batch: Batch) -> Weights:
        targets = batch.finding_targets[batch.view_mask.any(dim=1)]  # without an image no head is asked
        return cls(float(batch.token_weights.sum()), float((~targets.isnan()).sum()))


@dataclass(frozen=True)
class Losses:
    """The two means of one batch; None where it has no text, or no image."""

    report: torch.Tensor | None
    finding: torch.Tensor | None
    finding_logits: torch.Tensor | None
    """[B,14] of the head."""

    def sums(self, weights: Weights) -> tuple[float, float]:
        """The means times their weights, which may be added up over batches and processes."""
        report = 0.0 if self.report is None else self.report.item() * weights.tokens
        finding = 0.0 if self.finding is None else self.finding.item() * weights.targets
        return report, finding


def train_step(model: torch.nn.Module, batch: Batch, stage: StageRecipe) -> Losses:
    """The losses of one batch: of the report tokens where there are texts, of the findings where there are images."""
    output = model(
        pixel_values=batch.pixel_values,
        view_positions=batch.view_positions,
        view_mask=batch.view_mask,
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        finding_states=batch.finding_states,
    )
    return Losses(
        report=None if output.logits is None else report_loss(output.logits, batch.labels),
        finding=None if output.look is None else finding_loss(output.look.finding_logits, batch.finding_targets),
        finding_logits=None if output.look is None else output.look.finding_logits,
    )


def share(losses: Losses, weights: Weights, totals: Weights, stage: StageRecipe) -> torch.Tensor:
    """What a batch adds to the loss of its step, in which all batches together weigh `totals`."""
    parts = []
    if losses.report is not None:
        parts.append(losses.report * (weights.tokens / (totals.tokens or 1.0)))
    if losses.finding is not None:
        parts.append(stage.finding_weight * losses.finding * (weights.targets / (totals.targets or 1.0)))
    return torch.stack(parts).sum()


def mean(sums: Sequence[float], totals: Weights, stage: StageRecipe) -> tuple[float, float | None, float | None]:
    """The loss of a step with its two terms, from sums over its batches; None for a term that it does not have."""
    report_sum, finding_sum = sums
    report = report_sum / totals.tokens if totals.tokens else None
    finding = finding_sum / totals.targets if totals.targets else None
    return (report or 0.0) + stage.finding_weight * (finding or 0.0), report, finding
