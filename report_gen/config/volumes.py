"""The configuration of how a model is given the slices of volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import Field

from report_gen.config.base import FrozenModel

if TYPE_CHECKING:
    from report_gen.config.model import EncoderConfig
    from report_gen.config.scope import DeclaredScope

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


class _Model(Protocol):
    """What `check_volumes` reads of a model, in a checkpoint or in a recipe."""

    @property
    def encoder(self) -> EncoderConfig: ...
    @property
    def volumes(self) -> VolumeConfig | None: ...
    @property
    def scope(self) -> DeclaredScope: ...
    @property
    def preprocessing(self) -> Sequence[object]: ...
    @property
    def locations(self) -> object: ...


def check_volumes(model: _Model) -> None:
    """Raise ValueError if a model of windows or of whole volumes does not fit its encoder, its scope or its steps."""
    encoder, volumes, modalities = model.encoder, model.volumes, model.scope.modalities
    if encoder.takes_volumes:
        _check_volume_encoder(encoder, volumes, has_locations=bool(model.locations))
        setting, remedy = f"the encoder {encoder.name!r} reads", "choose another encoder"
    elif volumes is not None and volumes.windows is not None:
        if encoder.channels != len(volumes.windows):
            raise ValueError(
                f"volumes.windows has {len(volumes.windows)} windows, but encoder.channels is {encoder.channels}; set "
                f"encoder.channels = {len(volumes.windows)}, or remove volumes.windows"
            )
        setting, remedy = "volumes.windows are ranges of", "remove volumes.windows"
    else:
        return
    if list(modalities) != ["CT"]:
        stated = f"is {', '.join(modalities)}" if modalities else "allows any modality"
        raise ValueError(
            f"{setting} Hounsfield units, which only CT has, but scope.modalities {stated}; set "
            f'scope.modalities = ["CT"], or {remedy}'
        )
    if model.preprocessing:
        raise ValueError(f"preprocessing steps work on gray images only; remove preprocessing, or {remedy}")


def _check_volume_encoder(encoder: EncoderConfig, volumes: VolumeConfig | None, *, has_locations: bool) -> None:
    if volumes is None or volumes.windows is not None:
        raise ValueError(
            f"the encoder {encoder.name!r} reads volumes in a window of its own; set volumes = {{}} without windows, "
            "or choose another encoder"
        )
    if (encoder.mean, encoder.std) != (0, 1):
        raise ValueError(
            f"the encoder {encoder.name!r} was trained on intensities in 0..1; set encoder.mean = 0 and encoder.std = 1"
        )
    if encoder.channels % 16:
        raise ValueError(
            f"encoder.channels, the number of slices, is {encoder.channels}; give a multiple of 16, such as 160"
        )
    if has_locations:
        raise ValueError("locations are those of radiographs; remove locations, or choose another encoder")
