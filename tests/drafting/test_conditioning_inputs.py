"""Attributes of the conditioning: the reader takes precedence over the header, the header over the model."""

from __future__ import annotations

import pytest

from report_gen.config import AttributeConfig
from report_gen.drafting.conditioning_inputs import check_attributes, resolve_attributes, resolve_overrides
from report_gen.errors import UsageError
from report_gen.labeling.schema_files import chest_xray
from report_gen.records import Attribute, FindingState

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
