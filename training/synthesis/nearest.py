"""Find the training image that is most like a synthetic one, so that no patient's image is handed out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from .training_images import TrainingImages

_SIDE = 32
"""Side to which images are reduced before they are compared, pixels: noise and fine detail do not count."""
_MOST_REFERENCES = 4000
"""Training images whose own nearest images give the threshold."""
_TOO_CLOSE = 0.001
"""Share of the training images that are nearer to an image of another patient than the threshold."""
_ROWS = 512


@dataclass(frozen=True, eq=False)
class Nearest:
    """The nearest training image of n images."""

    distances: NDArray[np.float64]
    """[n], 1 - correlation of the pixels."""
    indices: NDArray[np.int64]
    """[n], indices of the training images."""


class NearestImages:
    """Compares images with S training images.

    Two images are compared by the correlation of their pixels at a side of 32 pixels.

    Args:
        images: The training images.
    """

    def __init__(self, images: TrainingImages) -> None:
        self._images = _standardize(torch.from_numpy(images.pixels).float())  # [S,1024]
        count = len(self._images)
        chosen = np.random.default_rng(0).permutation(count)[:_MOST_REFERENCES]
        _, numbers = np.unique(images.patients, return_inverse=True)
        patients = torch.from_numpy(numbers)
        own = [patients[chosen[start : start + _ROWS], None] == patients for start in range(0, len(chosen), _ROWS)]
        self.references = _search(self._images[chosen], self._images, own).distances
        """Distances of training images to the nearest image of another patient, ascending."""
        self.references.sort()
        self.threshold = float(np.quantile(self.references, _TOO_CLOSE))
        """Distance below which a synthetic image counts as a copy: one training image in a thousand is nearer to an
        image of another patient."""

    def find(self, images: torch.Tensor) -> Nearest:
        """Return the nearest training image of each image [n,size,size]."""
        return _search(_standardize(images), self._images, None)


def _standardize(images: torch.Tensor) -> torch.Tensor:
    """Return images [n,size,size] as vectors [n,1024] of mean 0 and length 1; zeros for uniform images."""
    reduced = F.interpolate(images[:, None], size=(_SIDE, _SIDE), mode="area").flatten(1)
    return F.normalize(reduced - reduced.mean(1, keepdim=True), dim=1)


def _search(images: torch.Tensor, references: torch.Tensor, excluded: list[torch.Tensor] | None) -> Nearest:
    distances, indices = [], []
    for number, start in enumerate(range(0, len(images), _ROWS)):
        similarity = images[start : start + _ROWS] @ references.T
        if excluded is not None:
            similarity[excluded[number]] = -1.0
        best = similarity.max(dim=1)
        distances.append(1 - best.values.double())
        indices.append(best.indices)
    return Nearest(torch.cat(distances).clamp_min(0).numpy(), torch.cat(indices).numpy())
