"""Thresholds: the best F1 that any threshold gives, found by trying them all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from report_gen_training.batches import Batch
from report_gen_training.thresholds import FEWEST, tune_thresholds

from report_gen.model import ReportModel
from report_gen.model.projector import Look
from report_gen.report import FINDINGS
from tests.builders import tiny_model


def f1(probabilities: NDArray[np.float64], targets: NDArray[np.float64], threshold: float) -> float:
    called = probabilities >= threshold
    return float(2 * targets[called].sum() / (called.sum() + targets.sum()))


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ReportModel:
    """A model that sees logits in the first row of its pixels."""

    def look(pixel_values: torch.Tensor, *_: torch.Tensor) -> Look:
        nothing = torch.empty(0)
        return Look(nothing, pixel_values[:, 0, 0, 0, :14], nothing, nothing, nothing)

    model = tiny_model()
    monkeypatch.setattr(model, "look", look)
    return model


def batches(logits: torch.Tensor, targets: torch.Tensor) -> list[Batch]:
    nothing = torch.empty(0)
    return [
        Batch(row[:, None, None, None], nothing, nothing, nothing, nothing, nothing, nothing, target)
        for row, target in zip(logits.split(16), targets.split(16), strict=True)
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("steps", [1000, 4])  # with four steps most probabilities are shared by many studies
def test_no_threshold_is_better(model: ReportModel, seed: int, steps: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(100, 14, generator=generator) * steps).round() / steps
    targets = (torch.rand(100, 14, generator=generator) < (logits.sigmoid() * 0.6)).float()
    found = tune_thresholds(model, iter(batches(logits, targets)))
    probabilities = logits.sigmoid().double().numpy()
    for finding in range(14):
        column, truth = probabilities[:, finding], targets[:, finding].double().numpy()
        best = max(f1(column, truth, threshold) for threshold in column)
        threshold = found.present[finding]
        assert threshold is not None
        assert f1(column.astype(np.float32), truth, threshold) == pytest.approx(best)


def test_soft_targets_count_by_their_share(model: ReportModel) -> None:
    logits = torch.linspace(-2, 2, 60)[:, None].expand(60, 14)
    targets = logits.sigmoid()
    found = tune_thresholds(model, iter(batches(logits, targets)))
    column, truth = logits[:, 0].sigmoid().numpy(), targets[:, 0].double().numpy()
    assert f1(column, truth, found.present[0] or 0) == pytest.approx(max(f1(column, truth, p) for p in column))


@pytest.mark.parametrize("positives", [0, FEWEST - 1, 100 - FEWEST + 1])
def test_a_finding_that_is_hardly_ever_or_always_there_stays_unknown(model: ReportModel, positives: int) -> None:
    logits, targets = torch.randn(100, 14), torch.zeros(100, 14)
    targets[:positives] = 1
    assert set(tune_thresholds(model, iter(batches(logits, targets))).present) == {None}


def test_what_is_not_known_does_not_count(model: ReportModel) -> None:
    logits = torch.linspace(-1, 1, 64)[:, None].expand(64, 14)
    targets = (logits > 0.5).float()
    targets[:32] = torch.nan
    targets[:, 3] = torch.nan
    found = tune_thresholds(model, iter(batches(logits, targets)))
    assert found.present[3] is None
    first = int((logits[:, 0] > 0.5).nonzero()[0])
    assert found.present[0] == pytest.approx(float(logits[first, 0].sigmoid()))


def test_a_head_that_is_sure_of_nothing_being_there(model: ReportModel) -> None:
    """Probabilities that underflow to zero are no threshold that a configuration takes."""
    logits, targets = torch.full((32, 14), -200.0), torch.zeros(32, 14)
    targets[:16] = 1
    found = tune_thresholds(model, iter(batches(logits, targets)))
    assert all(threshold is None or threshold > 0 for threshold in found.present)


def test_without_images_every_finding_stays_unknown(model: ReportModel) -> None:
    assert tune_thresholds(model, iter(())).present == (None,) * len(FINDINGS)
