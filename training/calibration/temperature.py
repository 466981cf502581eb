"""Calibrate the finding head after training: the temperature of its probabilities, then the thresholds on them.

One temperature for all findings (Guo et al., ICML 2017) is fitted to the hard labels of the validation split. A bias
per finding was tried and rejected: fitted to a hundred studies, with fewer than twenty positive ones for most findings,
it lowers the likelihood of other studies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit

from report_gen.config import FindingConfig
from report_gen.metrics import expected_error, reliability
from report_gen.model import ReportModel

from ..data import MIN_LABELS, Batch, Floats
from .thresholds import fit_thresholds

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.1, 10.0
"""Search range of the temperature; the best temperature of a head without errors would be 0."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A fitted temperature, and its effect on the studies that it was fitted to."""

    temperature: float
    studies: int
    """Validation studies with at least one label."""
    labels: int
    """Labels of these studies."""
    nll_before: float
    """Mean negative log-likelihood of the labels, nats."""
    nll_after: float
    ece_before: float
    """Expected calibration error over all findings, as in `report_gen.metrics.expected_error`."""
    ece_after: float


class TunedFindings(NamedTuple):
    """Temperature and thresholds of the findings."""

    findings: FindingConfig
    calibration: Calibration | None
    """None if there were too few labels for the fit."""


@torch.inference_mode()
def tune_findings(
    model: ReportModel,
    batches: Iterable[Batch],
    *,
    labels: Floats,
    trained: Sequence[bool],
    prevalence: Floats | None = None,
) -> TunedFindings:
    """Fit temperature and thresholds of the finding head to validation studies with images.

    The temperature is fitted to hard labels, the thresholds to the finding targets of the batches.

    Args:
        model: The trained model.
        batches: Batches of S studies.
        labels: [S,F] labels of these studies in the same order: 1 or 0, NaN if unknown.
        trained: [F] whether the head was trained on a finding; the other findings stay unknown.
        prevalence: [F] prevalence among the training studies, as for `fit_thresholds`.
    """
    model.eval()
    batch_logits, batch_targets = [], []
    for batch in batches:
        visual = model.encode_images(batch.pixel_values, batch.view_positions, batch.view_mask, batch.patch_features)
        batch_logits.append(visual.finding_logits.double().cpu().numpy())
        batch_targets.append(batch.finding_targets.double().cpu().numpy())
    logits, targets = np.concatenate(batch_logits), np.concatenate(batch_targets)
    calibration = fit_temperature(logits, np.where(trained, labels, np.nan))
    temperature = 1.0 if calibration is None else calibration.temperature
    findings = fit_thresholds(expit(logits / temperature), np.where(trained, targets, np.nan), prevalence)
    return TunedFindings(
        findings.model_copy(update={"temperature": temperature, "trained": tuple(trained)}), calibration
    )


def fit_temperature(logits: Floats, labels: Floats) -> Calibration | None:
    """Return the temperature with the highest likelihood; None for fewer than 3 positive or negative labels.

    Args:
        logits: [S,F].
        labels: [S,F]: 1 or 0, NaN if unknown.
    """
    known = np.isfinite(labels)
    known_logits, truth = logits[known], labels[known]
    if min(truth.sum(), (1 - truth).sum()) < MIN_LABELS:
        return None
    bounds = np.log([MIN_TEMPERATURE, MAX_TEMPERATURE])
    found = minimize_scalar(lambda log: _nll(known_logits / np.exp(log), truth), bounds=bounds, method="bounded")
    temperature = float(np.exp(found.x))
    return Calibration(
        temperature=temperature,
        studies=int(known.any(axis=1).sum()),
        labels=len(truth),
        nll_before=_nll(known_logits, truth),
        nll_after=_nll(known_logits / temperature, truth),
        ece_before=expected_error(reliability(expit(known_logits), truth)),
        ece_after=expected_error(reliability(expit(known_logits / temperature), truth)),
    )


def _nll(logits: Floats, labels: Floats) -> float:
    """Return the mean negative log-likelihood of labels [n] given logits [n], nats."""
    return float(np.mean(np.logaddexp(0, logits) - labels * logits))
