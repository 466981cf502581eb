"""Write a finding as one line of text for people, and read such a line back."""

from __future__ import annotations

import re

from report_gen.outputs.draft_terms import (
    LOCATION_SET,
    STATE_SET,
    STATE_WORDS,
    STATES_BY_WORD,
    finding_title,
    parse_title,
)
from report_gen.outputs.probability_text import probability_text
from report_gen.records import UNKNOWN_LOCATION, Finding, FindingLocation, Side, Zone, strip_controls

_PROBABILITY = re.compile(r"probability (?:[<>] )?([01]\.\d+)")


def describe_finding(finding: Finding) -> str:
    """Return a finding as one line, such as `Pleural Effusion: present; left, lower zone; probability 0.83.`

    It ends with a full stop because viewers join the texts of a container. The line has the state, side and zones of a
    finding that is stated, the probability with two decimals, and what the user set. Probabilities of side and zones
    are left out.
    """
    finding, parts = finding.with_stated_location(), [STATE_WORDS[finding.state]]
    if finding.location.known:
        parts.append(_describe_location(finding.location))
    if finding.probability is not None:
        parts.append(f"probability {probability_text(finding.probability)}")
    parts += [STATE_SET] * finding.overridden + [LOCATION_SET] * finding.location_overridden
    return f"{strip_controls(finding_title(finding))}: {'; '.join(parts)}."


def parse_finding(line: str) -> Finding | None:
    """Return the finding of a line of `describe_finding`; None for another text.

    "< 0.01" and "> 0.99" are read as 0.01 and 0.99: the line has no other number.
    """
    name, separator, rest = line.removesuffix(".").rpartition(": ")
    state, *parts = rest.split("; ")
    if not line.endswith(".") or not separator or state not in STATES_BY_WORD:
        return None
    location, probability = UNKNOWN_LOCATION, None
    for part in parts:
        if number := _PROBABILITY.fullmatch(part):
            probability = float(number[1])
        elif part not in (STATE_SET, LOCATION_SET):
            location = _parse_location(part)
    name, means_normal = parse_title(name)
    return Finding(
        name=name,
        means_normal=means_normal,
        state=STATES_BY_WORD[state],
        probability=probability,
        overridden=STATE_SET in parts,
        location=location,
        location_overridden=LOCATION_SET in parts,
    )


def _describe_location(location: FindingLocation) -> str:
    side = [] if location.side is Side.UNKNOWN else [location.side.value]
    return ", ".join([*side, *(f"{zone.value} zone" for zone in Zone if zone in location.zones)])


def _parse_location(text: str) -> FindingLocation:
    words = text.split(", ")
    side = next((side for side in Side if side.value in words), Side.UNKNOWN)
    return FindingLocation(side, frozenset(zone for zone in Zone if f"{zone.value} zone" in words))
