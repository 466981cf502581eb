"""Measure the drafts of several systems with the same metrics, and test the differences of their scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from report_gen.metrics.measure import Measure
from report_gen.metrics.metric import ReportTexts
from report_gen.metrics.metric_suite import MetricResults, MetricSuite
from report_gen.metrics.registry import EXACT_STEM, FINDINGS_F1, WORDING_METRICS, running_meteor
from report_gen.metrics.score_setup import ScoreSetup
from report_gen.metrics.significance import Difference, compare

_MINIMUM_DRAWS = 100
"""Resamplings for a test between two systems, even if no intervals are requested."""


@contextmanager
def running_suite(setup: ScoreSetup) -> Iterator[MetricSuite]:
    """Return the suite of all metrics; METEOR 1.5 is replaced by exact+stem F if it cannot run."""
    if setup.runs_meteor:
        with running_meteor() as meteor:
            yield MetricSuite(setup.references, [*WORDING_METRICS, meteor, FINDINGS_F1, *setup.optional])
    else:
        yield MetricSuite(setup.references, [*WORDING_METRICS, EXACT_STEM, FINDINGS_F1, *setup.optional])


def system_texts(setup: ScoreSetup, name: str, texts: Sequence[str]) -> ReportTexts:
    """Prepare the drafts of a system."""
    return ReportTexts(
        name=name, texts=texts, prepared=setup.preset.prepare_predictions(texts), schema=setup.method.schema
    )


def headline_differences(setup: ScoreSetup, other: MetricResults, model: MetricResults) -> tuple[Difference, ...]:
    """Compute the headline scores of the model minus the scores of another system."""
    differences = system_differences(setup, other.select(setup.headline), model.select(setup.headline))
    return tuple(difference for difference in differences if difference.name in setup.headline)


def system_differences(setup: ScoreSetup, other: Sequence[Measure], model: Sequence[Measure]) -> tuple[Difference, ...]:
    """Compute every score of the model minus that of another system."""
    return compare(other, model, max(setup.method.draws, _MINIMUM_DRAWS), setup.method.seed)
