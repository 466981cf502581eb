"""All metrics of a system's reports against the same references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from report_gen.metrics.measure import Measure
from report_gen.metrics.metric import ReportComparison, ReportMetric, ReportTexts
from report_gen.metrics.registry import FINDINGS_F1, WORDING_METRICS

OFFLINE_METRICS = (*WORDING_METRICS, FINDINGS_F1)
"""Metrics that need neither Java nor model weights."""


@dataclass(frozen=True, kw_only=True)
class MetricResults:
    """The reports of one system with all their measures."""

    reports: ReportTexts
    measures: tuple[Measure, ...]

    def select(self, names: Sequence[str]) -> tuple[Measure, ...]:
        """Return the measures that contain at least one of these scores."""
        return tuple(measure for measure in self.measures if set(names) & set(measure.names))

    def named_values(self) -> list[tuple[str, float]]:
        """List the name and corpus value of every score."""
        return [pair for measure in self.measures for pair in measure.named_values()]


class MetricSuite:
    """References and the metrics that compare reports with them."""

    def __init__(self, references: ReportTexts, metrics: Sequence[ReportMetric] = OFFLINE_METRICS) -> None:
        self.references = references
        self._metrics = tuple(metrics)

    def measure(self, reports: ReportTexts) -> MetricResults:
        """Compute every metric of one system's reports, in the order of the metrics."""
        compared = ReportComparison(reports, self.references)
        measures = tuple(measure for metric in self._metrics for measure in metric.measure(compared))
        return MetricResults(reports=reports, measures=measures)
