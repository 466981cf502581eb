"""The text of a draft, character by character."""

from __future__ import annotations

from dataclasses import replace

from report_gen.outputs import format_text
from report_gen.records import BANNER, Report


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


def test_an_empty_draft_still_begins_with_the_banner(report: Report) -> None:
    empty = replace(report, sections=(), findings=(), notices=())
    assert format_text(empty) == f"{BANNER}\n\nDrafted by tiny, weights 0123456789ab.\n"
