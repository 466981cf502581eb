"""Cleaning of corpus reports."""

from __future__ import annotations

import pytest
from report_gen_training.data.text_cleaning import clean_report, clean_sentence, drop_contradictions

from report_gen.records import SectionName, parse_report


@pytest.mark.parametrize(
    ("sentence", "cleaned"),
    [
        ("The lungs are clear.", "The lungs are clear."),
        ("XXXX lungs are clear.", ""),
        ("Discussed with Dr. Smith by telephone.", ""),
        ("The lateral view shows an effusion.", ""),
        ("A nodule measures 8 mm.", ""),
        ("1.", ""),
        ("Compared to the prior study there is no change.", ""),
        ("Stable cardiomegaly.", "Cardiomegaly."),
        ("There is a stable effusion.", "There is an effusion."),
        ("The heart is stable.", ""),
        ("No new consolidation.", "No consolidation."),
        ("Clear lungs..", "Clear lungs."),
        ("Small left pleural effusion.", "Small left pleural effusion."),
    ],
)
def test_sentences(sentence: str, cleaned: str) -> None:
    assert clean_sentence(sentence, drop_priors=True, drop_sides=False) == cleaned


@pytest.mark.parametrize(
    ("sentence", "cleaned"),
    [
        ("Small left pleural effusion.", "Small pleural effusion."),
        ("Right-sided opacity.", "Opacity."),
        ("There is a left upper lobe opacity.", "There is an upper lobe opacity."),
        ("There is an effusion on the right.", "There is an effusion."),
        ("Bibasilar atelectasis.", "Basilar atelectasis."),
        ("The left is larger than the right.", ""),
    ],
)
def test_sides(sentence: str, cleaned: str) -> None:
    assert clean_sentence(sentence, drop_priors=True, drop_sides=True) == cleaned


def test_comparisons_are_kept_on_request() -> None:
    assert clean_sentence("Stable cardiomegaly.", drop_priors=False, drop_sides=False) == "Stable cardiomegaly."


def test_a_report() -> None:
    row = {"findings": "1. Clear lungs. 2. Normal heart. Clear lungs. XXXX.", "impression": "Unchanged. XXXX."}
    (findings,) = clean_report(row, drop_priors=True, drop_sides=False)
    assert findings.name is SectionName.FINDINGS
    assert [sentence.text for sentence in findings.sentences] == ["Clear lungs.", "Normal heart."]


def test_a_report_without_a_text() -> None:
    assert clean_report({"findings": "", "impression": ""}, drop_priors=True, drop_sides=True) == ()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("FINDINGS: The heart is enlarged. No effusion.", "The heart is enlarged. No effusion."),
        ("FINDINGS: Small effusion. No pleural effusion. Clear mediastinum.", "Small effusion. Clear mediastinum."),
        ("FINDINGS: No pneumothorax. IMPRESSION: No acute disease.", "No pneumothorax.|No acute disease."),
        ("FINDINGS: Small effusion. IMPRESSION: Effusion. No effusion.", "Small effusion.|Effusion."),
        ("FINDINGS: No effusion. The heart is enlarged. IMPRESSION: Pleural effusion.", ""),
        ("IMPRESSION: Pleural effusion.", "Pleural effusion."),
        ("", ""),
    ],
)
def test_contradicting_sentences_are_dropped(text: str, left: str) -> None:
    assert "|".join(section.text for section in drop_contradictions(parse_report(text))) == left
