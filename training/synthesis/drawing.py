"""Draw a corpus of synthetic images with one finding, and leave out copies of training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from report_gen.errors import CorpusError, ReportGenError

from ..data import Floats, draw_seed
from ..run import OnProgress, ignore_progress
from .generator import ImageGenerator
from .nearest import Nearest, NearestImages
from .training_images import TrainingImages

_BATCH = 32
_UNLIKE = 2.0
"""Median distance to the nearest training image, in that between training patients, above which a generator was not
trained enough."""
_MOST_ATTEMPTS = 3
"""Images that are drawn for each one that is asked for, before the search for one that is no copy is given up."""


@dataclass(frozen=True, eq=False)
class SyntheticImages:
    """N synthetic images with a finding."""

    finding: str
    pixels: NDArray[np.uint8]
    """[N,size,size]."""
    labels: Floats
    """[N,F], those that the images were drawn with: 1 or 0, NaN if unknown."""
    nearest: Nearest
    """The training image that is most like each image."""
    copies: int
    """Images that were discarded because they were too similar to a training image."""
    threshold: float
    """Distance below which an image was discarded."""
    references: NDArray[np.float64]
    """Distances of training images to the nearest image of another patient, ascending."""

    @property
    def is_unlike_training(self) -> bool:
        """Whether the images differ so much from the training images that the generator was not trained enough."""
        return float(np.median(self.nearest.distances)) > _UNLIKE * float(np.median(self.references))


def images_with(finding: str, images: TrainingImages, findings: Sequence[str]) -> NDArray[np.int64]:
    """Return the indices of the training images with a finding.

    Args:
        finding: The finding.
        images: The training images.
        findings: The F findings of their labels.

    Raises:
        CorpusError: No training image has the finding.
    """
    positive = np.flatnonzero(images.labels[:, findings.index(finding)] == 1)
    if not len(positive):
        raise CorpusError(f"no training image has the finding {finding!r}; choose another --finding, or add a corpus")
    return positive


def draw_images(
    generator: ImageGenerator,
    images: TrainingImages,
    finding: str,
    count: int,
    *,
    seed: int = 0,
    on_progress: OnProgress = ignore_progress,
) -> SyntheticImages:
    """Draw images with a finding. Each is drawn with all labels of a random training image that has the finding.

    Args:
        generator: The generator.
        images: The images that it was trained on.
        finding: The finding.
        count: Number N of images.
        seed: Seed of the noise and of the labels.
        on_progress: Called with the number of images drawn.

    Raises:
        CorpusError: No training image has the finding.
        ReportGenError: Most images are copies of training images.
    """
    positive = images_with(finding, images, generator.findings)
    nearest = NearestImages(images)
    device = next(generator.parameters()).device
    kept, sources = list[NDArray[np.uint8]](), list[int]()
    distances, indices = list[float](), list[int]()
    attempts = 0
    while len(kept) < count:
        if attempts >= _MOST_ATTEMPTS * count:
            raise ReportGenError(
                f"{attempts - len(kept)} of {attempts} images with the finding {finding!r} were copies of training "
                "images and were discarded; train the generator with more images or fewer --set steps=..."
            )
        seeds = [draw_seed(seed, finding, attempts + number) for number in range(min(_BATCH, count - len(kept)))]
        chosen = [int(positive[one % len(positive)]) for one in seeds]
        drawn = generator.draw(images.conditions[chosen].to(device), seeds).cpu()
        pixels = (drawn * 255).round().to(torch.uint8)
        found = nearest.find(pixels.float())
        for number in np.flatnonzero(found.distances >= nearest.threshold):
            kept.append(pixels[number].numpy())
            sources.append(chosen[number])
            distances.append(found.distances[number])
            indices.append(found.indices[number])
        attempts += len(seeds)
        on_progress(f"images with {finding}", len(kept), count)
    return SyntheticImages(
        finding=finding,
        pixels=np.stack(kept),
        labels=images.labels[sources],
        nearest=Nearest(np.array(distances), np.array(indices)),
        copies=attempts - len(kept),
        threshold=nearest.threshold,
        references=nearest.references,
    )
