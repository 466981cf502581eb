"""The configuration of how a model is given the slices of volumes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from report_gen.config.base import FrozenModel


class VolumeConfig(FrozenModel):
    """How slices of CT, MR and other volumes, and frames of cines, become views of a study."""

    views: int = Field(default=8, ge=1, le=256)
    """Maximum number of slices that the model is given, shared out among the stacks of a study."""
    sampling: Literal["content", "even"] = "content"
    """`content`: more slices where they show more, and no empty ones at the ends. `even`: spread evenly."""
