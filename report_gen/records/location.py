"""Location of a finding in a frontal chest radiograph: the side of the patient and the zones of the lungs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Side(StrEnum):
    """Side of the patient. The patient's right is the left of a frontal image."""

    RIGHT = "right"
    LEFT = "left"
    BOTH = "both"
    MIDLINE = "midline"
    UNKNOWN = "unknown"


class Zone(StrEnum):
    """Zone of a lung: a third of its height in a frontal image.

    A finding may occupy several zones, so a location has a set of zones. The empty set means that nothing is known, and
    all zones mean a diffuse finding. An image model gives a probability to each zone.
    """

    UPPER = "upper"
    MID = "mid"
    LOWER = "lower"


MIDLINE = 0.5
"""Horizontal position of the patient's midline in a frontal image, a share of its width. The patient's right is left of
it."""

ZONE_HEIGHTS: Mapping[Zone, tuple[float, float]] = MappingProxyType(
    {Zone.UPPER: (0.0, 0.32), Zone.MID: (0.32, 0.55), Zone.LOWER: (0.55, 1.0)}
)
"""Upper and lower end of each zone, shares of the height of a frontal image: thirds of lungs that reach from 0.10 to
0.77. In ChestX-ray14, half of the boxes of pneumothoraces begin above 0.13, and half of those of hearts end below
0.74."""


@dataclass(frozen=True)
class FindingLocation:
    """Side and zones of a finding."""

    side: Side = Side.UNKNOWN
    zones: frozenset[Zone] = frozenset()

    @property
    def known(self) -> bool:
        """Whether the side or a zone is known."""
        return self.side is not Side.UNKNOWN or bool(self.zones)

    @property
    def sides(self) -> frozenset[Side]:
        """Right, left, or both of them; empty for an unknown side and for the midline."""
        if self.side is Side.BOTH:
            return frozenset({Side.RIGHT, Side.LEFT})
        return frozenset({self.side}) & {Side.RIGHT, Side.LEFT}

    def join(self, other: FindingLocation) -> FindingLocation:
        """Return the location of a finding that is at both locations.

        Right and left give BOTH. An unknown side or a midline gives way to another side.
        """
        return FindingLocation(join_sides(self.side, other.side), self.zones | other.zones)

    def or_else(self, other: FindingLocation) -> FindingLocation:
        """Return this location with its unknown parts taken from another one."""
        side = other.side if self.side is Side.UNKNOWN else self.side
        return FindingLocation(side, self.zones or other.zones)


UNKNOWN_LOCATION = FindingLocation()
"""Nothing is known about a location."""


def join_sides(*sides: Side) -> Side:
    """Return the side of a finding that is at all of these sides; see `FindingLocation.join`."""
    named = set(sides)
    if Side.BOTH in named or {Side.RIGHT, Side.LEFT} <= named:
        return Side.BOTH
    return next((side for side in (Side.RIGHT, Side.LEFT, Side.MIDLINE) if side in named), Side.UNKNOWN)


LOCATION_PARTS: tuple[Side | Zone, ...] = (Side.RIGHT, Side.LEFT, Zone.UPPER, Zone.MID, Zone.LOWER)
"""Order of the P parts of a location in every tensor of them. A finding on both sides has the parts right and left."""


def location_to_parts(location: FindingLocation) -> tuple[bool, ...]:
    """Return which of `LOCATION_PARTS` a location has. All are false if nothing is known, or for a midline."""
    return tuple(part in location.sides or part in location.zones for part in LOCATION_PARTS)


def location_from_parts(parts: Sequence[bool]) -> FindingLocation:
    """Return the location that has these `LOCATION_PARTS`, as `location_to_parts` gives them."""
    named = [part for part, is_part in zip(LOCATION_PARTS, parts, strict=True) if is_part]
    sides = [part for part in named if isinstance(part, Side)]
    return FindingLocation(join_sides(*sides), frozenset(part for part in named if isinstance(part, Zone)))
