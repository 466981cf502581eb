"""Sentences about findings that a model does not predict."""

from __future__ import annotations

import pytest

from report_gen.auditing import is_unsupported, remove_unsupported, remove_unsupported_sides
from report_gen.labeling import chest_xray
from report_gen.records import UNKNOWN_LOCATION, FindingLocation, FindingState, Side, parse_report

SCHEMA = chest_xray()

PREDICTED = frozenset(chest_xray().findings) - {"Enlarged Cardiomediastinum", "Fracture", "Support Devices"}


@pytest.mark.parametrize(
    "sentence",
    [
        "Presumed closure device at the level of the ligamentum arteriosum.",
        "A pacemaker is seen and there is a small pleural effusion.",
        "There is a rib fracture.",
        "No fracture.",
        "There are atherosclerotic changes of the aorta.",
        "Degenerative changes in the spine.",
        "There may be of the of the size.",
    ],
)
def test_a_sentence_about_what_the_model_does_not_predict(sentence: str) -> None:
    assert is_unsupported(sentence, PREDICTED, chest_xray())


@pytest.mark.parametrize(
    "sentence",
    [
        "There is a small pleural effusion.",
        "No pneumothorax or rib fracture.",
        "Heart and mediastinum of normal size and contour.",
        "Low lung volumes with basilar atelectasis.",
        "No acute cardiopulmonary abnormality.",
        "Clinical correlation is recommended.",
    ],
)
def test_a_sentence_that_the_predictions_can_support(sentence: str) -> None:
    assert not is_unsupported(sentence, PREDICTED, chest_xray())


def test_a_finding_that_a_reader_sets_is_supported() -> None:
    sentence = "A pacemaker is seen."
    assert not is_unsupported(sentence, PREDICTED | {"Support Devices"}, chest_xray())


def states(*names: str, state: FindingState = FindingState.PRESENT) -> list[FindingState]:
    return [state if name in names else FindingState.UNKNOWN for name in SCHEMA.findings]


def test_sentences_about_findings_without_a_prediction_are_removed() -> None:
    text = "FINDINGS: There is a small pleural effusion. A pacemaker is seen. IMPRESSION: Old rib fracture."
    kept, removed = remove_unsupported(parse_report(text), states("Pleural Effusion"), SCHEMA)
    assert kept == parse_report("There is a small pleural effusion.")
    assert removed == 2


@pytest.mark.parametrize("state", [FindingState.ABSENT, FindingState.UNCERTAIN])
def test_a_sentence_about_any_predicted_finding_is_kept(state: FindingState) -> None:
    sections = parse_report("There is a small pleural effusion.")
    predicted = states("Pleural Effusion", state=state)
    predicted[SCHEMA.index("Edema")] = FindingState.PRESENT
    assert remove_unsupported(sections, predicted, SCHEMA) == (sections, 0)


def test_a_model_that_predicts_no_finding_keeps_every_sentence() -> None:
    sections = parse_report("A pacemaker is seen.")
    assert remove_unsupported(sections, states(), SCHEMA) == (sections, 0)


@pytest.mark.parametrize(
    ("sentence", "side", "expected"),
    [
        ("Small left pleural effusion.", Side.LEFT, "Small left pleural effusion."),
        ("Small left pleural effusion.", Side.BOTH, "Small left pleural effusion."),
        ("Small left pleural effusion.", Side.RIGHT, "Small pleural effusion."),
        ("Left pleural effusion.", Side.UNKNOWN, "Pleural effusion."),
        ("Bilateral pleural effusions.", Side.LEFT, "Pleural effusions."),
        ("There is an opacity in the left base.", Side.LEFT, "There is an opacity."),  # another finding
        ("The right lung is clear.", Side.LEFT, ""),
        ("No left pleural effusion.", Side.LEFT, "No pleural effusion."),
        ("Pleural effusion.", Side.UNKNOWN, "Pleural effusion."),
    ],
)
def test_sides_that_the_conditioning_does_not_contain_are_removed(sentence: str, side: Side, expected: str) -> None:
    locations = [FindingLocation(side if name == "Pleural Effusion" else Side.UNKNOWN) for name in SCHEMA.findings]
    kept, changed = remove_unsupported_sides(
        parse_report(f"FINDINGS: {sentence} The heart is large."), locations, SCHEMA
    )
    text = " ".join(one.text for section in kept for one in section.sentences)
    assert text == f"{expected} The heart is large.".strip()
    assert changed == (expected != sentence)


def test_a_sentence_that_equals_another_without_its_side_is_kept_once() -> None:
    sections = parse_report("FINDINGS: Left pleural effusion. Right pleural effusion.")
    kept, changed = remove_unsupported_sides(sections, [UNKNOWN_LOCATION] * len(SCHEMA.findings), SCHEMA)
    assert [one.text for one in kept[0].sentences] == ["Pleural effusion."]
    assert changed == 2
