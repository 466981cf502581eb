"""Thresholds of findings against all thresholds tried, and the threshold of normal against the binormal model."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from report_gen_training.calibration.finding_calibration import fit_findings
from report_gen_training.calibration.thresholds import UNCERTAIN_COST, fit_thresholds
from report_gen_training.recipe import DecisionRecipe
from scipy.special import expit, logit
from scipy.stats import norm

from report_gen.config import FindingConfig
from report_gen.labeling import chest_xray
from report_gen.records import FindingSchema, NoFindingRule

Floats = NDArray[np.float64]

STATED = FindingSchema(name="two", findings=("Edema", "Mass"))
READ = FindingSchema(name="read", findings=("Normal", "Edema"), no_finding=NoFindingRule(finding="Normal"))


def fit(probabilities: Floats, *, cost: float = 1.0, trained: tuple[bool, ...] = (True, True)) -> FindingConfig:
    costs = DecisionRecipe(false_positive_cost=cost)
    return fit_thresholds(probabilities, trained=trained, schema=STATED, costs=costs)


def expected_measure(probabilities: Floats, threshold: float, cost: float) -> float:
    """Return the F-measure of expected counts, from its definition with TP, FN and FP."""
    called = probabilities >= threshold
    tp, fn, fp = probabilities[called].sum(), probabilities[~called].sum(), (1 - probabilities[called]).sum()
    return float((1 + cost) * tp / ((1 + cost) * tp + fn + cost * fp))


@pytest.mark.parametrize("cost", [0.5, 1.0, 3.0])
def test_the_threshold_has_the_highest_expected_f_measure(cost: float) -> None:
    probabilities = np.random.default_rng(0).beta(0.5, 4, (2000, 2))
    present = fit(probabilities, cost=cost).present
    for column, threshold in zip(probabilities.T, present, strict=True):
        assert threshold is not None
        best = max(expected_measure(column, other, cost) for other in column)
        assert expected_measure(column, threshold, cost) == pytest.approx(best, rel=1e-12)
        # One more study helps if its probability exceeds F c / (1 + c): half the F1 (Lipton et al., 2014) for c = 1.
        assert threshold == pytest.approx(best * cost / (1 + cost), abs=2e-3)


def test_a_costly_false_positive_raises_the_threshold() -> None:
    probabilities = np.random.default_rng(0).beta(0.5, 4, (500, 2))
    low, high = fit(probabilities, cost=0.5).present, fit(probabilities, cost=2.0).present
    assert all(one < other for one, other in zip(low, high, strict=True))  # type: ignore[operator]


def test_a_finding_is_uncertain_if_a_cheaper_false_positive_made_it_present() -> None:
    probabilities = np.random.default_rng(0).beta(0.5, 4, (500, 2))
    found, cheaper = fit(probabilities, cost=1.5), fit(probabilities, cost=1.5 * UNCERTAIN_COST)
    assert found.uncertain == cheaper.present
    assert found.uncertain != found.present


def test_a_certain_head_gets_a_threshold_between_negatives_and_positives() -> None:
    column = np.array([0.98] * 20 + [0.02] * 80)
    assert fit(np.stack([column, column], axis=1)).present == pytest.approx((0.5, 0.5))


def test_studies_with_equal_probabilities_are_called_together() -> None:
    column = np.array([0.4] * 3 + [0.3] * 4 + [0.01] * 50)
    found = fit(np.stack([column, column], axis=1)).present
    assert found == pytest.approx((0.155, 0.155))
    constant = fit(np.full((10, 2), 0.25)).present
    assert constant == pytest.approx((0.125, 0.125))


def test_thresholds_of_underflowing_probabilities_are_positive() -> None:
    """A configuration does not accept the threshold 0."""
    assert all(value is not None and value > 0 for value in fit(np.zeros((32, 2))).present)


def test_an_untrained_finding_stays_unknown() -> None:
    found = fit(np.full((10, 2), 0.25), trained=(False, True))
    assert (found.present[0], found.uncertain[0], found.reported) == (None, None, (False, True))
    assert found.present[1] is not None


@pytest.mark.parametrize(("cost", "expected"), [(1.0, 0.5), (1.5, 0.6), (4.0, 0.8)])
def test_the_threshold_of_normal_weighs_both_errors_by_their_cost(cost: float, expected: float) -> None:
    costs = DecisionRecipe(missed_abnormal_cost=cost)
    found = fit_thresholds(np.full((10, 2), 0.25), trained=(True, True), schema=READ, costs=costs)
    assert found.normal == pytest.approx(expected)
    assert (found.present[0], found.uncertain[0]) == (None, None)


def test_without_a_trained_head_or_a_rule_normal_is_not_decided() -> None:
    probabilities, costs = np.full((10, 2), 0.25), DecisionRecipe()
    assert fit_thresholds(probabilities, trained=(False, True), schema=READ, costs=costs).normal is None
    no_rule = replace(READ, no_finding=None)
    found = fit_thresholds(probabilities, trained=(True, True), schema=no_rule, costs=costs)
    assert found.normal is None
    assert found.present[0] is not None


class Binormal:
    """A head whose scores are normal with equal variances: its ROC curve and its posterior have closed forms.

    Args:
        auroc: Area under the ROC curve, which gives the distance of the means.
        prevalence: Share of normal studies.
        trained_prevalence: Share of normal studies that the logits assume.
    """

    def __init__(self, auroc: float, prevalence: float, trained_prevalence: float) -> None:
        self.distance = math.sqrt(2) * float(norm.ppf(auroc))
        self.prevalence, self.prior = prevalence, float(logit(trained_prevalence))

    def sample(self, studies: int, random: np.random.Generator) -> tuple[Floats, Floats]:
        """Return logits [S] and labels [S]."""
        labels = random.random(studies) < self.prevalence
        scores = random.normal(self.distance * labels)
        return self.distance * scores - self.distance**2 / 2 + self.prior, labels.astype(float)

    def rates(self, logits: float) -> tuple[float, float]:
        """Return the shares of normal and of abnormal studies with at least these logits."""
        score = (logits - self.prior + self.distance**2 / 2) / self.distance
        return float(norm.sf(score - self.distance)), float(norm.sf(score))


def test_the_default_cost_calls_a_quarter_of_abnormal_studies_normal() -> None:
    head, cost = Binormal(0.72, 0.55, 0.55), DecisionRecipe().missed_abnormal_cost
    normal, abnormal = head.rates(logit(cost / (1 + cost)))
    assert normal == pytest.approx(0.57, abs=0.01)
    assert abnormal == pytest.approx(0.26, abs=0.01)


@pytest.mark.parametrize("studies", [160, 270])
def test_the_operating_point_is_stable_with_few_validation_studies(studies: int) -> None:
    """The head was trained on other shares of normal studies (40%) than patients have (55%)."""
    head, random, costs = Binormal(0.72, 0.55, 0.40), np.random.default_rng(0), DecisionRecipe()
    expected = Binormal(0.72, 0.55, 0.55).rates(logit(0.6))
    points, empirical = [], []
    for _ in range(100):
        logits, labels = head.sample(studies, random)
        others = random.normal(-2, 1, studies)  # a further finding
        found = fit_findings(
            np.stack([logits, others], axis=1),
            np.stack([labels, random.random(studies) < expit(others)], axis=1).astype(float),
            trained=(True, True),
            schema=READ,
            costs=costs,
        ).findings
        assert found.normal is not None
        assert found.shift is not None
        points.append(head.rates(found.temperature * (logit(found.normal) - found.shift[0])))
        errors = [1.5 * ((logits >= one) & (labels == 0)).sum() + (labels[logits < one]).sum() for one in logits]
        empirical.append(head.rates(logits[np.argmin(errors)]))
    np.testing.assert_allclose(np.mean(points, axis=0), expected, atol=0.03)
    spread, other = np.std(points, axis=0), np.std(empirical, axis=0)
    assert (spread < 0.09).all()
    assert (spread < 0.75 * other).all()


def test_the_chest_schema_decides_normal() -> None:
    schema = chest_xray()
    trained = (True,) * len(schema.findings)
    found = fit_thresholds(np.full((10, 17), 0.2), trained=trained, schema=schema, costs=DecisionRecipe())
    assert found.normal == pytest.approx(0.6)
