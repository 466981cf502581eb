"""Studies encoded as examples: token ids, abnormal sentences, states and targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_gen_training.data.corpus_study import CorpusStudy
from report_gen_training.data.examples import TrainingExample, encode_study

from report_gen.config import STATES
from report_gen.labeling import chest_xray
from report_gen.records import FindingState, ViewOffset, ViewPosition, parse_report
from tests.builders import PROMPT, REPORTS, store, tokenizer

FINDINGS = chest_xray().findings


NOTHING = np.full(17, np.nan, dtype=np.float32)


def study(**changes: Any) -> CorpusStudy:
    values: dict[str, Any] = {
        "study_id": "1",
        "patient_id": "p",
        "split": "train",
        "images": (),
        "views": (ViewPosition.PA,),
        "indication": "Cough.",
        "sections": parse_report("FINDINGS: There is a pleural effusion. No fracture. IMPRESSION: Possible edema."),
        "labels": NOTHING,
        "targets": NOTHING,
    }
    return CorpusStudy(**values | changes)


def test_an_example_has_the_states_of_its_text() -> None:
    states = dict(zip(FINDINGS, encode_study(study(), tokenizer(), PROMPT, 100, chest_xray()).states, strict=True))
    found = {name: STATES[state] for name, state in states.items() if STATES[state] is not FindingState.UNKNOWN}
    assert found == {
        "No Finding": FindingState.ABSENT,
        "Pleural Effusion": FindingState.PRESENT,
        "Fracture": FindingState.ABSENT,
        "Edema": FindingState.UNCERTAIN,
    }


def test_targets_come_from_the_text_if_the_corpus_has_no_labels() -> None:
    example = encode_study(study(images=(Path("a.png"),)), tokenizer(), PROMPT, 100, chest_xray())
    np.testing.assert_array_equal(example.labels, example.targets)
    by_name = dict(zip(FINDINGS, example.targets.tolist(), strict=True))
    assert by_name["Pleural Effusion"] == 1
    assert by_name["Fracture"] == by_name["Pneumonia"] == 0
    assert np.isnan(by_name["Edema"])


def test_labels_have_precedence_over_the_text() -> None:
    labels = NOTHING.copy()
    labels[0] = 1
    softened = 0.7 * labels
    known = study(images=(Path("a.png"),), labels=labels, targets=softened)
    example = encode_study(known, tokenizer(), PROMPT, 100, chest_xray())
    np.testing.assert_array_equal(example.labels, labels)
    np.testing.assert_array_equal(example.targets, softened)


def test_wordings_of_the_prompt() -> None:
    def wordings(**changes: Any) -> list[str]:
        return [
            tokenizer().decode(ids)
            for ids in encode_study(study(**changes), tokenizer(), PROMPT, 100, chest_xray()).prompts
        ]

    assert wordings(images=(Path("a.png"),)) == ["Chest. PA Cough.", "Chest. Cough.", "Chest. PA", "Chest."]
    assert wordings() == [
        *("Chest. PA Cough.", "Chest. PA Cough.", "Chest. AP Cough.", "Chest. frontal Cough.", "Chest. Cough."),
        *("Chest. PA", "Chest. PA", "Chest. AP", "Chest. frontal", "Chest."),
    ]


def test_a_long_report_loses_sentences() -> None:
    sections = parse_report("FINDINGS: " + "The heart is enlarged. " * 20 + "IMPRESSION: Cardiomegaly.")
    whole = encode_study(study(sections=sections), tokenizer(), PROMPT, 1000, chest_xray()).report_ids
    cut = encode_study(study(sections=sections), tokenizer(), PROMPT, 60, chest_xray()).report_ids
    assert len(cut) <= 60 < len(whole)
    findings, impression = parse_report(tokenizer().decode(cut))
    assert {sentence.text for sentence in findings.sentences} == {"The heart is enlarged."}
    assert impression.text == "Cardiomegaly."


def test_a_single_long_sentence_is_cut() -> None:
    sections = parse_report("The heart is enlarged and enlarged and enlarged and enlarged.")
    assert len(encode_study(study(sections=sections), tokenizer(), PROMPT, 8, chest_xray()).report_ids) == 8


@pytest.mark.parametrize("text", REPORTS)
def test_encoding_by_sentences_equals_encoding_the_whole_text(text: str) -> None:
    example = encode_study(study(sections=parse_report(text)), tokenizer(), PROMPT, 1000, chest_xray())
    assert list(example.report_ids) == tokenizer().encode(text)
    assert parse_report(example.reference) == parse_report(text)


def test_tokens_of_sentences_that_state_a_finding_are_abnormal() -> None:
    report = (
        "FINDINGS: The lungs are clear. There is cardiomegaly. No effusion. IMPRESSION: Possible pneumonia. Normal."
    )
    example = encode_study(study(sections=parse_report(report)), tokenizer(), PROMPT, 1000, chest_xray())
    decoded = tokenizer().decode(
        id_ for id_, abnormal in zip(example.report_ids, example.abnormal, strict=True) if abnormal
    )
    assert decoded == "There is cardiomegaly. Possible pneumonia."


def test_the_reference_of_a_shortened_report_is_the_shortened_text() -> None:
    sections = parse_report("FINDINGS: " + "The heart is enlarged. " * 20 + "IMPRESSION: Cardiomegaly.")
    example = encode_study(study(sections=sections), tokenizer(), PROMPT, 60, chest_xray())
    assert parse_report(example.reference) == parse_report(tokenizer().decode(example.report_ids))
    assert len(example.abnormal) == len(example.report_ids)


def test_a_study_without_a_report_has_no_report_tokens() -> None:
    example = encode_study(study(sections=(), images=(Path("a.png"),)), tokenizer(), PROMPT, 100, chest_xray())
    assert (example.report_ids, example.abnormal, example.reference) == ((), (), "")


def test_an_example_keeps_study_and_patient_id() -> None:
    example = encode_study(study(), tokenizer(), PROMPT, 100, chest_xray())
    assert (example.study_id, example.patient_id) == ("1", "p")


SIDED = "FINDINGS: Small left effusion. Right upper lobe opacity. The heart is enlarged. IMPRESSION: Left effusion."


def located(text: str, *, tokens: int = 1000, locations: bool = True) -> TrainingExample:
    one = study(sections=parse_report(text))
    return encode_study(one, tokenizer(), PROMPT, tokens, chest_xray(), locations=locations)


def parts(example: TrainingExample) -> dict[str, list[int]]:
    """Return the parts of the located findings."""
    rows = zip(FINDINGS, example.locations.astype(int).tolist(), strict=True)
    return {name: row for name, row in rows if any(row)}


def test_locations_are_those_that_the_text_states() -> None:
    example = located(SIDED)
    assert example.locations.shape == (17, 5)
    assert parts(example) == {"Pleural Effusion": [0, 1, 0, 0, 0], "Lung Opacity": [1, 0, 1, 0, 0]}
    assert parts(located("FINDINGS: Bibasilar atelectasis. No right effusion.")) == {"Atelectasis": [1, 1, 0, 0, 1]}


def test_locations_are_those_of_the_text_that_is_left() -> None:
    text = "FINDINGS: The heart is enlarged. Small effusion. Right upper lobe opacity."
    assert parts(located(text)) == {"Lung Opacity": [1, 0, 1, 0, 0]}
    shortened = located(text, tokens=len(located(text).report_ids) - 1)
    assert "opacity" not in shortened.reference
    assert parts(shortened) == {}


def test_a_model_without_locations_has_none() -> None:
    example = located(SIDED, locations=False)
    assert (parts(example), example.without_places) == ({}, None)


def test_the_report_without_places_is_encoded_as_well() -> None:
    example = located(SIDED)
    assert example.without_places is not None
    plain = "FINDINGS:\nSmall effusion. Opacity. The heart is enlarged.\n\nIMPRESSION:\nEffusion."
    assert example.without_places.text == plain
    assert tokenizer().decode(list(example.without_places.ids)) == " ".join(plain.split())
    forgotten = example.without_locations()
    assert (forgotten.reference, forgotten.report_ids) == (plain, example.without_places.ids)
    assert len(forgotten.abnormal) == len(forgotten.report_ids)
    assert parts(forgotten) == {}
    assert forgotten.states.tolist() == example.states.tolist()


@pytest.mark.parametrize(
    ("text", "needs_places"),
    [
        ("FINDINGS: Small effusion. IMPRESSION: Effusion.", False),
        ("FINDINGS: The opacity is in the left base. No effusion. IMPRESSION: Opacity in the left base.", False),
        ("FINDINGS: Basilar opacity. IMPRESSION: Opacity at the lung bases.", False),
        # Without its place, the only sentence about a finding or of a section is lost.
        ("FINDINGS: The opacity is in the left base. IMPRESSION: No effusion.", True),
        ("FINDINGS: Left effusion. IMPRESSION: The effusion is on the left.", True),
    ],
)
def test_a_report_that_needs_its_places_has_no_other_text(text: str, needs_places: bool) -> None:
    example = located(text)
    assert example.needs_places is needs_places
    if needs_places:
        assert example.without_places is None


def test_the_store_keeps_the_offsets_of_the_images() -> None:
    offsets = (ViewOffset(), ViewOffset(mm=-2.5, seconds=12.25, days=-400.0))
    example = replace(located(SIDED), offsets=offsets)
    (stored,) = store(example)
    assert list(map(list, stored.offsets)) == [pytest.approx([np.nan, np.nan, 0], nan_ok=True), [-2.5, 12.25, -400]]
    assert store(located(SIDED))[0].offsets == ()


def test_the_store_returns_what_it_was_given() -> None:
    for example in (located(SIDED), located("FINDINGS: No edema.")):
        (stored,) = store(example)
        assert stored.without_places == example.without_places
        np.testing.assert_array_equal(stored.locations, example.locations)
        assert (stored.locations.dtype, stored.locations.shape) == (np.dtype(bool), (17, 5))
