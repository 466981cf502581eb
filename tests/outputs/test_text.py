"""The text of a draft, character by character."""

from __future__ import annotations

from dataclasses import replace

import pytest

from report_gen.metrics.draft_files import strip_draft
from report_gen.outputs import format_text
from report_gen.reading.text_reports import parse_text_report
from report_gen.records import BANNER, InputFile, PriorComparison, Report


def test_a_draft_as_text(report: Report) -> None:
    assert format_text(report) == (
        "DRAFT - not for diagnosis - to be reviewed by a radiologist\n"
        "\n"
        "NOTICE: Lateral view only.\n"
        "\n"
        "FINDING: Pneumonia: present; left, mid zone, lower zone; state set by the user; location set by the user.\n"
        "\n"
        "FINDINGS:\n"
        "Clear [31mlungs. Café sign.\n"
        "\n"
        "IMPRESSION:\n"
        "Normal.\n"
        "\n"
        "Drafted by tiny, weights 0123456789ab.\n"
    )


@pytest.mark.parametrize(
    ("uid", "images", "line"),
    [
        ("1.2.9", 1, "Compared with the prior study 1.2.9."),
        (None, 1, "Compared with the prior study with the images eeeeeeeeeeee."),
        (None, 6, f"Compared with the prior study with the images {', '.join(['e' * 12] * 4)} and 2 more."),
    ],
)
def test_the_prior_study_is_identified(report: Report, uid: str | None, images: int, line: str) -> None:
    inputs = (InputFile(sha256="ee" * 32, sop_instance_uid=None),) * images
    comparison = PriorComparison(study_instance_uid=uid, inputs=inputs, days_earlier=None, method="method")
    compared = replace(report, provenance=replace(report.provenance, comparison=comparison))
    assert format_text(compared).endswith(f"IMPRESSION:\nNormal.\n\n{line}\nDrafted by tiny, weights 0123456789ab.\n")
    assert parse_text_report(format_text(compared)).sections == parse_text_report(format_text(report)).sections
    assert strip_draft(format_text(compared)) == strip_draft(format_text(report)) != ""


def test_an_empty_draft_still_begins_with_the_banner(report: Report) -> None:
    empty = replace(report, sections=(), findings=(), notices=())
    assert format_text(empty) == f"{BANNER}\n\nDrafted by tiny, weights 0123456789ab.\n"
