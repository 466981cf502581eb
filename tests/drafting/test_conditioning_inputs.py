"""Attributes of the conditioning: the reader takes precedence over the header, the header over the model."""

from __future__ import annotations

import pytest

from report_gen.config import STATES, AttributeConfig
from report_gen.drafting.conditioning_inputs import (
    check_attributes,
    resolve_attributes,
    resolve_overrides,
    resolve_states,
    uncertain_attributes,
)
from report_gen.errors import UsageError
from report_gen.labeling.schema_files import chest_xray
from report_gen.records import Attribute, AttributeName, FindingSchema, FindingState, NoFindingRule

PLANE = AttributeConfig(name="plane", values=("axial", "coronal"))
MODALITY = AttributeConfig(name="modality", values=("CT", "MR"))


def resolve(header: str = "", **overrides: str) -> Attribute:
    (attribute,) = resolve_attributes([MODALITY], [[0.75, 0.25]], {"modality": header} if header else {}, overrides)
    return attribute


def test_the_most_probable_value_is_the_default() -> None:
    assert resolve() == Attribute(name="modality", value="CT", probability=0.75, predicted="CT")


def test_a_header_value_that_the_model_knows_takes_precedence_over_the_prediction() -> None:
    assert resolve("MR") == Attribute(name="modality", value="MR", probability=0.25, predicted="CT", from_header=True)
    assert resolve("US") == resolve()


def test_the_reader_takes_precedence_over_the_header() -> None:
    expected = Attribute(name="modality", value="CT", probability=0.75, predicted="CT", overridden=True)
    assert resolve("MR", modality="CT") == expected
    assert resolve("MR", modality="") == Attribute(name="modality", value="", predicted="CT", overridden=True)
    assert resolve(plane="axial") == resolve()


def test_an_uncertain_value_conditions_the_decoder_but_should_not_be_named() -> None:
    def uncertain_at(threshold: float, header: dict[AttributeName, str], overrides: dict[str, str]) -> frozenset[str]:
        known = [MODALITY.model_copy(update={"threshold": threshold})]
        resolved = resolve_attributes(known, [[0.75, 0.25]], header, overrides)
        assert resolved[0].value
        return uncertain_attributes(known, resolved)

    assert uncertain_at(0.75, {}, {}) == set()
    assert uncertain_at(0.76, {}, {}) == {"modality"}
    assert uncertain_at(0.76, {"modality": "MR"}, {}) == set()
    assert uncertain_at(0.76, {}, {"modality": "CT"}) == set()


@pytest.mark.parametrize(
    ("known", "overrides", "message"),
    [
        (
            [],
            {"plane": "axial"},
            "attribute 'plane' is not known: the model was trained without attributes; leave it out",
        ),
        ([MODALITY], {"plane": "axial"}, "attribute 'plane' is not known to the model; choose from modality"),
        ([PLANE], {"plane": "oblique"}, "plane 'oblique' is not known to the model; choose from axial, coronal or unk"),
    ],
)
def test_unknown_attributes_and_values_are_refused(
    known: list[AttributeConfig], overrides: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check_attributes(overrides, known)


def test_every_attribute_may_be_set_to_unknown() -> None:
    check_attributes({"plane": ""}, [PLANE])


def test_a_finding_with_two_states_is_refused() -> None:
    present, absent = FindingState.PRESENT, FindingState.ABSENT
    assert resolve_overrides({"Edema": present, "edema": present}, chest_xray()) == {"Edema": present}
    with pytest.raises(UsageError, match="finding 'Edema' is overridden as present and as absent; give one state"):
        resolve_overrides({"Edema": present, "edema": absent}, chest_xray())


def test_a_normal_study_with_an_abnormality_is_refused() -> None:
    present, absent = FindingState.PRESENT, FindingState.ABSENT
    schema = chest_xray()
    message = "'No Finding' set to present contradicts 'Pneumothorax' set to present; set one of them only"
    with pytest.raises(UsageError, match=message):
        resolve_overrides({"No Finding": present, "Edema": absent, "Pneumothorax": present}, schema)
    for allowed in ({"No Finding": present, "Support Devices": present}, {"No Finding": absent, "Edema": present}):
        assert resolve_overrides(allowed, schema) == allowed


HEAD = FindingSchema(
    name="head",
    findings=("Bleed", "Normal", "Mass", "Shunt", "Atrophy", "Fracture"),
    no_finding=NoFindingRule(finding="Normal", ignored=("Shunt",), inconclusive=("Atrophy",)),
)
PRESENT, ABSENT, UNCERTAIN, UNKNOWN = (
    FindingState.PRESENT,
    FindingState.ABSENT,
    FindingState.UNCERTAIN,
    FindingState.UNKNOWN,
)
NORMAL_STUDY = (ABSENT, PRESENT, ABSENT, PRESENT, ABSENT, UNKNOWN)
ABNORMAL_STUDY = (PRESENT, ABSENT, ABSENT, PRESENT, UNCERTAIN, UNKNOWN)


def states_of(decided: tuple[FindingState, ...], **overrides: FindingState) -> list[FindingState]:
    set_by_reader = {name.capitalize(): state for name, state in overrides.items()}
    return list(resolve_states(HEAD, [STATES.index(state) for state in decided], set_by_reader).values())


def test_decided_states_are_kept_without_overrides() -> None:
    assert states_of(NORMAL_STUDY) == list(NORMAL_STUDY)
    assert states_of(ABNORMAL_STUDY) == list(ABNORMAL_STUDY)


def test_a_finding_set_by_the_reader_makes_a_normal_study_abnormal() -> None:
    assert states_of(NORMAL_STUDY, bleed=PRESENT) == [PRESENT, ABSENT, ABSENT, PRESENT, ABSENT, UNKNOWN]
    assert states_of(NORMAL_STUDY, mass=UNCERTAIN) == [ABSENT, UNCERTAIN, UNCERTAIN, PRESENT, ABSENT, UNKNOWN]
    assert states_of(NORMAL_STUDY, atrophy=PRESENT)[1] is UNKNOWN  # the rule has no label for it
    assert states_of(NORMAL_STUDY, shunt=ABSENT)[1] is PRESENT


def test_a_study_that_the_reader_sets_to_normal_has_no_abnormality() -> None:
    assert states_of(ABNORMAL_STUDY, normal=PRESENT) == [ABSENT, PRESENT, ABSENT, PRESENT, ABSENT, UNKNOWN]
    both = states_of(ABNORMAL_STUDY, normal=PRESENT, mass=UNCERTAIN)
    assert both == [ABSENT, PRESENT, UNCERTAIN, PRESENT, ABSENT, UNKNOWN]


def test_a_reader_who_denies_the_only_finding_makes_the_study_normal() -> None:
    only = (UNCERTAIN, ABSENT, ABSENT, ABSENT, ABSENT, UNKNOWN)
    assert states_of(only)[1] is UNCERTAIN
    assert states_of(only, bleed=ABSENT)[:2] == [ABSENT, PRESENT]


def test_setting_normal_to_absent_changes_nothing_else() -> None:
    assert states_of(ABNORMAL_STUDY, normal=ABSENT) == list(ABNORMAL_STUDY)
