"""Boxes around findings in the images of a corpus, and the side and zone of the chest that they imply."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from typing import NamedTuple

from report_gen.records import MIDLINE, UNKNOWN_LOCATION, ZONE_HEIGHTS, FindingLocation, Side, Zone


class FindingBox(NamedTuple):
    """A rectangle around a finding, in shares of the width and height of its image, which scaling does not change."""

    finding: str
    """Name of the finding in the schema."""
    left: float
    """Left edge, 0..1 from the left edge of the image, which shows the right side of the patient."""
    top: float
    """Upper edge, 0..1 from the upper edge of the image."""
    right: float
    bottom: float
    image: int = 0
    """Index of the image in its study."""

    @property
    def is_valid(self) -> bool:
        """Whether the box has an area and lies within the image."""
        edges = (self.left, self.top, self.right, self.bottom)
        inside = all(map(math.isfinite, edges)) and min(edges) >= 0 and max(edges) <= 1
        return inside and self.left < self.right and self.top < self.bottom and self.image >= 0


def boxes_of_kept_images(boxes: Iterable[FindingBox], kept: Sequence[bool]) -> Iterator[FindingBox]:
    """Yield the boxes of the images that are kept, with the index of each image among these.

    Args:
        boxes: Boxes of a study.
        kept: Whether each image of the study is kept.
    """
    return (box._replace(image=sum(kept[: box.image])) for box in boxes if kept[box.image])


_CROSSING = 0.25
"""Share of a box beyond the midline from which the box counts as crossing it."""
_BOTH_WIDTH = 0.25
"""Width from which a box that crosses the midline reaches into both lungs; the mediastinum is narrower."""
_HALF_ZONE = 0.11
"""Half of the height of a third of a lung."""


def location_of_boxes(boxes: Iterable[FindingBox], *, paired: bool) -> FindingLocation:
    """Return the side of the patient and the zones of the lungs that the boxes of one finding in a frontal image imply.

    A box lies on the side of its center. A box of which a quarter or more is beyond the midline is on both sides if it
    is wide, and in the midline if it is narrow. The left half of a frontal image shows the patient's right side. A box
    is in a zone if half of the box is in it, or if the box covers half of the zone. The locations of several boxes are
    joined (`FindingLocation.join`).

    Args:
        boxes: All boxes of one finding in one image; none gives an unknown location.
        paired: False for a finding of the midline, such as cardiomegaly: the side is MIDLINE, and no zone is known.
    """
    locations = [FindingLocation(_side_of_box(box), frozenset(_zones_of_box(box))) for box in boxes]
    if locations and not paired:
        return FindingLocation(Side.MIDLINE)
    return reduce(FindingLocation.join, locations, UNKNOWN_LOCATION)


def _side_of_box(box: FindingBox) -> Side:
    width = box.right - box.left
    on_the_right = (MIDLINE - box.left) / width  # share of the box in the left half of the image; beyond 0..1 outside
    if _CROSSING < on_the_right < 1 - _CROSSING:
        return Side.BOTH if width >= _BOTH_WIDTH else Side.MIDLINE
    return Side.RIGHT if on_the_right > 0.5 else Side.LEFT


def _zones_of_box(box: FindingBox) -> Iterator[Zone]:
    enough = min(_HALF_ZONE, (box.bottom - box.top) / 2)
    for zone, (top, bottom) in ZONE_HEIGHTS.items():
        if min(box.bottom, bottom) - max(box.top, top) >= enough:
            yield zone
