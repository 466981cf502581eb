"""Decide the state of every finding of a study from its probabilities."""

from __future__ import annotations

import torch

from report_gen.config import STATES, FindingConfig
from report_gen.records import FindingSchema, FindingState

_PRESENT, _ABSENT, _UNCERTAIN, _UNKNOWN = (
    STATES.index(state)
    for state in (FindingState.PRESENT, FindingState.ABSENT, FindingState.UNCERTAIN, FindingState.UNKNOWN)
)


def decide_states(probabilities: torch.Tensor, config: FindingConfig, schema: FindingSchema) -> torch.Tensor:
    """Return the finding states [B,F], indices into `STATES`.

    The thresholds decide each finding. If the configuration has a threshold of normal, a study is then either normal or
    not. A normal study has none of the `abnormalities` of the schema. A study that is not normal has at least one: if
    none reached its threshold, the one that came nearest is uncertain. Findings without a threshold stay unknown,
    because the model cannot deny them, and findings that the rule of "no finding" ignores keep their state.

    Args:
        probabilities: [B,F], 0..1.
        config: Thresholds.
        schema: The F findings.
    """
    states = _apply_thresholds(probabilities, config)
    if config.normal is None:
        return states
    normal = schema.index(schema.normal)
    is_normal = probabilities[:, normal] >= config.normal  # [B]
    states[:, normal] = torch.where(is_normal, _PRESENT, _ABSENT)
    decided = [index for name in schema.abnormalities if config.present[index := schema.index(name)] is not None]
    if not decided:
        return states
    states[:, decided] = torch.where(is_normal[:, None], _ABSENT, states[:, decided])
    is_unexplained = ~is_normal & (states[:, decided] == _ABSENT).all(1)
    nearest = torch.tensor(decided, device=states.device)[_excess(probabilities, config, decided).argmax(1)]  # [B]
    rows = is_unexplained.nonzero()[:, 0]
    states[rows, nearest[rows]] = _UNCERTAIN
    return states


def _apply_thresholds(probabilities: torch.Tensor, config: FindingConfig) -> torch.Tensor:
    states = torch.full_like(probabilities, _UNKNOWN, dtype=torch.long)
    for index, (present, uncertain) in enumerate(zip(config.present, config.uncertain, strict=True)):
        if present is None:
            continue
        column = probabilities[:, index]
        states[:, index] = _ABSENT
        if uncertain is not None:
            states[column >= uncertain, index] = _UNCERTAIN
        states[column >= present, index] = _PRESENT
    return states


def _excess(probabilities: torch.Tensor, config: FindingConfig, decided: list[int]) -> torch.Tensor:
    """Return by how much each finding exceeds its threshold, as the difference of the logits [B,decided].

    The probability alone would always choose the most frequent finding.
    """
    thresholds = probabilities.new_tensor([config.present[index] for index in decided])
    return probabilities[:, decided].logit(eps=1e-6) - thresholds.logit(eps=1e-6)
