"""Apply the grayscale transformations of DICOM PS3.4 N.2: modality LUT, VOI LUT, presentation LUT.

A radiograph of 16 bits has at most 65,536 gray levels. pydicom therefore transforms each level once, in double
precision, and every pixel is replaced by the result for its level. This is exact, and faster than transforming pixels.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_modality_lut, apply_presentation_lut, apply_voi, apply_windowing

Levels = NDArray[np.float64]


def to_grayscale(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.float32]:
    """Convert stored values [H,W] to display intensities [H,W] in 0..1, 0 = black, as the header specifies.

    Without a usable VOI LUT or window, the range of the values that occur, padding excluded, is scaled to 0..1.

    Raises:
        ValueError: The look-up tables of the header contradict each other. pydicom may raise other errors.
    """
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    if stored.itemsize <= 2:
        index = stored.view(f"u{stored.itemsize}")
        levels = np.arange(2 ** (8 * stored.itemsize), dtype=index.dtype).view(stored.dtype)
        occurs = np.zeros(levels.size, dtype=bool)
        occurs[index] = True
    else:  # a table of 2**32 levels would not fit into memory
        levels, index = np.unique(stored, return_inverse=True)
        occurs = np.ones(levels.size, dtype=bool)
    padding = _is_padding(levels, dataset)
    with np.errstate(over="ignore", invalid="ignore"):  # SIGMOID far outside the window overflows to its limit
        table = _intensities(levels.astype(np.int64), occurs & ~padding, dataset)
    table[padding] = 0
    intensities: NDArray[np.float32] = table.astype(np.float32)[index]
    return intensities


def _is_padding(levels: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_]:
    """Mark the levels between Pixel Padding Value and Pixel Padding Range Limit (PS3.3 C.7.5.1.1.2)."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(levels.size, dtype=bool)
    limit = dataset.get("PixelPaddingRangeLimit")
    low, high = sorted((int(value), int(value if limit is None else limit)))
    return (levels >= low) & (levels <= high)


def _intensities(levels: NDArray[np.int64], occurs: NDArray[np.bool_], dataset: Dataset) -> Levels:
    values = np.asarray(apply_modality_lut(levels, dataset), dtype=np.float64)  # PS3.3 C.11.1
    if not np.isfinite(values).all():
        raise ValueError("Rescale Slope or Rescale Intercept is not a number")
    if _has_voi_lut(dataset):
        values, low, high = _apply_voi_lut(values, dataset)
    elif _has_window(dataset):
        values, low, high = _apply_window(values, dataset)
    else:
        low, high = (values[occurs].min(), values[occurs].max()) if occurs.any() else (0.0, 0.0)
    if high == low:
        return np.zeros_like(values)
    return _apply_presentation(((values - low) / (high - low)).clip(0, 1), dataset)


def _has_voi_lut(dataset: Dataset) -> bool:
    """Return whether there is a VOI LUT, which takes precedence over a window, as in pydicom."""
    sequence = dataset.get("VOILUTSequence")
    return bool(sequence) and "LUTDescriptor" in sequence[0] and "LUTData" in sequence[0]


def _apply_voi_lut(values: Levels, dataset: Dataset) -> tuple[Levels, float, float]:
    """Apply the first VOI LUT (PS3.3 C.11.2.1.1). Return the values and the range of its output."""
    dataset = copy.copy(dataset)
    item = copy.copy(dataset.VOILUTSequence[0])
    entries, first, bits = item.LUTDescriptor
    item.LUTDescriptor = [entries, first, 16]  # pydicom would index a table of 8-bit entries with 8 bits
    dataset.VOILUTSequence = [item]
    inside = np.rint(values).clip(first, first + (entries or 2**16) - 1).astype(np.int64)
    return np.asarray(apply_voi(inside, dataset), dtype=np.float64), 0.0, float(2**bits - 1)


def _has_window(dataset: Dataset) -> bool:
    """Return whether the first window is usable: LINEAR needs a width >= 1, others > 0 (PS3.3 C.11.2.1.2)."""
    center, width = (_first(dataset.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    least = 1.0 if _voi_function(dataset) == "LINEAR" else math.ulp(0.0)
    return center is not None and width is not None and math.isfinite(center) and least <= width < math.inf


def _apply_window(values: Levels, dataset: Dataset) -> tuple[Levels, float, float]:
    """Apply the first window (PS3.3 C.11.2.1.2, C.11.2.1.3). Return the values and the range of its output."""
    dataset = copy.copy(dataset)
    dataset.VOILUTFunction = _voi_function(dataset)
    windowed = apply_windowing(np.append(values, (-np.inf, np.inf)), dataset)  # infinity maps to the ends of the range
    return windowed[:-2], float(windowed[-2]), float(windowed[-1])


def _voi_function(dataset: Dataset) -> str:
    return str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()


def _first(value: Any) -> float | None:
    """Return the first of several alternative windows."""
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    return None if value in (None, "") else float(value)


def _apply_presentation(intensities: Levels, dataset: Dataset) -> Levels:
    """Apply the Presentation LUT (PS3.3 C.11.4, C.11.6), or invert if MONOCHROME1 or INVERSE requires it."""
    if dataset.get("PresentationLUTSequence"):
        entries, _, bits = dataset.PresentationLUTSequence[0].LUTDescriptor
        entries = entries or 2**16  # the descriptor encodes 65,536 as 0
        p_values = apply_presentation_lut(np.arange(entries), dataset) / (2**bits - 1)
        return np.asarray(p_values[np.rint(intensities * (entries - 1)).astype(np.int64)], dtype=np.float64)
    shape = str(dataset.get("PresentationLUTShape") or "").strip().upper()
    # MONOCHROME1 with INVERSE states the same inversion twice (PS3.3 C.7.6.3.1.2), so it inverts once.
    if dataset.PhotometricInterpretation == "MONOCHROME1" or shape == "INVERSE":
        return 1 - intensities
    return intensities
