"""Resolve the findings and attributes that condition the decoder, and make the visual tokens of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from report_gen.config import STATES
from report_gen.drafting.conditioning_inputs import resolve_attributes, resolve_findings
from report_gen.drafting.request import DraftRequest
from report_gen.errors import CheckpointError
from report_gen.labeling import header_values
from report_gen.model import ReportModel, VisualFeatures
from report_gen.records import Attribute, Finding


@dataclass(frozen=True)
class BatchConditioning:
    """The inputs that condition the decoder, for B studies."""

    findings: list[tuple[Finding, ...]]
    """[B][F]."""
    attributes: list[tuple[Attribute, ...]]
    """[B][A]."""
    visual_tokens: torch.Tensor
    """[B,K,D_txt]."""
    visual_mask: torch.Tensor
    """[B,K] bool."""


def condition_batch(model: ReportModel, requests: Sequence[DraftRequest], visual: VisualFeatures) -> BatchConditioning:
    """Resolve findings and attributes, and make the visual tokens from them.

    Args:
        model: The model.
        requests: B studies with the overrides of the reader.
        visual: Visual features of the B studies.

    Raises:
        CheckpointError: The model gives values that are not finite.
    """
    if not all(logits.isfinite().all() for logits in (visual.finding_logits, *visual.attribute_logits)):
        raise CheckpointError(
            f"the finding or attribute head of model {model.config.name!r} gives values that are not finite; "
            "use another checkpoint"
        )
    findings = _resolve_findings(model, requests, visual)
    attributes = _resolve_attributes(model, requests, visual)
    states = [[STATES.index(finding.state) for finding in row] for row in findings]
    known = model.config.attributes
    values = [[one.index(attribute.value) for one, attribute in zip(known, row, strict=True)] for row in attributes]
    device = visual.finding_logits.device
    tokens, mask = model.visual_tokens(
        torch.tensor(states, dtype=torch.long, device=device),  # [B,F]
        visual,
        torch.tensor(values, dtype=torch.long, device=device),  # [B,A]
    )
    return BatchConditioning(findings, attributes, tokens, mask)


def _resolve_findings(
    model: ReportModel, requests: Sequence[DraftRequest], visual: VisualFeatures
) -> list[tuple[Finding, ...]]:
    """Return the F findings of each study, as they condition the decoder."""
    probabilities = model.probabilities(visual.finding_logits.float())
    states = model.decide(probabilities)
    schema, reported = model.config.finding_schema, model.config.findings.reported
    return [
        resolve_findings(schema, row_states, row_probabilities, request.overrides, reported)
        for request, row_states, row_probabilities in zip(
            requests, states.tolist(), probabilities.tolist(), strict=True
        )
    ]


def _resolve_attributes(
    model: ReportModel, requests: Sequence[DraftRequest], visual: VisualFeatures
) -> list[tuple[Attribute, ...]]:
    """Return the A attributes of each study, as they condition the decoder."""
    known = model.config.attributes
    probabilities = [logits.float().softmax(-1).tolist() for logits in visual.attribute_logits]  # [A,B,values]
    return [
        resolve_attributes(
            known, [rows[index] for rows in probabilities], header_values(request.study), request.attributes
        )
        for index, request in enumerate(requests)
    ]
