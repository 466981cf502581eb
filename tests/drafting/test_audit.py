"""Notices of the audit of a draft."""

from __future__ import annotations

from report_gen.drafting.audit import draft_notices, user_notices
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


def user_notices_of(text: str, **states: FindingState) -> tuple[str, ...]:
    """Return the notices of a text for findings that the user set, whose names are written with underscores."""
    given = {name.replace("_", " "): state for name, state in states.items()}
    section = Section(DESCRIBING_SECTIONS[0], split_sentences(text))
    all_states = [given.get(name, FindingState.UNKNOWN) for name in FINDINGS]
    audited = draft_notices([section], all_states, SCHEMA, set_by_user=list(given))
    assert not [notice for notice in audited if any(name in notice for name in given)], "named once"
    return user_notices([section], all_states, SCHEMA, list(given))


NORMAL_TEXT = "The lungs are clear. No acute cardiopulmonary abnormality."


def test_a_normal_text_of_a_study_that_the_user_set_to_abnormal_gets_a_notice() -> None:
    assert user_notices_of(NORMAL_TEXT, No_Finding=FindingState.ABSENT) == (
        "the user set No Finding to absent, but the text describes a normal study; write the abnormality by hand",
    )
    assert user_notices_of("There is pulmonary edema.", No_Finding=FindingState.PRESENT) == (
        "the user set No Finding to present, but the text describes an abnormal study",
    )
    assert user_notices_of("There is pulmonary edema.", No_Finding=FindingState.ABSENT) == ()
    assert user_notices_of(NORMAL_TEXT, No_Finding=FindingState.PRESENT) == ()


def test_findings_that_the_user_set_get_their_own_notices() -> None:
    present, uncertain, absent = FindingState.PRESENT, FindingState.UNCERTAIN, FindingState.ABSENT
    missing = "set by the user, but missing or denied in the text: "
    assert user_notices_of(NORMAL_TEXT, Pneumothorax=present) == (f"{missing}Pneumothorax",)
    assert user_notices_of("No edema.", Edema=uncertain, Fracture=present) == (f"{missing}Edema, Fracture",)
    assert user_notices_of("There is pulmonary edema.", Edema=uncertain) == (
        "set to uncertain by the user, but certain in the text: Edema",
    )
    assert user_notices_of("There is pulmonary edema.", Edema=absent) == (
        "set to absent by the user, but stated in the text: Edema",
    )
    assert user_notices_of("There is pulmonary edema.", Edema=present) == ()
