"""Notices of the audit of a draft."""

from __future__ import annotations

from report_gen.drafting.audit import draft_notices
from report_gen.labeling import chest_xray
from report_gen.records import FindingState

SCHEMA = chest_xray()
FINDINGS = SCHEMA.findings
UNKNOWN = [FindingState.UNKNOWN] * len(FINDINGS)


def test_a_contradiction_gets_a_notice_and_a_repetition_does_not() -> None:
    states = [FindingState.PRESENT if name == "Edema" else FindingState.UNKNOWN for name in FINDINGS]
    notices = draft_notices("Pulmonary edema. No pulmonary edema. Pulmonary edema.", states, SCHEMA)
    assert notices == ('the text contradicts itself: "No pulmonary edema." denies Edema, stated in: Pulmonary edema.',)


def test_mismatched_findings_get_one_notice() -> None:
    states = [FindingState.PRESENT if name in ("Edema", "Fracture") else FindingState.UNKNOWN for name in FINDINGS]
    assert draft_notices("The heart is normal in size.", states, SCHEMA) == (
        "predicted from the image, but missing or denied in the text: Edema, Fracture",
    )
    assert draft_notices("There is a small pleural effusion.", states, SCHEMA) == (
        "predicted from the image, but missing or denied in the text: Edema, Fracture",
        "stated in the text, but not predicted from the image: Pleural Effusion",
    )
    states = [FindingState.UNCERTAIN if name == "Edema" else FindingState.UNKNOWN for name in FINDINGS]
    assert draft_notices("There is pulmonary edema.", states, SCHEMA) == (
        "certain in the text, but only uncertain in the prediction: Edema",
    )


def test_an_empty_text_gets_a_notice_and_a_consistent_one_none() -> None:
    assert draft_notices("", UNKNOWN, SCHEMA) == ("the model generated no text; write the report by hand",)
    assert draft_notices("The image is rotated.", UNKNOWN, SCHEMA) == ()
