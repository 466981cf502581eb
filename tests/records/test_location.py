"""Locations of findings."""

from __future__ import annotations

import pytest

from report_gen.records import (
    LOCATION_PARTS,
    UNKNOWN_LOCATION,
    FindingLocation,
    Side,
    Zone,
    join_sides,
    location_from_parts,
    location_to_parts,
)


@pytest.mark.parametrize(
    ("sides", "joined"),
    [
        ("", "unknown"),
        ("right", "right"),
        ("right left", "both"),
        ("both right", "both"),
        ("unknown left", "left"),
        ("midline left", "left"),
        ("midline unknown", "midline"),
        ("midline both", "both"),
        ("right right", "right"),
    ],
)
def test_sides_of_one_finding_are_joined(sides: str, joined: str) -> None:
    assert join_sides(*map(Side, sides.split())) is Side(joined)
    assert join_sides(*map(Side, reversed(sides.split()))) is Side(joined)


def test_locations_of_one_finding_are_joined() -> None:
    right_base = FindingLocation(Side.RIGHT, frozenset({Zone.LOWER}))
    left_apex = FindingLocation(Side.LEFT, frozenset({Zone.UPPER}))
    assert right_base.join(left_apex) == FindingLocation(Side.BOTH, frozenset({Zone.UPPER, Zone.LOWER}))
    assert right_base.join(UNKNOWN_LOCATION) == right_base


def test_only_unknown_parts_are_taken_from_another_location() -> None:
    left, right_base = FindingLocation(Side.LEFT), FindingLocation(Side.RIGHT, frozenset({Zone.LOWER}))
    assert left.or_else(right_base) == FindingLocation(Side.LEFT, frozenset({Zone.LOWER}))
    assert right_base.or_else(left) == right_base


def test_a_location_is_known_if_its_side_or_a_zone_is() -> None:
    assert not UNKNOWN_LOCATION.known
    assert FindingLocation(Side.MIDLINE).known
    assert FindingLocation(zones=frozenset({Zone.MID})).known


@pytest.mark.parametrize(
    ("location", "parts"),
    [
        (UNKNOWN_LOCATION, ""),
        (FindingLocation(Side.LEFT), "left"),
        (FindingLocation(Side.BOTH, frozenset({Zone.LOWER, Zone.UPPER})), "right left upper lower"),
        (FindingLocation(zones=frozenset({Zone.MID})), "mid"),
    ],
)
def test_a_location_has_parts(location: FindingLocation, parts: str) -> None:
    flags = location_to_parts(location)
    assert " ".join(part for part, is_part in zip(LOCATION_PARTS, flags, strict=True) if is_part) == parts
    assert location_from_parts(flags) == location


def test_a_midline_has_no_part() -> None:
    assert not any(location_to_parts(FindingLocation(Side.MIDLINE)))


def test_the_sides_of_a_location() -> None:
    sides = {side: FindingLocation(side).sides for side in Side}
    assert sides == {
        Side.RIGHT: {Side.RIGHT},
        Side.LEFT: {Side.LEFT},
        Side.BOTH: {Side.RIGHT, Side.LEFT},
        Side.MIDLINE: set(),
        Side.UNKNOWN: set(),
    }
