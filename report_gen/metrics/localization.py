"""Compare where a model locates a finding with the boxes around the finding in one image.

Every position is in shares of the width and height of the image: 0, 0 is its upper left corner and 1, 1 its lower right
corner. Scaling of the image changes no position, and a map may extend beyond an image that was padded to a square.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from report_gen.metrics.measure import Floats
from report_gen.records import FindingLocation, Side

SIDES = (Side.RIGHT, Side.LEFT, Side.BOTH)
"""Sides that a report may state. A finding of the midline has none, and an unknown side is not stated."""


class Rectangle(NamedTuple):
    """A rectangle with edges in shares of the width and height of an image."""

    left: float
    top: float
    right: float
    bottom: float


WHOLE_IMAGE = Rectangle(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class PlacedMap:
    """Weights over a grid of equal patches, and the rectangle of an image that the grid covers."""

    weights: NDArray[np.floating]
    """[rows, columns], not negative."""
    extent: Rectangle = WHOLE_IMAGE
    """May be larger than the image: patches beyond its edges are padding."""


def pointing_hit(placed: PlacedMap, boxes: Collection[Rectangle], *, tolerance: float = 0.0) -> float:
    """Return the score of a map in the pointing game: 1 if its maximum is inside one of the boxes, 0 if not.

    The pointing game is that of Zhang et al., "Top-down neural attention by excitation backprop" (ECCV 2016). The
    position of the maximum is the center of its patch. For several equal maxima the score is the share of them that is
    inside, the expected value of a random choice. A constant map thus hits as often as a random point.

    Args:
        placed: The map.
        boxes: Boxes around the finding; any of them counts.
        tolerance: Distance by which the maximum may miss a box in either direction, in shares of width and height.
    """
    weights, extent = placed.weights, placed.extent
    rows, columns = np.nonzero(weights == weights.max())
    x = extent.left + (extent.right - extent.left) * (columns + 0.5) / weights.shape[1]
    y = extent.top + (extent.bottom - extent.top) * (rows + 0.5) / weights.shape[0]
    return float(_is_inside(x, y, boxes, tolerance).mean())


def mass_inside(placed: PlacedMap, boxes: Collection[Rectangle]) -> float:
    """Return the share of the weights of a map that is inside the boxes, 0..1; 0 for a map of zeros.

    The weight of a patch counts by the share of its area that the boxes cover. Boxes that overlap count once.
    """
    weights, extent = placed.weights.astype(np.float64), placed.extent
    rows, columns = weights.shape
    vertical = np.linspace(extent.top, extent.bottom, rows + 1)
    horizontal = np.linspace(extent.left, extent.right, columns + 1)
    covered = _covered_areas(vertical, horizontal, boxes)  # [rows, columns]
    patch = (extent.right - extent.left) / columns * (extent.bottom - extent.top) / rows
    total = weights.sum()
    return float((weights * covered).sum() / (patch * total)) if total > 0 else 0.0


def covered_area(boxes: Collection[Rectangle]) -> float:
    """Return the share of the image that the boxes cover: how often a random point hits them. Overlaps count once."""
    return float(_covered_areas(np.array([0.0, 1.0]), np.array([0.0, 1.0]), boxes)[0, 0])


def mean_box_map(boxes: Sequence[Collection[Rectangle]], *, size: int = 128) -> PlacedMap:
    """Return how often each point of an image is inside a box of a finding: a map that is equal for all images.

    The maximum of the map is the center of the class. A model that uses the images must score higher than this map.

    Args:
        boxes: Boxes of the finding in each of one or more images with the finding.
        size: Rows and columns of the map.
    """
    centers = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(centers, centers)  # [size, size] each
    inside = np.zeros((size, size))
    for of_image in boxes:
        inside += _is_inside(x, y, of_image)
    return PlacedMap(weights=inside / len(boxes))


def side_agreement(stated: FindingLocation, true: FindingLocation) -> float:
    """Return 1 if the stated side is the true one, and 0 if not; NaN if either location has no side.

    BOTH is a side like the others: it is wrong for a finding of one side, and one side is wrong for BOTH.
    """
    if not (true.sides and stated.sides):
        return float("nan")
    return float(stated.side is true.side)


def zone_agreement(stated: FindingLocation, true: FindingLocation) -> float:
    """Return the Jaccard index of the stated and the true zones: their intersection divided by their union.

    Returns:
        0..1; NaN if no zone is stated or none is known.
    """
    if not (stated.zones and true.zones):
        return float("nan")
    return len(stated.zones & true.zones) / len(stated.zones | true.zones)


def _is_inside(x: Floats, y: Floats, boxes: Collection[Rectangle], tolerance: float = 0.0) -> NDArray[np.bool_]:
    """Return whether each of the points [...] is in a box or on its edge."""
    inside = [
        (x >= box.left - tolerance)
        & (x <= box.right + tolerance)
        & (y >= box.top - tolerance)
        & (y <= box.bottom + tolerance)
        for box in boxes
    ]
    found: NDArray[np.bool_] = np.any(inside, axis=0)
    return found


def _covered_areas(vertical: Floats, horizontal: Floats, boxes: Collection[Rectangle]) -> Floats:
    """Return the area [R, C] that boxes cover in each cell of a grid.

    All edges of cells and boxes divide the plane into rectangles that are inside or outside of a box as a whole.

    Args:
        vertical: [R + 1], edges of the rows, ascending.
        horizontal: [C + 1], edges of the columns, ascending.
        boxes: Boxes that may overlap.
    """
    y = np.unique(np.clip([*vertical, *(e for box in boxes for e in (box.top, box.bottom))], vertical[0], vertical[-1]))
    x = np.unique(
        np.clip([*horizontal, *(e for box in boxes for e in (box.left, box.right))], horizontal[0], horizontal[-1])
    )
    middle_y, middle_x = (y[1:] + y[:-1]) / 2, (x[1:] + x[:-1]) / 2
    inside = _is_inside(middle_x[None, :], middle_y[:, None], boxes)
    rows, columns = np.searchsorted(vertical, middle_y) - 1, np.searchsorted(horizontal, middle_x) - 1
    covered: Floats = np.zeros((len(vertical) - 1, len(horizontal) - 1))
    np.add.at(covered, (rows[:, None], columns[None, :]), inside * np.diff(y)[:, None] * np.diff(x)[None, :])
    return covered
