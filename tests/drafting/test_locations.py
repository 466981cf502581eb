"""Locations of findings: what the model predicts and what the reader sets condition the decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from report_gen.drafting import DraftRequest
from report_gen.errors import UsageError
from report_gen.labeling import chest_xray
from report_gen.records import UNKNOWN_LOCATION, FindingLocation, FindingState, Side, Zone
from tests.builders import tiny_config, tiny_model
from tests.drafting.test_drafter import BRIEF, THRESHOLDS, by_name, drafter, study

FINDINGS = chest_xray().findings
PRESENT, ABSENT = FindingState.PRESENT, FindingState.ABSENT
LEFT_BASE = FindingLocation(Side.LEFT, frozenset({Zone.LOWER}))
RIGHT = FindingLocation(Side.RIGHT)


def locating_drafter(*, untrained: str = "", **probabilities: float) -> Any:
    """A drafter that sees every finding at the left base, whatever the image."""
    trained = tuple(name != untrained for name in FINDINGS)
    model = tiny_model(tiny_config(findings={"present": THRESHOLDS}, locations={"trained": trained}))
    states = {name.replace("_", " "): value for name, value in probabilities.items()}
    head = model.projector.location_head
    assert head is not None
    with torch.no_grad():
        model.projector.finding_weight.zero_()
        model.projector.finding_bias.copy_(torch.tensor([states.get(name, 0.1) for name in FINDINGS]).logit())
        head.scale.zero_()
        head.bias.copy_(torch.tensor([0.1, 0.9, 0.2, 0.3, 0.8]).logit())  # right, left, upper, mid, lower
    return drafter(model)


def test_a_present_finding_has_the_predicted_location(tmp_path: Path) -> None:
    findings = by_name(locating_drafter(Edema=0.9).draft(study(tmp_path), decoding=BRIEF))
    edema, fracture = findings["Edema"], findings["Fracture"]
    assert edema.location == LEFT_BASE
    assert edema.side_probability == pytest.approx(0.9 * 0.9)
    assert edema.zone_probabilities == pytest.approx((0.2, 0.3, 0.8))
    assert (fracture.state, fracture.location) == (ABSENT, UNKNOWN_LOCATION)
    assert (fracture.side_probability, fracture.zone_probabilities) == (None, None)


def test_the_location_of_an_untrained_finding_is_unknown(tmp_path: Path) -> None:
    edema = by_name(locating_drafter(Edema=0.9, untrained="Edema").draft(study(tmp_path), decoding=BRIEF))["Edema"]
    assert (edema.location, edema.side_probability, edema.zone_probabilities) == (UNKNOWN_LOCATION, None, None)


def test_a_model_without_locations_gives_none(tmp_path: Path) -> None:
    finding = drafter().draft(study(tmp_path), decoding=BRIEF).findings[1]
    assert (finding.location, finding.side_probability, finding.zone_probabilities) == (UNKNOWN_LOCATION, None, None)


def test_the_reader_sets_a_location_that_changes_the_text(tmp_path: Path) -> None:
    model, found = locating_drafter(Edema=0.9), study(tmp_path)
    before = model.draft(found, decoding=BRIEF)
    after = model.draft(found, decoding=BRIEF, locations={"edema": RIGHT, "Fracture": RIGHT})
    edema, fracture = by_name(after)["Edema"], by_name(after)["Fracture"]
    assert (edema.location, edema.location_overridden) == (RIGHT, True)
    assert (fracture.location, fracture.location_overridden) == (UNKNOWN_LOCATION, False)  # it is absent
    assert not by_name(before)["Edema"].location_overridden
    assert after.sections != before.sections
    overridden = model.draft(found, decoding=BRIEF, overrides={"Edema": ABSENT}, locations={"Edema": RIGHT})
    assert by_name(overridden)["Edema"].location == UNKNOWN_LOCATION
    asked = model.draft(DraftRequest(found, locations={"Edema": RIGHT}), decoding=BRIEF)
    assert asked.sections == after.sections


@pytest.mark.parametrize(
    ("locations", "message"),
    [
        ({"Oedema": RIGHT}, "finding 'Oedema' is not known; choose from"),
        ({"Cardiomegaly": RIGHT}, "finding 'Cardiomegaly' has no side and no zones; leave the location out"),
        ({"No Finding": RIGHT}, "finding 'No Finding' has no side and no zones"),
        ({"Edema": RIGHT, "edema": LEFT_BASE}, "finding 'Edema' has two locations; give one"),
        ({"Edema": "right"}, "locations contains 'right'; give a FindingLocation for each value"),
        ([RIGHT], "locations is of type list; give a mapping"),
    ],
)
def test_locations_that_no_model_can_use_are_refused(locations: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        locating_drafter().draft(study(tmp_path), locations=locations)


def test_a_model_without_locations_takes_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the model 'tiny' does not know where a finding is; leave the location out"):
        drafter().draft(study(tmp_path), locations={"Edema": RIGHT})
