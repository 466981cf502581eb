"""Write a finding as one line of text for people, and read such a line back."""

from __future__ import annotations

import re

from report_gen.records import UNKNOWN_LOCATION, Finding, FindingLocation, FindingState, Side, Zone, strip_controls

_WORDS = {state: "unknown" if state is FindingState.UNKNOWN else state.value for state in FindingState}
_STATES = {word: state for state, word in _WORDS.items()}
_STATE_SET, _LOCATION_SET = "state set by the user", "location set by the user"
_PROBABILITY = re.compile(r"probability ([01]\.\d+)")


def describe_finding(finding: Finding) -> str:
    """Return a finding as one line, such as `Pleural Effusion: present; left, lower zone; probability 0.83.`

    It ends with a full stop because viewers join the texts of a container. The line has the state, side and zones of a
    finding that is stated, the probability with two decimals, and what the user set. Probabilities of side and zones
    are left out.
    """
    parts = [_WORDS[finding.state]]
    if finding.state.is_stated and finding.location.known:
        parts.append(_describe_location(finding.location))
    if finding.probability is not None:
        parts.append(f"probability {finding.probability:.2f}")
    parts += [_STATE_SET] * finding.overridden + [_LOCATION_SET] * finding.location_overridden
    return f"{strip_controls(finding.name)}: {'; '.join(parts)}."


def parse_finding(line: str) -> Finding | None:
    """Return the finding of a line of `describe_finding`; None for another text."""
    name, separator, rest = line.removesuffix(".").rpartition(": ")
    state, *parts = rest.split("; ")
    if not line.endswith(".") or not separator or state not in _STATES:
        return None
    location, probability = UNKNOWN_LOCATION, None
    for part in parts:
        if number := _PROBABILITY.fullmatch(part):
            probability = float(number[1])
        elif part not in (_STATE_SET, _LOCATION_SET):
            location = _parse_location(part)
    return Finding(
        name=name,
        state=_STATES[state],
        probability=probability,
        overridden=_STATE_SET in parts,
        location=location,
        location_overridden=_LOCATION_SET in parts,
    )


def _describe_location(location: FindingLocation) -> str:
    side = [] if location.side is Side.UNKNOWN else [location.side.value]
    return ", ".join([*side, *(f"{zone.value} zone" for zone in Zone if zone in location.zones)])


def _parse_location(text: str) -> FindingLocation:
    words = text.split(", ")
    side = next((side for side in Side if side.value in words), Side.UNKNOWN)
    return FindingLocation(side, frozenset(zone for zone in Zone if f"{zone.value} zone" in words))
