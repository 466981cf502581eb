"""cut_report: letters of hospitals, one-line reports and reports without headings."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_gen.labeling import cut_report, sentence_spans
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
        ("COMPARISON: None. FINDINGS: Clear.", {"comparison": "None.", "findings": "Clear."}),
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
        pytest.param(
            "INDICATION\nCough\nFINDINGS\nLungs clear\nImpression\nNormal",
            {"indication": "Cough", "findings": "Lungs clear", "impression": "Normal"},
            id="headings alone on a line",
        ),
        pytest.param(
            "Clinical history - effusion\nFindings - no effusion\nImpression \u2013 normal",
            {"indication": "effusion", "findings": "no effusion", "impression": "normal"},
            id="headings with a dash",
        ),
        pytest.param(
            "**Findings** Heart enlarged. **Impression:** Cardiomegaly.",
            {"findings": "Heart enlarged.", "impression": "Cardiomegaly."},
            id="headings between asterisks",
        ),
        pytest.param(
            "## Findings\nClear.\n## Impression\nNormal.",
            {"findings": "Clear.", "impression": "Normal."},
            id="headings of a markup language",
        ),
        pytest.param(
            "INDICATION Cough. FINDINGS The lungs are clear. IMPRESSION No acute disease.",
            {"indication": "Cough.", "findings": "The lungs are clear.", "impression": "No acute disease."},
            id="headings in capital letters before a sentence",
        ),
        pytest.param(
            "findings : clear . impression : normal .",
            {"findings": "clear .", "impression": "normal ."},
            id="tokens of a scorer",
        ),
        pytest.param(
            "PORTABLE AP CHEST RADIOGRAPH\nLarge effusion.",
            {"findings": "Large effusion."},
            id="a title alone on a line",
        ),
        pytest.param(
            "History: Fall.\nChest, two views\n\nFracture of a rib.",
            {"indication": "Fall.", "findings": "Fracture of a rib."},
            id="a title in small letters",
        ),
        pytest.param(
            "PORTABLE CHEST, 10:15 AM\nDr. Roe\n\nFINDINGS: Clear.",
            {"findings": "Clear."},
            id="a title before findings",
        ),
        pytest.param(
            "REASON FOR EXAM: Cough.\n\nLarge right pneumothorax.",
            {"indication": "Cough.", "findings": "Large right pneumothorax."},
            id="a paragraph after the reason",
        ),
        pytest.param(
            "HISTORY: Cough.\nCOMPARISON: None.\nLungs clear.",
            {"indication": "Cough.", "comparison": "None.", "findings": "Lungs clear."},
            id="a line after the comparison",
        ),
        pytest.param(
            "COMPARISON: None. Lungs clear.",
            {"comparison": "None.", "findings": "Lungs clear."},
            id="a sentence after it",
        ),
        pytest.param(
            "COMPARISON: CT of ___. Radiograph of ___.\n\nFINDINGS: Clear.",
            {"comparison": "CT of ___. Radiograph of ___.", "findings": "Clear."},
            id="two sentences of a comparison",
        ),
        pytest.param(
            "Lungs clear.\nCOMPARISON: None.", {"comparison": "None.", "findings": "Lungs clear."}, id="findings first"
        ),
        pytest.param(
            "FINDINGS: The effusion is unchanged in\ncomparison\nwith the prior.",
            {"findings": "The effusion is unchanged in comparison with the prior."},
            id="a word alone on a wrapped line",
        ),
        pytest.param(
            "CHIEF COMPLAINT: Cough.\nDescription: Clear.\nInterpretation: Normal.",
            {"indication": "Cough.", "findings": "Clear.", "impression": "Normal."},
            id="other names",
        ),
        pytest.param("", {}, id="empty"),
        pytest.param("FINAL REPORT\n\n", {}, id="empty report"),
    ],
)
def test_irregular_reports(text: str, expected: dict[str, str]) -> None:
    assert cut_report(text) == expected


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("REASON FOR EXAM: Edema.\r\n\r\nLarge effusion. Clear lungs.", ["Large effusion.", "Clear lungs."]),
        ("Findings - clear\nRecommendation: CT for nodules.", ["clear"]),
        ("WET READ: Edema.\nFINAL REPORT\nFINDINGS: No\nedema.", ["No\nedema."]),
        ("Lungs: Clear.\nHeart: Large.", ["Lungs: Clear.", "Heart: Large."]),
        ("Edema: absent\nEffusion: present", ["Edema: absent", "Effusion: present"]),
    ],
)
def test_the_labeler_reads_the_same_sections(text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences


def test_the_time_is_linear_in_the_length_of_a_report() -> None:
    """Each of the patterns is linear: 2 MB in a few seconds on a slow machine."""
    began = time.perf_counter()
    cut_report("FINDINGS: " + "CHEST AND LUNGS ARE clear, ___ " * 30_000 + "\n" * 50_000 + "A B C D " * 50_000)
    assert time.perf_counter() - began < 20
