"""Write a draft as plain text."""

from __future__ import annotations

from dataclasses import replace

from report_gen.outputs.draft_terms import FINDINGS_FROM_TEXT, IMAGES_SENT, REVISION, UNKNOWN_WEIGHTS
from report_gen.outputs.finding_lines import describe_finding
from report_gen.records import BANNER, Provenance, Report, strip_controls

FINDING_PREFIX = "FINDING: "
"""Beginning of the line of a finding that the user set."""
COMPARED_PREFIX = "Compared with the prior study "
"""Beginning of the line that identifies the prior study."""
_MOST_IMAGES = 4
"""Images of a prior study without UID that the line names."""


def format_text(report: Report) -> str:
    """Write a draft as text: banner, notices, what the user set, sections and model, with a line end at the end.

    Control characters are removed because the terminal that displays the draft would act on them.

    Args:
        report: Draft.

    Returns:
        Text of several lines.
    """
    blocks = [
        [BANNER],
        [notice_line(notice) for notice in report.notices],
        [
            FINDING_PREFIX + describe_finding(replace(finding, probability=None))
            for finding in report.findings
            if finding.overridden or finding.location_overridden
        ],
        *([f"{section.name.value}:", strip_controls(section.text)] for section in report.sections),
        [*([FINDINGS_FROM_TEXT] if report.findings_from_text else []), *compared_lines(report), model_line(report)],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def notice_line(notice: str) -> str:
    """Return a notice as a line of text."""
    return f"NOTICE: {strip_controls(notice)}"


def compared_lines(report: Report) -> list[str]:
    """Return a line that identifies the prior study of a draft by its UID, or else by its images; none without one."""
    comparison = report.provenance.comparison
    if comparison is None:
        return []
    images = ", ".join(file.sha256[:12] for file in comparison.inputs[:_MOST_IMAGES])
    others = len(comparison.inputs) - _MOST_IMAGES
    more = f" and {others} more" if others > 0 else ""
    named = strip_controls(comparison.study_instance_uid or "") or f"with the images {images}{more}"
    return [f"{COMPARED_PREFIX}{named}."]


def model_line(report: Report) -> str:
    """Return the line that names the model of a draft, and the computer to which the images were sent."""
    provenance = report.provenance
    sent = f", {IMAGES_SENT}{strip_controls(provenance.endpoint)}" if provenance.endpoint else ""
    return f"Drafted by {strip_controls(provenance.model_name)}, {describe_weights(provenance, digits=12)}{sent}."


def describe_weights(provenance: Provenance, *, digits: int = 64) -> str:
    """Return what identifies the weights: "weights 0123456789ab, revision 89abcdef".

    Args:
        provenance: Provenance of a draft.
        digits: Digits of their SHA-256 that are written.
    """
    revision = f", {REVISION}{strip_controls(provenance.model_revision)}" if provenance.model_revision else ""
    return f"weights {provenance.weights_sha256[:digits] or UNKNOWN_WEIGHTS}{revision}"
