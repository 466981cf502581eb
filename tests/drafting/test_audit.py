"""Notices of the audit of a draft."""

from __future__ import annotations

from report_gen.drafting.audit import draft_notices
from report_gen.labeling import chest_xray
from report_gen.records import DESCRIBING_SECTIONS, FindingState, Section, split_sentences

SCHEMA = chest_xray()
FINDINGS = SCHEMA.findings
UNKNOWN = [FindingState.UNKNOWN] * len(FINDINGS)


def notices_of(text: str, *present: str, uncertain: str = "") -> tuple[str, ...]:
    """Return the notices of a text, whose first line is FINDINGS and whose second line is IMPRESSION."""
    known = dict.fromkeys(present, FindingState.PRESENT) | {uncertain: FindingState.UNCERTAIN}
    states = [known.get(name, FindingState.UNKNOWN) for name in FINDINGS]
    lines = zip(DESCRIBING_SECTIONS, text.splitlines(), strict=False)
    return draft_notices([Section(name, split_sentences(line)) for name, line in lines], states, SCHEMA)


def test_a_contradiction_gets_a_notice_and_a_repetition_does_not() -> None:
    assert notices_of("Pulmonary edema. No pulmonary edema. Pulmonary edema.", "Edema") == (
        'the text contradicts itself: "No pulmonary edema." denies Edema, stated in: Pulmonary edema.',
    )


def test_mismatched_findings_get_one_notice() -> None:
    assert notices_of("The heart is normal in size.", "Edema", "Fracture") == (
        "predicted from the image, but missing or denied in the text: Edema, Fracture",
    )
    assert notices_of("There is a small pleural effusion.", "Edema", "Fracture") == (
        "predicted from the image, but missing or denied in the text: Edema, Fracture",
        "stated in the text, but not predicted from the image: Pleural Effusion",
    )
    assert notices_of("There is pulmonary edema.", uncertain="Edema") == (
        "certain in the text, but only uncertain in the prediction: Edema",
    )


def test_two_degrees_get_a_notice() -> None:
    text = "There is a large effusion. Edema.\nEdema. Small pleural effusion."
    assert notices_of(text, "Pleural Effusion", "Edema") == (
        'the text contradicts itself: "Small pleural effusion." gives Pleural Effusion another degree than: '
        "There is a large effusion.",
    )


def test_sections_that_disagree_get_notices() -> None:
    assert notices_of("Left pleural effusion.\nRight effusion.", "Pleural Effusion") == (
        "FINDINGS and IMPRESSION disagree about the side of Pleural Effusion; check left and right",
    )
    predicted = ("Cardiomegaly", "Edema", "Pleural Effusion", "Pneumonia")
    assert notices_of("Cardiomegaly. Edema. Effusion.\nEdema. Pneumonia.", *predicted) == (
        "stated in FINDINGS, but not in IMPRESSION: Cardiomegaly, Pleural Effusion",
        "stated in IMPRESSION, but not in FINDINGS: Pneumonia",
    )


def test_an_empty_text_gets_a_notice_and_a_consistent_one_none() -> None:
    assert draft_notices((), UNKNOWN, SCHEMA) == ("the model generated no text; write the report by hand",)
    assert notices_of("The image is rotated.") == ()
    assert notices_of("There is a small left effusion.\nSmall effusion.", "Pleural Effusion") == ()
