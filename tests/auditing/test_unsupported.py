"""Sentences about findings that a model does not predict."""

from __future__ import annotations

import pytest

from report_gen.auditing import is_unsupported, remove_unsupported
from report_gen.labeling import chest_xray
from report_gen.records import FindingState, parse_report

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
