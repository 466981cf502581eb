"""How far a text departs from what it was told, against a table made by hand."""

from __future__ import annotations

import pytest

from report_gen.generation.reranking import consistent, inconsistency, mismatch_score, mismatched_findings, most_agreed
from report_gen.labeling.schema_files import chest_xray
from report_gen.records.findings import FindingState
from report_gen.records.report import AttributeName

SCHEMA = chest_xray()
FINDINGS = SCHEMA.findings

PRESENT, ABSENT, UNCERTAIN, UNKNOWN = FindingState

SAYING = {
    PRESENT: "There is a pleural effusion.",
    ABSENT: "No pleural effusion.",
    UNCERTAIN: "Possible pleural effusion.",
    UNKNOWN: "Film is rotated.",
}


def told(**states: FindingState) -> list[FindingState]:
    return [states.get(name.replace(" ", "_"), UNKNOWN) for name in FINDINGS]


@pytest.mark.parametrize(
    ("state", "faults"),
    [  # said:    present absent uncertain nothing
        (PRESENT, (0.0, 2.0, 0.5, 1.0)),
        (ABSENT, (2.0, 0.0, 1.0, 0.0)),
        (UNCERTAIN, (1.0, 1.0, 0.0, 0.5)),
        (UNKNOWN, (1.0, 0.0, 0.5, 0.0)),
    ],
)
def test_faults(state: FindingState, faults: tuple[float, ...]) -> None:
    for said, fault in zip(SAYING, faults, strict=True):
        assert mismatch_score(SAYING[said], told(Pleural_Effusion=state), SCHEMA) == fault, (state, said)


def test_faults_add_up() -> None:
    states = told(Pleural_Effusion=PRESENT, Edema=ABSENT, Fracture=PRESENT)
    text = "No pleural effusion. Pulmonary edema."  # contradicted, contradicted, left out
    assert mismatch_score(text, states, SCHEMA) == 2 + 2 + 1
    assert mismatched_findings(text, states, SCHEMA) == ("Edema", "Pleural Effusion", "Fracture")


def test_half_a_fault_is_no_departure_worth_a_notice() -> None:
    assert mismatched_findings(SAYING[UNCERTAIN], told(Pleural_Effusion=PRESENT), SCHEMA) == ()


def test_no_finding_follows_from_the_others_and_is_not_counted() -> None:
    assert mismatch_score("The chest is normal.", told(No_Finding=ABSENT), SCHEMA) == 0


def test_the_text_that_the_others_agree_with_is_kept() -> None:
    # Mean ROUGE-L (beta 1.2) by hand: the middle text shares 3 of 4 words with each of the others, they share 2.
    assert most_agreed(["a b c d", "x b c e", "a b c e"]) == 2
    assert most_agreed(["no effusion", "the heart is enlarged", "no effusion"]) == 0
    assert most_agreed(["alone"]) == 0
    assert most_agreed(["", ""]) == 0


def test_texts_that_name_another_modality_or_plane_are_flawed() -> None:
    told_too: dict[AttributeName, str] = {"modality": "CT", "plane": "axial"}
    texts = ["Sagittal MRI.", "Coronal CT.", "Axial CT.", "A cyst."]
    assert [inconsistency(text, told(), told_too, schema=SCHEMA) for text in texts] == [4, 2, 0, 0]
    assert consistent(texts, told_too) == [2, 3]
    assert consistent(texts[:2], told_too) == [1]
    assert consistent(texts, {}) == [0, 1, 2, 3]
