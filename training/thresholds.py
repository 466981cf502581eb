"""From which probability on a finding is told to the decoder as present: tuned on the validation split."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from report_gen.model import ReportModel
from report_gen.model.config import FindingConfig

from .batches import Batch

FEWEST = 3
"""Positive and negative validation studies at least; with fewer a threshold is a guess and the finding unknown."""


@torch.inference_mode()
def tune_thresholds(model: ReportModel, batches: Iterator[Batch]) -> FindingConfig:
    """Thresholds with the best F1 on batches with images and targets."""
    model.eval()
    probabilities, targets = [], []
    for batch in batches:
        look = model.look(batch.pixel_values, batch.view_positions, batch.view_mask)
        probabilities.append(look.finding_logits.sigmoid().cpu().numpy())
        targets.append(batch.finding_targets.cpu().numpy())
    if not probabilities:
        return FindingConfig()
    columns = zip(np.concatenate(probabilities).T, np.concatenate(targets).T, strict=True)
    return FindingConfig(present=tuple(_best(p, t) for p, t in columns))


def _best(probabilities: NDArray[np.float32], targets: NDArray[np.float32]) -> float | None:
    known = ~np.isnan(targets)
    probabilities, targets = probabilities[known], targets[known]
    positives = (targets > 0.5).sum()
    if min(positives, known.sum() - positives) < FEWEST:
        return None
    order = np.argsort(-probabilities, kind="stable")
    ranked, hits = probabilities[order], targets[order].cumsum()
    # F1 of calling the first k studies present; soft targets count by their share.
    scores = 2 * hits / (np.arange(1, len(order) + 1) + targets.sum())
    # A threshold calls all studies of one probability or none of them, and it is above 0.
    choices = np.flatnonzero(np.append(ranked[1:] < ranked[:-1], True) & (ranked > 0))
    return float(ranked[choices[scores[choices].argmax()]]) if choices.size else None
