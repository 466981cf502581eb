"""Measure whether a model uses the image: scores with own images minus scores with other or blank images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from report_gen.metrics import Difference, MetricSuite, Preset, ReportTexts, compare


def measure_image_use(
    drafts: Sequence[str],
    control_drafts: Sequence[str],
    references: Sequence[str],
    *,
    preset: Preset,
    train: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[Difference, ...]:
    """Compute every offline score of `drafts` minus that of `control_drafts`.

    A model that uses the image has differences whose intervals are above 0.

    Args:
        drafts: Drafts from the studies' own images.
        control_drafts: Drafts of the same model from shuffled or blank images.
        references: Reports of the same studies.
        preset: Prepares the texts.
        train: Training reports, from which the preset may take its vocabulary.
        draws: Bootstrap resamplings of the studies.
        seed: Seed of the bootstrap.
    """
    prepared = preset.prepare_references(references, preset.known_words(train))
    suite = MetricSuite(ReportTexts(name="references", texts=references, prepared=prepared))
    control, own = (
        suite.measure(ReportTexts(name=name, texts=texts, prepared=preset.prepare_predictions(texts)))
        for name, texts in (("control images", control_drafts), ("own images", drafts))
    )
    return compare(control.measures, own.measures, draws, seed)


def shuffle_studies(studies: int, seed: int) -> list[int]:
    """Choose for each study the index of another study whose images it gets: a permutation without fixed points."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(studies)
    # Each study gets the images of its predecessor on a random cycle, so none keeps its own.
    source = np.empty(studies, dtype=np.int64)
    source[order] = np.roll(order, 1)
    permutation: list[int] = source.tolist()
    return permutation
