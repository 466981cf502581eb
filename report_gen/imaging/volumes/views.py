"""Turn a stack into the V views that an image encoder gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from report_gen.imaging.display_orientation import display_transform
from report_gen.imaging.volumes.sampling import sample_by_content, sample_evenly, slice_contents
from report_gen.imaging.volumes.volume import Progress, Values, Volume, no_progress
from report_gen.imaging.volumes.windows import apply_windows, choose_windows, confirm_windows
from report_gen.records import Window

Sampling = Literal["content", "even"]
"""How slices are chosen: see `sample_by_content` and `sample_evenly`."""

_MAX_CONTENTS = 128
"""Slices of which the content is computed. That of the slices between them is interpolated, because reading all slices
of a scan of the whole body takes longer than everything else."""


@dataclass(frozen=True, eq=False)
class StackViews:
    """The slices of a stack that an image encoder gets."""

    indices: tuple[int, ...]
    """Indices of the V slices, in the order of the stack."""
    intensities: Values
    """[V,C,H,W] in 0..1, one channel for each window. Slices are turned as radiologists look at them, see
    `display_transform`, and not resampled."""
    windows: tuple[Window, ...]
    """The C windows."""
    spacing: tuple[float, float] | None = None
    """Distance between rows and between columns of the views, millimeters. None: there is no position."""
    notices: tuple[str, ...] = ()
    """Sentences for the user about the choice of the windows."""


@dataclass(frozen=True)
class ChosenSlices:
    """The slices of a stack that are shown to a model, and the windows in which they are shown."""

    indices: tuple[int, ...]
    """Indices of the V slices, in the order of the stack."""
    windows: tuple[Window, ...]
    notices: tuple[str, ...] = ()
    """Sentences for the user about the choice of the windows."""


def choose_slices(
    volume: Volume, views: int, *, sampling: Sampling = "content", windows: Sequence[Window] = ()
) -> ChosenSlices:
    """Choose V slices of a stack, and the windows of its modality and body part.

    Args:
        volume: The stack.
        views: Number V of slices, at least 1; all of a stack that has fewer.
        sampling: How they are chosen.
        windows: Windows in Hounsfield units in place of those of the modality and body part.

    Raises:
        StudyError: A slice cannot be read, or there are `windows`, but the values are no Hounsfield units.
    """
    chosen = confirm_windows(volume, windows) if windows else choose_windows(volume)
    if sampling == "even" or len(volume) <= views:
        indices = sample_evenly(len(volume), views)
    else:
        indices = sample_by_content(_contents(volume, chosen.windows), views)
    return ChosenSlices(indices, chosen.windows, chosen.notices)


def stack_views(
    volume: Volume, views: int, *, sampling: Sampling = "content", progress: Progress = no_progress
) -> StackViews:
    """Return V slices of a stack, shown with the windows of its modality and body part, and turned for display.

    Args:
        volume: The stack.
        views: Number V of slices, at least 1; all of a stack that has fewer.
        sampling: How they are chosen.
        progress: Called with the number of views that were read.

    Raises:
        StudyError: A slice cannot be read.
    """
    chosen = choose_slices(volume, views, sampling=sampling)
    images = [apply_windows(values, chosen.windows) for values in volume.slices(chosen.indices, progress=progress)]
    plane = volume.stack.images[0].plane
    if plane is None:
        return StackViews(chosen.indices, np.stack(images), chosen.windows, notices=chosen.notices)
    transform = display_transform(plane)
    turned = np.ascontiguousarray(transform.apply(np.stack(images)))
    return StackViews(chosen.indices, turned, chosen.windows, transform.spacing(plane.spacing), chosen.notices)


def _contents(volume: Volume, windows: tuple[Window, ...]) -> NDArray[np.float64]:
    """Return the content [S] of each slice, see `slice_contents`."""
    indices = sample_evenly(len(volume), _MAX_CONTENTS)
    contents = slice_contents(apply_windows(values, windows) for values in volume.slices(indices))
    return np.interp(np.arange(len(volume)), indices, contents)
