"""Calibrate the finding head after training, and derive the thresholds from its probabilities.

One temperature for all findings (Guo et al., ICML 2017) and a shift per finding are fitted to the hard labels of the
validation split. The shifts are needed because the prevalence of a finding among the training studies, which come from
enriched and weighted sources, is not that among patients. With fewer than twenty positive validation studies for most
findings, shifts without a prior lower the likelihood of other studies. Therefore a shift is the sum of one number for
all findings and of a deviation with a normal prior: a logistic model with random intercepts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit

from report_gen.config import FindingConfig
from report_gen.metrics import expected_error, reliability
from report_gen.model import ReportModel
from report_gen.records import FindingSchema

from ..data import MIN_LABELS, Batch, Floats
from ..recipe import DecisionRecipe
from .thresholds import fit_thresholds

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.1, 10.0
"""Search range of the temperature; the best temperature of a head without errors would be 0."""
SHIFT_SPREAD = 0.5
"""Standard deviation of the prior of the deviations of a finding's shift."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A fitted temperature and fitted shifts, and their effect on the studies that they were fitted to."""

    temperature: float
    shift: tuple[float, ...]
    """[F] added to the logits after they are divided by the temperature."""
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
    """Calibration and thresholds of the findings."""

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
    costs: DecisionRecipe,
) -> TunedFindings:
    """Fit calibration and thresholds of the finding head to validation studies with images.

    Args:
        model: The trained model.
        batches: Batches of S studies.
        labels: [S,F] labels of these studies in the same order: 1 or 0, NaN if unknown.
        trained: [F] whether the head was trained on a finding; the other findings stay unknown.
        costs: Costs of wrong decisions.
    """
    model.eval()
    logits = []
    for batch in batches:
        visual = model.encode_images(*batch.image_inputs)
        logits.append(visual.finding_logits.double().cpu().numpy())
    return fit_findings(
        np.concatenate(logits), labels, trained=trained, schema=model.config.finding_schema, costs=costs
    )


def fit_findings(
    logits: Floats, labels: Floats, *, trained: Sequence[bool], schema: FindingSchema, costs: DecisionRecipe
) -> TunedFindings:
    """Fit calibration and thresholds to logits [S,F] and labels [S,F]; with too few labels all findings stay unknown.

    Args:
        labels: 0..1, NaN if unknown.
        trained: [F] whether the head was trained on a finding; the other findings stay unknown.
        schema: The F findings.
        costs: Costs of wrong decisions.
    """
    calibration = fit_calibration(logits, np.where(trained, labels, np.nan))
    if calibration is None:
        return TunedFindings(FindingConfig.unknown(len(trained), trained=tuple(trained)), None)
    probabilities = expit(logits / calibration.temperature + calibration.shift)
    findings = fit_thresholds(probabilities, trained=trained, schema=schema, costs=costs)
    fitted = {"temperature": calibration.temperature, "shift": calibration.shift}
    return TunedFindings(findings.model_copy(update=fitted), calibration)


def fit_calibration(logits: Floats, labels: Floats) -> Calibration | None:
    """Return the most probable temperature and shifts; None for fewer than 3 positive or negative labels.

    Args:
        logits: [S,F].
        labels: [S,F]: 0..1, NaN if unknown.
    """
    known = np.isfinite(labels)
    before, truth = logits[known], labels[known]
    if min(truth.sum(), (1 - truth).sum()) < MIN_LABELS:
        return None
    scale, shift = _fit_scale_and_shift(logits, labels)
    after = (logits * scale + shift)[known]
    return Calibration(
        temperature=1 / scale,
        shift=tuple(shift.tolist()),
        studies=int(known.any(axis=1).sum()),
        labels=len(truth),
        nll_before=_nll(before, truth),
        nll_after=_nll(after, truth),
        ece_before=expected_error(reliability(expit(before), truth)),
        ece_after=expected_error(reliability(expit(after), truth)),
    )


def _fit_scale_and_shift(logits: Floats, labels: Floats) -> tuple[float, Floats]:
    """Return the reciprocal temperature and the shifts [F] with the highest posterior probability."""
    known = np.isfinite(labels)
    truth = np.where(known, labels, 0)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        """Return the negative log posterior of (log scale, common shift, deviations [F]), and its gradient."""
        scale, deviations = np.exp(parameters[0]), parameters[2:]
        shifted = logits * scale + parameters[1] + deviations
        residuals = np.where(known, expit(shifted) - truth, 0)
        value = np.where(known, np.logaddexp(0, shifted) - truth * shifted, 0).sum()
        prior = deviations / SHIFT_SPREAD**2
        gradient = [(residuals * logits).sum() * scale, residuals.sum(), *(residuals.sum(axis=0) + prior)]
        return float(value + prior @ deviations / 2), np.array(gradient)

    limits = [(-np.log(MAX_TEMPERATURE), -np.log(MIN_TEMPERATURE)), *[(None, None)] * (1 + logits.shape[1])]
    start = np.zeros(2 + logits.shape[1])
    found = minimize(loss, start, jac=True, bounds=limits, method="L-BFGS-B", options={"maxiter": 1000}).x
    return float(np.exp(found[0])), found[1] + found[2:]


def _nll(logits: Floats, labels: Floats) -> float:
    """Return the mean negative log-likelihood of labels [n] given logits [n], nats."""
    return float(np.mean(np.logaddexp(0, logits) - labels * logits))
