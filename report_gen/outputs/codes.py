"""Codes of sections, states, sides and findings. PLACEHOLDER of branch fhir until the table of branch dcm exists."""

from __future__ import annotations

from dataclasses import dataclass

from report_gen.records import FindingState, SectionName, Side


@dataclass(frozen=True)
class Code:
    """A code of a terminology."""

    value: str
    scheme: str
    """Coding Scheme Designator of DICOM (PS3.16 8)."""
    meaning: str


REPORT = Code("18748-4", "LN", "Diagnostic imaging study")
SECTIONS = {
    SectionName.FINDINGS: Code("59776-5", "LN", "Findings"),
    SectionName.IMPRESSION: Code("19005-8", "LN", "Impression"),
}
STATES = {
    FindingState.PRESENT: Code("52101004", "SCT", "Present"),
    FindingState.ABSENT: Code("272519000", "SCT", "Absent"),
    FindingState.UNCERTAIN: Code("64957009", "SCT", "Uncertain"),
}
SIDES = {
    Side.RIGHT: Code("24028007", "SCT", "Right"),
    Side.LEFT: Code("7771000", "SCT", "Left"),
    Side.BOTH: Code("51440002", "SCT", "Right and left"),
    Side.MIDLINE: Code("399488007", "SCT", "Midline"),
}


def finding_code(name: str) -> Code | None:
    """Return the code of a finding; None if the table has none."""
    return None
