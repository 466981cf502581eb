"""Texts that drafts have in several formats, and by which `report_gen.reading` recognizes them. It loads no library."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from report_gen.records import FindingState

STATE_SET, LOCATION_SET = "state set by the user", "location set by the user"
"""What the user set of a finding."""
STATE_WORDS: Mapping[FindingState, str] = MappingProxyType(
    {
        FindingState.PRESENT: "present",
        FindingState.UNCERTAIN: "uncertain",
        FindingState.ABSENT: "absent",
        # FindingState.UNKNOWN is an alias of NOT_MENTIONED, which is the word for a text and not for an image.
        FindingState.UNKNOWN: "unknown",
    }
)
"""Words for the states of a finding, the states that matter most first."""
STATES_BY_WORD: Mapping[str, FindingState] = MappingProxyType({word: state for state, word in STATE_WORDS.items()})
