"""Sentences about concepts that a model cannot know, and reports that are incomplete."""

from __future__ import annotations

import pytest
from report_gen_training.data.concepts import KnownConcepts

from report_gen.errors import RecipeError
from report_gen.labeling import chest_xray, load_schema
from report_gen.records import FindingSchema, parse_report

UNKNOWN = ("Fracture", "Support Devices", "Enlarged Cardiomediastinum")


@pytest.fixture(scope="module")
def concepts() -> KnownConcepts:
    return KnownConcepts(chest_xray(), UNKNOWN)


@pytest.mark.parametrize(
    "sentence",
    [
        "The lungs are clear.",
        "Heart size is normal.",
        "The cardiomediastinal silhouette is within normal limits.",
        "No acute cardiopulmonary abnormality.",
        "No focal consolidation, pleural effusion, or pneumothorax identified.",
        "Small left pleural effusion with atelectasis.",
        "Patchy opacity in the right lower lobe, which may represent pneumonia or atelectasis.",
        "There are small bilateral pleural effusions, left greater than right.",
        "Probable large retrocardiac hiatal hernia.",
        "Mild cardiomegaly without pulmonary edema.",
    ],
)
def test_sentences_about_findings_of_the_model_are_kept(concepts: KnownConcepts, sentence: str) -> None:
    assert concepts.reduce(sentence) == sentence


@pytest.mark.parametrize(
    "sentence",
    [
        # Devices, surgery and procedures.
        "Presumed closure device.",
        "Sternotomy wires are intact.",
        "Surgical clips in the left breast.",
        "Status post coronary bypass.",
        "Left subclavian catheter with its tip in the atrium, no pneumothorax.",
        "Postsurgical changes in the left lung with small effusion.",
        # Bones, vessels, airways, abdomen.
        "Degenerative changes of the spine.",
        "The bones are intact.",
        "No acute bony abnormality.",
        "Old left rib fracture.",
        "No pneumothorax or rib fracture.",
        "The aorta is tortuous.",
        "The trachea is midline.",
        "No free air under the diaphragm.",
        "Calcified granuloma in the right lung.",
        "Low lung volumes with basilar atelectasis.",
        # History, diagnoses, recommendations, technique.
        "Pneumonia in a patient with history of asthma.",
        "Nodule suspicious for malignancy.",
        "Metastatic disease.",
        "Opacity, recommend follow up.",
        "Evaluation of the lungs is limited by technique, no effusion.",
        "Nodule overlying the 4th rib.",
        # Another sentence is needed to understand it.
        "This may represent pneumonia.",
        "May represent atelectasis.",
        "The appearance suggests atelectasis.",
        "There has been clearing of the opacity.",
        "No effusion, findings compatible with emphysema.",
        # Faults of de-identified reports.
        "Heart size and pulmonary vascular engorgement appear within limits of normal.",
        "Normal heart size mediastinal contours.",
        "The lungs focal airspace consolidation.",
        # Nothing is said about a finding of the model.
        "Chest.",
        "The mediastinal contours are normal.",
        "The mediastinum is widened.",
        "Enlarged cardiomediastinal silhouette.",
        # Sentences that break off.
        "The cardiac silhouette is within.",
        "Chest No acute cardiopulmonary findings.",
        "There is and associated effusion.",
        "Patchy air airspace disease.",
    ],
)
def test_sentences_about_anything_else_are_removed(concepts: KnownConcepts, sentence: str) -> None:
    assert concepts.reduce(sentence) == ""


@pytest.mark.parametrize(
    ("sentence", "reduced"),
    [
        ("The lungs are otherwise clear.", "The lungs are clear."),
        ("No other consolidation.", "No consolidation."),
        ("heart size normal", "Heart size normal."),
        ("[<Heart size is normal.", "Heart size is normal."),
        ("Chest: The lungs are clear.", "The lungs are clear."),
        ("No pneumothorax , effusion.", "No pneumothorax, effusion."),
    ],
)
def test_references_and_marks_are_removed(concepts: KnownConcepts, sentence: str, reduced: str) -> None:
    assert concepts.reduce(sentence) == reduced


@pytest.mark.parametrize("sentence", ["Enlarged cardiomediastinal silhouette.", "Old left rib fracture."])
def test_a_model_may_know_the_other_findings(sentence: str) -> None:
    assert KnownConcepts(chest_xray(), ()).reduce(sentence) == (sentence if "mediastinal" in sentence else "")


NORMAL = "Heart size is normal. The lungs are clear. No pleural effusion or pneumothorax."


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        (f"FINDINGS: {NORMAL}", True),
        (f"FINDINGS: {NORMAL} IMPRESSION: No acute cardiopulmonary abnormality.", True),
        # A normal report that lost a sentence, or whose impression concludes nothing.
        ("FINDINGS: The lungs are clear. No pleural effusion or pneumothorax.", False),
        ("FINDINGS: Heart size is normal. No pleural effusion or pneumothorax. IMPRESSION: Normal chest.", True),
        ("FINDINGS: Heart size is normal. The lungs are clear. No pneumothorax.", False),
        ("FINDINGS: The lungs are clear. IMPRESSION: No acute disease.", False),
        (f"FINDINGS: {NORMAL} IMPRESSION: No pneumothorax.", False),
        ("", False),
        # An abnormal report says what it states; its impression must not call it normal.
        ("FINDINGS: Small left effusion.", True),
        ("FINDINGS: Small left effusion. IMPRESSION: Left effusion.", True),
        ("FINDINGS: Small left effusion. IMPRESSION: No acute disease.", False),
        ("FINDINGS: Small left effusion. IMPRESSION: No pneumothorax.", False),
        ("FINDINGS: Mild cardiomegaly. IMPRESSION: No acute disease.", True),
    ],
)
def test_complete_reports(concepts: KnownConcepts, text: str, complete: bool) -> None:
    assert concepts.is_complete(parse_report(text)) is complete


def test_an_unknown_finding_must_be_one_of_the_schema() -> None:
    with pytest.raises(RecipeError, match=r"'Fractures'; choose from .*Fracture"):
        KnownConcepts(chest_xray(), ["Fractures"])


def test_a_schema_without_a_list_is_refused() -> None:
    with pytest.raises(RecipeError, match="drop_unknown_concepts"):
        KnownConcepts(FindingSchema(name="own", findings=("Haemorrhage",)))


def test_no_findings_have_no_list() -> None:
    with pytest.raises(RecipeError, match="drop_unknown_concepts"):
        KnownConcepts(load_schema("none"))
