"""Thresholds from which on an attribute is stated."""

from __future__ import annotations

import numpy as np
import pytest
from report_gen_training.calibration import fit_threshold

CERTAINTIES = np.array([0.5, 0.9, 0.7, 0.8, 0.6])
HITS = np.array([False, True, False, True, True])
"""In the order of the certainties, from the highest: right, right, wrong, right, wrong."""


@pytest.mark.parametrize(
    ("accuracy", "threshold"),
    [
        (0.6, 0.0),  # three of five are right: all are stated
        (0.61, 0.6),  # three of four, from 0.6 on
        (0.75, 0.6),
        (0.76, 0.8),  # two of two; of those from 0.7 on, two of three
        (1.0, 0.8),
    ],
)
def test_the_threshold_is_the_lowest_with_the_accuracy(accuracy: float, threshold: float) -> None:
    assert fit_threshold(CERTAINTIES, HITS, accuracy=accuracy) == threshold


def test_equal_probabilities_are_stated_together() -> None:
    hits = np.array([True, True, False])
    assert fit_threshold(np.array([0.9, 0.8, 0.8]), hits, accuracy=0.9) == 0.9


def test_no_probability_is_accurate_enough() -> None:
    assert fit_threshold(np.array([0.9, 0.8]), np.array([False, True]), accuracy=0.9) == 1.0


def test_without_studies_every_value_is_stated() -> None:
    assert fit_threshold(np.zeros(0), np.zeros(0, dtype=bool), accuracy=0.9) == 0.0
