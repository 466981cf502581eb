"""Load the images of a study and fit them into the squares that the encoder gets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from report_gen.errors import StudyError
from report_gen.imaging import ONLY_HOUNSFIELD, GdcmProcess, load_image, load_many, load_windows, memory_errors
from report_gen.imaging.transform import ImageTransform, Placement
from report_gen.records import Image, Window

_GRAY = 0.5
"""Intensity of the images of the control `blank`. It is not 0: black images are not given to the model."""


class FittedImages(NamedTuple):
    """The V images of a study, fitted into the squares that the encoder gets."""

    squares: torch.Tensor
    """[V,size,size] in 0..1, or [V,C,size,size] if channels are windows, or the slices of a volume."""
    placements: tuple[Placement, ...]
    images: tuple[Image, ...]
    """The images; for a volume the slice in the middle, which stands for it."""
    notices: tuple[str, ...] = ()


def fit_images(
    transform: ImageTransform,
    images: tuple[Image, ...],
    *,
    gdcm: GdcmProcess,
    check: Callable[[], None],
    blank: bool = False,
) -> FittedImages:
    """Fit images into squares, or a volume into one square of C slices.

    Args:
        transform: The image transform of the model.
        images: The images, or the slices of the volume from foot to head.
        gdcm: Decodes frames that no other decoder decodes.
        check: Called between the steps; an error that it raises ends the work.
        blank: Return uniform gray in place of the images.

    Raises:
        StudyError: An image cannot be read, or the model gets windows and it is no slice of a CT.
    """
    is_volume = transform.volume_window is not None
    shown = images[len(images) // 2 :][:1] if is_volume else images
    if blank:
        squares = torch.full((len(shown), *transform.square_shape), _GRAY)
        return FittedImages(squares, tuple(transform.place(image.rows, image.columns) for image in shown), shown)
    if is_volume:
        with memory_errors(shown[0].path):
            square, placement = transform.fit_volume(load_many(images, display=True), check=check)
        return FittedImages(square[None], (placement,), shown)
    return _fit_each(transform, images, gdcm, check)


def digest_pixels(squares: torch.Tensor) -> tuple[str, ...]:
    """Return the SHA-256 of the decoded pixels of each of V images, as the model gets them.

    The random generator of a draft is seeded with these digests and not with those of the files. The same pixels
    therefore give the same text with other UIDs, in another encoding and under another file name. The squares are
    hashed instead of the images in full size, because the model gets nothing else, and hashing them takes less than a
    millisecond. They are rounded to 8 bits, because the last digits of resizing differ between processors. A digest
    still differs if a value is at the limit between two integers.

    Args:
        squares: [V,...] in 0..1 before normalization, as in `FittedImages`.

    Returns:
        V digests of 64 hexadecimal digits.
    """
    rounded = (squares * 255).round().to(torch.uint8).cpu().contiguous()
    return tuple(hashlib.sha256(square.numpy()).hexdigest() for square in rounded)


def _fit_each(
    transform: ImageTransform, images: tuple[Image, ...], gdcm: GdcmProcess, check: Callable[[], None]
) -> FittedImages:
    fitted: list[tuple[torch.Tensor, Placement]] = []
    notices: list[tuple[str, ...]] = []
    for image in images:  # one by one: an image of full size takes a thousand times the memory of its square
        pixels, found = load_in_windows(image, transform.windows, gdcm)
        with memory_errors(image.path):
            fitted.append(transform.fit(pixels, check=check))
        notices.append(found)
        check()
    squares, placements = zip(*fitted, strict=True)
    return FittedImages(torch.stack(squares), placements, images, image_notices(notices))


def load_in_windows(
    image: Image, windows: Sequence[Window], gdcm: GdcmProcess
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Load the intensities [H,W] of an image, or [C,H,W] if each channel is one of C windows, and its notices.

    Raises:
        StudyError: The image cannot be read, or there are windows and it is no slice of a CT.
    """
    if not windows:
        loaded = load_image(image, gdcm)
        return loaded.pixels, loaded.notices
    if image.window is None:  # no slice of a CT
        raise StudyError(image.path, f"has no Hounsfield units, {ONLY_HOUNSFIELD}")
    return load_windows(image, windows, gdcm), ()


def image_notices(notices: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return each notice of the V images once, and which images it is about if there are several."""
    numbers: dict[str, list[str]] = {}
    for number, of_image in enumerate(notices, 1):
        for notice in of_image:
            numbers.setdefault(notice, []).append(str(number))
    if len(notices) == 1:
        return tuple(numbers)
    return tuple(f"image {', '.join(images)}: {notice}" for notice, images in numbers.items())
