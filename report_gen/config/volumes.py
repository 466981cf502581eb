"""The configuration of how a model is given the slices of volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from report_gen.config.base import FrozenModel

WindowName = Literal[
    "lung",
    "mediastinum",
    "abdomen",
    "liver",
    "brain",
    "subdural",
    "stroke",
    "soft tissue",
    "spine",
    "bone",
]
"""A window of CT; `imaging/volumes/windows.py` has their centers and widths."""


class VolumeConfig(FrozenModel):
    """How slices of CT, MR and other volumes, and frames of cines, become views of a study."""

    views: int = Field(default=8, ge=1, le=256)
    """Maximum number of slices that the model is given, shared out among the stacks of a study."""
    sampling: Literal["content", "even"] = "content"
    """`content`: more slices where they show more, and no empty ones at the ends. `even`: spread evenly."""
    windows: tuple[WindowName, WindowName, WindowName] | None = None
    """Three windows of CT that become the channels of the encoder's input, in this order. None: each slice is shown in
    one window, by its modality and body part, and repeated in all channels."""


def check_windows(
    volumes: VolumeConfig | None, *, channels: int, modalities: Sequence[str], has_preprocessing: bool
) -> None:
    """Raise ValueError if a model of three windows does not fit its encoder, its scope or its preprocessing."""
    if volumes is None or volumes.windows is None:
        return
    if channels != len(volumes.windows):
        raise ValueError(
            f"volumes.windows has {len(volumes.windows)} windows, but encoder.channels is {channels}; set "
            f"encoder.channels = {len(volumes.windows)}, or remove volumes.windows"
        )
    if list(modalities) != ["CT"]:
        stated = f"is {', '.join(modalities)}" if modalities else "allows any modality"
        raise ValueError(
            f"volumes.windows are ranges of Hounsfield units, which only CT has, but scope.modalities {stated}; set "
            'scope.modalities = ["CT"], or remove volumes.windows'
        )
    if has_preprocessing:
        raise ValueError("preprocessing steps do not work on three windows; remove preprocessing, or volumes.windows")
