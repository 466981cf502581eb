"""Inconsistency of a text with its conditioning, against a table made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from report_gen.generation import GeneratedText, mismatched_findings, mismatched_locations
from report_gen.generation.reranking import (
    fewest_contradictions,
    inconsistency,
    location_mismatch,
    mismatch_score,
    most_agreed,
    needs_candidates,
    select_candidate,
)
from report_gen.labeling import chest_xray
from report_gen.records import (
    DESCRIBING_SECTIONS,
    UNKNOWN_LOCATION,
    AttributeName,
    FindingLocation,
    FindingState,
    Section,
    Side,
    Zone,
    split_sentences,
)

SCHEMA = chest_xray()
FINDINGS = SCHEMA.findings

PRESENT, ABSENT, UNCERTAIN, UNKNOWN = FindingState

TEXTS = {
    PRESENT: "There is a pleural effusion.",
    ABSENT: "No pleural effusion.",
    UNCERTAIN: "Possible pleural effusion.",
    UNKNOWN: "The image is rotated.",
}


def generated(text: str, confidence: float | None = None) -> GeneratedText:
    """Return a text whose lines are its sections."""
    sections = zip(DESCRIBING_SECTIONS, text.splitlines(), strict=False)
    return GeneratedText(tuple(Section(name, split_sentences(line)) for name, line in sections), confidence)


def states_of(**states: FindingState) -> list[FindingState]:
    return [states.get(name.replace(" ", "_"), UNKNOWN) for name in FINDINGS]


@pytest.mark.parametrize(
    ("state", "weights"),
    [  # in the text:   present absent uncertain nothing
        (PRESENT, (0.0, 2.0, 0.5, 1.0)),
        (ABSENT, (2.0, 0.0, 1.0, 0.0)),
        (UNCERTAIN, (1.0, 1.0, 0.0, 0.5)),
        (UNKNOWN, (1.0, 0.0, 0.5, 0.0)),
    ],
)
def test_weights_of_mismatches(state: FindingState, weights: tuple[float, ...]) -> None:
    for in_text, weight in zip(TEXTS, weights, strict=True):
        assert mismatch_score(TEXTS[in_text], states_of(Pleural_Effusion=state), SCHEMA) == weight, (state, in_text)


def test_mismatches_add_up() -> None:
    states = states_of(Pleural_Effusion=PRESENT, Edema=ABSENT, Fracture=PRESENT)
    text = "No pleural effusion. Pulmonary edema."  # contradicted, contradicted, left out
    assert mismatch_score(text, states, SCHEMA) == 2 + 2 + 1
    assert mismatched_findings(text, states, SCHEMA) == ("Edema", "Pleural Effusion", "Fracture")


def test_a_difference_in_certainty_alone_is_not_reported() -> None:
    assert mismatched_findings(TEXTS[UNCERTAIN], states_of(Pleural_Effusion=PRESENT), SCHEMA) == ()


def test_no_finding_follows_from_the_others_and_is_not_counted() -> None:
    assert mismatch_score("The chest is normal.", states_of(No_Finding=ABSENT), SCHEMA) == 0


def test_the_text_with_the_highest_mean_agreement() -> None:
    # Mean ROUGE-L (beta 1.2) by hand: the middle text shares 3 of 4 words with each of the others, they share 2.
    assert most_agreed(["a b c d", "x b c e", "a b c e"]) == 2
    assert most_agreed(["no effusion", "the heart is enlarged", "no effusion"]) == 0
    assert most_agreed(["alone"]) == 0
    assert most_agreed(["", ""]) == 0


def test_contradicted_attributes_count() -> None:
    attributes: dict[AttributeName, str] = {"modality": "CT", "plane": "axial"}
    texts = ["Sagittal MRI.", "Coronal CT.", "Axial CT.", "A cyst."]
    assert [inconsistency(generated(text), states_of(), attributes, schema=SCHEMA) for text in texts] == [4, 2, 0, 0]
    assert fewest_contradictions(texts, attributes) == [2, 3]
    assert fewest_contradictions(texts[:2], attributes) == [1]
    assert fewest_contradictions(texts, {}) == [0, 1, 2, 3]


def test_confidence_decides_among_equally_consistent_texts() -> None:
    states = states_of(Pleural_Effusion=PRESENT)
    small, left, none, bare = (
        generated(*one)
        for one in (("Small effusion.", 0.4), ("Left effusion.", 0.6), ("No effusion.", 0.9), ("Effusion.", None))
    )
    assert select_candidate([small, left, none, bare], states, schema=SCHEMA) is left
    # A contradiction costs more than a missing confidence.
    assert select_candidate([none, bare], states, schema=SCHEMA) is bare
    assert select_candidate([none], states, schema=SCHEMA) is none


@pytest.mark.parametrize(
    ("text", "states", "expected"),
    [
        (TEXTS[PRESENT], states_of(Pleural_Effusion=PRESENT), False),
        (TEXTS[ABSENT], states_of(Pleural_Effusion=ABSENT), False),
        (TEXTS[ABSENT], states_of(Pleural_Effusion=PRESENT), True),
        (TEXTS[UNKNOWN], states_of(), True),
    ],
)
def test_candidates_are_needed_for_contradictions_and_unknown_states(
    text: str, states: list[FindingState], expected: bool
) -> None:
    assert needs_candidates(generated(text), states, schema=SCHEMA) is expected


def test_the_candidate_that_is_formed_best_is_kept() -> None:
    states = states_of(Cardiomegaly=PRESENT)
    candidates = [
        generated("The heart is enlarged.\nThere may be of the of the size.", 0.9),
        generated("The heart is enlarged.\nSevere cardiomegaly. Mild cardiomegaly.", 0.9),
        generated("The heart is enlarged.\nCardiomegaly.", 0.6),
    ]
    costs = [inconsistency(one, states, schema=SCHEMA) for one in candidates]
    assert costs == [1.0, 1.5, 0.0]  # the second one states the finding again, with another degree
    assert select_candidate(candidates, states, schema=SCHEMA) is candidates[2]
    assert needs_candidates(candidates[0], states, schema=SCHEMA)


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("Small effusion.\nSmall effusion.", 1.0),  # the repeated sentence is a flag of the audit
        ("There is a small effusion.\nSmall effusion.", 0.0),
        ("There is a large effusion.\nSmall effusion.", 1.0),
        ("There is a large effusion. There is a small effusion.\nEffusion.", 1.5),  # the section states it again
        ("There is a left effusion.\nRight effusion.", 1.0),
        ("There is an effusion.\nNo effusion.", 2.0),  # a flag of the audit, and a denied finding
        ("There is an effusion.\nThe image is rotated.", 0.0),  # decides only among equally consistent texts
    ],
)
def test_a_text_that_disagrees_with_itself_costs(text: str, cost: float) -> None:
    states = states_of(Pleural_Effusion=PRESENT)
    assert inconsistency(generated(text), states, schema=SCHEMA) == cost
    assert needs_candidates(generated(text), states, schema=SCHEMA) is (cost > 0)


def test_the_candidate_that_agrees_with_itself_is_kept() -> None:
    states = states_of(Pleural_Effusion=PRESENT)
    two_degrees = generated("There is a large effusion.\nSmall effusion.", 0.9)
    two_sides = generated("There is a left effusion.\nRight effusion.", 0.9)
    one_section = generated("There is a small effusion.\nThe image is rotated.", 0.65)
    agreeing = generated("There is a small effusion.\nSmall effusion.", 0.6)
    omitting = generated("The image is rotated.\nThe image is rotated again.", 0.9)
    assert select_candidate([two_degrees, two_sides, agreeing], states, schema=SCHEMA) is agreeing
    assert select_candidate([one_section, agreeing], states, schema=SCHEMA) is agreeing
    # A predicted finding in one section is better than in none.
    assert select_candidate([omitting, one_section], states, schema=SCHEMA) is one_section


def test_a_candidate_without_doubtful_words_is_preferred() -> None:
    states = states_of(Pleural_Effusion=PRESENT)
    invented, small, none = (
        generated(*one) for one in (("Small sizedular effusion.", 0.9), ("Small effusion.", 0.6), ("No effusion.", 0.9))
    )
    assert select_candidate([invented, small, none], states, schema=SCHEMA) is invented
    assert select_candidate([replace(invented, doubtful_words=1), small, none], states, schema=SCHEMA) is small


LEFT, RIGHT, BOTH = (FindingLocation(side) for side in (Side.LEFT, Side.RIGHT, Side.BOTH))
LEFT_BASE = FindingLocation(Side.LEFT, frozenset({Zone.LOWER}))


@pytest.mark.parametrize(
    ("text", "location", "weight"),
    [
        ("Left pleural effusion.", LEFT, 0.0),
        ("Left pleural effusion.", RIGHT, 2.0),
        ("Left pleural effusion.", UNKNOWN_LOCATION, 1.0),
        ("Left pleural effusion.", BOTH, 0.5),
        ("Bilateral pleural effusions.", LEFT, 2.0),
        ("Pleural effusion.", LEFT, 0.5),
        ("Pleural effusion.", UNKNOWN_LOCATION, 0.0),
        ("No pleural effusion.", LEFT, 0.0),
        ("Pleural effusion in the left apex.", LEFT_BASE, 1.0),
        ("Pleural effusion at the left base.", LEFT_BASE, 0.0),
    ],
)
def test_weights_of_mismatched_locations(text: str, location: FindingLocation, weight: float) -> None:
    locations = [location if name == "Pleural Effusion" else UNKNOWN_LOCATION for name in SCHEMA.findings]
    states = states_of(Pleural_Effusion=PRESENT)
    assert location_mismatch(text, locations, SCHEMA) == weight
    with_locations, without = (
        inconsistency(generated(text), states, {}, given, schema=SCHEMA) for given in (locations, ())
    )
    assert with_locations - without == weight


def test_the_candidate_with_the_right_side_is_kept() -> None:
    locations = [LEFT if name == "Pleural Effusion" else UNKNOWN_LOCATION for name in SCHEMA.findings]
    right, left = generated("Right pleural effusion.", 0.9), generated("Left pleural effusion.", 0.2)
    states = states_of(Pleural_Effusion=PRESENT)
    assert select_candidate([right, left], states, {}, locations, schema=SCHEMA) is left
    assert select_candidate([right, left], states, schema=SCHEMA) is right
    assert needs_candidates(right, states, {}, locations, schema=SCHEMA)
    assert mismatched_locations(right.text, locations, SCHEMA) == ("Pleural Effusion",)
    assert mismatched_locations(left.text, locations, SCHEMA) == ()
    assert mismatched_locations(right.text, (), SCHEMA) == ()
