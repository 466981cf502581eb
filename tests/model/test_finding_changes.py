"""The joint probability of a finding in two studies, against values computed by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from report_gen.config import STATES, ChangeConfig
from report_gen.model import DECIDED_CHANGES, change_probabilities, decide_changes
from report_gen.records import ChangeState, FindingState
from tests.builders import tiny_config

NEW, UNCHANGED, RESOLVED = DECIDED_CHANGES
PRESENT, ABSENT, UNCERTAIN, UNKNOWN = FindingState


def config(*, persistence: float = 0.0, **changes: Any) -> ChangeConfig:
    return ChangeConfig(trained=(True,), bias=(0.0,), persistence=(persistence,), **changes)


def probabilities(
    prior: float, present: float, settings: ChangeConfig, known: Mapping[str, FindingState] | None = None
) -> list[float]:
    states = {f"known_{name}": torch.tensor([[STATES.index(state)]]) for name, state in (known or {}).items()}
    pair = (torch.tensor([[one]], dtype=torch.float64) for one in (prior, present))
    return change_probabilities(*pair, settings, **states)[0, 0].tolist()


def test_without_persistence_the_studies_are_independent() -> None:
    found = probabilities(0.2, 0.7, config())
    assert found == pytest.approx([0.8 * 0.7, 0.2 * 0.7, 0.2 * 0.3])


def test_persistence_multiplies_the_odds_of_both() -> None:
    """By hand: weights 1 (neither), 3 (new), 1 * 3 * 2 (both) and 1 (resolved), because the odds are 1 and 3."""
    found = probabilities(0.5, 0.75, config(persistence=math.log(2)))
    assert found == pytest.approx([3 / 11, 6 / 11, 1 / 11])


def test_scale_and_bias_change_the_odds_of_both_studies() -> None:
    """By hand: odds 4 with a factor of a half are 2, with a bias of log 3 they are 6; so weights 1, 6, 36, 6."""
    settings = ChangeConfig(trained=(True,), scale=0.5, bias=(math.log(3),), persistence=(0.0,))
    assert probabilities(0.8, 0.8, settings) == pytest.approx([6 / 49, 36 / 49, 6 / 49])


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"prior": PRESENT}, [0, 6 / 7, 1 / 7]),
        ({"prior": ABSENT}, [3 / 4, 0, 0]),
        ({"present": PRESENT}, [3 / 9, 6 / 9, 0]),
        ({"present": ABSENT}, [0, 0, 1 / 2]),
        ({"prior": PRESENT, "present": ABSENT}, [0, 0, 1]),
        ({"prior": UNCERTAIN, "present": UNKNOWN}, [3 / 11, 6 / 11, 1 / 11]),
    ],
)
def test_known_states_exclude_the_others(known: dict[str, FindingState], expected: list[float]) -> None:
    assert probabilities(0.5, 0.75, config(persistence=math.log(2)), known) == pytest.approx(expected)


def test_swapping_the_studies_swaps_new_and_resolved() -> None:
    torch.manual_seed(0)
    one, other = torch.rand(3, 2), torch.rand(3, 2)
    settings = ChangeConfig(trained=(True, True), scale=0.8, bias=(-0.3, 0.2), persistence=(1.5, 0.1))
    forward, backward = change_probabilities(one, other, settings), change_probabilities(other, one, settings)
    torch.testing.assert_close(forward, backward.flip(-1))


def test_certain_probabilities_and_untrained_findings() -> None:
    settings = ChangeConfig(trained=(True, False), bias=(0.0, 0.0), persistence=(1.0, 1.0))
    found = change_probabilities(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 1.0]]), settings)
    torch.testing.assert_close(found, torch.tensor([[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("row", "state", "expected"),
    [
        ([0.6, 0.2, 0.1], PRESENT, NEW),
        ([0.1, 0.6, 0.2], PRESENT, UNCHANGED),
        ([0.1, 0.2, 0.6], ABSENT, RESOLVED),
        ([0.6, 0.2, 0.1], ABSENT, None),  # the draft denies the finding
        ([0.1, 0.2, 0.6], PRESENT, None),
        ([0.6, 0.2, 0.1], UNCERTAIN, None),
        ([0.1, 0.2, 0.6], UNKNOWN, None),
        ([0.39, 0.2, 0.1], PRESENT, None),
        ([0.41, 0.45, 0.1], PRESENT, UNCHANGED),
    ],
)
def test_a_change_is_stated_if_it_is_probable_and_agrees_with_the_draft(
    row: list[float], state: FindingState, expected: ChangeState | None
) -> None:
    assert decide_changes(torch.tensor([row]), [state], 0.4) == [expected]


def test_parameters_of_other_findings_are_refused() -> None:
    with pytest.raises(ValueError, match="have different lengths; give one value for each finding"):
        ChangeConfig(trained=(True, True), bias=(0.0,), persistence=(0.0,))
    with pytest.raises(ValueError, match=r"changes\.trained has 1 values, but schema 'chest_xray' has 17 findings"):
        tiny_config(changes=config().model_dump())
