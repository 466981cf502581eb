"""Losses against values worked out in float64."""

from __future__ import annotations

import pytest
import torch
from report_gen_training.objectives import IGNORED, finding_loss, report_loss


def test_the_report_loss_is_the_mean_surprise_of_the_next_tokens() -> None:
    logits = torch.randn(2, 4, 5, dtype=torch.float64)
    labels = torch.tensor([[IGNORED, IGNORED, 3, 1], [IGNORED, 4, 2, IGNORED]])
    log_probabilities = logits.log_softmax(-1)
    by_hand = [  # labels at t + 1 judge logits at t
        log_probabilities[0, 1, 3],
        log_probabilities[0, 2, 1],
        log_probabilities[1, 0, 4],
        log_probabilities[1, 1, 2],
    ]
    expected = -torch.stack(by_hand).mean()
    assert float(report_loss(logits.float(), labels)) == pytest.approx(float(expected), rel=1e-6)


def test_a_model_without_a_clue_is_surprised_by_the_logarithm_of_the_vocabulary() -> None:
    labels = torch.tensor([[IGNORED, 7, 8]])
    assert float(report_loss(torch.zeros(1, 3, 100), labels)) == pytest.approx(4.605170, rel=1e-6)


def test_the_finding_loss_is_the_mean_binary_cross_entropy_of_what_is_known() -> None:
    logits = torch.tensor([[0.3, -2.0, 5.0], [1.5, 0.0, -1.0]], dtype=torch.float64)
    targets = torch.tensor([[1.0, 0.0, torch.nan], [0.25, torch.nan, torch.nan]])
    chance = logits.sigmoid()
    by_hand = [
        -chance[0, 0].log(),
        -(1 - chance[0, 1]).log(),
        -(0.25 * chance[1, 0].log() + 0.75 * (1 - chance[1, 0]).log()),
    ]
    expected = torch.stack(by_hand).mean()
    assert float(finding_loss(logits.float(), targets)) == pytest.approx(float(expected), rel=1e-6)


def test_where_nothing_is_known_nothing_is_lost_and_gradients_are_zero() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    loss = finding_loss(logits, torch.full((2, 3), torch.nan))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_short_floats_are_judged_as_long_ones() -> None:
    logits = torch.randn(1, 3, 50)
    labels = torch.tensor([[IGNORED, 7, 8]])
    assert report_loss(logits.bfloat16(), labels).dtype == torch.float32
    assert finding_loss(logits[0].bfloat16(), torch.zeros(3, 50)).dtype == torch.float32
