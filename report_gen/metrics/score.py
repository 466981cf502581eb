"""A score with its interval and its signature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from report_gen.metrics.measure import Measure
from report_gen.metrics.significance import bootstrap, intervals


@dataclass(frozen=True, kw_only=True)
class Score:
    """One score of a corpus."""

    name: str
    value: float
    interval: tuple[float, float] | None
    """95% bootstrap interval over the reports; None if no draws were requested."""
    signature: str
    """Everything that must be equal for two values to be comparable."""


def scores_of(measures: Sequence[Measure], signature: str, *, draws: int, seed: int) -> tuple[Score, ...]:
    """Turn measures into scores, with intervals from `draws` resamplings of the reports (none for 0)."""
    drawn = bootstrap(measures, draws, seed) if draws else [None] * len(measures)
    scores: list[Score] = []
    for measure, sample in zip(measures, drawn, strict=True):
        ends = None if sample is None else intervals(sample)
        scores += [
            Score(
                name=name,
                value=value,
                interval=None if ends is None else (float(ends[0, column]), float(ends[1, column])),
                signature=f"{signature}|form:{measure.variant}",
            )
            for column, (name, value) in enumerate(measure.named_values())
        ]
    return tuple(scores)
