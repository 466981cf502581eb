"""Disagreements of a report with itself, against reports written by hand."""

from __future__ import annotations

import pytest

from report_gen.auditing import Disagreement, DisagreementKind, find_disagreements, findings_in_one_section
from report_gen.labeling import chest_xray
from report_gen.records import (
    FindingPhrases,
    FindingSchema,
    Section,
    SectionName,
    parse_report,
    split_sentences,
)

DEGREE, SIDE = DisagreementKind


def report(findings: str = "", impression: str = "") -> list[Section]:
    texts = {SectionName.FINDINGS: findings, SectionName.IMPRESSION: impression}
    return [Section(name, split_sentences(text)) for name, text in texts.items() if text]


@pytest.mark.parametrize(
    ("findings", "impression", "disagreeing"),
    [
        # Degrees, within a section and between sections.
        ("There is a large pleural effusion. There is a small pleural effusion.", "", "Pleural Effusion"),
        ("There is a large pleural effusion.", "Small pleural effusion.", "Pleural Effusion"),
        ("The heart is mildly enlarged.", "Severe cardiomegaly.", "Cardiomegaly"),
        ("Possible moderate effusion.", "Probable small effusion.", "Pleural Effusion"),
        ("", "Mild emphysema. Severe emphysema.", "Emphysema"),
        ("Small left effusion.", "Large bilateral effusions.", "Pleural Effusion"),
        ("A small nodule in the left lung.", "Large nodule.", "Lung Lesion"),
        # Degrees of one rank, ranges, and findings that may be several.
        ("Tiny effusion.", "Small effusion.", ""),
        ("Small to moderate effusion.", "Moderate effusion.", ""),
        ("Large left effusion. Small right effusion.", "", ""),
        ("Large left and small right effusions.", "Large left effusion.", ""),
        ("Small opacity in the left upper lobe.", "Large opacity in the left lower lobe.", ""),
        ("A small nodule.", "A large mass.", ""),
        ("No large effusion.", "Small effusion.", ""),
        ("Large effusion.", "Effusion.", ""),
        ("Large effusion.", "", ""),
        ("Large heart. Small effusion.", "Cardiomegaly and small effusion.", ""),
    ],
)
def test_degrees(findings: str, impression: str, disagreeing: str) -> None:
    found = find_disagreements(report(findings, impression))
    assert [one.finding for one in found if one.kind is DEGREE] == ([disagreeing] if disagreeing else [])


def test_the_sentences_of_a_degree() -> None:
    assert find_disagreements(report("Severe edema. Mild edema.", "Moderate edema.")) == (
        Disagreement(DEGREE, "Edema", ("Severe edema.", "Mild edema.")),
    )


@pytest.mark.parametrize(
    ("findings", "impression", "disagreeing"),
    [
        ("Left pleural effusion.", "Right pleural effusion.", ["Pleural Effusion"]),
        ("Left pleural effusion.", "Bilateral pleural effusions.", ["Pleural Effusion"]),
        ("Left pneumonia. Right effusion.", "Right pneumonia and left effusion.", ["Pneumonia", "Pleural Effusion"]),
        ("Bilateral pleural effusions.", "Left pleural effusion.", []),
        ("Left effusion. Right effusion.", "Bilateral effusions.", []),
        ("Pleural effusion.", "Left pleural effusion.", []),
        ("Left pleural effusion.", "Pleural effusion.", []),
        ("Left pleural effusion.", "No right pleural effusion.", []),
        ("No left pleural effusion.", "Right pleural effusion.", []),
        ("Left pleural effusion. Right pleural effusion.", "", []),
    ],
)
def test_sides_of_both_sections(findings: str, impression: str, disagreeing: list[str]) -> None:
    found = find_disagreements(report(findings, impression))
    assert {one.finding for one in found if one.kind is SIDE} == set(disagreeing)


@pytest.mark.parametrize(
    ("findings", "impression", "only_findings", "only_impression"),
    [
        ("Pleural effusion.", "Pleural effusion.", (), ()),
        ("Pleural effusion. Edema.", "Edema.", ("Pleural Effusion",), ()),
        ("Edema.", "Edema and pleural effusion.", (), ("Pleural Effusion",)),
        ("No edema.", "Possible edema.", (), ("Edema",)),
        ("Edema.", "No edema.", ("Edema",), ()),
        ("The heart is enlarged.", "Normal chest.", ("Cardiomegaly",), ()),
        ("The heart is enlarged.", "Cardiomegaly.", (), ()),
        ("Possible edema.", "Normal chest.", (), ()),
        ("Possible edema.", "Edema.", (), ()),
        ("Edema.", "Possible edema.", (), ()),
        ("The lungs are clear.", "Nodule.", (), ("Lung Lesion",)),
        ("A pacemaker is seen.", "Normal chest.", (), ()),
        ("The lungs are clear.", "No acute disease.", (), ()),
    ],
)
def test_findings_in_one_section(
    findings: str, impression: str, only_findings: tuple[str, ...], only_impression: tuple[str, ...]
) -> None:
    assert findings_in_one_section(report(findings, impression)) == {
        SectionName.FINDINGS: only_findings,
        SectionName.IMPRESSION: only_impression,
    }


def test_a_report_without_both_sections_has_no_findings_in_one_section() -> None:
    assert findings_in_one_section(report("Edema.")) == findings_in_one_section(report("", "Edema.")) == {}
    assert findings_in_one_section([]) == {}
    assert find_disagreements([]) == ()


def test_other_schemas() -> None:
    phrases = {"Haemorrhage": FindingPhrases(phrases=("haemorrhage*",))}
    schema = FindingSchema(name="head", findings=("Haemorrhage",), phrases=phrases)
    sections = parse_report(
        "FINDINGS: Small haemorrhage. Large effusion. IMPRESSION: Large haemorrhage. Small effusion."
    )
    assert [one.finding for one in find_disagreements(sections, schema)] == ["Haemorrhage"]
    assert [one.finding for one in find_disagreements(sections, chest_xray())] == ["Pleural Effusion"]
