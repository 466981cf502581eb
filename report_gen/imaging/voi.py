"""Map values to display intensities by a VOI LUT or a window (PS3.3 C.11.2)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_windowing

from report_gen.imaging.attributes import optional_value
from report_gen.imaging.look_up_table import first_usable_lut, largest_entry, look_up
from report_gen.records import Window

Levels = NDArray[np.float64]

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")

_UNKNOWN_FUNCTION = "the VOI LUT Function of the header is not known to DICOM; the window was applied as LINEAR"
_MALFORMED_WINDOW = "the window of the header is malformed and was ignored"


def apply_first_voi(values: Levels, dataset: Dataset) -> tuple[Levels | None, tuple[str, ...]]:
    """Apply the first usable VOI LUT, else the first usable window.

    Args:
        values: Values after the modality LUT.
        dataset: The attributes of the image.

    Returns:
        Intensities in 0..1, or None without a usable VOI LUT and window; and notices.
    """
    lut = first_usable_lut(dataset, "VOILUTSequence")
    if lut is not None:  # it takes precedence over a window, as in pydicom
        return look_up(values, lut, dataset) / largest_entry(lut), ()
    centers, widths = _numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth")
    if centers is None or widths is None:
        return None, (_MALFORMED_WINDOW,)
    functions = _functions(dataset)
    for index, (center, width) in enumerate(zip(centers, widths, strict=False)):
        function = functions[min(index, len(functions) - 1)]
        notices = () if function in _FUNCTIONS else (_UNKNOWN_FUNCTION,)
        function = function if function in _FUNCTIONS else "LINEAR"
        if function == "LINEAR" and width < 1 and _has_fractions(dataset):
            # LINEAR is defined for widths of 1 or more. Devices that scale the values to fractions mean this:
            function = "LINEAR_EXACT"
        if _is_usable(center, width, function):
            return _apply_window(values, center, width, function), notices
    return None, ()


def header_window(dataset: Dataset) -> Window | None:
    """Return the first usable window of a header, named "header"; None if it has none."""
    centers, widths = _numbers(dataset, "WindowCenter") or (), _numbers(dataset, "WindowWidth") or ()
    for center, width in zip(centers, widths, strict=False):
        if _is_usable(center, width, "LINEAR"):
            return Window("header", center, width)
    return None


def _apply_window(values: Levels, center: float, width: float, function: str) -> Levels:
    """Apply a window (PS3.3 C.11.2.1.2, C.11.2.1.3)."""
    window = Dataset()
    window.PhotometricInterpretation = "MONOCHROME2"
    window.BitsStored, window.PixelRepresentation = 16, 0
    window.add_new("WindowCenter", "FD", center)  # VR DS would round to 16 characters
    window.add_new("WindowWidth", "FD", width)
    window.VOILUTFunction = function
    with np.errstate(over="ignore", invalid="ignore"):  # SIGMOID far outside the window overflows to its limit
        return np.asarray(apply_windowing(values, window), dtype=np.float64) / (2**16 - 1)


def _is_usable(center: float, width: float, function: str) -> bool:
    """Return whether a window can be applied: LINEAR needs a width >= 1, others > 0 (PS3.3 C.11.2.1.2)."""
    least = 1.0 if function == "LINEAR" else math.ulp(0.0)
    return math.isfinite(center) and least <= width < math.inf


def _has_fractions(dataset: Dataset) -> bool:
    """Return whether neighboring values differ by less than 1: floating-point pixels, or a small Rescale Slope."""
    return "BitsStored" not in dataset or 0 < abs(float(dataset.get("RescaleSlope") or 1)) < 1


def _functions(dataset: Dataset) -> list[str]:
    """Return the VOI LUT Function of each window; some devices write one value per window."""
    named = [str(value or "LINEAR").strip().upper() for value in _values(optional_value(dataset, "VOILUTFunction"))]
    return named or ["LINEAR"]


def _numbers(dataset: Dataset, keyword: str) -> list[float] | None:
    """Return the values of the alternative windows, NaN for an empty one, or None if they are malformed."""
    try:
        return [math.nan if value in (None, "") else float(value) for value in _values(dataset.get(keyword))]
    except (BytesLengthException, TypeError, ValueError):
        return None


def _values(value: Any) -> Iterator[Any]:
    """Yield the values of an attribute with none, one or several."""
    if value is None or value == "":
        return
    yield from value if isinstance(value, MultiValue | list | tuple) else (value,)
