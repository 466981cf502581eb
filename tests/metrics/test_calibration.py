"""Calibration error and Brier score: bins counted by hand, and probabilities known to be correct or overconfident."""

from __future__ import annotations

import numpy as np
import pytest

from report_gen.metrics import CALIBRATION_BINS, expected_error, reliability
from report_gen.metrics.calibration import calibration_measures, error_by_chance
from report_gen.metrics.score import scores_of

NAN = np.nan


def test_bins_of_equal_mass_counted_by_hand() -> None:
    probabilities = np.arange(1, 21) / 100
    labels = np.zeros(20)
    labels[[0, 18, 19]] = 1
    bins = reliability(probabilities, labels)
    assert [one.count for one in bins] == [2] * CALIBRATION_BINS
    assert [one.positive for one in bins] == [0.5, *[0] * 8, 1]
    assert bins[0].probability == pytest.approx(0.015)
    wrong = abs(0.5 - 0.015) + sum(0.035 + 0.02 * place for place in range(8)) + abs(1 - 0.195)
    assert expected_error(bins) == pytest.approx(wrong / CALIBRATION_BINS)


def test_equal_probabilities_share_a_bin_and_unknown_labels_are_in_none() -> None:
    probabilities, labels = np.array([[0.2, 0.2], [0.2, 0.9]]), np.array([[1.0, 0.0], [0.0, NAN]])
    (only,) = reliability(probabilities, labels)
    assert (only.count, only.probability, only.positive) == (3, pytest.approx(0.2), pytest.approx(1 / 3))
    assert reliability(probabilities, np.full((2, 2), NAN)) == ()
    assert expected_error(()) == 0


def test_measures_agree_with_the_bins_and_the_mean_squares() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random((60, 2))
    labels = (rng.random((60, 2)) < probabilities**2).astype(float)
    labels[:20, 1] = NAN
    scores = scores_of(calibration_measures(["Edema", "Fracture"], probabilities, labels), "", draws=50, seed=0)
    by_name = {score.name: score for score in scores}
    assert by_name["all findings ECE"].value == pytest.approx(expected_error(reliability(probabilities, labels)))
    assert by_name["Fracture ECE"].value == pytest.approx(
        expected_error(reliability(probabilities[:, 1], labels[:, 1]))
    )
    squares = (probabilities - labels) ** 2
    assert by_name["all findings Brier"].value == pytest.approx(np.nanmean(squares))
    assert by_name["Fracture Brier"].value == pytest.approx(squares[20:, 1].mean())
    assert by_name["Edema Brier of prevalence"].value == pytest.approx(labels[:, 0].var())
    pooled = (60 * labels[:, 0].var() + 40 * labels[20:, 1].var()) / 100
    assert by_name["all findings Brier of prevalence"].value == pytest.approx(pooled)
    assert "bins=10,mass=equal" in by_name["Edema ECE"].signature
    interval = by_name["all findings Brier"].interval
    assert interval is not None
    assert interval[0] < by_name["all findings Brier"].value < interval[1]


def test_correct_probabilities_have_a_small_error_and_overconfident_ones_a_large_one() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(-1, 1, size=20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-logits))).astype(float)
    correct, overconfident = (expected_error(reliability(1 / (1 + np.exp(-k * logits)), labels)) for k in (1, 3))
    assert correct < 0.015
    assert overconfident > 0.1


def test_correct_probabilities_have_the_error_by_chance() -> None:
    rng = np.random.default_rng(2)
    probabilities = rng.uniform(0.05, 0.5, size=100)
    errors = [
        expected_error(reliability(probabilities, (rng.random(100) < probabilities).astype(float))) for _ in range(200)
    ]
    assert error_by_chance(probabilities, np.ones(100), 0) == pytest.approx(np.mean(errors), rel=0.05)
    assert error_by_chance(np.zeros(5), np.full(5, NAN), 0) == 0
