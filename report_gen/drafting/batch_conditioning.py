"""Resolve the findings and attributes that condition the decoder, and make the visual tokens of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from report_gen.config import STATES
from report_gen.drafting.conditioning_inputs import PredictedLocation, resolve_attributes, resolve_findings
from report_gen.drafting.finite_values import check_predictions
from report_gen.drafting.request import DraftRequest
from report_gen.imaging.slice_geometry import plane_name
from report_gen.labeling import header_values
from report_gen.model import ReportModel, VisualFeatures, predict_locations
from report_gen.records import (
    LOCATION_PARTS,
    Attribute,
    AttributeName,
    Finding,
    FindingLocation,
    Study,
    location_from_parts,
    location_to_parts,
)


@dataclass(frozen=True)
class BatchConditioning:
    """The inputs that condition the decoder, for B studies."""

    findings: list[tuple[Finding, ...]]
    """[B][F]."""
    attributes: list[tuple[Attribute, ...]]
    """[B][A]."""
    locations: list[tuple[FindingLocation, ...]] | None
    """[B][F]; None for a model without locations."""
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
        StudyError: The predictions of a study are not finite.
        CheckpointError: The predictions of any study are not finite.
    """
    check_predictions(model, visual, [request.study for request in requests])
    findings = _resolve_findings(model, requests, visual)
    attributes = _resolve_attributes(model, requests, visual)
    states = [[STATES.index(finding.state) for finding in row] for row in findings]
    known = model.config.attributes
    values = [[one.index(attribute.value) for one, attribute in zip(known, row, strict=True)] for row in attributes]
    locations = None
    if model.config.locations is not None:
        locations = [tuple(finding.location for finding in row) for row in findings]
    parts = [[location_to_parts(finding.location) for finding in row] for row in findings]
    device = visual.finding_logits.device
    tokens, mask = model.visual_tokens(
        torch.tensor(states, dtype=torch.long, device=device),  # [B,F]
        visual,
        torch.tensor(values, dtype=torch.long, device=device),  # [B,A]
        torch.tensor(parts, dtype=torch.float32, device=device).reshape(len(findings), -1, len(LOCATION_PARTS)),
    )
    return BatchConditioning(findings, attributes, locations, tokens, mask)


def _resolve_findings(
    model: ReportModel, requests: Sequence[DraftRequest], visual: VisualFeatures
) -> list[tuple[Finding, ...]]:
    """Return the F findings of each study, as they condition the decoder."""
    probabilities = model.probabilities(visual.finding_logits.float())
    states = model.decide(probabilities)
    schema = model.config.finding_schema
    located = _predict_locations(model, visual)
    return [
        resolve_findings(schema, row_states, row_probabilities, request, model.config.findings, row_locations)
        for request, row_states, row_probabilities, row_locations in zip(
            requests, states.tolist(), probabilities.tolist(), located, strict=True
        )
    ]


def _predict_locations(model: ReportModel, visual: VisualFeatures) -> list[tuple[PredictedLocation | None, ...]]:
    """Return the predicted location of each of the F findings of B studies, as if it were present.

    A location is None if the model was not trained on it.

    Args:
        model: The model.
        visual: Visual features of the B studies.
    """
    config = model.config.locations
    if config is None or visual.location_logits is None:
        return [(None,) * len(model.config.finding_schema.findings) for _ in visual.finding_logits]
    predicted = predict_locations(visual.location_logits.float(), config)
    rows = zip(
        predicted.parts.tolist(),
        predicted.side_probability.tolist(),
        predicted.zone_probabilities.tolist(),
        strict=True,
    )
    return [
        tuple(
            PredictedLocation(location_from_parts(parts), side, tuple(zones)) if trained else None
            for parts, side, zones, trained in zip(*row, config.trained, strict=True)
        )
        for row in rows
    ]


def _resolve_attributes(
    model: ReportModel, requests: Sequence[DraftRequest], visual: VisualFeatures
) -> list[tuple[Attribute, ...]]:
    """Return the A attributes of each study, as they condition the decoder."""
    known = model.config.attributes
    probabilities = [logits.float().softmax(-1).tolist() for logits in visual.attribute_logits]  # [A,B,values]
    return [
        resolve_attributes(
            known, [rows[index] for rows in probabilities], _stated_values(request.study), request.attributes
        )
        for index, request in enumerate(requests)
    ]


def _stated_values(study: Study) -> dict[AttributeName, str]:
    """Return the attributes that the headers of a study state, among them the plane of slices if all have the same."""
    planes = {plane_name(np.array(image.plane.normal)) if image.plane else None for image in study.images}
    values = header_values(study)
    return values | {"plane": plane} if len(planes) == 1 and (plane := planes.pop()) else values
