"""The location head, and the locations that follow from its logits."""

from __future__ import annotations

import math

import pytest
import torch

from report_gen.config import VIEWS, LocationConfig
from report_gen.model import predict_locations
from report_gen.model.location_head import LocationHead
from report_gen.records import LOCATION_PARTS, ViewPosition, Zone, location_from_parts

GRID = 20
PA, LATERAL, UNKNOWN = (VIEWS.index(v) for v in (ViewPosition.PA, ViewPosition.LATERAL, ViewPosition.UNKNOWN))


def attend(*cells: tuple[int, int], grid: int = GRID) -> torch.Tensor:
    """Return attention weights [1,1,N] that are equal on these cells (row, column) and 0 elsewhere."""
    weights = torch.zeros(grid, grid)
    for row, column in cells:
        weights[row, column] = 1 / len(cells)
    return weights.reshape(1, 1, -1)


def logits(*attention: torch.Tensor, views: tuple[int, ...] = (PA,), mask: tuple[bool, ...] = (True,)) -> list[float]:
    """Return the location logits [P] of one finding of one study."""
    joined = torch.cat(attention, dim=-1) / len(attention)
    values = LocationHead(GRID)(joined, torch.tensor([views]), torch.tensor([mask]))
    return values[0, 0].tolist()


def parts_of(values: list[float]) -> str:
    return " ".join(part for part, value in zip(LOCATION_PARTS, values, strict=True) if value > 0)


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ((0, 0), "right upper"),  # the left of a frontal image is the patient's right
        ((0, GRID - 1), "left upper"),
        ((8, 3), "right mid"),
        ((GRID - 1, 15), "left lower"),
    ],
)
def test_attention_on_one_patch_is_a_side_and_a_zone(cell: tuple[int, int], parts: str) -> None:
    assert parts_of(logits(attend(cell))) == parts


def test_even_attention_gives_the_log_odds_of_the_areas() -> None:
    cells = [(row, column) for row in range(GRID) for column in range(GRID)]
    areas = (0.5, 0.5, 0.32, 0.23, 0.45)
    assert logits(attend(*cells)) == pytest.approx([math.log(area / (1 - area)) for area in areas], abs=1e-5)


def test_a_patch_counts_for_two_zones_by_its_shares() -> None:
    # The row from 0.30 to 0.35 of the height is 40% in the upper zone, which ends at 0.32.
    upper, mid = logits(attend((6, 0)))[2:4]
    assert (upper, mid) == pytest.approx((math.log(0.4 / 0.6), math.log(0.6 / 0.4)), abs=1e-5)


def test_only_frontal_views_count() -> None:
    right, left = attend((0, 0)), attend((0, GRID - 1))
    alone = logits(right)
    assert logits(right, left, views=(PA, LATERAL), mask=(True, True)) == pytest.approx(alone)
    assert logits(left, right, views=(LATERAL, UNKNOWN), mask=(True, True)) == pytest.approx(alone)
    assert logits(right, left, views=(PA, PA), mask=(True, False)) == pytest.approx(alone)


def test_a_study_without_a_frontal_view_has_no_location() -> None:
    values = torch.tensor(logits(attend((0, 0)), views=(LATERAL,)))
    assert (values < -5).all()
    assert not predict_locations(values[None, None], LocationConfig(trained=(True,))).parts.any()


def test_scale_and_bias_change_the_logits() -> None:
    head, attention = LocationHead(GRID), attend((0, 0), (0, 1), (0, GRID - 1))
    with torch.no_grad():
        head.scale.fill_(2.0)
        head.bias.copy_(torch.arange(5.0))
    changed = head(attention, torch.tensor([[PA]]), torch.tensor([[True]]))[0, 0].tolist()
    assert changed == pytest.approx([2 * value + n for n, value in enumerate(logits(attention))])


def odds(*probabilities: float) -> torch.Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).logit()


@pytest.mark.parametrize(
    ("right", "left", "side", "probability"),
    [
        (0.95, 0.2, "right", 0.76),
        (0.2, 0.95, "left", 0.76),
        (0.9, 0.2, "unknown", 0.72),
        (0.9, 0.9, "both", 0.81),
        (0.7, 0.3, "unknown", 0.49),
        (0.5, 0.5, "unknown", 0.25),
        (0.01, 0.02, "unknown", 0.0198),  # neither side
    ],
)
def test_a_side_is_named_if_it_is_probable_enough(right: float, left: float, side: str, probability: float) -> None:
    predicted = predict_locations(odds(right, left, 0.1, 0.1, 0.1)[None, None], LocationConfig(trained=(True,)))
    assert location_from_parts(predicted.parts[0, 0].tolist()).side == side
    assert predicted.side_probability.item() == pytest.approx(probability)


def test_zones_are_named_each_by_itself() -> None:
    predicted = predict_locations(odds(0.5, 0.5, 0.4, 0.6, 0.7)[None, None], LocationConfig(trained=(True,)))
    assert location_from_parts(predicted.parts[0, 0].tolist()).zones == {Zone.MID, Zone.LOWER}
    assert predicted.zone_probabilities[0, 0].tolist() == pytest.approx([0.4, 0.6, 0.7])


def test_the_logits_are_calibrated() -> None:
    values = torch.tensor([2.0, -6.0, 4.0, -2.0, 0.0], dtype=torch.float64)[None, None]
    config = LocationConfig(trained=(True,), temperature=2.0, shift=(0.0, 2.0, -1.0, 2.0, 0.5))
    predicted = predict_locations(values, config)  # logits 1, -1, 1, 1, 0.5
    expected = torch.tensor([1.0, 1.0, 0.5], dtype=torch.float64).sigmoid()
    assert predicted.zone_probabilities[0, 0].tolist() == pytest.approx(expected.tolist())
    assert predicted.side_probability.item() == pytest.approx(float(torch.tensor(1.0).sigmoid()) ** 2)


def test_the_location_of_an_untrained_finding_is_unknown() -> None:
    values = odds(0.99, 0.01, 0.99, 0.01, 0.01).expand(1, 2, 5)
    parts = predict_locations(values, LocationConfig(trained=(True, False))).parts
    assert parts[0, 0].any()
    assert not parts[0, 1].any()


@pytest.mark.parametrize("autocast", [False, True])
def test_logits_are_finite_in_bfloat16(autocast: bool) -> None:
    """In bfloat16 the largest share below 1 is 0.996."""
    head, attention = LocationHead(GRID), attend((0, 0))
    if not autocast:
        head, attention = head.bfloat16(), attention.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        values = head(attention, torch.tensor([[PA]]), torch.tensor([[True]]))[0, 0]
    assert values.isfinite().all()
    assert values.tolist() == pytest.approx(logits(attend((0, 0))), rel=0.01)
