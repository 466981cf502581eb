"""Score drafts against the reports that radiologists wrote: value, interval and signature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from report_gen import __version__
from report_gen.metrics.measure import Measure
from report_gen.metrics.metric import compare_texts
from report_gen.metrics.preset import Preset, load_preset
from report_gen.metrics.registry import WORDING_METRICS
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


def score_reports(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    preset: str | Preset = "raw",
    train: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[Score, ...]:
    """Compute every wording metric of drafts, each with a bootstrap interval.

    Args:
        predictions: one draft per report.
        references: one report each, in the same order.
        preset: name of a shipped preset, path of a TOML file, or a preset; it prepares the texts.
        train: training reports, from which a preset may take its vocabulary.
        draws: bootstrap resamplings of the reports; 0 for no intervals.
        seed: seed of the bootstrap.

    Raises:
        ValueError: the numbers of predictions and references differ.
        UsageError: the preset is unknown.
    """
    preset = load_preset(preset) if isinstance(preset, str) else preset
    compared = compare_texts(predictions, references, preset=preset, training_reports=train)
    measures = [measure for metric in WORDING_METRICS for measure in metric.measure(compared)]
    signature = preset.signature(preset.known_words(train), len(references), __version__)
    return scores_of(measures, signature, draws=draws, seed=seed)


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
