"""Decide how findings have changed between two studies of a patient, from their probabilities in each.

The two studies are not independent: a finding that an earlier study shows is more probable now. The joint distribution
of a finding in the earlier study (i) and in the present one (j), each 0 or 1, is log-linear:

    log P(i, j) = i * a + j * b + i * j * persistence + constant,

where a and b are the scaled and shifted log-odds of the finding from the images alone. Labels of findings say whether a
finding is present, not how severe it is. Therefore "improved" and "worsened" are never decided.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from report_gen.config import STATES, ChangeConfig
from report_gen.records import ChangeState, FindingState

DECIDED_CHANGES = (ChangeState.NEW, ChangeState.UNCHANGED, ChangeState.RESOLVED)
"""Changes that can be decided, in the order of every tensor of them."""

_CELLS = ((0, 1), (1, 1), (1, 0))
"""States of the finding in the earlier and in the present study, for each of `DECIDED_CHANGES`."""
_IMPOSSIBLE = {FindingState.PRESENT: 0, FindingState.ABSENT: 1}
"""Index of the state that a known state excludes."""


def change_probabilities(
    prior: torch.Tensor,
    present: torch.Tensor,
    config: ChangeConfig,
    *,
    known_prior: torch.Tensor | None = None,
    known_present: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the probabilities [B,F,3] of `DECIDED_CHANGES`; 0 for findings whose change was not trained.

    Args:
        prior: [B,F] calibrated probabilities of the findings in the earlier study.
        present: [B,F] those in the present study.
        config: Parameters for the F findings.
        known_prior: [B,F] states in the earlier study, indices into `STATES`, that its report states; the images decide
            about findings that are neither present nor absent here.
        known_present: [B,F] states in the present study that the reader has set.
    """
    bias, persistence = prior.new_tensor(config.bias), prior.new_tensor(config.persistence)
    before, now = (config.scale * one.logit(eps=1e-6) + bias for one in (prior, present))  # each [B,F]
    neither = torch.zeros_like(before)
    absent_before, shown_before = torch.stack([neither, now], -1), torch.stack([before, before + now + persistence], -1)
    scores = torch.stack([absent_before, shown_before], dim=-2)  # [B,F,2,2]
    for study, known in enumerate((known_prior, known_present)):
        for state, index in _IMPOSSIBLE.items():
            if known is not None:
                excluded = known == STATES.index(state)  # [B,F]
                scores.select(2 + study, index).masked_fill_(excluded.unsqueeze(-1), float("-inf"))
    joint = scores.flatten(-2).softmax(-1).reshape(scores.shape)  # [B,F,2,2]
    changes = torch.stack([joint[..., i, j] for i, j in _CELLS], dim=-1)  # [B,F,3]
    return changes * torch.tensor(config.trained, device=changes.device)[:, None]


def decide_changes(
    probabilities: torch.Tensor, states: Sequence[FindingState], threshold: float
) -> list[ChangeState | None]:
    """Return the change of each of the F findings of a study; None where no change can be stated.

    A change is stated if it is the most probable one, reaches the threshold, and agrees with the state of the finding
    in the draft: a new or persistent finding is present, a resolved one absent.

    Args:
        probabilities: [F,3] of `DECIDED_CHANGES`.
        states: States [F] of the findings in the draft.
        threshold: Minimum probability of a change.
    """
    decided: list[ChangeState | None] = []
    for row, state in zip(probabilities.tolist(), states, strict=True):
        change = DECIDED_CHANGES[row.index(max(row))]
        required = FindingState.PRESENT if change.is_present else FindingState.ABSENT
        decided.append(change if max(row) >= threshold and state is required else None)
    return decided
