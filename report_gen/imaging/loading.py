"""Load the pixels of images: display intensities, and values such as Hounsfield units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from report_gen.imaging.display_orientation import display_transform
from report_gen.imaging.gdcm import GdcmProcess
from report_gen.imaging.image_files import ImageFile, open_image_file
from report_gen.imaging.loaded_image import LoadedImage
from report_gen.imaging.square_pixels import aspect_of, resample_to_square
from report_gen.imaging.windowing import apply_window
from report_gen.records import Image, Window

_SAMPLING = 16
"""One row and column of this number is looked at first to show that an image is not uniform."""


def load_pixels(image: Image) -> NDArray[np.float32]:
    """Load the display intensities of an image.

    Args:
        image: An image of a study that `read_study` or `read_studies` returned. Its `window` may be set.

    Returns:
        Intensities [H,W] in 0..1, 0 = black, C-contiguous; zeros if the image is uniform. The pixels are square. An
        image with a window is turned as radiologists look at it.

    Raises:
        StudyError: The pixels are truncated, malformed or not supported.
    """
    return load_image(image).pixels


def load_image(image: Image, gdcm: GdcmProcess | None = None) -> LoadedImage:
    """Load the display intensities of an image, as `load_pixels` does, and the notices that belong to them.

    Args:
        image: See `load_pixels`.
        gdcm: Decodes frames that no other decoder decodes; images may share it. Default: one for this image alone.

    Raises:
        StudyError: See `load_pixels`.
    """
    with open_image_file(image.path, gdcm) as file:
        return _shown(file, image)


def load_windows(image: Image, windows: Sequence[Window], gdcm: GdcmProcess | None = None) -> NDArray[np.float32]:
    """Load the intensities of a slice in several windows.

    Args:
        image: A slice of a study that `read_study` or `read_studies` returned.
        windows: C windows, in the units of `load_values`.
        gdcm: See `load_image`.

    Returns:
        Intensities [C,H,W] in 0..1, 0 = black, C-contiguous, each as `load_pixels` returns it for its window.

    Raises:
        StudyError: The pixels are truncated, malformed or not supported.
    """
    with open_image_file(image.path, gdcm) as file:
        return _in_windows(file, image, windows)


def load_values(image: Image) -> NDArray[np.float32]:
    """Load the values of an image on its stored grid, which `Image.plane` describes.

    Args:
        image: An image of a study that `read_study` or `read_studies` returned.

    Returns:
        Values [H,W] after the modality LUT or Rescale Slope and Intercept of the file or frame: Hounsfield units for
        CT. They are not resampled to square pixels, not windowed, and not inverted by MONOCHROME1. Padding (Pixel
        Padding Value) is NaN. A picture and a color image have no such values: their intensities in 0..1 are returned.

    Raises:
        StudyError: The pixels are truncated, malformed or not supported.
    """
    with open_image_file(image.path) as file:
        return _stored_values(file, image.frame)


def load_many(images: Iterable[Image], *, display: bool = False) -> Iterator[NDArray[np.float32]]:
    """Yield the values of many images in their order, each file opened once for consecutive images of it.

    The memory is that of one image: neither the other frames of a file nor the images before are kept.

    Args:
        images: Images of studies that `read_study` or `read_studies` returned.
        display: Yield display intensities as `load_pixels` does, instead of the values of `load_values`.

    Yields:
        An array [H,W] for each image.

    Raises:
        StudyError: The pixels of an image are truncated, malformed or not supported.
    """
    with GdcmProcess() as gdcm:
        for path, of_file in groupby(images, key=lambda image: image.path):
            with open_image_file(path, gdcm) as file:
                for image in of_file:
                    yield _shown(file, image).pixels if display else _stored_values(file, image.frame)


def read_pixels(path: Path) -> NDArray[np.float32]:
    """Load the display intensities of a file with one image, without its record; see `load_pixels`."""
    with open_image_file(path) as file:
        return _displayed(file, None).pixels


def _shown(file: ImageFile, image: Image) -> LoadedImage:
    """Return the intensities within the window of an image, or else as the file says."""
    if image.window is None:
        return _displayed(file, image.frame)
    return LoadedImage(_in_windows(file, image, (image.window,))[0])


def _in_windows(file: ImageFile, image: Image, windows: Sequence[Window]) -> NDArray[np.float32]:
    values, spacing = _stored_values(file, image.frame), image.pixel_spacing
    if image.plane is not None:
        transform = display_transform(image.plane)
        values, spacing = np.ascontiguousarray(transform.apply(values)), transform.spacing(image.plane.spacing)
    return np.stack([resample_to_square(apply_window(values, window), aspect_of(spacing)) for window in windows])


def _displayed(file: ImageFile, frame: int | None) -> LoadedImage:
    image = file.image(frame)
    pixels = np.ascontiguousarray(image.pixels, dtype=np.float32)
    if _is_uniform(pixels):
        pixels = np.zeros_like(pixels)
    return LoadedImage(pixels, image.notices)


def _is_uniform(pixels: NDArray[np.float32]) -> bool:
    """Return whether all pixels have one intensity. Some of them show in most cases that they have not."""
    some = pixels[::_SAMPLING, ::_SAMPLING]
    return bool(some.min() == some.max() and pixels.min() == pixels.max())


def _stored_values(file: ImageFile, frame: int | None) -> NDArray[np.float32]:
    return np.ascontiguousarray(file.values(frame), dtype=np.float32)
