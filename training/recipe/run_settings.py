"""The part of a recipe that every training run has, whatever it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from report_gen.config import FrozenModel

from .names import check_name


class RunSettings(FrozenModel):
    name: str
    """Name of the model and of its run folder: a file name of at most 200 bytes, without slashes."""
    data: str = "."
    """Folder that paths in the recipe are relative to; itself relative to the current folder."""
    seed: int = Field(default=0, ge=0, le=2**64 - 1)
    """Seed of everything random."""
    unreadable: Literal["refuse", "leave-out"] = "refuse"
    """Treatment of a study with a missing or unreadable image: stop with an error, or leave the study out."""
    save_minutes: float = Field(default=10.0, ge=0, le=525_600)
    """Minutes between saves of the training state, in addition to the save at every validation."""
    tensorboard: bool = True
    """Whether to write curves and sample drafts for TensorBoard into the run folder."""
    card: str = ""
    """Introduction of the model card: what the model was trained on and what it cannot do."""

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return check_name(name)

    def resolve(self, path: str) -> Path:
        """Return a path of the recipe relative to the current folder."""
        return Path(self.data) / path
