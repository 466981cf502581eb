"""Thresholds: one ratio of calls to cases for all findings, as good as any other and the most cautious of those."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from report_gen_training.batches import Batch
from report_gen_training.thresholds import FEWEST, RATIOS, tune_thresholds

from report_gen.model import ReportModel
from report_gen.model.projector import Look
from report_gen.report import FINDINGS
from tests.builders import tiny_model


def macro_f1(logits: torch.Tensor, targets: torch.Tensor, ratio: float) -> float:
    """Of calling so many of the most suspicious studies present for each that is, a finding at a time."""
    scores = []
    for column, truth in zip(logits.T, targets.T, strict=True):
        called = int(ratio * truth.sum())
        hits = truth[column.argsort(descending=True)[:called]].sum()
        scores.append(float(2 * hits / (called + truth.sum())))
    return sum(scores) / len(scores)


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


def called(logits: torch.Tensor, thresholds: tuple[float | None, ...]) -> NDArray[np.int64]:
    """How many studies each threshold calls."""
    probabilities = logits.sigmoid().double().numpy()
    return np.array([(probabilities[:, f] >= (threshold or 2)).sum() for f, threshold in enumerate(thresholds)])


def test_thresholds_by_hand(model: ReportModel) -> None:
    """Four of ten are ill and the head knows: four called is best of all; half as many again might be."""
    chances = torch.arange(1, 11) / 11
    logits, targets = chances.logit()[:, None].expand(10, 14), (chances > 0.6).float()[:, None].expand(10, 14)
    found = tune_thresholds(model, batches(logits, targets))
    assert set(called(logits, found.present)) == {4}
    assert set(called(logits, found.uncertain)) == {6}


@pytest.mark.parametrize("seed", range(5))
def test_one_ratio_of_calls_to_cases_serves_all_findings(model: ReportModel, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(400, 14, generator=generator)
    rarity = torch.linspace(0.05, 0.5, 14)
    targets = (torch.rand(400, 14, generator=generator) < logits.sigmoid() * rarity).float()
    found = tune_thresholds(model, batches(logits, targets))
    cases = targets.sum(0).numpy()
    ratio = min(RATIOS, key=lambda each: np.abs(called(logits, found.present) - each * cases).sum())
    np.testing.assert_allclose(called(logits, found.present), ratio * cases, atol=1.01)
    np.testing.assert_allclose(called(logits, found.uncertain), np.minimum(1.5 * ratio * cases, 400), atol=1.01)
    scores = {each: macro_f1(logits, targets, each) for each in RATIOS}
    assert scores[ratio] >= 0.94 * max(scores.values())
    assert all(scores[each] < 0.96 * max(scores.values()) for each in RATIOS if each < ratio)


def test_soft_targets_count_by_their_share(model: ReportModel) -> None:
    logits = torch.linspace(-2, 2, 60)[:, None].expand(60, 14)
    hard, soft = (logits > 0.5).float(), (logits > 0.5) * 0.9 + 0.02
    counts = [called(logits, tune_thresholds(model, batches(logits, each)).present)[0] for each in (hard, soft)]
    assert counts[0] == hard[:, 0].sum()
    assert abs(counts[1] - counts[0]) <= 6


@pytest.mark.parametrize("positives", [0, FEWEST - 1, 100 - FEWEST + 1])
def test_a_finding_that_is_hardly_ever_or_always_there_stays_unknown(model: ReportModel, positives: int) -> None:
    logits, targets = torch.randn(100, 14), torch.zeros(100, 14)
    targets[:positives] = 1
    assert set(tune_thresholds(model, batches(logits, targets)).present) == {None}


def test_what_is_not_known_does_not_count(model: ReportModel) -> None:
    logits = torch.linspace(-1, 1, 64)[:, None].expand(64, 14)
    targets = (logits > 0.5).float()
    targets[:32] = torch.nan
    targets[:, 3] = torch.nan
    found = tune_thresholds(model, batches(logits, targets))
    assert found.present[3] is None
    assert called(logits, found.present)[0] == (logits[:, 0] > 0.5).sum()


def test_a_head_that_is_sure_of_nothing_being_there(model: ReportModel) -> None:
    """Probabilities that underflow to zero are no threshold that a configuration takes."""
    logits, targets = torch.full((32, 14), -200.0), torch.zeros(32, 14)
    targets[:16] = 1
    found = tune_thresholds(model, batches(logits, targets))
    assert all(threshold is None or threshold > 0 for threshold in found.present)


def test_without_images_every_finding_stays_unknown(model: ReportModel) -> None:
    assert tune_thresholds(model, []).present == (None,) * len(FINDINGS)
