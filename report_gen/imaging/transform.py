"""Fit display intensities into the square input of the image encoder, and keep the geometry of the fit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from report_gen.config import EncoderConfig, PreprocessingStep, VolumeConfig
from report_gen.imaging.preprocessing import Check, go_on, preprocess, preprocessing_stages
from report_gen.imaging.volumes.windows import CT_WINDOWS, VOLUME_WINDOW
from report_gen.records import Box, PreprocessedImage, ViewOffset, Window


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
        channels: C; the gray image is repeated, unless each channel is a window.
        mean: Mean of the intensities 0..1: one number, or one for each channel.
        std: Standard deviation of the intensities 0..1, as for the mean.
        steps: Preprocessing steps before the image is resized, in order.
        windows: The window of each channel; empty if display intensities are repeated.
        volume_window: The window of the C slices of a volume, for an encoder whose channels are slices.
    """

    size: int
    channels: int
    mean: float | tuple[float, ...]
    std: float | tuple[float, ...]
    steps: tuple[PreprocessingStep, ...] = ()
    windows: tuple[Window, ...] = ()
    volume_window: Window | None = None

    @classmethod
    def from_config(
        cls, encoder: EncoderConfig, steps: tuple[PreprocessingStep, ...], volumes: VolumeConfig | None = None
    ) -> ImageTransform:
        """Return the transform that an encoder and the preprocessing steps of its model need."""
        names = () if volumes is None or volumes.windows is None else volumes.windows
        return cls(
            size=encoder.image_size,
            channels=encoder.channels,
            mean=encoder.mean,
            std=encoder.std,
            steps=steps,
            windows=tuple(CT_WINDOWS[name] for name in names),
            volume_window=VOLUME_WINDOW if encoder.takes_volumes else None,
        )

    @property
    def square_shape(self) -> tuple[int, ...]:
        """Shape of the square of an image: [size,size], or [C,size,size] if channels are windows or slices."""
        return (self.channels, self.size, self.size) if self._has_channels else (self.size, self.size)

    @property
    def _has_channels(self) -> bool:
        return bool(self.windows) or self.volume_window is not None

    def fit(self, pixels: NDArray[np.float32], *, check: Check = go_on) -> tuple[torch.Tensor, Placement]:
        """Fit intensities in 0..1 into a square. Return the square, of `square_shape`, and its placement.

        Args:
            pixels: Display intensities [H,W] in 0..1, or the intensities [C,H,W] of the windows.
            check: Called before each preprocessing step and within slow ones; an error that it raises ends the work.
        """
        if pixels.ndim == 3:
            return self._letterbox(pixels, Box(0, 0, *pixels.shape[1:]))
        stage = preprocess(pixels, self.steps, check=check)
        return self._letterbox(stage.pixels, stage.box)

    def fit_volume(
        self, slices: Iterable[NDArray[np.float32]], *, check: Check = go_on
    ) -> tuple[torch.Tensor, Placement]:
        """Fit the slices of a volume into C squares. Return them [C,size,size] in 0..1, and the placement of a slice.

        Each of the C slices is the mean of the slices of its part of the volume. If there are fewer, they are repeated.

        Args:
            slices: Intensities [H,W] in 0..1 of slices of one size, from foot to head; at least one.
            check: Called before each slice; an error that it raises ends the work.
        """
        squares = []
        for pixels in slices:
            check()
            square, placement = self._letterbox(pixels, Box(0, 0, *pixels.shape))
            squares.append(square)
        by_pixel = torch.stack(squares).permute(1, 2, 0)  # [size,size,S]
        return F.adaptive_avg_pool1d(by_pixel, self.channels).permute(2, 0, 1).contiguous(), placement

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
        """Resize an image [...,H,W], which is this part of the loaded image, to [...,size,size]."""
        rows, columns = pixels.shape[-2:]
        placement = self.place(rows, columns)
        _, _, height, width = placement.target
        image = torch.from_numpy(np.ascontiguousarray(pixels)).reshape(1, -1, rows, columns)  # [1,C,H,W]
        resized = F.interpolate(image, size=(height, width), mode="bilinear", antialias=True, align_corners=False)
        square = torch.zeros(*pixels.shape[:-2], self.size, self.size)
        square[..., *placement.target.slices] = resized.clamp(0, 1).reshape(*pixels.shape[:-2], height, width)
        return square, replace(placement, first_row=box.top, first_column=box.left)

    def normalize(self, squares: torch.Tensor) -> torch.Tensor:
        """Normalize squares [...,*square_shape] in 0..1 to pixel_values [...,C,size,size]."""
        channels = squares if self._has_channels else squares.unsqueeze(-3)
        values = (channels - _of_channels(self.mean, channels)) / _of_channels(self.std, channels)
        return values.expand(*channels.shape[:-3], self.channels, -1, -1)

    def denormalize(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return the intensities of pixel_values [...,C,size,size], of the same shape."""
        return pixel_values * _of_channels(self.std, pixel_values) + _of_channels(self.mean, pixel_values)


def _of_channels(number: float | tuple[float, ...], like: torch.Tensor) -> float | torch.Tensor:
    """Return a number of all channels, or those of each channel as [C,1,1]."""
    return like.new_tensor(number)[:, None, None] if isinstance(number, tuple) else number


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
