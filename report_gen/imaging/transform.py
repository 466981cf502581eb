"""Fit display intensities into the square input of the image encoder, and keep the geometry of the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True)
class Placement:
    """Position of an image of `rows` x `columns` pixels in a square of `size` pixels.

    The image is scaled by `scale`, then its upper left corner is moved to (`top`, `left`).
    """

    rows: int
    columns: int
    size: int
    scale: float
    top: int
    left: int

    @property
    def square(self) -> tuple[float, float, float]:
        """Left edge, top edge and side length of the square, in pixels of the image.

        The square extends beyond the image where it is padded with black.
        """
        return -self.left / self.scale, -self.top / self.scale, self.size / self.scale


@dataclass(frozen=True, kw_only=True)
class ImageTransform:
    """Resizes an image into a square, keeps its aspect ratio, pads with black, and normalizes it.

    Args:
        size: Side length of the square, pixels.
        channels: C; the gray image is repeated.
        mean: Mean of the intensities 0..1.
        std: Standard deviation of the intensities 0..1.
    """

    size: int
    channels: int
    mean: float
    std: float

    def fit(self, pixels: NDArray[np.float32]) -> tuple[torch.Tensor, Placement]:
        """Resize display intensities [H,W] in 0..1 to [size,size] in 0..1. Return the image and its placement."""
        rows, columns = pixels.shape
        scale = self.size / max(rows, columns)
        height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
        image = torch.from_numpy(np.ascontiguousarray(pixels))[None, None]  # [1,1,H,W]
        resized = F.interpolate(image, size=(height, width), mode="bilinear", antialias=True, align_corners=False)[0, 0]
        top, left = (self.size - height) // 2, (self.size - width) // 2
        square = torch.zeros(self.size, self.size)
        square[top : top + height, left : left + width] = resized.clamp(0, 1)
        return square, Placement(rows, columns, self.size, scale, top, left)

    def normalize(self, squares: torch.Tensor) -> torch.Tensor:
        """Normalize intensities [...,size,size] in 0..1 to pixel_values [...,C,size,size]."""
        values = (squares - self.mean) / self.std
        return values.unsqueeze(-3).expand(*squares.shape[:-2], self.channels, -1, -1)


def collate_view_positions(view_positions: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the view positions of B studies [B,V] and their mask [B,V] bool, False for missing views.

    V is the largest number of views. Images and features of the views are padded in the same way by `pad_sequence`.

    Args:
        view_positions: An index for each view of each study.
    """
    rows = [torch.tensor(row, dtype=torch.long) for row in view_positions]
    masks = [torch.ones(len(row), dtype=torch.bool) for row in view_positions]
    return pad_sequence(rows, batch_first=True), pad_sequence(masks, batch_first=True)
