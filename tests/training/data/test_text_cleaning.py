"""Cleaning of corpus reports."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_gen_training.data.text_cleaning import (
    CleaningRules,
    Sides,
    clean_report,
    clean_sentence,
    drop_contradictions,
    without_places,
)

from report_gen.labeling import chest_xray, load_schema
from report_gen.records import Section, SectionName, Sentence, parse_report

KEEP = CleaningRules(drop_priors=True)
LOCATED = CleaningRules(drop_priors=True, sides=Sides.LOCATED)
DROP = CleaningRules(drop_priors=True, sides=Sides.DROP)


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
        # Of normal anatomy nothing is left but that there is some.
        ("Stable mediastinal contours.", ""),
        ("Mild cardiomegaly, stable mediastinal contours.", ""),
        ("Stable appearance of the chest without effusion.", ""),
        ("Stable enlarged cardiac silhouette.", "Enlarged cardiac silhouette."),
        ("Stable enlargement of the cardiac silhouette.", "Enlargement of the cardiac silhouette."),
        ("No new consolidation.", "No consolidation."),
        ("Clear lungs..", "Clear lungs."),
        ("Small left pleural effusion.", "Small left pleural effusion."),
    ],
)
def test_sentences(sentence: str, cleaned: str) -> None:
    assert clean_sentence(sentence, KEEP) == cleaned


@pytest.mark.parametrize(
    ("sentence", "cleaned"),
    [
        # The word goes, the finding stays.
        ("Small left pleural effusion.", "Small pleural effusion."),
        ("Right-sided opacity.", "Opacity."),
        ("There is a left upper lobe opacity.", "There is an upper lobe opacity."),
        ("Bibasilar atelectasis.", "Basilar atelectasis."),
        ("Bilateral pleural effusions.", "Pleural effusions."),
        ("The lungs are clear bilaterally.", "The lungs are clear."),
        ("Left interstitial and alveolar opacities.", "Interstitial and alveolar opacities."),
        ("Left-sided chest tubes.", "Chest tubes."),
        ("Old fractures of right ribs.", "Old fractures of ribs."),
        ("There is a left IJ catheter.", "There is an IJ catheter."),
        ("Enlarged left ventricle.", "Enlarged ventricle."),
        ("Elevated left hemidiaphragm.", "Elevated hemidiaphragm."),
        # The place of a finding goes whole.
        ("There is an effusion on the right.", "There is an effusion."),
        ("Minimal atelectasis left base.", "Minimal atelectasis."),
        ("Minimal atelectasis left base, no edema.", "Minimal atelectasis, no edema."),
        ("Calcified granuloma, right lung base.", "Calcified granuloma."),
        ("A nodule is seen at the left lung base.", "A nodule is seen."),
        ("A nodule in the right midlung may be a mass.", "A nodule may be a mass."),
        ("Opacity projecting over the left apex.", "Opacity."),
        ("Nodules in the right upper lobe and left lower lobe.", "Nodules."),
        ("Clips overlying the right breast and axilla.", "Clips."),
        ("Effusion on the left due to trauma.", "Effusion due to trauma."),
        ("In the left lower lobe, there is a nodule.", "There is a nodule."),
        ("Left base opacity.", "Opacity."),
        ("Right middle lobe infiltrate.", "Infiltrate."),
        ("Scarring in the lingula.", "Scarring."),
        # A comparison of the sides goes whole.
        ("Effusions, right greater than left.", "Effusions."),
        ("Bibasilar opacities, left greater than right, and edema.", "Basilar opacities, and edema."),
        ("Left greater than right basilar opacity.", "Basilar opacity."),
        ("Both lungs are clear.", "The lungs are clear."),
        # The sentence cannot stand, or would mean something else.
        ("The left is larger than the right.", ""),
        ("The right lung is clear.", ""),
        ("Right lung clear.", ""),
        ("Grossly clear left lung.", ""),
        ("The left hemidiaphragm is elevated.", ""),
        ("Elevation left hemidiaphragm.", ""),
        ("The opacity is in the left base.", ""),
        ("Opacities most confluent in the left base.", ""),
        ("Small effusion, small left sided.", ""),
        ("A catheter with its tip in the right atrium terminating in the right ventricle.", ""),
        ("Right base appears to represent atelectasis.", ""),
        ("Left knee.", ""),
        ("Effusions are bilateral.", ""),
    ],
)
def test_sides(sentence: str, cleaned: str) -> None:
    assert clean_sentence(sentence, DROP) == cleaned


@pytest.mark.parametrize(
    ("sentence", "cleaned"),
    [
        # The side of a finding that is there, or may be.
        ("Small left pleural effusion.", "Small left pleural effusion."),
        ("Possible pneumonia in the right lower lobe.", "Possible pneumonia in the right lower lobe."),
        ("Effusions, right greater than left.", "Effusions, right greater than left."),
        ("Bibasilar atelectasis.", "Bibasilar atelectasis."),
        ("Left effusion and right apical pneumothorax.", "Left effusion and right apical pneumothorax."),
        ("The right lung is clear except for a nodule.", "The right lung is clear except for a nodule."),
        # The side of something else.
        ("The right lung is clear.", ""),
        ("No left pleural effusion.", "No pleural effusion."),
        ("The lungs are clear bilaterally.", "The lungs are clear."),
        ("Left IJ catheter.", "IJ catheter."),
        ("Right hilar calcification.", "Hilar calcification."),
        ("Enlarged left ventricle.", "Enlarged ventricle."),
        ("Small right effusion, no left effusion.", "Small effusion, no effusion."),
        # Zones are no sides.
        ("Basilar atelectasis.", "Basilar atelectasis."),
    ],
)
def test_only_sides_of_findings_are_kept(sentence: str, cleaned: str) -> None:
    assert clean_sentence(sentence, LOCATED) == cleaned


@pytest.mark.parametrize(
    ("sentence", "without"),
    [
        ("Small left effusion.", "Small effusion."),
        ("Basilar atelectasis.", "Atelectasis."),
        ("Left basilar atelectasis.", "Atelectasis."),
        ("There is an upper lobe opacity.", "There is an opacity."),
        ("There is a focal opacity within the right upper lung.", "There is a focal opacity."),
        ("Increased interstitial markings at the lung bases.", "Increased interstitial markings."),
        ("Right lower lobe pneumonia.", "Pneumonia."),
        ("Minimal atelectasis left base, no edema.", "Minimal atelectasis, no edema."),
        ("Dense retrocardiac opacities.", "Dense opacities."),
        (
            "Opacities consistent with edema in the lower lobes.",
            "Opacities consistent with edema.",
        ),
        ("Probable infiltrate in the left perihilar region.", "Probable infiltrate."),
        ("Mild apical pleural thickening.", "Mild pleural thickening."),
        # The place of what is denied, of no finding, or of none.
        ("The lung bases are clear.", "The lung bases are clear."),
        ("No basilar opacity.", "No basilar opacity."),
        ("The heart is enlarged.", "The heart is enlarged."),
        # The sentence is about the place.
        ("The right lung is clear.", ""),
        ("The opacity is in the lower lobe.", ""),
    ],
)
def test_a_finding_loses_its_place(sentence: str, without: str) -> None:
    sections = (Section(SectionName.FINDINGS, (Sentence(sentence),)),)
    assert [section.text for section in without_places(sections, chest_xray())] == ([without] if without else [])


def test_a_report_without_places_has_no_empty_section() -> None:
    report = parse_report("FINDINGS: Small left effusion. Small right effusion. IMPRESSION: The right lung is clear.")
    (findings,) = without_places(report, chest_xray())
    assert findings.text == "Small effusion."


def test_the_findings_of_another_schema_keep_their_words(tmp_path: Path) -> None:
    file = tmp_path / "head.toml"
    file.write_text('name = "head_ct"\n[[finding]]\nname = "Hemorrhage"\nphrases = ["hemorrhage*"]\n')
    cleaned = clean_sentence(
        "Left subdural hemorrhage.", CleaningRules(drop_priors=True, sides=Sides.DROP, schema=load_schema(file))
    )
    assert cleaned == "Subdural hemorrhage."


def test_comparisons_are_kept_on_request() -> None:
    assert clean_sentence("Stable cardiomegaly.", CleaningRules(drop_priors=False)) == "Stable cardiomegaly."


def test_a_report() -> None:
    row = {"findings": "1. Clear lungs. 2. Normal heart. Clear lungs. XXXX.", "impression": "Unchanged. XXXX."}
    (findings,) = clean_report(row, KEEP)
    assert findings.name is SectionName.FINDINGS
    assert [sentence.text for sentence in findings.sentences] == ["Clear lungs.", "Normal heart."]


def test_sentences_are_split_that_begin_without_a_capital_or_a_space() -> None:
    row = {"findings": "No effusion. heart size is normal.The lungs are clear vs. hazy.", "impression": ""}
    (findings,) = clean_report(row, KEEP)
    sentences = ["No effusion.", "Heart size is normal.", "The lungs are clear vs. hazy."]
    assert [sentence.text for sentence in findings.sentences] == sentences


def test_a_report_without_a_text() -> None:
    assert clean_report({"findings": "", "impression": ""}, DROP) == ()


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
