"""Does the drafter use the image? What its scores lose when the images are shuffled among the studies, or blank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from report_gen.metrics.metric_suite import Drafts, MetricSuite
from report_gen.metrics.preset import Preset
from report_gen.metrics.significance import Difference, compare


def measure_image_use(
    drafts: Sequence[str],
    without_image: Sequence[str],
    references: Sequence[str],
    *,
    preset: Preset,
    train: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[Difference, ...]:
    """Every offline score of `drafts` minus that of what the same model drafts from shuffled or blank images.

    A drafter that looks at the image has differences above 0 whose intervals stay there.
    """
    prepared = preset.prepare_references(references, preset.known_words(train))
    ruler = MetricSuite(Drafts(name="references", texts=references, prepared=prepared))
    blind, seeing = (
        ruler.measure(Drafts(name=name, texts=texts, prepared=preset.prepare_predictions(texts)))
        for name, texts in (("without image", without_image), ("with image", drafts))
    )
    return compare(blind.measures, seeing.measures, draws, seed)


def shuffle(studies: int, seed: int) -> list[int]:
    """For each study the number of another one, whose images it gets: a random permutation without fixed points."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(studies)
    # Along a random cycle every study gets its neighbour's images, so none keeps its own.
    giver = np.empty(studies, dtype=np.int64)
    giver[order] = np.roll(order, 1)
    permutation: list[int] = giver.tolist()
    return permutation
