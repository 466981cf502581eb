"""The finding head tuned after its training: first its probabilities, then the thresholds on them.

One temperature for all findings (Guo et al., ICML 2017) is fitted to the hard labels of the validation split; targets
may be softer. A bias for each finding was tried and left out: fitted to a hundred studies, with under twenty positive
ones for most findings, it makes the likelihood of others worse.
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

from ..data.batches import Batch
from .thresholds import FEWEST, Floats, fit_thresholds

SMALLEST, LARGEST = 0.1, 10.0
"""Temperatures between which the best is sought: a head that is right throughout would have 0."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How the temperature was found, and what it changed on the studies that it was fitted to."""

    temperature: float
    studies: int
    """Validation studies with a label."""
    labels: int
    nll_before: float
    """Mean negative log-likelihood of the labels, nats."""
    nll_after: float
    ece_before: float
    """Expected calibration error over all findings, as `report_gen.metrics.expected_error` computes it."""
    ece_after: float


class Tuned(NamedTuple):
    findings: FindingConfig
    calibration: Calibration | None
    """None where there were no labels to fit to."""


@torch.inference_mode()
def tune_findings(
    model: ReportModel,
    batches: Iterable[Batch],
    *,
    labels: Floats,
    trained: Sequence[bool],
    prevalence: Floats | None = None,
) -> Tuned:
    """Temperature by the labels, thresholds by the targets of validation studies with images.

    Args:
        batches: of S studies.
        labels: [S,F] of the same studies in the same order, 1 or 0, NaN where nothing is known.
        taught: [F], whether the head has learned a finding; others stay unknown, whatever is known of them.
        prevalence: [F] among the training studies, as for `fit_thresholds`.
    """
    model.eval()
    answers, truths = [], []
    for batch in batches:
        visual = model.encode_images(batch.pixel_values, batch.view_positions, batch.view_mask, batch.patch_features)
        answers.append(visual.finding_logits.double().cpu().numpy())
        truths.append(batch.finding_targets.double().cpu().numpy())
    logits, targets = np.concatenate(answers), np.concatenate(truths)
    calibration = fit_temperature(logits, np.where(trained, labels, np.nan))
    temperature = 1.0 if calibration is None else calibration.temperature
    findings = fit_thresholds(expit(logits / temperature), np.where(trained, targets, np.nan), prevalence)
    return Tuned(findings.model_copy(update={"temperature": temperature, "trained": tuple(trained)}), calibration)


def fit_temperature(logits: Floats, labels: Floats) -> Calibration | None:
    """The temperature at which the labels are likeliest; None for fewer than 3 positive or negative labels.

    Args:
        logits: [S,F].
        labels: [S,F], 1 or 0, NaN where nothing is known.
    """
    known = np.isfinite(labels)
    answers, truth = logits[known], labels[known]
    if min(truth.sum(), (1 - truth).sum()) < FEWEST:
        return None
    bounds = np.log([SMALLEST, LARGEST])
    found = minimize_scalar(lambda log: _token_nll(answers / np.exp(log), truth), bounds=bounds, method="bounded")
    temperature = float(np.exp(found.x))
    return Calibration(
        temperature=temperature,
        studies=int(known.any(axis=1).sum()),
        labels=len(truth),
        nll_before=_token_nll(answers, truth),
        nll_after=_token_nll(answers / temperature, truth),
        ece_before=expected_error(reliability(expit(answers), truth)),
        ece_after=expected_error(reliability(expit(answers / temperature), truth)),
    )


def _token_nll(logits: Floats, labels: Floats) -> float:
    """Mean negative log-likelihood, nats, of labels [n] by logits [n]."""
    return float(np.mean(np.logaddexp(0, logits) - labels * logits))
