"""Test the difference of each pair of systems, with a correction for the number of tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from report_gen.metrics.joining import JoinedReports
from report_gen.metrics.measure import Measure
from report_gen.metrics.meteor import MeteorError
from report_gen.metrics.score_records import ScoreMethod
from report_gen.metrics.score_setup import ScoreSetup, prepare_scoring
from report_gen.metrics.significance import Difference, compare
from report_gen.metrics.system_measures import running_suite, system_texts
from report_gen.metrics.training_reports import TrainingReports


@dataclass(frozen=True, kw_only=True)
class PairTest:
    """The difference of one score between two systems, `second - first`, tested among all pairs of systems."""

    first: str
    second: str
    difference: Difference
    holm_bootstrap: float
    """p-value of the bootstrap, corrected by the method of Holm for the number of pairs."""
    holm_randomization: float
    """p-value of the randomization, corrected in the same way."""


def measure_systems(
    drafts: Mapping[str, Sequence[str]],
    ids: Sequence[str],
    references: Sequence[str],
    method: ScoreMethod,
    training: TrainingReports | None = None,
) -> dict[str, tuple[Measure, ...]]:
    """Compute the measures with the headline scores of the drafts of several systems.

    Args:
        drafts: R drafts of each system, by its name.
        ids: R study ids.
        references: R reports.
        method: Preset and findings.
        training: Training reports, for the vocabulary of the preset.

    Raises:
        UsageError: The preset or an optional metric is unknown.
    """
    joined = JoinedReports(ids=tuple(ids), predictions=(), references=tuple(references), notices=())
    setup = prepare_scoring(joined, method, training)
    try:
        return _measure_systems(setup, drafts)
    except MeteorError as error:  # every system must have the same scores
        return _measure_systems(replace(setup, meteor_fault=str(error)), drafts)


def compare_pairs(
    measures: Mapping[str, Sequence[Measure]], names: Sequence[str], *, draws: int, seed: int
) -> tuple[PairTest, ...]:
    """Compare each pair of systems by paired bootstrap and approximate randomization.

    Args:
        measures: The same measures of each system for the same reports, by the name of the system.
        names: Scores that are compared. The correction is over the pairs of systems, for each score by itself.
        draws: Number of resamplings, and of random swaps.
        seed: Seed of both.

    Returns:
        The tests, ordered by score and pair.
    """
    by_pair = {
        (first, second): {one.name: one for one in compare(measures[first], measures[second], draws, seed)}
        for first, second in combinations(measures, 2)
    }
    tests: list[PairTest] = []
    for name in names:
        found = [(pair, scores[name]) for pair, scores in by_pair.items() if name in scores]
        bootstrap = holm([one.p_bootstrap for _, one in found])
        randomization = holm([one.p_randomization for _, one in found])
        for ((first, second), one), of_bootstrap, of_swaps in zip(found, bootstrap, randomization, strict=True):
            tests.append(
                PairTest(
                    first=first,
                    second=second,
                    difference=one,
                    holm_bootstrap=of_bootstrap,
                    holm_randomization=of_swaps,
                )
            )
    return tuple(tests)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for the number of tests by the step-down method of Holm (Scand J Statist 6:65, 1979)."""
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(steps, 1.0)
    found: list[float] = corrected.tolist()
    return found


def _measure_systems(setup: ScoreSetup, drafts: Mapping[str, Sequence[str]]) -> dict[str, tuple[Measure, ...]]:
    with running_suite(setup) as suite:
        results = {name: suite.measure(system_texts(setup, name, texts)) for name, texts in drafts.items()}
    return {name: one.select(setup.headline) for name, one in results.items()}
