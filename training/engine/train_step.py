"""The loss of a step: means over all report tokens, finding targets and attributes of its batches on all processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ..data.batches import Batch
from ..optimization.objectives import IGNORED, attribute_loss, finding_loss, report_loss
from ..optimization.scst import Sampled, self_critical_loss
from ..recipe.schema import StageRecipe


class Weights(NamedTuple):
    """How much one or more batches weigh in the means of a step."""

    tokens: float = 0.0
    """Report tokens."""
    weighted: float = 0.0
    """Report tokens by their weight in the loss."""
    targets: float = 0.0
    """Known finding targets."""
    attributes: float = 0.0
    """Known attribute values."""

    @classmethod
    def of(cls, batch: Batch) -> Weights:
        seen = batch.view_mask.any(dim=1)  # without an image no head is asked
        return cls(
            tokens=float((batch.labels != IGNORED).sum()),
            weighted=float(batch.token_weights.sum()),
            targets=float((~batch.finding_targets[seen].isnan()).sum()),
            attributes=float((batch.attribute_targets[seen] > 0).sum()),
        )


class LossSums(NamedTuple):
    """Losses times their weights, which may be added up over batches and processes."""

    report: float = 0.0
    finding: float = 0.0
    attribute: float = 0.0
    critical: float = 0.0


@dataclass(frozen=True)
class Losses:
    """The means of one batch; None where it has no text, no image, or no sampled drafts."""

    report: torch.Tensor | None
    finding: torch.Tensor | None
    critical: torch.Tensor | None
    finding_logits: torch.Tensor | None
    """[B,F] of the head."""
    attribute: torch.Tensor | None = None
    """None where the model tells no attributes apart, too."""
    attribute_logits: tuple[torch.Tensor, ...] = ()
    """[B,values] of each of the A attributes."""

    def sums(self, weights: Weights) -> LossSums:
        """The means times their weights."""
        weighed = zip(
            (self.report, self.finding, self.attribute, self.critical),
            (weights.weighted, weights.targets, weights.attributes, weights.tokens),
            strict=True,
        )
        return LossSums(*(0.0 if loss is None else loss.item() * weight for loss, weight in weighed))


def train_step(model: torch.nn.Module, batch: Batch, stage: StageRecipe, sampled: Sampled | None = None) -> Losses:
    """The losses of one batch: of the report tokens where there are texts, of findings and attributes where there are
    images.

    With `sampled` drafts their self-critical loss comes from the same forward pass.
    """
    texts = batch if sampled is None else sampled
    output = model(
        pixel_values=batch.pixel_values,
        view_positions=batch.view_positions,
        view_mask=batch.view_mask,
        input_ids=texts.input_ids,
        attention_mask=texts.attention_mask,
        finding_states=batch.finding_states,
        patch_features=batch.patch_features,
        attribute_values=batch.attribute_values,
    )
    logits, finding_logits = output.logits, output.finding_logits
    report = finding = attribute = critical = None
    if logits is not None:
        studies, length = batch.labels.shape
        report = report_loss(logits[:studies, :length], batch.labels, batch.token_weights, stage.label_smoothing)
    if logits is not None and sampled is not None:
        critical = self_critical_loss(logits, sampled, batch, stage.reward)
    if finding_logits is not None:
        finding = finding_loss(finding_logits, batch.finding_targets)
    if output.attribute_logits:
        attribute = attribute_loss(output.attribute_logits, batch.attribute_targets)
    return Losses(
        report=report,
        finding=finding,
        critical=critical,
        finding_logits=finding_logits,
        attribute=attribute,
        attribute_logits=output.attribute_logits,
    )


def loss_alone(
    model: torch.nn.Module, batch: Batch, stage: StageRecipe, sampled: Sampled | None = None
) -> torch.Tensor:
    """The loss of a step that has this batch and no other."""
    weights = Weights.of(batch)
    return scale_loss(train_step(model, batch, stage, sampled), weights, weights, stage)


def scale_loss(
    losses: Losses, weights: Weights, totals: Weights, stage: StageRecipe, usual_tokens: float | None = None
) -> torch.Tensor:
    """What a batch adds to the loss of its step, in which all batches together weigh `totals`.

    Args:
        usual_tokens: of a step of the stage, on average. Reports of like length share a batch; if every step were
            averaged over its own tokens, those of short reports would count more, and drafts grow short.
    """
    long = totals.tokens / usual_tokens if usual_tokens else 1.0
    parts = [
        factor * loss * (own / (all_of_them or 1.0))
        for factor, loss, own, all_of_them in (
            (long, losses.report, weights.weighted, totals.weighted),
            (stage.finding_weight, losses.finding, weights.targets, totals.targets),
            (stage.attribute_weight, losses.attribute, weights.attributes, totals.attributes),
            (long * stage.reward.weight, losses.critical, weights.tokens, totals.tokens),
        )
        if loss is not None
    ]
    return torch.stack(parts).sum()


class Means(NamedTuple):
    """Of a step or a validation; None where it has nothing of the kind."""

    loss: float
    """What is made small: the others by their weights."""
    report: float | None
    finding: float | None
    attribute: float | None


def mean(sums: Sequence[float], totals: Weights, stage: StageRecipe) -> Means:
    """The losses of a step from `LossSums` over its batches."""
    added = LossSums(*sums)
    report = added.report / totals.weighted if totals.weighted else None
    finding = added.finding / totals.targets if totals.targets else None
    attribute = added.attribute / totals.attributes if totals.attributes else None
    critical = added.critical / totals.tokens if totals.tokens else 0.0
    heads = stage.finding_weight * (finding or 0.0) + stage.attribute_weight * (attribute or 0.0)
    return Means((report or 0.0) + heads + stage.reward.weight * critical, report, finding, attribute)
