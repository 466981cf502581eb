"""A draft as plain text."""

from __future__ import annotations

from report_gen.records.report import BANNER, Report, strip_controls


def format_text(report: Report) -> str:
    """The banner first, then notices, the sections, and last which model wrote it; ends in a line end.

    Control characters are stripped, so that nothing in a draft acts on the terminal that shows it.
    """
    provenance = report.provenance
    blocks = [
        [BANNER],
        [f"NOTICE: {strip_controls(notice)}" for notice in report.notices],
        *([f"{section.name.value}:", strip_controls(section.text)] for section in report.sections),
        [f"Drafted by {strip_controls(provenance.model_name)}, weights {provenance.weights_sha256[:12]}."],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"
