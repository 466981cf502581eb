"""Apply the grayscale transformations of DICOM PS3.4 N.2: modality LUT, VOI LUT, presentation LUT.

A radiograph of 16 bits has at most 65,536 gray levels. Each level is transformed once, in double precision, and every
pixel is replaced by the result for its level. This is exact, and faster than transforming pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from report_gen.imaging.limits import MAX_VALUE, too_large_values
from report_gen.imaging.loaded_image import LoadedImage
from report_gen.imaging.look_up_table import entry_count, first_usable_lut, largest_entry, look_up
from report_gen.imaging.stored_bits import StoredBits, find_missed_bits
from report_gen.imaging.voi import Levels, apply_first_voi

_SATURATED = 0.999
"""Share of pixels at one end of the range above which a VOI transformation is taken for a wrong one."""
_UNIFORM = 0.99
"""Share of pixels of one level above which the image itself is nearly uniform."""

_BLOCK = 2**18
"""Pixels that NumPy processes at once. It copies their levels to 64 bits, and the copy should fit into the cache."""

_SAMPLING = 16
"""One pixel of this number is looked at first to show that an image is not saturated."""

_ZERO_SLOPE = "Rescale Slope is 0 and was ignored"
_OUTSIDE_WINDOW = (
    "the window of the header shows the whole image black or white; the range of the values is shown instead"
)
_CONTRADICTING_POLARITY = (
    "polarity is uncertain: Presentation LUT Shape contradicts Photometric Interpretation; check that air is black"
)


@dataclass(frozen=True)
class _GrayLevels:
    """The gray levels of an image: the levels as they are allocated, and the level of each pixel."""

    allocated: NDArray[Any]
    """[N]; unsigned integers, or floating-point numbers."""
    index: NDArray[Any]
    """[H,W], the position of the level of each pixel."""
    shown: NDArray[Any]
    """The positions of the levels of the visible pixels."""

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """[N], the number of visible pixels."""
        counts = np.zeros(self.allocated.size, dtype=np.int64)
        for start in range(0, self.shown.size, _BLOCK):
            counts += np.bincount(self.shown[start : start + _BLOCK], minlength=counts.size)
        return counts

    def look_up(self, table: Levels) -> NDArray[np.float32]:
        """Return the entry of a table [N] for each pixel [H,W]."""
        entries, index = table.astype(np.float32), self.index.reshape(-1)
        pixels = np.empty(index.size, np.float32)
        for start in range(0, index.size, _BLOCK):
            part = slice(start, start + _BLOCK)
            np.take(entries, index[part], out=pixels[part], mode="clip")  # the default mode makes another copy
        return pixels.reshape(self.index.shape)


def to_grayscale(
    stored: NDArray[Any], dataset: Dataset, path: Path, *, precision: int, visible: NDArray[np.bool_] | None = None
) -> LoadedImage:
    """Convert pixels to display intensities in 0..1, 0 = black, as the header specifies.

    Without a usable VOI LUT or window, the range of the values that occur, padding excluded, is scaled to 0..1.

    Args:
        stored: Values [H,W] as they lie in Bits Allocated, or floating-point values.
        dataset: Attributes of the image.
        path: The file, named in errors.
        precision: Number of allocated bits that the decoder filled.
        visible: Pixels [H,W] that no shutter hides; the others do not count for the range of values.

    Raises:
        StudyError: Values are beyond `MAX_VALUE`.
        ValueError: The look-up tables of the header contradict each other. pydicom may raise other errors.
    """
    notices: list[str] = []
    levels = _gray_levels(stored, visible)
    table, padding = _modality_values(levels, dataset, precision, notices)
    _check_values(table, levels, padding, path)
    table = _apply_voi(table, levels, padding, dataset, notices)
    table = _apply_presentation(table, dataset, notices)
    table[padding] = 0
    return LoadedImage(levels.look_up(table), tuple(notices))


def to_values(stored: NDArray[Any], dataset: Dataset, path: Path, *, precision: int) -> NDArray[np.float32]:
    """Convert pixels to the values [H,W] after the modality LUT, NaN where a pixel is padding.

    Args:
        stored: Values [H,W] as they lie in Bits Allocated, or floating-point values.
        dataset: Attributes of the image.
        path: The file, named in errors.
        precision: Number of allocated bits that the decoder filled.

    Raises:
        StudyError: Values are beyond `MAX_VALUE`.
        ValueError: The look-up tables of the header contradict each other. pydicom may raise other errors.
    """
    levels = _gray_levels(stored, None)
    table, padding = _modality_values(levels, dataset, precision, [])
    _check_values(table, levels, padding, path)
    table[padding] = np.nan
    return levels.look_up(table)


def _modality_values(
    levels: _GrayLevels, dataset: Dataset, precision: int, notices: list[str]
) -> tuple[Levels, NDArray[np.bool_]]:
    """Return the value of each level after the modality LUT, and which levels are padding."""
    if levels.allocated.dtype.kind == "f":
        values = np.nan_to_num(levels.allocated.astype(np.float64), posinf=0, neginf=0)
        padding = _is_float_padding(levels.allocated, dataset)
    else:
        bits = _stored_bits(levels, dataset, precision, notices)
        values = bits.extract(levels.allocated).astype(np.float64)
        padding = _is_padding(levels.allocated, values, bits, dataset)
    with np.errstate(over="ignore", invalid="ignore"):  # see `_check_values`
        return _apply_modality(values, dataset, notices), padding


def _check_values(values: Levels, levels: _GrayLevels, padding: NDArray[np.bool_], path: Path) -> None:
    """Refuse values beyond `MAX_VALUE`; those that no visible pixel has, or only padding, become 0."""
    beyond = ~(np.abs(values) <= MAX_VALUE)  # NaN as well
    if not beyond.any():
        return
    if (beyond & (levels.counts > 0) & ~padding).any():
        raise too_large_values(path, "Rescale Slope and Rescale Intercept")
    values[beyond] = 0


def _gray_levels(stored: NDArray[Any], visible: NDArray[np.bool_] | None) -> _GrayLevels:
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    shown = (stored if visible is None else stored[visible]).ravel()
    if stored.dtype.kind != "f" and stored.itemsize <= 2:
        unsigned = np.dtype(f"u{stored.itemsize}")
        index = stored.view(unsigned)
        allocated = np.arange(int(index.max()) + 1).astype(unsigned)  # an image of 12 bits has no level above 4095
        return _GrayLevels(allocated, index, shown.view(unsigned))
    # a table of 2**32 levels would not fit into memory
    allocated, index = np.unique(stored, return_inverse=True)
    return _GrayLevels(allocated, index, np.searchsorted(allocated, shown))


def _stored_bits(levels: _GrayLevels, dataset: Dataset, precision: int, notices: list[str]) -> StoredBits:
    bits = StoredBits.from_header(dataset, precision)
    above = bits.count + bits.shift
    if levels.allocated.itemsize > 2 or not levels.shown.size or levels.shown.max() < 2**above:
        return bits
    missed = find_missed_bits(levels.allocated[levels.index], bits)
    if not missed:
        return bits
    notices.append(f"Bits Stored is {bits.count}, but the pixels use {bits.count + missed} bits; all of them are shown")
    return StoredBits(bits.count + missed, bits.shift, bits.is_signed)


def _is_padding(allocated: NDArray[Any], values: NDArray[Any], bits: StoredBits, dataset: Dataset) -> NDArray[np.bool_]:
    """Mark the levels between Pixel Padding Value and Pixel Padding Range Limit (PS3.3 C.7.5.1.1.2).

    Some devices write the padding of unsigned values as a negative number and that of signed values as an unsigned one,
    such as 63536 for -2000, or set padding pixels above Bits Stored.
    """
    value, limit = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    if value is None:
        return np.zeros(allocated.size, dtype=bool)
    cycle = 2 ** int(dataset.BitsAllocated)
    ends = (int(value), int(value if limit is None else limit))
    low, high = sorted(end - cycle if bits.is_signed and end >= cycle // 2 else end for end in ends)
    whole = allocated.astype(np.int64)
    if bits.is_signed or low < 0:
        whole[whole >= cycle // 2] -= cycle
    return np.asarray(((values >= low) & (values <= high)) | ((whole >= low) & (whole <= high)))


def _is_float_padding(allocated: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_]:
    """Mark Float Pixel Padding Value or Double Float Pixel Padding Value (PS3.3 C.7.6.24), and NaN and infinity."""
    is_padding: NDArray[np.bool_] = ~np.isfinite(allocated)
    for prefix in ("Float", "DoubleFloat"):
        value, limit = (dataset.get(f"{prefix}PixelPadding{name}") for name in ("Value", "RangeLimit"))
        if value is not None:
            low, high = sorted((float(value), float(value if limit is None else limit)))
            is_padding |= (allocated >= low) & (allocated <= high)
    return is_padding


def _apply_modality(values: Levels, dataset: Dataset, notices: list[str]) -> Levels:
    """Apply the first Modality LUT, else Rescale Slope and Rescale Intercept (PS3.3 C.11.1)."""
    lut = first_usable_lut(dataset, "ModalityLUTSequence")
    if lut is not None:
        return look_up(values, lut, dataset)
    found = (dataset.get("RescaleSlope"), dataset.get("RescaleIntercept"))
    # The standard requires both. Without one of them GDCM and dcm2niix use 1 for the slope, and 0 for the intercept.
    slope, intercept = (
        default if value in (None, "") else float(value) for value, default in zip(found, (1.0, 0.0), strict=True)
    )
    if not np.isfinite([slope, intercept]).all():
        raise ValueError("Rescale Slope or Rescale Intercept is not a number")
    if slope == 0:  # the image would be uniform
        notices.append(_ZERO_SLOPE)
        return values
    return values if (slope, intercept) == (1, 0) else values * slope + intercept


def _apply_voi(
    values: Levels, levels: _GrayLevels, padding: NDArray[np.bool_], dataset: Dataset, notices: list[str]
) -> Levels:
    """Return intensities in 0..1 by VOI LUT or window, or by the range of values without a usable one."""
    intensities, found = apply_first_voi(values, dataset)
    notices += found
    if intensities is not None:
        intensities = intensities.clip(0, 1)
        if not _is_saturated(intensities, levels, padding):
            return intensities
        notices.append(_OUTSIDE_WINDOW)
    occurring = values[(levels.counts > 0) & ~padding]
    low, high = (occurring.min(), occurring.max()) if occurring.size else (0.0, 0.0)
    if high == low:
        return np.zeros_like(values)
    return ((values - low) / (high - low)).clip(0, 1)


def _is_saturated(intensities: Levels, levels: _GrayLevels, padding: NDArray[np.bool_]) -> bool:
    """Return whether nearly all pixels have one intensity although their levels differ."""
    between = (intensities > 0) & (intensities < 1) & ~padding
    seen = np.count_nonzero(between[levels.shown[::_SAMPLING]])
    if seen > (1 - _SATURATED) * levels.shown.size:  # of the whole image: the other pixels need not be counted
        return False
    counts = np.where(padding, 0, levels.counts)
    total = counts.sum()
    if not total or counts.max() > _UNIFORM * total:
        return False
    return bool(max(counts[intensities <= 0].sum(), counts[intensities >= 1].sum()) > _SATURATED * total)


def _apply_presentation(intensities: Levels, dataset: Dataset, notices: list[str]) -> Levels:
    """Apply the Presentation LUT (PS3.3 C.11.4, C.11.6), or invert if MONOCHROME1 or INVERSE requires it."""
    lut = first_usable_lut(dataset, "PresentationLUTSequence")
    if lut is not None:  # its input is the range of the VOI transformation, its output are P-values
        return (look_up(intensities * (entry_count(lut) - 1), lut, dataset) / largest_entry(lut)).clip(0, 1)
    shape = str(dataset.get("PresentationLUTShape") or "").strip().upper()
    is_negative = dataset.PhotometricInterpretation == "MONOCHROME1"
    # PS3.3 C.8.11.3.1.2: MONOCHROME1 has the shape INVERSE and MONOCHROME2 IDENTITY
    if shape == ("IDENTITY" if is_negative else "INVERSE"):
        notices.append(_CONTRADICTING_POLARITY)
    # MONOCHROME1 with INVERSE states the same inversion twice (PS3.3 C.7.6.3.1.2), so it inverts once.
    return 1 - intensities if is_negative or shape == "INVERSE" else intensities
