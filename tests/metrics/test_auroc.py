"""AUROC against a case counted by hand, scipy's Mann-Whitney, rescored resamplings and heads of known quality."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from report_gen.metrics.auroc import MINIMUM_CLASS_SIZE, auroc, auroc_scores, compare_mean_auroc


def test_pairs_counted_by_hand() -> None:
    """Positives 0.9, 0.4, 0.4 against negatives 0.5, 0.4: 0.9 wins both, each 0.4 has one tie."""
    scores = np.array([0.9, 0.4, 0.4, 0.5, 0.4])
    positive = np.array([True, True, True, False, False])
    assert auroc(scores, positive, np.ones(5)) == pytest.approx((2 + 0.5 + 0.5) / 6)


@pytest.mark.parametrize("levels", [3, 1000])
def test_the_mann_whitney_statistic_with_and_without_ties(levels: int) -> None:
    rng = np.random.default_rng(levels)
    scores, positive = rng.integers(levels, size=200) / levels, rng.random(200) < 0.2
    expected = mannwhitneyu(scores[positive], scores[~positive]).statistic / (positive.sum() * (~positive).sum())
    assert auroc(scores, positive, np.ones(200)) == pytest.approx(expected)


def test_weights_are_the_studies_written_out() -> None:
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(20, size=50) / 20, rng.random(50) < 0.3
    weights = rng.integers(4, size=(3, 2, 50)).astype(float)
    found = auroc(scores, positive, weights)
    for place in np.ndindex(3, 2):
        drawn = np.repeat(np.arange(50), weights[place].astype(int))
        assert found[place] == pytest.approx(auroc(scores[drawn], positive[drawn], np.ones(len(drawn))))


def test_without_positive_studies_there_is_no_area() -> None:
    positive = np.array([True, False, False])
    found = auroc(np.array([0.3, 0.2, 0.1]), positive, np.array([[1.0, 1, 1], [0, 1, 1], [1, 0, 0]]))
    np.testing.assert_array_equal(found, [1, np.nan, np.nan])


def test_the_mean_is_over_findings_with_enough_studies_and_not_over_no_finding() -> None:
    labels = np.zeros((40, 4))
    labels[:20, 0] = labels[:20, 1] = labels[: MINIMUM_CLASS_SIZE - 1, 2] = 1
    labels[:, 3] = np.nan
    labels[:10, 3] = 0
    probabilities = np.tile(np.linspace(1, 0, 40)[:, None], 4)
    probabilities[:, 0] = 1 - probabilities[:, 0]
    names = ["No Finding", "Edema", "Fracture", "Pneumonia"]
    scores = auroc_scores(names, probabilities, labels, draws=50, seed=0, derived="No Finding")
    found = {score.name: (score.value, score.interval) for score in scores}
    assert found == {
        "mean AUROC, 1 findings": (1, (1, 1)),
        "No Finding AUROC": (0, (0, 0)),
        "Edema AUROC": (1, (1, 1)),
        "Fracture AUROC": (1, None),
    }


def test_the_interval_is_that_of_hanley_and_mc_neil() -> None:
    """Radiology 1982, equation 1 with the variances of two normal distributions one deviation apart (AUROC 0.76)."""
    rng = np.random.default_rng(3)
    labels = np.repeat([1.0, 0.0], 150)[:, None]
    probabilities = 1 / (1 + np.exp(-(rng.normal(size=(300, 1)) + labels)))
    mean, one = auroc_scores(["Edema"], probabilities, labels, draws=1000, seed=0)
    area = one.value
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    error = np.sqrt((area * (1 - area) + 149 * (first + second - 2 * area**2)) / 150**2)
    assert one.interval is not None
    assert (one.interval[1] - one.interval[0]) / 2 == pytest.approx(1.96 * error, rel=0.1)
    assert (mean.value, mean.interval) == (one.value, one.interval)


def test_an_informed_head_differs_from_a_constant_one() -> None:
    rng = np.random.default_rng(1)
    labels = (rng.random((200, 3)) < 0.3).astype(float)
    informed, constant = labels + rng.normal(size=(200, 3)), np.full((200, 3), 0.3)
    found = compare_mean_auroc(["Edema", "Fracture", "Pneumonia"], constant, informed, labels, draws=300, seed=0)
    assert found is not None
    assert found.first == 0.5
    assert found.second == pytest.approx(0.76, abs=0.05)
    assert found.interval[0] > 0.1
    assert found.p_bootstrap == found.p_randomization == pytest.approx(1 / 301)


def test_a_head_does_not_differ_from_itself() -> None:
    rng = np.random.default_rng(2)
    labels, probabilities = (rng.random((100, 2)) < 0.3).astype(float), rng.random((100, 2))
    found = compare_mean_auroc(["Edema", "Fracture"], probabilities, probabilities, labels, draws=100, seed=0)
    assert found is not None
    assert (found.interval, found.p_bootstrap, found.p_randomization) == ((0, 0), 1, 1)


def test_noise_differs_from_noise_one_time_in_twenty() -> None:
    rng = np.random.default_rng(0)
    values = []
    for seed in range(100):
        labels = (rng.random((80, 2)) < 0.3).astype(float)
        found = compare_mean_auroc(["Edema", "Fracture"], *rng.random((2, 80, 2)), labels, draws=100, seed=seed)
        assert found is not None
        values.append((found.p_bootstrap, found.p_randomization))
    shares = (np.array(values) < 0.05).mean(axis=0)
    assert (shares <= 0.13).all()  # of 100 tests at 0.05, more than 13 are significant with probability 0.0005


def test_the_least_number_of_studies_is_enough() -> None:
    labels = np.zeros((30, 1))
    labels[:MINIMUM_CLASS_SIZE] = 1
    mean, edema = auroc_scores(["Edema"], labels, labels, draws=50, seed=0)
    assert (mean.name, mean.value) == ("mean AUROC, 1 findings", 1)
    assert edema.interval == (1, 1)
    assert compare_mean_auroc(["Edema"], labels, labels, labels, draws=50, seed=0) is not None


def test_too_few_positive_studies_are_not_compared() -> None:
    labels = np.zeros((30, 1))
    labels[: MINIMUM_CLASS_SIZE - 1] = 1
    assert compare_mean_auroc(["Edema"], labels, labels, labels, draws=100, seed=0) is None
