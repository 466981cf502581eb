"""The definition of a metric of drafted reports, and the texts from which a metric is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from report_gen.metrics.finding_scores import States, label_reports
from report_gen.metrics.measure import Measure
from report_gen.metrics.pairs import Pairs
from report_gen.metrics.preset import Preset, load_preset
from report_gen.records import FindingSchema


@dataclass(frozen=True, kw_only=True)
class ReportTexts:
    """One text per study from one source: a model, a baseline, or the radiologists."""

    name: str
    texts: Sequence[str]
    """Texts as written. Findings are labeled in these."""
    prepared: Sequence[str]
    """Texts in the preset's form. Wording is compared in these."""
    schema: FindingSchema | None = None
    """The findings that are labeled; None labels the findings of chest radiographs."""

    @cached_property
    def states(self) -> list[States]:
        """The states of the findings in each text."""
        return label_reports(self.texts, schema=self.schema)


class ReportComparison:
    """Predictions and references of the same studies, in the forms that metrics need.

    N-grams and finding states are computed on first use and shared by all metrics.
    """

    def __init__(self, predictions: ReportTexts, references: ReportTexts) -> None:
        """Pair the texts.

        Raises:
            ValueError: The two sides have different numbers of texts.
        """
        self.predictions = predictions
        self.references = references
        self.prepared = Pairs(predictions.prepared, references.prepared)


@dataclass(frozen=True, kw_only=True)
class ReportMetric:
    """A metric of drafted reports: its formula and its card.

    `report-gen score` and the modules for `evaluate.load` (folder `modules`) compute with the same objects of this
    class. It is not a subclass of `evaluate.Metric`, because `import evaluate` loads torch, transformers and pandas
    (7 s of CPU time), while a score is computed with NumPy alone. `evaluate_module.ReportMetricModule` wraps an object
    of this class as an `evaluate.Metric`.
    """

    name: str
    """Key in the registry and name of the folder under `modules`, such as `report_bleu`."""
    description: str
    citation: str
    """BibTeX entry of the source paper."""
    measure: Callable[[ReportComparison], tuple[Measure, ...]]
    """Per-report statistics of a comparison."""

    def statistics(
        self,
        predictions: Sequence[str],
        references: Sequence[str],
        *,
        preset: str | Preset = "raw",
        training_reports: Sequence[str] | None = None,
    ) -> tuple[Measure, ...]:
        """Compute the per-report statistics from which scores, intervals and tests follow.

        Args:
            predictions: R drafts.
            references: R reports, in the same order.
            preset: Name of a shipped preset, path of a TOML file, or a preset; it prepares the texts.
            training_reports: Reports from which the preset takes its vocabulary; without them no word is replaced.

        Raises:
            ValueError: The numbers of predictions and references differ.
            UsageError: The preset is unknown, or a program that the metric needs is missing.
        """
        return self.measure(compare_texts(predictions, references, preset=preset, training_reports=training_reports))

    def compute(
        self,
        predictions: Sequence[str],
        references: Sequence[str],
        *,
        preset: str | Preset = "raw",
        training_reports: Sequence[str] | None = None,
    ) -> dict[str, float]:
        """Compute the scores of the whole corpus by name. For arguments and errors see `statistics`."""
        measures = self.statistics(predictions, references, preset=preset, training_reports=training_reports)
        return {name: value for measure in measures for name, value in measure.named_values()}


def compare_texts(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    preset: str | Preset,
    training_reports: Sequence[str] | None,
) -> ReportComparison:
    """Prepare both sides with a preset and pair them. For arguments and errors see `ReportMetric.statistics`."""
    preset = load_preset(preset) if isinstance(preset, str) else preset
    known = preset.known_words(training_reports)
    return ReportComparison(
        ReportTexts(name="predictions", texts=predictions, prepared=preset.prepare_predictions(predictions)),
        ReportTexts(name="references", texts=references, prepared=preset.prepare_references(references, known)),
    )
