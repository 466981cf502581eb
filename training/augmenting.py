"""Small changes of radiographs that leave the report true. Never flips: they would swap left and right."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

MAX_DEGREES = 5.0
MAX_SHIFT = 0.04
"""Of the side."""
SCALES = (0.92, 1.08)
GAMMAS = (0.8, 1.25)


def augment(square: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """Rotate, scale, shift and change the contrast of an image [size,size] 0..1."""
    shift = (random.uniform(-MAX_SHIFT, MAX_SHIFT, 2) * square.shape[-1]).round().astype(int).tolist()
    moved: torch.Tensor = F.affine(
        square[None],
        angle=float(random.uniform(-MAX_DEGREES, MAX_DEGREES)),
        translate=shift,
        scale=float(random.uniform(*SCALES)),
        shear=[0.0, 0.0],
        interpolation=InterpolationMode.BILINEAR,
    )[0]
    return moved.clamp(0, 1) ** float(np.exp(random.uniform(*np.log(GAMMAS))))
