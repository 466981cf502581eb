"""What the decoder is told of an attribute: the reader goes before the header, the header before what is seen."""

from __future__ import annotations

import pytest

from report_gen.config import AttributeConfig
from report_gen.drafting.conditioning_inputs import check_attributes, resolve_attributes
from report_gen.errors import UsageError
from report_gen.records.report import Attribute

PLANE = AttributeConfig(name="plane", values=("axial", "coronal"))
MODALITY = AttributeConfig(name="modality", values=("CT", "MR"))


def settle(header: str = "", **overrides: str) -> Attribute:
    (told,) = resolve_attributes([MODALITY], [[0.75, 0.25]], {"modality": header} if header else {}, overrides)
    return told


def test_the_likeliest_value_is_told() -> None:
    assert settle() == Attribute(name="modality", value="CT", probability=0.75, predicted="CT")


def test_a_header_goes_before_what_is_seen_where_the_model_knows_its_value() -> None:
    assert settle("MR") == Attribute(name="modality", value="MR", probability=0.25, predicted="CT", from_header=True)
    assert settle("US") == settle()


def test_a_reader_goes_before_the_header() -> None:
    expected = Attribute(name="modality", value="CT", probability=0.75, predicted="CT", overridden=True)
    assert settle("MR", modality="CT") == expected
    assert settle("MR", modality="") == Attribute(name="modality", value="", predicted="CT", overridden=True)
    assert settle(plane="axial") == settle()


@pytest.mark.parametrize(
    ("known", "overrides", "message"),
    [
        ([], {"plane": "axial"}, "attribute 'plane' is not known: the model has learned none; leave it out"),
        ([MODALITY], {"plane": "axial"}, "attribute 'plane' is not known to the model; choose from modality"),
        ([PLANE], {"plane": "oblique"}, "plane 'oblique' is not known to the model; choose from axial, coronal or unk"),
    ],
)
def test_what_the_model_does_not_know_is_refused(
    known: list[AttributeConfig], overrides: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check_attributes(overrides, known)


def test_unknown_goes_with_every_attribute() -> None:
    check_attributes({"plane": ""}, [PLANE])
