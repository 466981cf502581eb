"""Calibrate the location head after training: one temperature for the sides, and one for the zones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from report_gen.config import LocationConfig
from report_gen.model import ReportModel
from report_gen.records import LOCATION_PARTS, Side

from ..data import Batch
from .temperature import fit_temperature

_IS_SIDE = np.array([isinstance(part, Side) for part in LOCATION_PARTS])


@torch.inference_mode()
def tune_locations(model: ReportModel, batches: Iterable[Batch], *, trained: Sequence[bool]) -> LocationConfig:
    """Fit the temperatures of a model with locations to validation studies.

    A temperature stays 1 if there are too few targets, see `fit_temperature`.

    Args:
        model: The trained model.
        batches: Batches of S studies with images.
        trained: [F] whether the location of a finding was trained; the location of the others stays unknown.
    """
    model.eval()
    logits, targets = [np.zeros((0, len(LOCATION_PARTS)))], [np.zeros((0, len(LOCATION_PARTS)))]
    for batch in batches:
        visual = model.encode_images(batch.pixel_values, batch.view_positions, batch.view_mask, batch.patch_features)
        if visual.location_logits is not None:
            logits.append(visual.location_logits.double().flatten(0, 1).cpu().numpy())  # [B*F,P]
            targets.append(batch.location_targets.double().flatten(0, 1).cpu().numpy())
    fits = [
        fit_temperature(np.concatenate(logits)[:, parts], np.concatenate(targets)[:, parts])
        for parts in (_IS_SIDE, ~_IS_SIDE)
    ]
    side, zone = (1.0 if fit is None else fit.temperature for fit in fits)
    return LocationConfig(trained=tuple(trained), side_temperature=side, zone_temperature=zone)
