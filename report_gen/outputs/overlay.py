"""Draw a draft as an image: the radiograph, the attention of each present finding over it, and the text."""

from __future__ import annotations

from report_gen.outputs.text import format_text
from report_gen.records import Finding, FindingState, Heatmap, Report
from report_gen.rendering.figures import draw_attention


def format_overlay(report: Report, attention: Heatmap) -> bytes:
    """Draw the image of a study, the attention of its present findings, and the draft, as a PNG file.

    The PNG shows the patient's image, so it must be protected like the study.

    Args:
        report: Draft.
        attention: Attention weights of the same study. A finding that has none is not drawn.
    """
    present = [
        finding
        for finding in report.findings
        if finding.state is FindingState.PRESENT and finding.name in attention.weights
    ]
    present.sort(key=lambda finding: finding.probability or 0.0, reverse=True)
    return draw_attention(
        attention.image,
        {_title(finding): attention.weights[finding.name] for finding in present},
        square=attention.square,
        part=attention.part,
        text=format_text(report),
    )


def _title(finding: Finding) -> str:
    probability = "" if finding.probability is None else f" {finding.probability:.2f}"
    return f"{finding.name}{probability}{', overridden' if finding.overridden else ''}"
