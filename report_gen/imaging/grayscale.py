"""The grayscale chain of DICOM PS3.4 N.2: stored values -> modality LUT -> VOI LUT -> presentation LUT -> 0..1.

A radiograph of 16 bits has at most 65,536 grey levels, so pydicom works the chain out once per level, in double
precision, and each pixel looks its brightness up: exact, and faster than sending every pixel through each step.
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
    """Stored values [H,W] -> brightness [H,W] in 0..1, 0 = black, as the file asks to be shown.

    Without a usable VOI LUT or window the values seen, padding apart, are stretched from 0 to 1.

    Raises:
        ValueError, and what pydicom raises, where the look-up tables of the header contradict themselves.
    """
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    if stored.itemsize <= 2:
        index = stored.view(f"u{stored.itemsize}")
        levels = np.arange(2 ** (8 * stored.itemsize), dtype=index.dtype).view(stored.dtype)
        seen = np.zeros(levels.size, dtype=bool)
        seen[index] = True
    else:
        levels, index = np.unique(stored, return_inverse=True)
        seen = np.ones(levels.size, dtype=bool)
    padding = _is_padding(levels, dataset)
    table = _brightness(levels.astype(np.int64), seen & ~padding, dataset)
    table[padding] = 0
    brightness: NDArray[np.float32] = table.astype(np.float32)[index]
    return brightness


def _is_padding(levels: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_]:
    """Levels that only fill the rectangle: Pixel Padding Value and Range Limit, PS3.3 C.7.5.1.1.2."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(levels.size, dtype=bool)
    limit = dataset.get("PixelPaddingRangeLimit")
    low, high = sorted((int(value), int(value if limit is None else limit)))
    return (levels >= low) & (levels <= high)


def _brightness(levels: NDArray[np.int64], seen: NDArray[np.bool_], dataset: Dataset) -> Levels:
    values = np.asarray(apply_modality_lut(levels, dataset), dtype=np.float64)  # PS3.3 C.11.1
    if not np.isfinite(values).all():
        raise ValueError("Rescale Slope or Intercept is not a number")
    if _has_voi_lut(dataset):
        values, low, high = _apply_voi_lut(values, dataset)
    elif _has_window(dataset):
        values, low, high = _apply_window(values, dataset)
    else:
        low, high = (values[seen].min(), values[seen].max()) if seen.any() else (0.0, 0.0)
    if high == low:
        return np.zeros_like(values)
    return _present(((values - low) / (high - low)).clip(0, 1), dataset)


def _has_voi_lut(dataset: Dataset) -> bool:
    """A VOI LUT goes before a window where the file carries both, as in pydicom."""
    sequence = dataset.get("VOILUTSequence")
    return bool(sequence) and "LUTDescriptor" in sequence[0] and "LUTData" in sequence[0]


def _apply_voi_lut(values: Levels, dataset: Dataset) -> tuple[Levels, float, float]:
    """PS3.3 C.11.2.1.1; the table is read as 16 bits because pydicom indexes an 8-bit one with 8 bits."""
    dataset = copy.copy(dataset)
    item = copy.copy(dataset.VOILUTSequence[0])
    entries, first, bits = item.LUTDescriptor
    item.LUTDescriptor = [entries, first, 16]
    dataset.VOILUTSequence = [item]
    inside = np.rint(values).clip(first, first + (entries or 2**16) - 1).astype(np.int64)
    return np.asarray(apply_voi(inside, dataset), dtype=np.float64), 0.0, float(2**bits - 1)


def _has_window(dataset: Dataset) -> bool:
    """Whether the first window can be used: LINEAR needs a width of 1, the others more than 0 (PS3.3 C.11.2.1.2)."""
    center, width = (_first(dataset.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    least = 1.0 if _voi_function(dataset) == "LINEAR" else math.ulp(0.0)
    return center is not None and width is not None and math.isfinite(center) and least <= width < math.inf


def _apply_window(values: Levels, dataset: Dataset) -> tuple[Levels, float, float]:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3; what the window answers at -inf and +inf is its output range."""
    dataset = copy.copy(dataset)
    dataset.VOILUTFunction = _voi_function(dataset)
    with np.errstate(over="ignore"):  # SIGMOID far outside the window
        shown = apply_windowing(np.append(values, (-np.inf, np.inf)), dataset)
    return shown[:-2], float(shown[-2]), float(shown[-1])


def _voi_function(dataset: Dataset) -> str:
    return str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()


def _first(value: Any) -> float | None:
    """The first of several alternative windows."""
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    return None if value in (None, "") else float(value)


def _present(brightness: Levels, dataset: Dataset) -> Levels:
    """PS3.3 C.11.4, C.11.6 and C.7.6.3.1.2: a LUT gives P-values; else MONOCHROME1 or INVERSE turns once."""
    if dataset.get("PresentationLUTSequence"):
        entries, _, bits = dataset.PresentationLUTSequence[0].LUTDescriptor
        entries = entries or 2**16
        p_values = apply_presentation_lut(np.arange(entries), dataset) / (2**bits - 1)
        return np.asarray(p_values[np.rint(brightness * (entries - 1)).astype(np.int64)], dtype=np.float64)
    shape = str(dataset.get("PresentationLUTShape") or "").strip().upper()
    if dataset.PhotometricInterpretation == "MONOCHROME1" or shape == "INVERSE":
        return 1 - brightness
    return brightness
