"""Decisions of states: a study is normal or has a finding."""

from __future__ import annotations

import pydantic
import pytest
import torch

from report_gen.config import STATES, FindingConfig
from report_gen.model.finding_decision import decide_states
from report_gen.records import FindingSchema, FindingState, NoFindingRule
from tests.builders import tiny_config, tiny_model

PRESENT, ABSENT, UNCERTAIN, UNKNOWN = (
    FindingState.PRESENT,
    FindingState.ABSENT,
    FindingState.UNCERTAIN,
    FindingState.UNKNOWN,
)

HEAD = FindingSchema(
    name="head",
    findings=("Bleed", "Normal", "Mass", "Shunt", "Atrophy", "Fracture"),
    no_finding=NoFindingRule(finding="Normal", ignored=("Shunt",), inconclusive=("Atrophy",)),
)
THRESHOLDS = FindingConfig(
    present=(0.5, None, 0.1, 0.5, 0.5, None), uncertain=(0.25, None, 0.08, None, None, None), normal=0.6
)


def decide(config: FindingConfig = THRESHOLDS, **probabilities: float) -> dict[str, FindingState]:
    row = [probabilities.get(name.lower(), 0.01) for name in HEAD.findings]
    (states,) = decide_states(torch.tensor([row]), config, HEAD).tolist()
    return {name: STATES[state] for name, state in zip(HEAD.findings, states, strict=True)}


def test_a_normal_study_has_no_abnormality() -> None:
    states = decide(normal=0.6, bleed=0.9, mass=0.09, atrophy=0.7)
    assert states == {
        "Bleed": ABSENT,
        "Normal": PRESENT,
        "Mass": ABSENT,
        "Shunt": ABSENT,
        "Atrophy": ABSENT,
        "Fracture": UNKNOWN,  # the model cannot deny what it does not know
    }


def test_findings_that_the_rule_ignores_keep_their_state() -> None:
    assert decide(normal=0.9, shunt=0.9)["Shunt"] is PRESENT


def test_a_study_that_is_not_normal_keeps_the_findings_above_their_thresholds() -> None:
    states = decide(normal=0.59, bleed=0.5, mass=0.08)
    assert (states["Bleed"], states["Normal"], states["Mass"], states["Atrophy"]) == (
        PRESENT,
        ABSENT,
        UNCERTAIN,
        ABSENT,
    )


def test_the_finding_nearest_to_its_threshold_is_uncertain_if_none_reached_it() -> None:
    # Odds relative to the threshold: bleed 0.2 / 0.8 = 0.25, mass (0.07 / 0.93) / (0.1 / 0.9) = 0.68.
    states = decide(normal=0.3, bleed=0.2, mass=0.07)
    assert states == {
        "Bleed": ABSENT,
        "Normal": ABSENT,
        "Mass": UNCERTAIN,
        "Shunt": ABSENT,
        "Atrophy": ABSENT,
        "Fracture": UNKNOWN,
    }
    assert decide(normal=0.3, bleed=0.2, mass=0.02)["Bleed"] is UNCERTAIN
    assert decide(normal=0.3, atrophy=0.4, mass=0.02)["Atrophy"] is UNCERTAIN


def test_an_ignored_finding_does_not_explain_an_abnormal_study() -> None:
    states = decide(normal=0.3, shunt=0.9, mass=0.07)
    assert (states["Shunt"], states["Mass"]) == (PRESENT, UNCERTAIN)
    assert decide(normal=0.3, shunt=0.49, bleed=0.2)["Bleed"] is UNCERTAIN


def test_an_uncertain_finding_explains_an_abnormal_study() -> None:
    states = decide(normal=0.3, bleed=0.3, mass=0.07)
    assert (states["Bleed"], states["Mass"]) == (UNCERTAIN, ABSENT)


def test_every_study_of_a_batch_has_its_own_decision() -> None:
    rows = torch.full((4, 6), 0.01)
    rows[:, 1] = torch.tensor([0.9, 0.1, 0.1, 0.9])
    rows[1, 0] = rows[3, 0] = 0.9
    states = decide_states(rows, THRESHOLDS, HEAD)
    names = [[STATES[state] for state in row] for row in states[:, :3].tolist()]
    assert names == [
        [ABSENT, PRESENT, ABSENT],
        [PRESENT, ABSENT, ABSENT],
        [ABSENT, ABSENT, UNCERTAIN],
        [ABSENT, PRESENT, ABSENT],
    ]


def test_probabilities_of_0_and_1_are_decided() -> None:
    assert decide(normal=0.0, bleed=0.0, mass=0.0, atrophy=0.0)["Mass"] is UNCERTAIN
    assert decide(normal=1.0, bleed=1.0)["Bleed"] is ABSENT


def test_without_a_threshold_of_normal_the_thresholds_decide_alone() -> None:
    alone = THRESHOLDS.model_copy(update={"normal": None})
    assert set(decide(alone, normal=0.99, mass=0.05).values()) == {ABSENT, UNKNOWN}
    assert decide(alone, normal=0.99, bleed=0.9)["Bleed"] is PRESENT
    assert decide(alone, normal=0.99, bleed=0.9)["Normal"] is UNKNOWN


def test_a_model_without_other_thresholds_decides_only_normal() -> None:
    only = FindingConfig(present=(None,) * 6, normal=0.5)
    assert decide(only, normal=0.4, bleed=0.9) == dict.fromkeys(HEAD.findings, UNKNOWN) | {"Normal": ABSENT}


def test_probabilities_are_shifted_after_the_temperature() -> None:
    shift = [0.0] * 17
    shift[3] = -1.5
    model = tiny_model(tiny_config(findings={"present": [None] * 17, "temperature": 2.0, "shift": shift}))
    probabilities = model.probabilities(torch.full((2, 17), 3.0))
    torch.testing.assert_close(probabilities[:, 3], torch.tensor([0.5, 0.5]))  # 3 / 2 - 1.5 = 0
    torch.testing.assert_close(probabilities[:, 4], torch.tensor([1.5, 1.5]).sigmoid())


def test_shift_and_threshold_of_normal_are_checked() -> None:
    with pytest.raises(pydantic.ValidationError, match=r"findings\.shift has 2 values, .*'chest_xray' has 17"):
        tiny_config(findings={"present": (None,) * 17, "shift": (0.0, 0.0)})
    with pytest.raises(pydantic.ValidationError, match="normal"):
        FindingConfig(present=(), normal=0.0)
    schema = {"name": "own", "findings": ["Edema"]}
    with pytest.raises(pydantic.ValidationError, match="has no finding that means a normal study; remove it"):
        tiny_config(finding_schema=schema, findings={"present": (0.5,), "normal": 0.5})
