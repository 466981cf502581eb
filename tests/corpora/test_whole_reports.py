"""cut_report: letters of hospitals, one-line reports and reports without headings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_gen.corpora.whole_reports import cut_report
from report_gen.report import SectionName, format_report, parse_report

LETTER = """FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  Fever and cough.
 TECHNIQUE: Two views.

 Comparison: None.

 FINDINGS:

 Lungs: Clear.
 Heart: Normal in
 size.

 IMPRESSION:  No pneumonia.

 NOTIFICATION: By telephone.
"""


def test_a_letter_is_cut_at_its_known_headings() -> None:
    assert cut_report(LETTER) == {
        "indication": "Fever and cough.",
        "comparison": "None.",
        "findings": "Lungs: Clear. Heart: Normal in size.",
        "impression": "No pneumonia.",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Clear lungs.", {"findings": "Clear lungs."}),
        ("Clear lungs.\nImpression: Normal.", {"findings": "Clear lungs.", "impression": "Normal."}),
        ("FINDINGS: Clear. IMPRESSION: Normal.", {"findings": "Clear.", "impression": "Normal."}),
        ("FINDINGS: Clear. Other findings: none.", {"findings": "Clear. Other findings: none."}),
        ("CHEST\nFindings: Clear.\nFindings: Dim.", {"findings": "Clear. Dim."}),
    ],
)
def test_short_reports(text: str, expected: dict[str, str]) -> None:
    assert cut_report(text) == expected


@given(st.lists(st.sampled_from(["FINDINGS:", "IMPRESSION:", "Clear.", "Stable.", "\n"])).map(" ".join))
def test_of_findings_and_impressions_it_is_the_twin_of_parse_report(text: str) -> None:
    text = f"FINDINGS: {text}"
    sections = parse_report(text)
    joined = {name.lower(): " ".join(s.text for s in sections if s.name is name) for name in SectionName}
    assert {name: body for name, body in cut_report(text).items() if body} == {n: b for n, b in joined.items() if b}
    assert cut_report(format_report(sections)).get("findings", "") == joined["findings"]
