"""List and name the present findings of a draft, for documents that show where they are."""

from __future__ import annotations

from report_gen.outputs.probability_text import probability_text, threshold_text
from report_gen.records import Finding, FindingState, Report


def present_findings(report: Report) -> tuple[Finding, ...]:
    """Return the present findings, the most probable first, without "no finding", which is nowhere in the image."""
    present = [one for one in report.findings if one.state is FindingState.PRESENT and not one.means_normal]
    return tuple(sorted(present, key=lambda finding: finding.probability or 0.0, reverse=True))


def no_present_finding(report: Report) -> str:
    """Return what a document says instead of a list of present findings, if a draft has none. No full stop ends it."""
    findings = [one for one in report.findings if not one.means_normal]
    uncertain = [one.name for one in findings if one.state is FindingState.UNCERTAIN]
    if uncertain:
        count = f"{len(uncertain)} {'is' if len(uncertain) == 1 else 'are'} uncertain"
        return f"No finding is present in the draft, but {count}: {', '.join(uncertain)}"
    if findings and all(one.state is FindingState.UNKNOWN for one in findings):
        return "No finding could be determined"
    return "No finding is present in the draft"


def finding_label(finding: Finding) -> str:
    """Return a finding in one line: "Pneumonia 0.50 (threshold 0.40)", or "Pneumonia 0.50, set by the user".

    The threshold says why a finding with a low probability is present. It does not apply to what the user set.
    """
    probability = "" if finding.probability is None else f" {probability_text(finding.probability)}"
    if finding.overridden:
        return f"{finding.name}{probability}, set by the user"
    threshold = finding.present_threshold if probability else None
    return f"{finding.name}{probability}" + ("" if threshold is None else f" (threshold {threshold_text(threshold)})")


def outline_label(finding: Finding) -> str:
    """Return the line of a finding with an outline. The outline is not where the user says that the finding is."""
    note = "; outline: attention of the model, not the location set by the user"
    return finding_label(finding) + (note if finding.location_overridden else "")
