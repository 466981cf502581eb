"""Thresholds against the best macro-F1 found by trying all ratios."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from report_gen_training.calibration.thresholds import RATIOS, TOLERANCE, UNCERTAIN_FACTOR, fit_thresholds
from report_gen_training.data.targets import MIN_LABELS

from report_gen.config import FindingConfig
from report_gen.labeling import chest_xray

FINDINGS = chest_xray().findings


def f1(probabilities: NDArray[np.float64], targets: NDArray[np.float64], threshold: float) -> float:
    called = probabilities >= threshold
    return float(2 * targets[called].sum() / (called.sum() + targets.sum()))


def fit(logits: torch.Tensor, targets: torch.Tensor) -> FindingConfig:
    return fit_thresholds(logits.double().sigmoid().numpy(), targets.double().numpy())


def threshold(probabilities: NDArray[np.float64], targets: NDArray[np.float64], ratio: float) -> float:
    """Return the threshold that is exceeded by `ratio` studies per positive study."""
    return float(np.quantile(probabilities, 1 - min(1.0, ratio * targets.mean()), method="higher"))


@pytest.mark.parametrize("seed", range(5))
def test_the_smallest_ratio_within_the_tolerance_is_used(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(100, 17, generator=generator)
    targets = (torch.rand(100, 17, generator=generator) < (logits.sigmoid() * 0.6)).float()
    found = fit(logits, targets)
    columns, truths = logits.sigmoid().double().numpy().T, targets.double().numpy().T
    scores = {
        ratio: np.mean([f1(c, t, threshold(c, t, ratio)) for c, t in zip(columns, truths, strict=True)])
        for ratio in RATIOS
    }
    ratio = min(ratio for ratio, score in scores.items() if score >= TOLERANCE * max(scores.values()))
    for finding in range(17):
        column, truth = columns[finding], truths[finding]
        assert found.present[finding] == pytest.approx(threshold(column, truth, ratio))
        assert found.uncertain[finding] == pytest.approx(threshold(column, truth, UNCERTAIN_FACTOR * ratio))


def test_a_perfect_head_gets_the_threshold_between_negatives_and_positives() -> None:
    targets = torch.zeros(100, 17)
    targets[:20] = 1
    found = fit(4 * targets - 2 + torch.linspace(0.1, 0, 100)[:, None], targets)
    assert torch.tensor(2.0).sigmoid() <= found.present[0] <= torch.tensor(2.1).sigmoid()  # type: ignore[operator]


@pytest.mark.parametrize("positives", [0, MIN_LABELS - 1, 100 - MIN_LABELS + 1])
def test_a_finding_with_too_few_positives_or_negatives_stays_unknown(positives: int) -> None:
    logits, targets = torch.randn(100, 17), torch.zeros(100, 17)
    targets[:positives] = 1
    assert set(fit(logits, targets).present) == {None}


def test_unknown_targets_do_not_count() -> None:
    logits = torch.linspace(-1, 1, 64)[:, None].expand(64, 17)
    targets = (logits > 0.5).float()
    targets[:32] = torch.nan
    targets[:, 3] = torch.nan
    found = fit(logits, targets)
    assert found.present[3] is None
    first = int((logits[:, 0] > 0.5).nonzero()[0])
    assert found.present[0] == pytest.approx(float(logits[first, 0].sigmoid()))


def test_thresholds_of_underflowing_probabilities_are_positive() -> None:
    """A configuration does not accept the threshold 0."""
    logits, targets = torch.full((32, 17), -200.0), torch.zeros(32, 17)
    targets[:16] = 1
    found = fit(logits, targets)
    assert all(threshold is None or threshold > 0 for threshold in found.present)


def test_a_finding_too_rare_in_validation_uses_its_prevalence_in_training() -> None:
    probabilities = np.tile(np.linspace(0.01, 0.99, 100)[:, None], (1, len(FINDINGS)))
    targets = np.full((100, len(FINDINGS)), np.nan)
    targets[:, 0], targets[:, 1] = probabilities[:, 0] > 0.5, 0.0  # half are positive; none is
    targets[99, 1] = 1.0
    prevalence = np.full(len(FINDINGS), 0.1)
    alone, helped = fit_thresholds(probabilities, targets), fit_thresholds(probabilities, targets, prevalence)
    assert alone.present[1] is None
    assert helped.present[0] == alone.present[0]  # the prevalence in validation is known and is used
    ratio = (probabilities[:, 0] >= helped.present[0]).mean() / 0.5
    assert (probabilities[:, 1] >= helped.present[1]).mean() == pytest.approx(ratio * 0.1, abs=0.011)
    assert helped.present[2] is None  # without targets a finding is not trained
