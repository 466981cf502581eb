"""Calibrate the location head after training, in the same way as the finding head."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from report_gen.config import LocationConfig
from report_gen.model import ReportModel
from report_gen.records import LOCATION_PARTS

from ..data import Batch
from .finding_calibration import fit_calibration


@torch.inference_mode()
def tune_locations(model: ReportModel, batches: Iterable[Batch], *, trained: Sequence[bool]) -> LocationConfig:
    """Fit the calibration of a model with locations to validation studies; with too few targets there is none.

    All findings share the calibration, as they share the location head.

    Args:
        model: The trained model.
        batches: Batches of S studies with images.
        trained: [F] whether the location of a finding was trained; the location of the others stays unknown.
    """
    model.eval()
    logits, targets = [np.zeros((0, len(LOCATION_PARTS)))], [np.zeros((0, len(LOCATION_PARTS)))]
    for batch in batches:
        visual = model.encode_images(*batch.image_inputs)
        if visual.location_logits is not None:
            logits.append(visual.location_logits.double().flatten(0, 1).cpu().numpy())  # [B*F,P]
            targets.append(batch.location_targets.double().flatten(0, 1).cpu().numpy())
    calibration = fit_calibration(np.concatenate(logits), np.concatenate(targets))
    config = LocationConfig(trained=tuple(trained))
    if calibration is None:
        return config
    return config.model_copy(update={"temperature": calibration.temperature, "shift": calibration.shift})
