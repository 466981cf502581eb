"""Fit display intensities into the square input of the image encoder, and keep the geometry of the fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from report_gen.config import EncoderConfig, PreprocessingStep
from report_gen.imaging.preprocessing import Check, go_on, preprocess, preprocessing_stages
from report_gen.records import Box, PreprocessedImage, ViewOffset


@dataclass(frozen=True)
class Placement:
    """Position of an image, or of the part of it that preprocessing left, in a square of `size` pixels.

    The part has `rows` x `columns` pixels and begins at (`first_row`, `first_column`) of the image. It is scaled by
    `scale`, then its upper left corner is moved to (`top`, `left`).
    """

    rows: int
    columns: int
    size: int
    scale: float
    top: int
    left: int
    first_row: int = 0
    first_column: int = 0

    @property
    def square(self) -> tuple[float, float, float]:
        """Left edge, top edge and side length of the square, in pixels of the image.

        The square extends beyond the part where it is padded with black.
        """
        return (
            self.first_column - self.left / self.scale,
            self.first_row - self.top / self.scale,
            self.size / self.scale,
        )

    @property
    def part(self) -> Box:
        """The part of the image that the square shows."""
        return Box(self.first_row, self.first_column, self.rows, self.columns)

    @property
    def target(self) -> Box:
        """The pixels of the square that show the part; the others are black."""
        return Box(self.top, self.left, *_scaled(self.rows, self.columns, self.scale))


@dataclass(frozen=True, kw_only=True)
class ImageTransform:
    """Preprocesses an image, resizes it into a square, keeps its aspect ratio, pads with black, and normalizes it.

    Training, evaluation and drafting all use it.

    Args:
        size: Side length of the square, pixels.
        channels: C; the gray image is repeated.
        mean: Mean of the intensities 0..1.
        std: Standard deviation of the intensities 0..1.
        steps: Preprocessing steps before the image is resized, in order.
    """

    size: int
    channels: int
    mean: float
    std: float
    steps: tuple[PreprocessingStep, ...] = ()

    @classmethod
    def from_config(cls, encoder: EncoderConfig, steps: tuple[PreprocessingStep, ...]) -> ImageTransform:
        """Return the transform that an encoder and the preprocessing steps of its model need."""
        return cls(size=encoder.image_size, channels=encoder.channels, mean=encoder.mean, std=encoder.std, steps=steps)

    def fit(self, pixels: NDArray[np.float32], *, check: Check = go_on) -> tuple[torch.Tensor, Placement]:
        """Fit display intensities [H,W] in 0..1 into [size,size] in 0..1. Return the square and its placement.

        Args:
            pixels: Display intensities [H,W] in 0..1.
            check: Called before each preprocessing step and within slow ones; an error that it raises ends the work.
        """
        stage = preprocess(pixels, self.steps, check=check)
        return self._letterbox(stage.pixels, stage.box)

    def stages(self, pixels: NDArray[np.float32]) -> PreprocessedImage:
        """Fit display intensities [H,W] in 0..1 into the square, and return the image after every step."""
        stages = tuple(preprocessing_stages(pixels, self.steps))
        square, placement = self._letterbox(stages[-1].pixels, stages[-1].box)
        names = ("image", *(step.name for step in self.steps))
        return PreprocessedImage(
            stages=tuple((name, stage.pixels) for name, stage in zip(names, stages, strict=True)),
            part=placement.part,
            square=square.numpy(),
            target=placement.target,
        )

    def place(self, rows: int, columns: int) -> Placement:
        """Return the placement of an image of this size that no preprocessing step crops."""
        scale = self.size / max(rows, columns)
        height, width = _scaled(rows, columns, scale)
        top, left = (self.size - height) // 2, (self.size - width) // 2
        return Placement(rows, columns, self.size, scale, top, left)

    def _letterbox(self, pixels: NDArray[np.float32], box: Box) -> tuple[torch.Tensor, Placement]:
        """Resize an image [H,W], which is this part of the loaded image, to [size,size]."""
        rows, columns = pixels.shape
        placement = self.place(rows, columns)
        _, _, height, width = placement.target
        image = torch.from_numpy(np.ascontiguousarray(pixels))[None, None]  # [1,1,H,W]
        resized = F.interpolate(image, size=(height, width), mode="bilinear", antialias=True, align_corners=False)[0, 0]
        square = torch.zeros(self.size, self.size)
        square[placement.target.slices] = resized.clamp(0, 1)
        return square, replace(placement, first_row=box.top, first_column=box.left)

    def normalize(self, squares: torch.Tensor) -> torch.Tensor:
        """Normalize intensities [...,size,size] in 0..1 to pixel_values [...,C,size,size]."""
        values = (squares - self.mean) / self.std
        return values.unsqueeze(-3).expand(*squares.shape[:-2], self.channels, -1, -1)


def _scaled(rows: int, columns: int, scale: float) -> tuple[int, int]:
    return max(1, round(rows * scale)), max(1, round(columns * scale))


def collate_view_positions(view_positions: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the view positions of B studies [B,V] and their mask [B,V] bool, False for missing views.

    V is the largest number of views. Images and features of the views are padded in the same way by `pad_sequence`.

    Args:
        view_positions: An index for each view of each study.
    """
    rows = [torch.tensor(row, dtype=torch.long) for row in view_positions]
    masks = [torch.ones(len(row), dtype=torch.bool) for row in view_positions]
    return pad_sequence(rows, batch_first=True), pad_sequence(masks, batch_first=True)


def collate_view_offsets(view_offsets: Sequence[Sequence[ViewOffset]]) -> torch.Tensor:
    """Return the view offsets of B studies [B,V,3] float32; NaN for unknown ones and for missing views.

    Args:
        view_offsets: An offset for each view of each study.
    """
    rows = [torch.tensor(row, dtype=torch.float32).reshape(-1, len(ViewOffset._fields)) for row in view_offsets]
    return pad_sequence(rows, batch_first=True, padding_value=math.nan)
