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
    """Zone of the lungs in which a finding is."""

    UPPER = "upper"
    MID = "mid"
    LOWER = "lower"
    UNKNOWN = "unknown"


_MIDLINE = 0.5
"""Horizontal position of the patient's midline in a frontal image."""
_CROSSING = 0.25
"""Share of a box beyond the midline from which the box counts as crossing it."""
_BOTH_WIDTH = 0.25
"""Width from which a box that crosses the midline reaches into both lungs; the mediastinum is narrower."""
_ZONES = ((0.38, Zone.UPPER), (0.6, Zone.MID), (1.0, Zone.LOWER))
"""Lower end of each zone: thirds of the lungs, which reach from about 0.15 to 0.83 of the height of a frontal image."""
_SINGLE_ZONE_HEIGHT = 0.45
"""Height up to which a box lies in one zone, that of its center; a higher box covers two thirds of a lung or more."""


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


def zone_of_boxes(boxes: Iterable[FindingBox], *, paired: bool) -> Zone:
    """Return the zone of the lungs that the boxes of one finding in a frontal image imply.

    Args:
        boxes: All boxes of one finding in one image.
        paired: False for a finding of the midline, which is in no zone.

    Returns:
        The zone of the centers of the boxes. UNKNOWN if there is no box, the zones differ, or a box is so high that it
        covers more than one zone.
    """
    zones = {_zone_of_box(box) for box in boxes} if paired else set()
    return zones.pop() if len(zones) == 1 else Zone.UNKNOWN


def _side_of_box(box: FindingBox) -> Side:
    width = box.right - box.left
    on_the_right = (_MIDLINE - box.left) / width  # share of the box in the left half of the image; beyond 0..1 outside
    if _CROSSING < on_the_right < 1 - _CROSSING:
        return Side.BOTH if width >= _BOTH_WIDTH else Side.MIDLINE
    return Side.RIGHT if on_the_right > 0.5 else Side.LEFT


def _zone_of_box(box: FindingBox) -> Zone:
    if box.bottom - box.top > _SINGLE_ZONE_HEIGHT:
        return Zone.UNKNOWN
    center = (box.top + box.bottom) / 2
    return next(zone for end, zone in _ZONES if center <= end)
