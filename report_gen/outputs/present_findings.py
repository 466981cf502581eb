"""List and name the present findings of a draft, for documents that show where they are."""

from __future__ import annotations

from report_gen.outputs.probability_text import probability_text
from report_gen.records import Finding, FindingState, Report


def present_findings(report: Report) -> tuple[Finding, ...]:
    """Return the present findings, the most probable first, without "no finding", which is nowhere in the image."""
    present = [one for one in report.findings if one.state is FindingState.PRESENT and not one.means_normal]
    return tuple(sorted(present, key=lambda finding: finding.probability or 0.0, reverse=True))


def finding_label(finding: Finding) -> str:
    """Return a finding with its probability in one line: "Pneumonia 0.50, set by the reader"."""
    probability = "" if finding.probability is None else f" {probability_text(finding.probability)}"
    return f"{finding.name}{probability}{', set by the reader' if finding.overridden else ''}"
