"""Draw a draft as an image: the radiograph, the attention of each present finding over it, and the text."""

from __future__ import annotations

from report_gen.outputs.present_findings import finding_label, present_findings
from report_gen.outputs.text import format_text
from report_gen.records import Heatmap, Report
from report_gen.rendering.figures import draw_attention


def format_overlay(report: Report, attention: Heatmap) -> bytes:
    """Draw the image of a study, the attention of its present findings, and the draft, as a PNG file.

    The PNG shows the patient's image, so it must be protected like the study.

    Args:
        report: Draft.
        attention: Attention weights of the same study. A finding that has none is not drawn.
    """
    present = [finding for finding in present_findings(report) if finding.name in attention.weights]
    return draw_attention(
        attention.image,
        {finding_label(finding): attention.weights[finding.name] for finding in present},
        square=attention.square,
        part=attention.part,
        text=format_text(report),
    )
