"""A draft as a picture: the image, the attention of each finding called present, and the text beside them."""

from __future__ import annotations

from report_gen.outputs.text import format_text
from report_gen.records.findings import FindingState
from report_gen.records.heatmap import Heatmap
from report_gen.records.report import Finding, Report
from report_gen.rendering.figures import attention_picture


def format_overlay(report: Report, attention: Heatmap) -> bytes:
    """A PNG. It shows the patient's image: keep it where the study may be.

    The finding that means that nothing is wrong follows from the others: it has no attention and is left out.
    """
    present = [one for one in report.findings if one.state is FindingState.PRESENT and one.name in attention.weights]
    present.sort(key=lambda finding: finding.probability or 0.0, reverse=True)
    return attention_picture(
        attention.image,
        {_title(one): attention.weights[one.name] for one in present},
        square=attention.square,
        text=format_text(report),
    )


def _title(finding: Finding) -> str:
    probability = "" if finding.probability is None else f" {finding.probability:.2f}"
    return f"{finding.name}{probability}{', overridden' if finding.overridden else ''}"
