"""Texts that drafts have in several formats, and by which `report_gen.reading` recognizes them. It loads no library."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from report_gen.records import Finding, FindingState

STATE_SET, LOCATION_SET = "state set by the user", "location set by the user"
"""What the user set of a finding."""
FROM_TEXT = "read from the text by the labeler; the model predicts none"
"""How the state of a finding was decided, where a format states the method of each finding for programs."""
FINDINGS_FROM_TEXT = f"Coded findings: {FROM_TEXT}."
"""Line of a draft whose findings were read from its text, once for all findings; not to be confused with its section
FINDINGS, which the model wrote."""
IMAGES_SENT = "images sent to "
"""Beginning of the statement that the images were sent to another computer; the name of its host follows."""
REVISION = "revision "
"""Beginning of the commit of the weights at a hub."""
UNKNOWN_WEIGHTS = "unknown"
"""Stands for the digest of weights that this computer does not have."""
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

_NORMAL_STUDY = " (normal study)"
"""Added to the name of "no finding" in documents, because "No Finding: present" is hard to understand."""


def finding_title(finding: Finding) -> str:
    """Return the name of a finding as documents write it: "Edema", "No Finding (normal study)"."""
    return f"{finding.name}{_NORMAL_STUDY}" if finding.means_normal else finding.name


def parse_title(title: str) -> tuple[str, bool]:
    """Return the name of a finding, and whether it means a normal study, from the text of `finding_title`."""
    return title.removesuffix(_NORMAL_STUDY), title.endswith(_NORMAL_STUDY)
