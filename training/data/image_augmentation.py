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

_TAIL = 3
"""Standard deviations at which the Gaussian kernel is cut off."""


def augment(squares: torch.Tensor, randoms: Sequence[np.random.Generator], recipe: AugmentationRecipe) -> torch.Tensor:
    """Augment n images [n,size,size] in 0..1, each with its own generator; the batch is for speed only."""
    changes = [_draw(random, recipe) for random in randoms]
    changed = _move(squares, changes)
    if recipe.gamma > 1:
        changed = changed.clamp(0, 1) ** torch.tensor([change.gamma for change in changes])[:, None, None]
    if recipe.blur > 0:
        changed = _blur(changed, [change.blur for change in changes], math.ceil(_TAIL * recipe.blur))
    if recipe.noise > 0:
        changed += _noise(changed, changes)
    return changed.clamp_(0, 1)


class _Change(NamedTuple):
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


def _draw(random: np.random.Generator, recipe: AugmentationRecipe) -> _Change:
    contrast = math.log(recipe.gamma)
    return _Change(
        angle=math.radians(random.uniform(-recipe.degrees, recipe.degrees)),
        scale=random.uniform(1 - recipe.scale, 1 + recipe.scale),
        right=random.uniform(-recipe.shift, recipe.shift),
        down=random.uniform(-recipe.shift, recipe.shift),
        gamma=math.exp(random.uniform(-contrast, contrast)),
        noise=random.uniform(0, recipe.noise),
        blur=random.uniform(0, recipe.blur),
        seed=int(random.integers(2**63)),
    )


def _move(squares: torch.Tensor, changes: Sequence[_Change]) -> torch.Tensor:
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


def _noise(squares: torch.Tensor, changes: Sequence[_Change]) -> torch.Tensor:
    """Return Gaussian noise [n,size,size], each image with its own deviation and seed."""
    noise = torch.empty_like(squares)
    for image, change in zip(noise, changes, strict=True):
        image.normal_(0, change.noise, generator=torch.Generator().manual_seed(change.seed))
    return noise
