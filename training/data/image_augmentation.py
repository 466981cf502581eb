"""Augment images in ways that keep the report true.

Images are never mirrored: a flip would swap left and right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from ..recipe import AugmentationRecipe
from .box_geometry import Boxes, transform_boxes

_TAIL = 3
"""Standard deviations at which the Gaussian kernel is cut off."""
_REDUCED = 0.5
"""Share of the images whose resolution is reduced, if the recipe reduces any."""


def augment(squares: torch.Tensor, changes: Sequence[ImageChange], recipe: AugmentationRecipe) -> torch.Tensor:
    """Augment n images [n,size,size] in 0..1, each by its own change; the batch is for speed only.

    Args:
        squares: The images, or their channels [n,C,size,size], which change alike.
        changes: From `draw_change` with the same recipe.
        recipe: Which changes there are.
    """
    if squares.ndim == 4:
        of_channels = [change for change in changes for _ in range(squares.shape[1])]
        return augment(squares.flatten(0, 1), of_channels, recipe).reshape(squares.shape)
    changed = _move(_reduce(squares, changes) if recipe.reduced_px else squares, changes)
    if recipe.gamma > 1:
        changed = changed.clamp(0, 1) ** torch.tensor([change.gamma for change in changes])[:, None, None]
    if recipe.blur > 0:
        changed = _blur(changed, [change.blur for change in changes], math.ceil(_TAIL * recipe.blur))
    if recipe.noise > 0:
        changed += _noise(changed, changes)
    return changed.clamp_(0, 1)


def draw_change(random: np.random.Generator, recipe: AugmentationRecipe) -> ImageChange:
    """Draw the change of one image."""
    contrast = math.log(recipe.gamma)
    change = ImageChange(
        angle=math.radians(random.uniform(-recipe.degrees, recipe.degrees)),
        scale=random.uniform(1 - recipe.scale, 1 + recipe.scale),
        right=random.uniform(-recipe.shift, recipe.shift),
        down=random.uniform(-recipe.shift, recipe.shift),
        gamma=math.exp(random.uniform(-contrast, contrast)),
        noise=random.uniform(0, recipe.noise),
        blur=random.uniform(0, recipe.blur),
        seed=int(random.integers(2**63)),
    )
    if recipe.reduced_px and random.random() < _REDUCED:
        return change._replace(reduction=random.random(), reduced_px=recipe.reduced_px)
    return change


def move_boxes(boxes: Boxes, change: ImageChange) -> Boxes:
    """Return the bounding boxes [n,4] of boxes of a square after a change of its image, as `augment` moves it."""
    cosine, sine = change.scale * math.cos(change.angle), change.scale * math.sin(change.angle)
    matrix = np.array([[cosine, -sine], [sine, cosine]])
    center = np.array([0.5, 0.5])
    return transform_boxes(boxes, matrix, center - matrix @ center + (change.right, change.down))


class ImageChange(NamedTuple):
    """A random change of an image."""

    angle: float
    """Radians."""
    scale: float
    right: float
    """Shift, as a share of the image side."""
    down: float
    """Shift, as a share of the image side."""
    gamma: float
    noise: float
    """Standard deviation, for intensities 0..1."""
    blur: float
    """Standard deviation, pixels."""
    seed: int
    """Seed of the noise."""
    reduction: float = 0.0
    """Where the reduced side length lies between the minimum (0) and that of the image (1)."""
    reduced_px: int = 0
    """Minimum reduced side length, pixels; 0 if the image is not reduced."""


def _reduce(squares: torch.Tensor, changes: Sequence[ImageChange]) -> torch.Tensor:
    """Reduce some images to a lower resolution and enlarge them again."""
    reduced, size = squares.clone(), squares.shape[-1]
    for image, change in zip(reduced, changes, strict=True):
        side = round(change.reduced_px + change.reduction * (size - change.reduced_px))
        if 0 < change.reduced_px <= side < size:
            small = F.interpolate(image[None, None], (side, side), mode="bilinear", antialias=True)
            image.copy_(F.interpolate(small, (size, size), mode="bilinear")[0, 0])
    return reduced


def _move(squares: torch.Tensor, changes: Sequence[ImageChange]) -> torch.Tensor:
    """Rotate and scale about the center, then shift; areas from outside the image become black."""
    size = squares.shape[-1]
    rows = [(math.cos(c.angle) / c.scale, math.sin(c.angle) / c.scale, 2 * c.right, 2 * c.down) for c in changes]
    cosine, sine, right, down = torch.tensor(rows).T[..., None, None]  # each [n,1,1]
    centers = (torch.arange(size) + 0.5) * (2 / size) - 1  # pixel centers, -1..1
    x, y = centers[None, None, :] - right, centers[None, :, None] - down  # [n,1,size], [n,size,1]
    # Source position of each pixel: the inverse of the transform. Its determinant is positive, so nothing is mirrored.
    grid = torch.stack([cosine * x + sine * y, cosine * y - sine * x], dim=-1)  # [n,size,size,2]
    moved = F.grid_sample(squares[:, None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved[:, 0]


def _blur(squares: torch.Tensor, deviations: Sequence[float], radius: int) -> torch.Tensor:
    """Blur each image with its own Gaussian, first along rows, then along columns; all use one radius."""
    steps = torch.arange(-radius, radius + 1) / torch.tensor(deviations).clamp(min=1e-3)[:, None]  # [n,2*radius+1]
    kernels = torch.exp(-0.5 * steps**2)
    kernels = (kernels / kernels.sum(dim=1, keepdim=True))[:, None, None]  # [n,1,1,2*radius+1]
    across = F.conv2d(F.pad(squares[None], (radius, radius, 0, 0), "replicate"), kernels, groups=len(squares))
    down = F.pad(across, (0, 0, radius, radius), "replicate")
    return F.conv2d(down, kernels.transpose(2, 3), groups=len(squares))[0]


def _noise(squares: torch.Tensor, changes: Sequence[ImageChange]) -> torch.Tensor:
    """Return Gaussian noise [n,size,size], each image with its own deviation and seed."""
    noise = torch.empty_like(squares)
    for image, change in zip(noise, changes, strict=True):
        image.normal_(0, change.noise, generator=torch.Generator().manual_seed(change.seed))
    return noise
