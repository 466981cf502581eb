"""Classify images by their patch features: views and orientations of the training images, or `foreign` images.

`foreign` means out of distribution: an image unlike the images that the model was trained on. Two tests are combined.
A linear classifier separates the classes that it was trained on. The reconstruction error finds other images: features
of an image of the scope are close to the mean of a class plus a combination of principal components.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from report_gen.config import ImageClass, RecognizerConfig


class Recognition(NamedTuple):
    """What one image shows."""

    image_class: ImageClass
    """The most probable class; `foreign` if the image fails one of the two tests."""
    probability: float
    """Probability of the class by the classifier, 0..1."""
    foreign_score: float = 0.0
    """How much the image differs from the training images: the probability of `foreign` and the distance, each divided
    by its threshold, and the larger one of both. The image is `foreign` above 1. NaN if the features
    are NaN."""


class ImageRecognizer(nn.Module):
    """Classifies images and measures how well principal components of the training images reconstruct them.

    Axes: n images, N patches of a square grid, D_img width of patch features, G = grid * grid cells, c classes, q
    principal components.

    Args:
        config: Classes, grid, components and thresholds.
        image_width: D_img.
    """

    mean: torch.Tensor
    """[G * D_img], mean of the pooled features."""
    scale: torch.Tensor
    """[G * D_img], standard deviation of the pooled features plus a small constant."""
    components: torch.Tensor
    """[q, G * D_img], orthonormal principal components of the differences from the centers."""
    centers: torch.Tensor
    """[c - 1, G * D_img], mean of each class but `foreign`, which is the last."""

    def __init__(self, config: RecognizerConfig, *, image_width: int) -> None:
        super().__init__()
        self.config = config
        width, classes = config.grid**2 * image_width, len(config.classes)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("components", torch.zeros(config.components, width))
        self.register_buffer("centers", torch.zeros(classes - 1, width))
        self.classifier = nn.Linear(width, classes)

    def recognize(self, patch_features: torch.Tensor) -> list[Recognition]:
        """Return what each image with patch_features [n,N,D_img] shows."""
        return self.decide(self.standardize(self.pool(patch_features.to(self.mean.dtype))))

    def pool(self, patch_features: torch.Tensor) -> torch.Tensor:
        """Average patch features [n,N,D_img] in the cells of the grid [n, G * D_img]."""
        side = round(patch_features.shape[1] ** 0.5)
        maps = patch_features.transpose(1, 2).reshape(len(patch_features), -1, side, side)  # [n,D_img,side,side]
        return F.adaptive_avg_pool2d(maps, self.config.grid).flatten(1)

    def standardize(self, pooled: torch.Tensor) -> torch.Tensor:
        """Subtract the mean of pooled features [n, G * D_img] and divide by their scale."""
        return (pooled - self.mean) / self.scale

    def classify(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the class probabilities [n,c] and the distance [n] of standardized features [n, G * D_img].

        The distance is the root mean square of what the components leave of the difference from the nearest center.
        """
        differences = values[:, None] - self.centers  # [n,c-1, G * D_img]
        explained = (differences @ self.components.T).square().sum(-1)
        distances = ((differences.square().sum(-1) - explained).clamp(min=0) / values.shape[1]).sqrt()
        return self.classifier(values).softmax(-1), distances.amin(-1)

    def decide(self, values: torch.Tensor) -> list[Recognition]:
        """Return the class of each image with standardized features [n, G * D_img].

        An image is `foreign` if its probability of `foreign` or its distance exceeds the threshold of the
        configuration. Otherwise its class is the most probable of the other classes.
        """
        probabilities, distances = self.classify(values)
        scores = torch.maximum(probabilities[:, -1] / self.config.max_foreign, distances / self.config.max_distance)
        # Not the opposite comparisons: a NaN must count as foreign.
        is_foreign = ~((probabilities[:, -1] <= self.config.max_foreign) & (distances <= self.config.max_distance))
        chosen = probabilities[:, :-1].argmax(-1).masked_fill(is_foreign, len(self.config.classes) - 1)
        return [
            Recognition(self.config.classes[index], row[index], score)
            for index, row, score in zip(chosen.tolist(), probabilities.tolist(), scores.tolist(), strict=True)
        ]
