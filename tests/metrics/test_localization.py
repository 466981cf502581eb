"""Maps and locations against boxes: cases computed by hand, and random ones against pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_gen.metrics.localization import (
    WHOLE_IMAGE,
    PlacedMap,
    Rectangle,
    covered_area,
    mass_inside,
    mean_box_map,
    pointing_hit,
    side_agreement,
    zone_agreement,
)
from report_gen.records import UNKNOWN_LOCATION, FindingLocation, Side, Zone


def peak(row: int, column: int, *, size: int = 4, extent: Rectangle = WHOLE_IMAGE) -> PlacedMap:
    """A map [size,size] whose maximum is one patch."""
    weights = np.full((size, size), 0.01)
    weights[row, column] = 1
    return PlacedMap(weights=weights, extent=extent)


@pytest.mark.parametrize(
    ("row", "column", "box", "hit"),
    [
        (0, 0, Rectangle(0, 0, 0.2, 0.2), 1),  # the center of the first patch is at 0.125, 0.125
        (0, 0, Rectangle(0, 0, 0.12, 0.2), 0),
        (3, 3, Rectangle(0.8, 0.8, 1, 1), 1),
        (0, 3, Rectangle(0.8, 0, 1, 0.2), 1),  # columns are horizontal, rows are vertical
        (3, 0, Rectangle(0.8, 0, 1, 0.2), 0),
        (1, 2, Rectangle(0.625, 0.375, 0.7, 0.7), 1),  # the corner of a box belongs to it
    ],
)
def test_the_maximum_of_a_map_is_at_the_center_of_its_patch(row: int, column: int, box: Rectangle, hit: int) -> None:
    assert pointing_hit(peak(row, column), [box]) == hit


def test_any_of_two_boxes_counts() -> None:
    boxes = [Rectangle(0, 0, 0.2, 0.2), Rectangle(0.8, 0.8, 1, 1)]
    assert [pointing_hit(peak(place, place), boxes) for place in range(4)] == [1, 0, 0, 1]


def test_a_maximum_beside_a_box_hits_it_within_the_tolerance() -> None:
    box = Rectangle(0.15, 0, 0.5, 0.1)  # both distances from 0.125, 0.125 are 0.025
    assert [pointing_hit(peak(0, 0), [box], tolerance=tolerance) for tolerance in (0, 0.02, 0.03)] == [0, 0, 1]


def test_one_of_equal_maxima_is_chosen_at_random() -> None:
    weights = np.zeros((4, 4))
    weights[0, 0] = weights[0, 1] = weights[3, 3] = 1
    assert pointing_hit(PlacedMap(weights=weights), [Rectangle(0, 0, 0.5, 0.25)]) == pytest.approx(2 / 3)


def test_a_constant_and_a_random_map_hit_as_often_as_the_area_of_the_box() -> None:
    box = Rectangle(0.25, 0.5, 0.5, 1)
    assert pointing_hit(PlacedMap(weights=np.ones((16, 16))), [box]) == covered_area([box]) == 0.125
    generator = np.random.default_rng(0)
    hits = [pointing_hit(PlacedMap(weights=generator.random((16, 16))), [box]) for _ in range(4000)]
    assert np.mean(hits) == pytest.approx(0.125, abs=4 * np.sqrt(0.125 * 0.875 / 4000))


def test_a_map_of_a_padded_image_is_shifted_and_scaled() -> None:
    """An image twice as high as wide: the square of patches begins half a width left of it."""
    extent = Rectangle(-0.5, 0, 1.5, 1)
    left_of_center = Rectangle(0.2, 0.1, 0.3, 0.4)
    assert pointing_hit(peak(1, 1, extent=extent), [left_of_center]) == 1  # at -0.5 + 2 * 0.375 = 0.25
    assert pointing_hit(peak(1, 1), [left_of_center]) == 0
    assert pointing_hit(peak(1, 0, extent=extent), [Rectangle(0, 0, 1, 1)]) == 0  # a patch of padding


def test_the_mass_in_boxes_counts_parts_of_patches_once() -> None:
    placed = PlacedMap(weights=np.array([[0.4, 0.3], [0.2, 0.1]]))
    assert mass_inside(placed, [Rectangle(0, 0, 0.5, 0.5)]) == pytest.approx(0.4)
    assert mass_inside(placed, [Rectangle(0.25, 0, 0.75, 0.5)]) == pytest.approx(0.2 + 0.15)
    assert mass_inside(placed, [Rectangle(0, 0, 1, 0.25), Rectangle(0, 0, 0.5, 0.5)]) == pytest.approx(0.4 + 0.15)
    assert mass_inside(placed, [Rectangle(0, 0, 1, 1)]) == pytest.approx(1)
    wide = PlacedMap(weights=np.array([[0.4, 0.3], [0.2, 0.1]]), extent=Rectangle(-1, 0, 1, 1))
    assert mass_inside(wide, [Rectangle(0, 0, 0.5, 0.5)]) == pytest.approx(0.3 / 2)
    assert mass_inside(PlacedMap(weights=np.zeros((2, 2))), [Rectangle(0, 0, 1, 1)]) == 0


_EDGES = st.tuples(st.integers(0, 12), st.integers(0, 12)).filter(lambda pair: pair[0] < pair[1])


@given(boxes=st.lists(st.tuples(_EDGES, _EDGES), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_mass_and_area_agree_with_pixels(boxes: list[tuple[tuple[int, int], tuple[int, int]]], seed: int) -> None:
    """All edges are multiples of 1/12, so an image of 12 pixels shows the boxes and the 3 x 4 patches exactly."""
    pixels = np.zeros((12, 12), dtype=bool)
    for (left, right), (top, bottom) in boxes:
        pixels[top:bottom, left:right] = True
    rectangles = [Rectangle(left / 12, top / 12, right / 12, bottom / 12) for (left, right), (top, bottom) in boxes]
    assert covered_area(rectangles) == pytest.approx(pixels.mean())
    weights = np.random.default_rng(seed).random((3, 4))
    fine = np.kron(weights, np.ones((4, 3))) / 12
    assert mass_inside(PlacedMap(weights=weights), rectangles) == pytest.approx(fine[pixels].sum() / weights.sum())


def test_the_center_of_a_class_is_where_most_boxes_overlap() -> None:
    boxes = [[Rectangle(0, 0, 0.5, 0.5)], [Rectangle(0.25, 0.25, 1, 1)], [Rectangle(0, 0.75, 0.25, 1)]]
    center = mean_box_map(boxes, size=8)
    assert center.weights.max() == pytest.approx(2 / 3)
    assert center.weights[0, 0] == pytest.approx(1 / 3)
    assert center.weights[0, 7] == 0
    assert pointing_hit(center, [Rectangle(0.25, 0.25, 0.5, 0.5)]) == 1
    assert pointing_hit(center, [Rectangle(0.25, 0.25, 0.375, 0.5)]) == 0.5
    alone = mean_box_map([[Rectangle(0, 0, 0.5, 0.5), Rectangle(0.25, 0.25, 0.5, 0.5)]], size=8)
    assert set(np.unique(alone.weights)) == {0, 1}  # two boxes of one image count once


@pytest.mark.parametrize(
    ("stated", "true", "expected"),
    [
        (Side.RIGHT, Side.RIGHT, 1),
        (Side.RIGHT, Side.LEFT, 0),
        (Side.BOTH, Side.BOTH, 1),
        (Side.BOTH, Side.LEFT, 0),
        (Side.LEFT, Side.BOTH, 0),
        (Side.UNKNOWN, Side.LEFT, math.nan),
        (Side.MIDLINE, Side.LEFT, math.nan),  # states no side
        (Side.RIGHT, Side.MIDLINE, math.nan),
        (Side.RIGHT, Side.UNKNOWN, math.nan),
    ],
)
def test_agreement_of_sides(stated: Side, true: Side, expected: float) -> None:
    agreement = side_agreement(FindingLocation(stated), FindingLocation(true))
    assert agreement == pytest.approx(expected, nan_ok=True)


def test_agreement_of_zones() -> None:
    def agreement(stated: set[Zone], true: set[Zone]) -> float:
        return zone_agreement(FindingLocation(zones=frozenset(stated)), FindingLocation(zones=frozenset(true)))

    assert agreement({Zone.LOWER}, {Zone.LOWER}) == 1
    assert agreement({Zone.LOWER}, {Zone.LOWER, Zone.MID}) == 0.5
    assert agreement(set(Zone), {Zone.UPPER}) == pytest.approx(1 / 3)
    assert agreement({Zone.UPPER}, {Zone.LOWER}) == 0
    assert math.isnan(agreement(set(), {Zone.LOWER}))
    assert math.isnan(zone_agreement(FindingLocation(zones=frozenset({Zone.LOWER})), UNKNOWN_LOCATION))
