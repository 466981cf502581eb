"""Resample images whose pixels are not square, so that shapes are displayed as they are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from pydicom import Dataset

from report_gen.imaging.attributes import optional_value

_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
"""Distances between rows and between columns, the first that is known; see `pixel_spacing`."""

_TOLERANCE = 0.01
"""Pixels whose height and width differ by less than this share are taken for square: spacings are rounded."""


def pixel_spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Return the distances between the rows and between the columns of the file, millimeters.

    Pixel Spacing (0028,0030) takes precedence: in a radiograph it is calibrated to the patient (PS3.3 10.7.1.3) or
    equals Imager Pixel Spacing. Imager Pixel Spacing (0018,1164) is measured at the detector, where structures of the
    chest appear 5 to 15 percent larger. Nominal Scanned Pixel Spacing (0018,2010) is that of a digitized radiograph.
    """
    for keyword in _SPACINGS:
        pair = _positive_pair(optional_value(dataset, keyword))
        if pair is not None:
            return pair
    return None


def pixel_aspect(dataset: Dataset) -> float:
    """Return the height of a pixel divided by its width, 1 if the pixels are square or nothing is known.

    Pixel Aspect Ratio (0028,0034) is used if there is no spacing, as its definition requires (PS3.3 C.7.6.3.1.7).
    """
    return aspect_of(pixel_spacing(dataset) or _positive_pair(optional_value(dataset, "PixelAspectRatio")))


def aspect_of(spacing: tuple[float, float] | None) -> float:
    """Return the first distance divided by the second, 1 if they are nearly equal or not known."""
    aspect = 1.0 if spacing is None else spacing[0] / spacing[1]
    return aspect if abs(math.log(aspect)) > _TOLERANCE else 1.0


def square_spacing(spacing: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the distances between rows and columns of an image after `resample_to_square`, millimeters."""
    return spacing if spacing is None or aspect_of(spacing) == 1 else (min(spacing), min(spacing))


def square_size(rows: int, columns: int, aspect: float) -> tuple[int, int]:
    """Return the rows and columns of an image after `resample_to_square`. The coarser axis is enlarged."""
    return (round(rows * aspect), columns) if aspect > 1 else (rows, round(columns / aspect))


def resample_to_square(pixels: NDArray[np.float32], aspect: float) -> NDArray[np.float32]:
    """Interpolate an image [H,W] linearly along the axis along which its pixels are longer.

    Args:
        pixels: Intensities [H,W].
        aspect: Height of a pixel divided by its width.
    """
    rows, columns = square_size(pixels.shape[0], pixels.shape[1], aspect)
    if (rows, columns) == pixels.shape:
        return pixels
    return np.array(PIL.Image.fromarray(pixels).resize((columns, rows), PIL.Image.Resampling.BILINEAR))


def _positive_pair(value: Any) -> tuple[float, float] | None:
    try:
        first, second = (float(number) for number in value)
    except (TypeError, ValueError):
        return None
    return (first, second) if 0 < first < math.inf and 0 < second < math.inf else None
