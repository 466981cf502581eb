"""Refuse predictions that are not finite, and tell a faulty study from a faulty checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from report_gen.errors import CheckpointError, StudyError
from report_gen.model import ReportModel, VisualFeatures, encode_zeros
from report_gen.records import Study

_FAULT = "gives values that are not finite"


def check_predictions(model: ReportModel, visual: VisualFeatures, studies: Sequence[Study]) -> None:
    """Refuse a study whose findings, attributes or locations are not finite.

    If they are not finite for an image without content either, the checkpoint is at fault, not the study.

    Args:
        model: The model.
        visual: Visual features of the B studies.
        studies: B studies.

    Raises:
        StudyError: The predictions of one study are not finite.
        CheckpointError: The predictions are not finite whatever the images are.
    """
    finite = _is_finite(visual)
    if finite.all():
        return
    head = f"the finding, attribute or location head of model {model.config.name!r}"
    if not _is_finite(encode_zeros(model, visual.finding_logits.device)).all():
        raise CheckpointError(f"{head} {_FAULT}; use another checkpoint")
    path = studies[int(finite.int().argmin())].path
    raise StudyError(path, f"{head} {_FAULT} for this study; check its images, or use another checkpoint")


def _is_finite(visual: VisualFeatures) -> torch.Tensor:
    """Return whether all predictions of each of the B studies are finite, [B] bool."""
    heads = (visual.finding_logits, *visual.attribute_logits, visual.location_logits)
    rows = [logits.isfinite().flatten(1).all(1) for logits in heads if logits is not None]
    return torch.stack(rows).all(0)
