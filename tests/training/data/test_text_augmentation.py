"""Reports made from sentences of other reports state the wanted findings and never contradict themselves."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from report_gen_training.data.sentence_bank import Report
from report_gen_training.data.text_augmentation import augment_texts

from report_gen.auditing import find_contradictions
from report_gen.labeling import chest_xray, findings_in_state, label_findings, locate_findings
from report_gen.records import DESCRIBING_SECTIONS, FindingState, Side, format_report, parse_report

FINDINGS = chest_xray().findings


NORMAL = (
    "FINDINGS: The heart is normal in size. The lungs are clear. No pleural effusion or pneumothorax. "
    "No rib fracture. IMPRESSION: No acute disease."
)
ABNORMAL = [
    "The heart is enlarged.",
    "The heart size is enlarged.",
    "There is cardiomegaly.",
    "Mild cardiomegaly.",
    "Small pleural effusion.",
    "There is a pleural effusion.",
    "Moderate pleural effusion.",
    "Large pleural effusion.",
    "There is a pneumothorax.",
    "Small pneumothorax.",
    "Moderate pneumothorax.",
    "Large apical pneumothorax.",
    "Possible pleural effusion.",
    "Possible pneumothorax.",
    "There is a rib fracture.",
]
RARE = "There is a rib fracture."
WANTED = {"Cardiomegaly", "Pleural Effusion", "Pneumothorax"}


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    texts = [NORMAL] * 3 + [f"FINDINGS: {sentence} IMPRESSION: Abnormal chest." for sentence in ABNORMAL]
    return [parse_report(text) for text in texts]


@pytest.fixture(scope="module")
def made(reports: list[Report]) -> list[Report]:
    return list(augment_texts(reports, 60, np.random.default_rng(0), chest_xray()))


def test_the_requested_number_is_made(made: list[Report]) -> None:
    assert 50 <= len(made) <= 60
    assert len({format_report(report) for report in made}) > 40


def test_none_contradicts_itself(made: list[Report]) -> None:
    for report in made:
        assert find_contradictions(format_report(report)) == ()


def test_each_states_a_wanted_finding(made: list[Report]) -> None:
    counts: Counter[str] = Counter()
    for report in made:
        states = label_findings(format_report(report))
        stated = {name for name in WANTED if states[name] in (FindingState.PRESENT, FindingState.UNCERTAIN)}
        assert stated
        assert states["No Finding"] is not FindingState.PRESENT
        counts.update(stated)
    assert min(counts[name] for name in WANTED) > 10


def test_sections_are_kept_and_no_sentence_is_new_or_repeated(reports: list[Report], made: list[Report]) -> None:
    known = {sentence for report in reports for section in report for sentence in section.sentences}
    for report in made:
        assert [section.name for section in report] == list(DESCRIBING_SECTIONS)
        for section in report:
            assert set(section.sentences) <= known
            assert len(set(section.sentences)) == len(section.sentences)


def test_sentences_that_deny_a_stated_finding_are_removed(made: list[Report]) -> None:
    joined = "No pleural effusion or pneumothorax."
    for report in made:
        text = format_report(report)
        if joined in text:
            states = label_findings(text)
            assert {states["Pleural Effusion"], states["Pneumothorax"]} == {FindingState.ABSENT}


def test_a_finding_with_few_sentences_is_not_used(reports: list[Report], made: list[Report]) -> None:
    fracture_bases = sum(RARE in format_report(report) for report in reports)
    assert fracture_bases == 1
    assert sum(RARE in format_report(report) for report in made) < 15


def test_the_same_seed_gives_the_same_reports(reports: list[Report], made: list[Report]) -> None:
    assert list(augment_texts(reports, 60, np.random.default_rng(0), chest_xray())) == made
    assert list(augment_texts(reports, 60, np.random.default_rng(1), chest_xray())) != made


@pytest.mark.parametrize("texts", [[], ["The lungs are clear."], [NORMAL]])
def test_without_fitting_sentences_there_is_no_report(texts: list[str]) -> None:
    assert list(augment_texts([parse_report(text) for text in texts], 5, np.random.default_rng(0), chest_xray())) == []


def test_the_findings_are_those_of_the_labeler() -> None:
    assert set(FINDINGS) >= WANTED


PLACED = [
    "Small left pleural effusion.",
    "Large right pleural effusion.",
    "Bilateral pleural effusions.",
    "Left effusion.",
    "Opacity in the right upper lobe.",
    "Opacity in the left lower lobe.",
    "Right apical opacity.",
    "Left basilar opacity.",
    "Basilar opacity.",
    "Moderate pleural effusion.",
]


@pytest.fixture(scope="module")
def placed() -> list[Report]:
    texts = [f"FINDINGS: {one} Heart size is normal. No pneumothorax. IMPRESSION: {one}" for one in PLACED]
    reports = [parse_report(text) for text in [NORMAL, *texts]]
    return list(augment_texts(reports, 200, np.random.default_rng(0), chest_xray()))


def test_a_finding_has_one_side_one_zone_and_one_degree(placed: list[Report]) -> None:
    assert len(placed) > 150
    sides: Counter[str] = Counter()
    for report in placed:
        sentences = [sentence.text for section in report for sentence in section.sentences]
        for name, word in (("Pleural Effusion", "effusion"), ("Lung Opacity", "opacity")):
            found = [locate_findings(text).get(name) for text in sentences if word in text.lower()]
            known = [one for one in found if one is not None]
            assert len({one.side for one in known} - {Side.UNKNOWN}) <= 1, sentences
            assert len({one.zones for one in known} - {frozenset()}) <= 1, sentences
            sides.update(one.side for one in known)
        words = " ".join(text.lower() for text in sentences if "No" not in text).split()
        assert len({"small", "moderate", "large"}.intersection(words)) <= 1, sentences
    assert min(sides[side] for side in (Side.LEFT, Side.RIGHT, Side.BOTH)) > 10


def test_a_share_of_the_reports_is_normal(reports: list[Report]) -> None:
    others = [
        "FINDINGS: Heart size is normal. Clear lungs. No pneumothorax or effusion. IMPRESSION: Normal chest.",
        "FINDINGS: Normal heart. Lungs are clear. There is no effusion or pneumothorax. IMPRESSION: No acute findings.",
    ]
    bases = [*reports, *map(parse_report, others)]
    made = list(augment_texts(bases, 400, np.random.default_rng(0), chest_xray(), normals=0.25))
    normal = [one for one in made if label_findings(format_report(one))["No Finding"] is FindingState.PRESENT]
    assert len(normal) / len(made) == pytest.approx(0.25, abs=0.08)
    assert len({format_report(one) for one in normal}) > 10  # sentences are exchanged
    for report in normal:
        states = label_findings(format_report(report))
        assert {states[name] for name in WANTED} == {FindingState.ABSENT}


def test_only_accepted_reports_are_made(reports: list[Report]) -> None:
    def accept(report: Report) -> bool:
        return "cardiomegaly" not in format_report(report)

    made = list(augment_texts(reports, 60, np.random.default_rng(0), chest_xray(), accept=accept))
    assert made
    assert all(map(accept, made))


def test_sentences_may_come_from_other_reports(reports: list[Report]) -> None:
    bases = reports[2:4]
    made = list(augment_texts(bases, 40, np.random.default_rng(0), chest_xray(), sentences=reports))
    stated = {name for one in made for name in findings_in_state(format_report(one), FindingState.PRESENT)}
    assert stated >= WANTED
    assert list(augment_texts(bases, 40, np.random.default_rng(0), chest_xray())) == []
