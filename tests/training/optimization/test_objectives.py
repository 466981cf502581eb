"""Losses against values computed in float64."""

from __future__ import annotations

import math

import pytest
import torch
from report_gen_training.data.batches import IGNORED
from report_gen_training.optimization.objectives import (
    NON_REPORT_TOKENS,
    attention_loss,
    attribute_loss,
    finding_loss,
    has_boxes,
    location_loss,
    policy_loss,
    report_loss,
)
from torch.nn import functional as F

from report_gen.config import VIEWS
from report_gen.model.location_head import LocationHead
from report_gen.records import ViewPosition


def test_the_report_loss_is_the_mean_cross_entropy_of_the_next_tokens() -> None:
    logits = torch.randn(2, 4, 5, dtype=torch.float64)
    labels = torch.tensor([[IGNORED, IGNORED, 3, 1], [IGNORED, 4, 2, IGNORED]])
    log_probabilities = logits.log_softmax(-1)
    by_hand = [  # logits at t predict the label at t + 1
        log_probabilities[0, 1, 3],
        log_probabilities[0, 2, 1],
        log_probabilities[1, 0, 4],
        log_probabilities[1, 1, 2],
    ]
    expected = -torch.stack(by_hand).mean()
    assert float(report_loss(logits.float(), labels)) == pytest.approx(float(expected), rel=1e-6)


def test_uniform_logits_give_the_logarithm_of_the_vocabulary_size() -> None:
    labels = torch.tensor([[IGNORED, 7, 8]])
    assert float(report_loss(torch.zeros(1, 3, 100), labels)) == pytest.approx(4.605170, rel=1e-6)


def test_tokens_have_the_given_weights() -> None:
    """Probabilities of 1/2, 1/4 and 1/8 cost 1, 2 and 3 bits; the weights are 1, 3 and 0."""
    chances = torch.tensor([[[0.5, 0.5, 0.0], [0.75, 0.0, 0.25], [0.125, 0.875, 0.0], [1.0, 0.0, 0.0]]])
    labels, weights = torch.tensor([[IGNORED, 1, 2, 0]]), torch.tensor([[9.0, 1.0, 3.0, 0.0]])
    found = report_loss((chances + 1e-30).log(), labels, weights)
    assert float(found) == pytest.approx((1 * 1 + 3 * 2) / 4 * 0.6931472, rel=1e-6)


def test_ignored_labels_have_no_weight() -> None:
    logits, labels = torch.randn(1, 4, 5), torch.tensor([[IGNORED, IGNORED, 3, 1]])
    found = report_loss(logits, labels, torch.tensor([[7.0, 7.0, 1.0, 1.0]]))
    assert float(found) == pytest.approx(float(report_loss(logits, labels)), rel=1e-6)


def test_without_weights_the_loss_is_zero() -> None:
    logits = torch.randn(1, 3, 5, requires_grad=True)
    report_loss(logits, torch.tensor([[IGNORED, 3, 1]]), torch.zeros(1, 3)).backward()
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothing_and_even_weights_are_torchs_cross_entropy(smoothing: float) -> None:
    logits, labels = torch.randn(3, 6, 11), torch.randint(0, 11, (3, 6))
    labels[torch.rand(3, 6) < 0.3] = IGNORED
    expected = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), label_smoothing=smoothing)
    for weights in (None, torch.full((3, 6), 2.5)):
        assert float(report_loss(logits, labels, weights, smoothing)) == pytest.approx(float(expected), rel=1e-5)


def test_smoothing_by_hand() -> None:
    """A fifth of the target over four tokens: 0.85 on the right one and 0.05 on each other one."""
    chances = torch.tensor([[[0.4, 0.3, 0.2, 0.1], [1.0, 1.0, 1.0, 1.0]]], dtype=torch.float64)
    found = report_loss(chances.log(), torch.tensor([[IGNORED, 0]]), smoothing=0.2)
    expected = -(torch.tensor([0.85, 0.05, 0.05, 0.05]) * chances[0, 0].log()).sum()
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_the_policy_loss_weights_the_likelihood_of_a_draft_by_its_advantage() -> None:
    logits = torch.randn(2, 4, 9, dtype=torch.float64)
    labels = torch.tensor([[IGNORED, IGNORED, 5, 3], [IGNORED, 4, 8, IGNORED]])
    allowed = [token for token in range(9) if token not in NON_REPORT_TOKENS]
    nll = -(logits / 0.5)[..., allowed].log_softmax(-1)
    by_hand = 0.25 * (nll[0, 1, allowed.index(5)] + nll[0, 2, allowed.index(3)])
    by_hand -= 2.0 * (nll[1, 0, allowed.index(4)] + nll[1, 1, allowed.index(8)])
    found = policy_loss(logits.float(), labels, torch.tensor([0.25, -2.0]), temperature=0.5, tokens=torch.tensor(10))
    assert float(found) == pytest.approx(float(by_hand) / 10, rel=1e-5)


def test_a_draft_as_good_as_the_greedy_one_has_no_gradient() -> None:
    logits = torch.randn(1, 3, 9, requires_grad=True)
    labels, nothing = torch.tensor([[IGNORED, 5, 3]]), torch.zeros(1)
    policy_loss(logits, labels, nothing, temperature=1.0, tokens=torch.tensor(0)).backward()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_the_finding_loss_is_the_mean_binary_cross_entropy_of_known_targets() -> None:
    logits = torch.tensor([[0.3, -2.0, 5.0], [1.5, 0.0, -1.0]], dtype=torch.float64)
    targets = torch.tensor([[1.0, 0.0, torch.nan], [0.25, torch.nan, torch.nan]])
    chance = logits.sigmoid()
    by_hand = [
        -chance[0, 0].log(),
        -(1 - chance[0, 1]).log(),
        -(0.25 * chance[1, 0].log() + 0.75 * (1 - chance[1, 0]).log()),
    ]
    expected = torch.stack(by_hand).mean()
    assert float(finding_loss(logits.float(), targets, torch.ones(2))) == pytest.approx(float(expected), rel=1e-6)
    weighted = (by_hand[0] + by_hand[1] + 3 * by_hand[2]) / 5
    found = finding_loss(logits.float(), targets, torch.tensor([1.0, 3.0]))
    assert float(found) == pytest.approx(float(weighted), rel=1e-6)


def test_without_known_targets_loss_and_gradients_are_zero() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    loss = finding_loss(logits, torch.full((2, 3), torch.nan), torch.ones(2))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_losses_of_bf16_logits_are_computed_in_float32() -> None:
    logits = torch.randn(1, 3, 50)
    labels = torch.tensor([[IGNORED, 7, 8]])
    assert report_loss(logits.bfloat16(), labels).dtype == torch.float32
    assert finding_loss(logits[0].bfloat16(), torch.zeros(3, 50), torch.ones(3)).dtype == torch.float32


def test_the_attribute_loss_is_the_mean_cross_entropy_of_the_known_values() -> None:
    modality, plane = (
        torch.tensor([[0.7, 0.3], [0.5, 0.5]]).log(),
        torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]).log(),
    )
    targets = torch.tensor([[1, 0], [2, 3]])  # the plane of the first study is unknown
    found = attribute_loss([modality, plane], targets, torch.ones(2))
    assert float(found) == pytest.approx(-(math.log(0.7) + math.log(0.5) + math.log(0.8)) / 3, rel=1e-6)
    weighted = attribute_loss([modality, plane], targets, torch.tensor([4.0, 0.5]))
    assert float(weighted) == pytest.approx(-(4 * math.log(0.7) + 0.5 * math.log(0.5 * 0.8)) / 5, rel=1e-6)


def test_unknown_attributes_have_no_gradient() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    loss = attribute_loss([logits], torch.zeros(2, 1, dtype=torch.long), torch.ones(2))
    loss.backward()
    assert loss == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def boxes_of(*boxes: tuple[float, float, float, float]) -> torch.Tensor:
    """Return the boxes [1,1,1,K,4] of one finding in one view."""
    return torch.tensor(boxes).reshape(1, 1, 1, -1, 4)


ONE = torch.ones(1)
QUARTERS = torch.tensor([0.1, 0.2, 0.3, 0.4]).reshape(1, 1, 4)
"""Attention on the patches of a grid of 2 x 2, row by row."""


@pytest.mark.parametrize(
    ("boxes", "inside"),
    [
        ([(0.0, 0.0, 0.5, 0.5)], 0.1),
        ([(0.5, 0.0, 1.0, 1.0)], 0.2 + 0.4),
        ([(0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)], 0.1 + 0.4),
        ([(0.0, 0.0, 1.0, 0.75)], 0.1 + 0.2 + 0.5 * (0.3 + 0.4)),  # the lower patches are half covered
        ([(0.6, 0.6, 0.7, 0.7)], 0.4),  # smaller than a patch: relative to the most covered patch
    ],
)
def test_the_attention_loss_is_the_logarithm_of_the_attention_inside(
    boxes: list[tuple[float, float, float, float]], inside: float
) -> None:
    assert float(attention_loss(QUARTERS, boxes_of(*boxes), ONE)) == pytest.approx(-math.log(inside), rel=1e-5)


def test_the_attention_loss_is_weighted_and_skips_findings_without_boxes() -> None:
    attention = QUARTERS.expand(3, 2, 4)
    boxes = torch.full((3, 1, 2, 1, 4), torch.nan)
    boxes[0, 0, 0, 0] = torch.tensor([0.0, 0.0, 0.5, 0.5])
    boxes[1, 0, 1, 0] = torch.tensor([0.5, 0.5, 1.0, 1.0])
    assert has_boxes(boxes).tolist() == [[True, False], [False, True], [False, False]]
    expected = -(math.log(0.1) + 3 * math.log(0.4)) / 4
    assert float(attention_loss(attention, boxes, torch.tensor([1.0, 3.0, 5.0]))) == pytest.approx(expected, rel=1e-5)
    assert float(attention_loss(attention, boxes[2:].expand(3, -1, -1, -1, -1), torch.ones(3))) == 0.0


def test_a_box_counts_in_its_own_view() -> None:
    attention = torch.cat([QUARTERS, torch.tensor([0.05, 0.0, 0.0, 0.0]).reshape(1, 1, 4)], dim=-1)  # two views
    boxes = torch.full((1, 2, 1, 1, 4), torch.nan)
    boxes[0, 1, 0, 0] = torch.tensor([0.0, 0.0, 0.5, 0.5])
    assert float(attention_loss(attention, boxes, ONE)) == pytest.approx(-math.log(0.05), rel=1e-5)


def test_attention_far_from_the_box_gives_a_finite_loss_and_gradient() -> None:
    attention = torch.tensor([1.0, 0.0, 0.0, 0.0], requires_grad=True)
    loss = attention_loss(attention.reshape(1, 1, 4), boxes_of((0.5, 0.5, 1.0, 1.0)), ONE)
    loss.backward()
    assert attention.grad is not None
    assert loss.isfinite()
    assert attention.grad.isfinite().all()


def test_the_location_loss_skips_unknown_parts() -> None:
    logits = torch.tensor([[[2.0, -2.0, 0.0, 0.0, 0.0]]])
    targets = torch.tensor([[[1.0, 0.0, 1.0, torch.nan, torch.nan]]])
    expected = (2 * math.log1p(math.exp(-2)) + math.log(2)) / 3
    assert float(location_loss(logits, targets, ONE)) == pytest.approx(expected, rel=1e-6)


def test_boxes_train_the_attention_of_a_finding() -> None:
    """A head whose features carry the finding in one patch learns the side from the attention loss and the targets."""
    torch.manual_seed(0)
    width, grid, studies = 8, 4, 64
    rows, columns = torch.randint(0, grid, (studies,)), torch.randint(0, grid, (studies,))
    features = 0.3 * torch.randn(studies, grid * grid, width)
    features[torch.arange(studies), rows * grid + columns, 0] += 3.0
    boxes = torch.stack([columns, rows, columns + 1, rows + 1], dim=-1).reshape(studies, 1, 1, 1, 4) / grid
    is_right = (columns < grid // 2).float()
    targets = torch.full((studies, 1, 5), torch.nan)
    targets[:, 0, 0], targets[:, 0, 1] = is_right, 1 - is_right
    query, head = torch.zeros(width, requires_grad=True), LocationHead(grid)
    optimizer = torch.optim.Adam([query, *head.parameters()], lr=0.1)
    views, weights = torch.full((studies, 1), VIEWS.index(ViewPosition.PA)), torch.ones(studies)
    for _ in range(100):
        attention = (features @ query).softmax(-1)[:, None]  # [B,1,N]
        given = head(attention, views, torch.ones_like(views, dtype=torch.bool))
        loss = attention_loss(attention, boxes, weights) + location_loss(given, targets, weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert attention_loss(attention, boxes, weights) < 0.2  # even attention has a loss of log 16 = 2.8
    assert ((given[:, 0, 0] > 0) == (is_right > 0)).float().mean() > 0.95
