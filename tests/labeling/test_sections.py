"""cut_report: letters of hospitals, one-line reports and reports without headings."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_gen.labeling import cut_report
from report_gen.records import SectionName, format_report, parse_report

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
def test_findings_and_impression_are_split_as_by_parse_report(text: str) -> None:
    text = f"FINDINGS: {text}"
    sections = parse_report(text)
    joined = {
        name.lower(): " ".join(dict.fromkeys(s.text for s in sections if s.name is name)) for name in SectionName
    }  # a repeated sentence counts once
    assert {name: body for name, body in cut_report(text).items() if body} == {n: b for n, b in joined.items() if b}
    assert cut_report(format_report(sections)).get("findings", "") == joined["findings"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "WET READ: ___ ___ 9:10 PM\n   Effusion.\n" + "_" * 78 + "\n          FINAL REPORT\n"
            " HISTORY:  ___F with fever.\n\n FINDINGS:  Clear.\n\n IMPRESSION:  Normal.\n",
            {"indication": "___F with fever.", "findings": "Clear.", "impression": "Normal."},
            id="a preliminary reading before the final report",
        ),
        pytest.param(
            "          FINAL REPORT\n ADDENDUM  Told to Dr. ___ at ___.\n"
            + "_" * 78
            + "\n          FINAL REPORT\n CHEST\n\n FINDINGS: Clear.\n",
            {"findings": "Clear."},
            id="an addendum before",
        ),
        pytest.param(
            "FINAL REPORT\n FINDINGS: Clear.\n IMPRESSION: Normal.\n\n ADDENDUM: Side mark ___.\n",
            {"findings": "Clear.", "impression": "Normal."},
            id="an addendum behind",
        ),
        pytest.param(
            "FINAL REPORT\n FINDINGS: Clear.\n FINAL REPORT\n ADDENDUM  Told to Dr. ___.\n",
            {"findings": "Clear."},
            id="a final report that is an addendum alone",
        ),
        pytest.param(
            "INDICATION: Cough. COMPARISON: ___. FINDINGS: Clear. IMPRESSION: Normal.",
            {"indication": "Cough.", "comparison": "___.", "findings": "Clear.", "impression": "Normal."},
            id="headings within a line",
        ),
        pytest.param(
            "Findings: Clear. Impression: Normal. Other conclusions: none.",
            {"findings": "Clear.", "impression": "Normal. Other conclusions: none."},
            id="headings within a line in small letters",
        ),
        pytest.param("FINDINGS AND IMPRESSION: Clear.", {"findings": "Clear."}, id="both at once"),
        pytest.param("FINDINGS/IMPRESSION:\n Clear.", {"findings": "Clear."}, id="both at once with a slash"),
        pytest.param(
            "INDICATION: Cough.\n COMPARISON: None.\n\n Heart normal.\n Lungs clear.\n\n No effusion.\n",
            {"indication": "Cough.", "comparison": "None.", "findings": "Heart normal. Lungs clear. No effusion."},
            id="paragraphs under the last heading",
        ),
        pytest.param(
            "HISTORY:\n\n Cough.\n\n Lungs clear.\n\n IMPRESSION: Normal.",
            {"indication": "Cough.", "findings": "Lungs clear.", "impression": "Normal."},
            id="paragraphs before the impression",
        ),
        pytest.param(
            "HISTORY: Cough.\n\n FINDINGS: Clear.\n\n RECOMMENDATION(S): None.\n\n Signed.",
            {"indication": "Cough.", "findings": "Clear."},
            id="recommendations are dropped",
        ),
        pytest.param("FINAL REPORT\n CHEST, ___\n\n Lungs clear.", {"findings": "Lungs clear."}, id="no heading"),
        pytest.param("LUNGS CLEAR.\nNO EFFUSION.", {"findings": "LUNGS CLEAR. NO EFFUSION."}, id="all in capitals"),
        pytest.param(
            "HISTORY: Cough.\n PORTABLE AP CHEST, ___:  Lungs clear.\n IMPRESSION: Normal.",
            {"indication": "Cough.", "findings": "Lungs clear.", "impression": "Normal."},
            id="the images as a heading",
        ),
        pytest.param(
            "CHEST, PA AND LATERAL:\n\n HISTORY: Cough.\n\n FINDINGS: Clear.\n",
            {"indication": "Cough.", "findings": "Clear."},
            id="the images as a title",
        ),
        pytest.param(
            "FINDINGS: Clear.\n IMPRESSION: Normal.\n IMPRESSION: Normal.",
            {"findings": "Clear.", "impression": "Normal."},
            id="an impression twice",
        ),
        pytest.param(
            "IMPRESSION:\n\n IMPRESSION: 1. Edema.\n IMPRESSION: 2. Effusion.",
            {"impression": "1. Edema. 2. Effusion."},
            id="an impression in pieces",
        ),
        pytest.param(
            "FINDNGS: Clear.\n IMPRESSON: Normal.\n COMPARSION: None.",
            {"findings": "Clear.", "impression": "Normal.", "comparison": "None."},
            id="misspelled",
        ),
        pytest.param(
            "FINDINGS:\n LUNGS: Clear.\n BONES: Normal.\n COMPRESSION: none.",
            {"findings": "LUNGS: Clear. BONES: Normal. COMPRESSION: none."},
            id="organs are no headings",
        ),
        pytest.param("FINDINGS\r\nClear.\r\nIMPRESSION\r\nNormal.", {"findings": "Clear.", "impression": "Normal."}),
        pytest.param(
            "FINDINGS: Nodes\n                     (Over)\n\n          (Cont)\n are small.",
            {"findings": "Nodes are small."},
            id="a page turn",
        ),
        pytest.param(
            "INDICATION: Cough.\n NOTIFICATION: By telephone.", {"indication": "Cough."}, id="nothing about the images"
        ),
        pytest.param("", {}, id="empty"),
        pytest.param("FINAL REPORT\n\n", {}, id="empty report"),
    ],
)
def test_irregular_reports(text: str, expected: dict[str, str]) -> None:
    assert cut_report(text) == expected


def test_the_time_is_linear_in_the_length_of_a_report() -> None:
    """Each of the patterns is linear: 2 MB in a few seconds on a slow machine."""
    began = time.perf_counter()
    cut_report("FINDINGS: " + "CHEST AND LUNGS ARE clear, ___ " * 30_000 + "\n" * 50_000 + "A B C D " * 50_000)
    assert time.perf_counter() - began < 20
