"""One training step on a batch: forward pass, losses, and their weighted sum.

A step may consist of several batches on several processes. Its loss is the weighted mean over all report tokens,
finding targets, attribute values, location parts and boxed findings of the step, however they are distributed: each
batch contributes its sums, divided by the sums of the weights of the whole step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from report_gen.model import ReportModelOutput

from ..data import IGNORED, Batch
from ..optimization import (
    Sampled,
    attention_loss,
    attribute_loss,
    finding_loss,
    has_boxes,
    location_loss,
    report_loss,
    self_critical_loss,
)
from ..recipe import StageRecipe


def train_step(
    model: torch.nn.Module,
    batch: Batch,
    stage: StageRecipe,
    *,
    sampled: Sampled | None = None,
    step_counts: LossCounts | None = None,
    usual_tokens: float | None = None,
) -> Losses:
    """Compute the losses of one batch, and their weighted sum: its contribution to the loss of the step.

    Args:
        model: A `ReportModel`, or accelerate's wrapper around one.
        sampled: Drafts for self-critical training, which share the forward pass.
        step_counts: Counts of the whole step; None if the batch is the whole step.
        usual_tokens: Mean report tokens per step of the stage. Batches hold reports of similar length: if every step
            had the same weight, the tokens of short reports would count more, and drafts would become short.
    """
    output = forward(model, batch, sampled)
    report = finding = attribute = scst = location = attention = None
    if output.logits is not None:  # [B,L,vocabulary], with sampled drafts [2B,L',vocabulary]
        studies, length = batch.labels.shape
        own_logits = output.logits[:studies, :length]
        report = report_loss(own_logits, batch.labels, batch.token_weights, stage.label_smoothing)
        scst = None if sampled is None else self_critical_loss(output.logits, sampled, batch, stage.scst)
    if output.finding_logits is not None:  # [B,F]
        finding = finding_loss(output.finding_logits, batch.finding_targets, batch.sample_weights)
    if output.attribute_logits:  # A tensors [B,values]
        attribute = attribute_loss(output.attribute_logits, batch.attribute_targets, batch.sample_weights)
    if output.location_logits is not None:  # [B,F,P]
        location = location_loss(output.location_logits, batch.location_targets, batch.sample_weights)
    if output.finding_attention is not None:  # [B,F,V*N]
        attention = attention_loss(output.finding_attention, batch.boxes, batch.sample_weights)

    counts = LossCounts.of(batch)
    whole = step_counts or counts
    length_factor = whole.tokens / usual_tokens if usual_tokens else 1.0
    weighted = [
        weight * loss * (count / (step_count or 1.0))
        for weight, loss, count, step_count in (
            (length_factor, report, counts.token_weight, whole.token_weight),
            (stage.finding_weight, finding, counts.targets, whole.targets),
            (stage.attribute_weight, attribute, counts.attributes, whole.attributes),
            (length_factor * stage.scst.weight, scst, counts.tokens, whole.tokens),
            (stage.location_weight, location, counts.locations, whole.locations),
            (stage.location_weight, attention, counts.boxed, whole.boxed),
        )
        if loss is not None
    ]
    total = torch.stack(weighted).sum()
    return Losses(
        total=total,
        report=report,
        finding=finding,
        attribute=attribute,
        scst=scst,
        location=location,
        attention=attention,
        finding_logits=output.finding_logits,
        attribute_logits=output.attribute_logits,
    )


def forward(model: torch.nn.Module, batch: Batch, sampled: Sampled | None = None) -> ReportModelOutput:
    """Run a model on a batch, with the sampled drafts as further texts if there are any."""
    texts = batch if sampled is None else sampled
    output: ReportModelOutput = model(
        pixel_values=batch.pixel_values,  # [B,V,C,H,W]
        view_positions=batch.view_positions,  # [B,V]
        view_mask=batch.view_mask,  # [B,V]
        input_ids=texts.input_ids,  # [B,L], with sampled drafts [2B,L']
        attention_mask=texts.attention_mask,
        finding_states=batch.finding_states,  # [B,F]
        patch_features=batch.patch_features,  # [B,V,N,D_img]
        attribute_values=batch.attribute_values,  # [B,A]
        finding_locations=batch.finding_locations,  # [B,F,P]
        view_offsets=batch.view_offsets,  # [B,V,3]
    )
    return output


class LossCounts(NamedTuple):
    """Numbers of tokens, targets and values over which the losses of one or more batches are averaged."""

    tokens: float = 0.0
    """Report tokens."""
    token_weight: float = 0.0
    """Sum of the weights of the report tokens."""
    targets: float = 0.0
    """Sum of the weights of the known finding targets."""
    attributes: float = 0.0
    """Sum of the weights of the known attribute values."""
    locations: float = 0.0
    """Sum of the weights of the known location parts."""
    boxed: float = 0.0
    """Sum of the weights of the findings with boxes."""

    @classmethod
    def of(cls, batch: Batch) -> LossCounts:
        """Count a batch; targets of studies without images do not count, since the heads need an image."""
        weights = batch.sample_weights * batch.view_mask.any(dim=1)  # [B]
        return cls(
            tokens=float((batch.labels != IGNORED).sum()),
            token_weight=float(batch.token_weights.sum()),
            targets=float(((~batch.finding_targets.isnan()).sum(dim=1) * weights).sum()),
            attributes=float(((batch.attribute_targets > 0).sum(dim=1) * weights).sum()),
            locations=float(((~batch.location_targets.isnan()).flatten(1).sum(dim=1) * weights).sum()),
            boxed=float((has_boxes(batch.boxes).sum(dim=1) * weights).sum()),
        )


class LossSums(NamedTuple):
    """Mean losses multiplied by their counts, which can be added over batches and processes."""

    report: float = 0.0
    finding: float = 0.0
    attribute: float = 0.0
    scst: float = 0.0
    location: float = 0.0
    attention: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Losses:
    """The losses of one batch: scalar means, None if the batch has no reports, no images, or no sampled drafts."""

    total: torch.Tensor
    """Contribution of the batch to the minimized loss of its step."""
    report: torch.Tensor | None
    finding: torch.Tensor | None
    attribute: torch.Tensor | None
    scst: torch.Tensor | None
    location: torch.Tensor | None
    """Of the sides and zones; None for a model without locations."""
    attention: torch.Tensor | None
    """Of the boxes; None for a model without locations."""
    finding_logits: torch.Tensor | None
    """[B,F] logits of the finding head."""
    attribute_logits: tuple[torch.Tensor, ...]
    """[B,values] logits of each of the A attribute heads."""

    def sums(self, counts: LossCounts) -> LossSums:
        """Return the mean losses multiplied by their counts."""
        losses = (self.report, self.finding, self.attribute, self.scst, self.location, self.attention)
        numbers = (
            counts.token_weight,
            counts.targets,
            counts.attributes,
            counts.tokens,
            counts.locations,
            counts.boxed,
        )
        return LossSums(*(0.0 if x is None else x.item() * n for x, n in zip(losses, numbers, strict=True)))


class MeanLosses(NamedTuple):
    """Mean losses of a step or a validation; None where it has no tokens, targets or values."""

    loss: float
    """The minimized loss: the weighted sum of the others and the SCST loss."""
    report: float | None
    finding: float | None
    attribute: float | None
    location: float | None
    """Of sides and zones."""
    attention: float | None
    """Of the attention inside the boxes."""

    @property
    def parts(self) -> dict[str, float]:
        """The losses that exist, unweighted, by the names of `Validation.losses`."""
        names = ("report", "findings", "attributes", "locations", "attention")
        return {name: loss for name, loss in zip(names, self[1:], strict=True) if loss is not None}


def mean_losses(sums: Sequence[float], counts: LossCounts, stage: StageRecipe) -> MeanLosses:
    """Compute the mean losses of a step or a validation from its `LossSums` and counts.

    Args:
        sums: Values of `LossSums`, added over batches and processes.
        counts: Counts of the same batches.
        stage: Recipe of the stage, with the weights of the losses.
    """
    added = LossSums(*sums)
    report = added.report / counts.token_weight if counts.token_weight else None
    finding = added.finding / counts.targets if counts.targets else None
    attribute = added.attribute / counts.attributes if counts.attributes else None
    location = added.location / counts.locations if counts.locations else None
    attention = added.attention / counts.boxed if counts.boxed else None
    scst = added.scst / counts.tokens if counts.tokens else 0.0
    heads = stage.finding_weight * (finding or 0.0) + stage.attribute_weight * (attribute or 0.0)
    places = stage.location_weight * ((location or 0.0) + (attention or 0.0))
    total = (report or 0.0) + heads + places + stage.scst.weight * scst
    return MeanLosses(total, report, finding, attribute, location, attention)
