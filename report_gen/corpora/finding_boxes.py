"""Boxes around findings in the images of a corpus, and the side and zone of the chest that they imply."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple


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


class Side(StrEnum):
    """Side of the patient on which a finding is."""

    RIGHT = "right"
    LEFT = "left"
    BOTH = "both"
    MIDLINE = "midline"
    UNKNOWN = "unknown"


class Zone(StrEnum):
    """Zone of a lung: a third of its height in a frontal image."""

    UPPER = "upper"
    MID = "mid"
    LOWER = "lower"


_MIDLINE = 0.5
"""Horizontal position of the patient's midline in a frontal image."""
_CROSSING = 0.25
"""Share of a box beyond the midline from which the box counts as crossing it."""
_BOTH_WIDTH = 0.25
"""Width from which a box that crosses the midline reaches into both lungs; the mediastinum is narrower."""
_ZONES = {Zone.UPPER: (0.0, 0.32), Zone.MID: (0.32, 0.55), Zone.LOWER: (0.55, 1.0)}
"""Upper and lower end of each zone: thirds of lungs that reach from 0.10 to 0.77 of the height of a frontal image. In
ChestX-ray14, half of the boxes of pneumothoraces begin above 0.13, and half of those of hearts end below 0.74."""
_HALF_ZONE = 0.11
"""Half of the height of a third of a lung."""


def side_of_boxes(boxes: Iterable[FindingBox], *, paired: bool) -> Side:
    """Return the side of the patient that the boxes of one finding in a frontal image imply.

    A box lies on the side of its center. A box of which a quarter or more is beyond the midline is on both sides if it
    is wide, and in the midline if it is narrow. Several boxes on different sides are on both sides; boxes in the
    midline do not count beside others. The left half of a frontal image shows the patient's right side.

    Args:
        boxes: All boxes of one finding in one image; none gives UNKNOWN.
        paired: False for a finding of the midline, such as cardiomegaly, whose boxes give MIDLINE.
    """
    sides = {_side_of_box(box) for box in boxes}
    if not sides:
        return Side.UNKNOWN
    if not paired:
        return Side.MIDLINE
    lateral = sides - {Side.MIDLINE}
    if not lateral:
        return Side.MIDLINE
    return lateral.pop() if len(lateral) == 1 else Side.BOTH


def zones_of_boxes(boxes: Iterable[FindingBox], *, paired: bool) -> frozenset[Zone]:
    """Return the zones of the lungs that the boxes of one finding in a frontal image imply.

    A box is in a zone if half of the box is in it, or if the box covers half of the zone. A box over a whole lung is in
    all zones.

    Args:
        boxes: All boxes of one finding in one image; none gives no zone.
        paired: False for a finding of the midline, which is in no zone.
    """
    return frozenset(zone for box in boxes for zone in _zones_of_box(box)) if paired else frozenset()


def _side_of_box(box: FindingBox) -> Side:
    width = box.right - box.left
    on_the_right = (_MIDLINE - box.left) / width  # share of the box in the left half of the image; beyond 0..1 outside
    if _CROSSING < on_the_right < 1 - _CROSSING:
        return Side.BOTH if width >= _BOTH_WIDTH else Side.MIDLINE
    return Side.RIGHT if on_the_right > 0.5 else Side.LEFT


def _zones_of_box(box: FindingBox) -> Iterator[Zone]:
    enough = min(_HALF_ZONE, (box.bottom - box.top) / 2)
    for zone, (top, bottom) in _ZONES.items():
        if min(box.bottom, bottom) - max(box.top, top) >= enough:
            yield zone
