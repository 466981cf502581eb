"""Score drafts against the reports that were written: value, interval and recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from report_gen import __version__
from report_gen.metrics.bleu import bleu
from report_gen.metrics.chrf import chrf
from report_gen.metrics.cider import cider_d
from report_gen.metrics.length_ratio import length_ratio
from report_gen.metrics.measure import Measure
from report_gen.metrics.pairs import Pairs
from report_gen.metrics.preset import Preset, load_preset
from report_gen.metrics.rouge import rouge_l_coco, rouge_score
from report_gen.metrics.significance import bootstrap, intervals

TEXT_MEASURES: Mapping[str, Callable[[Pairs], Measure]] = MappingProxyType(
    {
        "bleu": bleu,
        "rouge-l": rouge_l_coco,
        "cider": cider_d,
        "rouge-score": rouge_score,
        "chrf": chrf,
        "length": length_ratio,
    }
)
"""Measures of the wording alone: no network, no Java, no weights."""


@dataclass(frozen=True, kw_only=True)
class Score:
    name: str
    value: float
    interval: tuple[float, float] | None
    """95% bootstrap interval over the reports; None when no draws were asked for."""
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

    Returns:
        The value of each metric over all reports, with its interval and its signature.

    Raises:
        ValueError: the numbers of predictions and references differ.
        UsageError: the preset is unknown.
    """
    preset = load_preset(preset) if isinstance(preset, str) else preset
    known = preset.known_words(train)
    pairs = Pairs(preset.prepare_predictions(predictions), preset.prepare_references(references, known))
    measures = [measure(pairs) for measure in TEXT_MEASURES.values()]
    return scores_of(measures, preset.signature(known, len(pairs), __version__), draws=draws, seed=seed)


def scores_of(measures: Sequence[Measure], signature: str, *, draws: int, seed: int) -> tuple[Score, ...]:
    """The scores that the measures hold, with intervals from `draws` resamplings (none for 0)."""
    drawn = bootstrap(measures, draws, seed) if draws else [None] * len(measures)
    scores: list[Score] = []
    for measure, sample in zip(measures, drawn, strict=True):
        ends = None if sample is None else intervals(sample)
        scores += [
            Score(
                name=name,
                value=float(value),
                interval=None if ends is None else (float(ends[0, column]), float(ends[1, column])),
                signature=f"{signature}|form:{measure.recipe}",
            )
            for column, (name, value) in enumerate(zip(measure.names, measure.values, strict=True))
        ]
    return tuple(scores)
