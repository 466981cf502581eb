"""The base class of the modules that `evaluate.load` finds in the folder `modules`."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack

import datasets
import evaluate

from report_gen.metrics.meteor import MeteorError
from report_gen.metrics.metric import ReportMetric
from report_gen.metrics.probability_metric import PROBABILITY_METRICS
from report_gen.metrics.registry import METRICS, running_meteor

_REPORT_INPUTS = """
Args:
    predictions: one text per report.
    references: one text per report, in the same order.
    preset: name of a shipped preset (`raw`, `r2gen-iu`, `r2gen-mimic`) or path of a TOML file; it prepares the texts.
    training_reports: reports from which the preset takes its vocabulary; optional.
Returns:
    A mapping from score name to value.
"""


_PROBABILITY_INPUTS = """
Args:
    predictions: probability of the finding in each study, 0 to 1.
    references: label of each study, 1 or 0.
Returns:
    A mapping from score name to value.
"""


class ReportMetricModule(evaluate.Metric, ABC):  # type: ignore[misc]  # evaluate ships no types
    """A metric of the registry as an `evaluate.Metric`.

    The class holds no formula: the scores come from the `ReportMetric` with which `report-gen score` computes. It is
    abstract so that `evaluate.load` picks the subclass in a module, and not this class that the module imports.
    """

    @property
    @abstractmethod
    def metric_name(self) -> str:
        """Name in the registry, equal to the name of the module."""

    def _info(self) -> evaluate.MetricInfo:
        metric, text = METRICS[self.metric_name], datasets.Value("string")
        return evaluate.MetricInfo(
            description=metric.description,
            citation=metric.citation,
            inputs_description=_REPORT_INPUTS,
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(
        self,
        predictions: Sequence[str],
        references: Sequence[str],
        preset: str = "raw",
        training_reports: Sequence[str] | None = None,
    ) -> dict[str, float]:
        return self._metric().compute(predictions, references, preset=preset, training_reports=training_reports)

    def _metric(self) -> ReportMetric:
        return METRICS[self.metric_name]


class MeteorModule(ReportMetricModule, ABC):
    """METEOR 1.5. The first call starts the Java program, which takes ten seconds to load and serves all further calls.

    The program ends with the object or with Python. If it fails, the next call starts it anew.
    """

    _stop: weakref.finalize[..., MeteorModule] | None = None
    _running: ReportMetric

    def _metric(self) -> ReportMetric:
        if self._stop is None or not self._stop.alive:
            stack = ExitStack()
            self._running = stack.enter_context(running_meteor())
            self._stop = weakref.finalize(self, stack.close)
        return self._running

    def _compute(
        self,
        predictions: Sequence[str],
        references: Sequence[str],
        preset: str = "raw",
        training_reports: Sequence[str] | None = None,
    ) -> dict[str, float]:
        try:
            return super()._compute(predictions, references, preset, training_reports)
        except MeteorError:
            if self._stop is not None:
                self._stop()
            raise


class ProbabilityMetricModule(evaluate.Metric, ABC):  # type: ignore[misc]  # evaluate ships no types
    """A metric of the probabilities of one finding as an `evaluate.Metric`, without a formula as above."""

    @property
    @abstractmethod
    def metric_name(self) -> str:
        """Name in `PROBABILITY_METRICS`, equal to the name of the module."""

    def _info(self) -> evaluate.MetricInfo:
        metric, number = PROBABILITY_METRICS[self.metric_name], datasets.Value("float64")
        return evaluate.MetricInfo(
            description=metric.description,
            citation=metric.citation,
            inputs_description=_PROBABILITY_INPUTS,
            features=datasets.Features({"predictions": number, "references": number}),
        )

    def _compute(self, predictions: Sequence[float], references: Sequence[float]) -> dict[str, float]:
        return PROBABILITY_METRICS[self.metric_name].compute(predictions, references)
