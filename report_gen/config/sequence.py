"""The configuration of the sequence encoder; `model/sequence.py` builds it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from report_gen.config.architecture import MAX_LAYERS, MAX_WIDTH
from report_gen.config.base import FrozenModel


class SequenceConfig(FrozenModel):
    """The sequence encoder, which relates the views of a study (slices, phases, prior images) before the projector."""

    kind: Literal["mean", "recurrent", "attention"]
    """How views are related: `mean` averages them, `recurrent` reads them in both directions in the order of their
    offsets, `attention` lets every view attend to all views by their distances in millimeters, seconds and days."""
    width: int = Field(default=256, ge=2, le=MAX_WIDTH)
    """Width to which the patch features are reduced before views are related. Ignored by `mean`."""
    layers: int = Field(default=2, ge=1, le=MAX_LAYERS)
    """Layers of the recurrent network or of the transformer. Ignored by `mean`."""
    cell: Literal["lstm", "gru"] = "lstm"
    """Cell of the recurrent network. Ignored by other kinds."""
    heads: int = Field(default=4, ge=1, le=MAX_WIDTH)
    """Attention heads per layer. Ignored by other kinds."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout of the layers and of what they add to the patch features."""

    priors: bool = False
    """Whether the model was trained with images of earlier studies as further views (offsets in days). If so, it gets
    the images of the prior study of a draft as well."""

    @model_validator(mode="after")
    def _check_width(self) -> SequenceConfig:
        parts, name = {"recurrent": (2, "directions"), "attention": (self.heads, "heads")}.get(self.kind, (1, ""))
        if self.width % parts:
            raise ValueError(f"{parts} {name} cannot share a width of {self.width}; make the width a multiple of them")
        return self
