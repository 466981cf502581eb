"""The parameters of the joint distribution of two studies are found again in drawn pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from report_gen_training.calibration import LabeledPairs, fit_changes, predict_changes
from scipy.special import expit

from report_gen.config import ChangeConfig
from report_gen.metrics import Floats
from report_gen.model import change_probabilities

TRUE = ChangeConfig(trained=(True, True), scale=0.7, bias=(-0.8, -0.4), persistence=(2.0, 1.4))


def drawn_pairs(pairs: int = 6000, seed: int = 0) -> LabeledPairs:
    """Draw labels of two findings from the joint distribution `TRUE`, with 5% of unknown labels."""
    random = np.random.default_rng(seed)
    prior, present = expit(random.normal(-1, 1.5, (2, pairs, 2)))
    changes = change_probabilities(torch.from_numpy(prior), torch.from_numpy(present), TRUE).numpy()
    cases = np.concatenate([changes, 1 - changes.sum(-1, keepdims=True)], axis=-1)  # [P,2,4]
    drawn = (random.random((pairs, 2, 1)) > cases.cumsum(-1)).sum(-1).clip(max=3)
    labels = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])[drawn]  # [P,2,2]: earlier, present
    labels[random.random(labels.shape) < 0.05] = np.nan
    return LabeledPairs(prior, present, labels[..., 0], labels[..., 1])


def nats(config: ChangeConfig, pairs: LabeledPairs) -> float:
    changes, cells = predict_changes(pairs, config), pairs.cells()
    cases: Floats = np.concatenate([changes, 1 - changes.sum(-1, keepdims=True)], axis=-1)
    return float(-np.log(cases[cells]).mean())


def test_the_parameters_of_drawn_pairs_are_found_again() -> None:
    found = fit_changes(drawn_pairs(), trained=(True, True), threshold=0.3)
    assert found.scale == pytest.approx(TRUE.scale, abs=0.05)
    assert found.bias == pytest.approx(TRUE.bias, abs=0.15)
    assert found.persistence == pytest.approx(TRUE.persistence, abs=0.25)
    assert (found.trained, found.threshold) == ((True, True), 0.3)


def test_they_fit_other_pairs_better_than_independent_studies() -> None:
    found, others = fit_changes(drawn_pairs(), trained=(True, True)), drawn_pairs(seed=1)
    independent = ChangeConfig(trained=(True, True), bias=(0.0, 0.0), persistence=(0.0, 0.0))
    assert nats(found, others) == pytest.approx(nats(TRUE, others), abs=2e-3)
    assert nats(found, others) < nats(independent, others) - 0.05


def test_a_finding_with_few_cases_or_without_a_trained_head_has_no_change() -> None:
    pairs = drawn_pairs()
    rare = pairs._replace(labels=pairs.labels.copy(), prior_labels=pairs.prior_labels.copy())
    for labels in (rare.labels, rare.prior_labels):
        labels[10:, 1] = 0
    assert fit_changes(rare, trained=(True, True)).trained == (True, False)
    assert fit_changes(pairs, trained=(False, True)).trained == (False, True)
    assert not predict_changes(pairs, fit_changes(rare, trained=(True, True)))[:, 1].any()


def test_the_four_cases_of_known_labels() -> None:
    nan = float("nan")
    labels = [(0, 1), (1, 1), (1, 0), (0, 0), (nan, 1), (0, nan)]
    prior, present = np.array(labels, dtype=float).T[..., None]
    cells = LabeledPairs(prior, present, prior, present).cells()[:, 0]
    np.testing.assert_array_equal(cells, [*np.eye(4, dtype=bool), [False] * 4, [False] * 4])
