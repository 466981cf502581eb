"""Apply the preprocessing steps of a model to an image, in order.

Filters are those of scikit-image, which is imported only when a step needs it, because most models have no steps.
OpenCV was not chosen: its wheel is 61 MB (scikit-image: 14 MB, on scipy, which is needed anyway), its non-local means
work on integers only, and it starts threads of its own. Every step is deterministic and runs in the calling thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from report_gen.config import (
    ClaheStep,
    CropBandsStep,
    CropBordersStep,
    MedianStep,
    NonLocalMeansStep,
    PercentilesStep,
    PreprocessingStep,
)
from report_gen.imaging.cropping import box_without_bands, box_without_borders
from report_gen.records import Box

Check = Callable[[], None]
"""A function that raises an error if the work must end, for example because a time limit has passed."""

_STRIP_PIXELS = 2**20
"""Pixels that a filter processes between two checks; the slowest takes a second for them."""


def go_on() -> None:
    """Let the work go on without a limit."""


@dataclass(frozen=True, eq=False)
class IntermediateImage:
    """An image after some preprocessing steps."""

    pixels: NDArray[np.float32]
    """[H,W] 0..1."""
    box: Box
    """The part of the loaded image that `pixels` shows."""


def preprocess(
    pixels: NDArray[np.float32], steps: Sequence[PreprocessingStep], *, check: Check = go_on
) -> IntermediateImage:
    """Return display intensities [H,W] in 0..1 after all steps. Uniform images are not changed.

    Args:
        pixels: Display intensities [H,W] in 0..1.
        steps: The steps, in order.
        check: As in `preprocessing_stages`.
    """
    *_, last = preprocessing_stages(pixels, steps, check=check)
    return last


def preprocessing_stages(
    pixels: NDArray[np.float32], steps: Sequence[PreprocessingStep], *, check: Check = go_on
) -> Iterator[IntermediateImage]:
    """Yield display intensities [H,W] in 0..1 as they are loaded, then after each step.

    Args:
        pixels: Display intensities [H,W] in 0..1.
        steps: The steps, in order.
        check: Called before each step, and every few seconds within the slow ones. An error that it raises ends the
            preprocessing.
    """
    image = IntermediateImage(pixels, Box(0, 0, *pixels.shape))
    yield image
    for step in steps:
        check()
        image = _apply(image, step, check)
        yield image


def _apply(image: IntermediateImage, step: PreprocessingStep, check: Check) -> IntermediateImage:
    if image.pixels.min() == image.pixels.max():  # there is nothing to crop, to filter or to stretch
        return image
    part = _part(image.pixels, step)
    return IntermediateImage(_filtered(image.pixels[part.slices], step, check), image.box.inner(part))


def _part(pixels: NDArray[np.float32], step: PreprocessingStep) -> Box:
    """Return the part of an image that a step keeps."""
    match step:
        case CropBordersStep():
            return box_without_borders(pixels, step)
        case CropBandsStep():
            return box_without_bands(pixels, step)
        case _:
            return Box(0, 0, *pixels.shape)


def _filtered(pixels: NDArray[np.float32], step: PreprocessingStep, check: Check) -> NDArray[np.float32]:
    """Return an image with the intensities that a step gives it."""
    values: NDArray[np.floating[Any]]
    match step:
        case MedianStep():
            values = _in_strips(pixels, partial(_median, step=step), margin=step.size // 2, check=check)
        case NonLocalMeansStep():
            margin = step.distance + step.patch  # a pixel depends on patches of pixels at this distance
            values = _in_strips(pixels, partial(_non_local_means, step=step), margin=margin, check=check)
        case ClaheStep():
            values = _equalize(pixels, step)
        case PercentilesStep():
            values = _stretch(pixels, step)
        case _:
            return pixels
    filtered: NDArray[np.float32] = np.clip(values, 0, 1).astype(np.float32, copy=False)
    return filtered


def _in_strips(
    pixels: NDArray[np.float32],
    apply: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    *,
    margin: int,
    check: Check,
) -> NDArray[np.float32]:
    """Filter an image [H,W] in strips of rows, so that the time between two checks and the memory are limited.

    Args:
        pixels: The image.
        apply: A filter that gives each pixel a value that depends on its neighborhood only.
        margin: Largest distance of the rows that a pixel depends on.
        check: Called before each strip.
    """
    values, rows = np.empty_like(pixels), max(1, _STRIP_PIXELS // pixels.shape[1])
    for start in range(0, len(pixels), rows):
        check()
        top = max(0, start - margin)
        filtered = apply(pixels[top : start + rows + margin])
        values[start : start + rows] = filtered[start - top : start - top + rows]
    return values


def _median(pixels: NDArray[np.float32], step: MedianStep) -> NDArray[np.float32]:
    from skimage.filters import median
    from skimage.morphology import footprint_rectangle

    values: NDArray[np.float32] = median(pixels, footprint_rectangle((step.size, step.size)), mode="nearest")
    return values


def _non_local_means(pixels: NDArray[np.float32], step: NonLocalMeansStep) -> NDArray[np.float32]:
    from skimage.restoration import denoise_nl_means

    values: NDArray[np.float32] = denoise_nl_means(
        pixels,
        patch_size=step.patch,
        patch_distance=step.distance,
        h=step.strength * step.sigma,
        sigma=step.sigma,
        fast_mode=True,
    )
    return values.reshape(pixels.shape)  # scikit-image drops an axis of length 1


def _equalize(pixels: NDArray[np.float32], step: ClaheStep) -> NDArray[np.float32]:
    from skimage.exposure import equalize_adapthist

    values: NDArray[np.float32] = equalize_adapthist(
        pixels,
        kernel_size=[max(1, side // step.tiles) for side in pixels.shape],
        clip_limit=step.limit / step.bins,  # scikit-image wants it as a share of the pixels of a tile
        nbins=step.bins,
    )
    return values


def _stretch(pixels: NDArray[np.float32], step: PercentilesStep) -> NDArray[np.float64]:
    from skimage.exposure import rescale_intensity

    lower, upper = np.percentile(pixels.astype(np.float64), (step.lower, step.upper))
    if lower == upper:  # more than these percentiles allow has one intensity
        return pixels.astype(np.float64)
    values: NDArray[np.float64] = rescale_intensity(
        pixels.astype(np.float64), in_range=(lower, upper), out_range=(0.0, 1.0)
    )
    return values
