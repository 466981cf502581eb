"""Thresholds from which on an attribute is stated."""

from __future__ import annotations

import numpy as np
import pytest
from report_gen_training.calibration import fit_threshold, lower_bound
from scipy.stats import binomtest

from report_gen.metrics import Floats


@pytest.mark.parametrize(("right", "count"), [(0, 5), (3, 4), (9, 10), (10, 10), (80, 97)])
def test_the_bound_is_that_of_scipy(right: int, count: int) -> None:
    """A one-sided bound at 95% is the lower end of a two-sided interval at 90%."""
    expected = binomtest(right, count).proportion_ci(confidence_level=0.9, method="wilson").low
    assert lower_bound(np.array([right / count]), np.array([count])) == pytest.approx([expected], abs=1e-12)


def threshold(hits: list[bool], accuracy: float, *, patients: list[str] | None = None) -> float:
    """Fit the threshold for studies with certainties 0.99, 0.98 and so on, whose right value is 1."""
    chosen = np.where(hits, 1, 2)
    return fit_threshold(
        falling(len(hits)),
        chosen,
        np.ones(len(hits), dtype=np.int64),
        patients=patients or [str(number) for number in range(len(hits))],
        accuracy=accuracy,
    )


def falling(count: int) -> Floats:
    return 0.99 - 0.01 * np.arange(count)


@pytest.mark.parametrize(
    ("hits", "accuracy", "expected"),
    [
        # All of n patients are right: the bound is n / (n + 1.645^2), 0.787 for 10 and 0.747 for 8.
        ([True] * 10, 0.78, 0.0),
        ([True] * 10, 0.79, 1.0),
        # The ninth and tenth are wrong: 8 of 10 have the bound 0.541, 8 of 9 the bound 0.616.
        ([True] * 8 + [False] * 2, 0.54, 0.0),
        ([True] * 8 + [False] * 2, 0.61, 0.91),
        ([True] * 8 + [False] * 2, 0.74, 0.92),
        ([True] * 8 + [False] * 2, 0.75, 1.0),
        ([], 0.5, 1.0),
    ],
)
def test_the_threshold_is_the_lowest_with_the_accuracy(hits: list[bool], accuracy: float, expected: float) -> None:
    assert threshold(hits, accuracy) == pytest.approx(expected)


def test_the_studies_of_one_patient_count_like_one() -> None:
    assert threshold([True] * 10, 0.7) == 0
    # One patient: the bound is 1 / (1 + 1.645^2) = 0.27.
    assert threshold([True] * 10, 0.26, patients=["same"] * 10) == 0
    assert threshold([True] * 10, 0.28, patients=["same"] * 10) == 1
    # Two patients with five studies each: 2 / (2 + 1.645^2) = 0.425.
    assert threshold([True] * 10, 0.42, patients=["a", "b"] * 5) == 0
    assert threshold([True] * 10, 0.43, patients=["a", "b"] * 5) == 1


def test_every_true_value_counts_the_same() -> None:
    """Of 20 heads all are right, of 5 abdomens none: the share is a half, not 0.8."""
    targets = np.array([1] * 20 + [2] * 5)
    chosen, patients = np.ones(25, dtype=np.int64), [str(number) for number in range(25)]
    # Weights of 1 / 20 and 1 / 5: the effective number of patients is 2^2 / (20 / 20^2 + 5 / 5^2) = 16, and the bound
    # (0.5 + 0.0845 - sqrt(0.25 * 0.169 + 0.0845^2)) / 1.169 = 0.310.
    fit = [fit_threshold(falling(25), chosen, targets, patients=patients, accuracy=one) for one in (0.309, 0.311)]
    assert fit[0] == 0
    # Without the last abdomen the share is 1 / 1.8, with the bound 0.354 for 1.8^2 / (0.05 + 0.16) = 15.4 patients.
    assert fit[1] == pytest.approx(0.99 - 0.01 * 23)


def test_equal_probabilities_are_stated_together() -> None:
    certainties, targets = np.array([0.9] * 8 + [0.8] * 2), np.ones(10, dtype=np.int64)
    chosen = np.array([1] * 9 + [2])
    patients = [str(number) for number in range(10)]
    # 9 of 9 would be accurate enough (0.769), but 9 of 10 are not (0.652).
    assert fit_threshold(certainties, chosen, targets, patients=patients, accuracy=0.7) == 0.9


def test_studies_of_unknown_value_do_not_count() -> None:
    certainties, targets = np.array([0.95] + [0.9] * 10), np.array([0] + [1] * 10)
    chosen = np.ones(11, dtype=np.int64)
    patients = [str(number) for number in range(11)]
    assert fit_threshold(certainties, chosen, targets, patients=patients, accuracy=0.78) == 0
    assert fit_threshold(certainties, chosen, targets, patients=patients, accuracy=0.79) == 1  # 11 of 11: 0.803
