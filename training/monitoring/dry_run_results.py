"""What a run of a recipe would need, as a rehearsal measured it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..recipe.schema import StageRecipe
from .contact_sheet import Strip
from .first_batch import FirstText


@dataclass(frozen=True, kw_only=True)
class StageDryRun:
    """What a few steps of a stage took."""

    stage: StageRecipe
    learning: Mapping[str, int]
    """Parameters that learn, by part."""
    seconds: float
    """A step."""
    batch_seconds: float
    """To make the batches of a step, were they made in the training process."""
    studies: float
    """A step."""
    tokens: float
    """Report tokens a step."""
    validation_seconds: float
    """About, a validation of all studies; 0 without any."""
    texts: Sequence[FirstText]

    @property
    def whole_seconds(self) -> float:
        """Of the stage with its validations, unless it ends early."""
        validations = 1 + -(-self.stage.steps // self.stage.validate_every)
        return self.stage.steps * self.seconds + validations * self.validation_seconds


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """A recipe, rehearsed."""

    parameters: Mapping[str, int]
    """All, by part."""
    stages: Sequence[StageDryRun]
    estimated_bytes: int
    """Of weights, gradients, AdamW's moments, an average and the best weights so far, in the most demanding stage;
    activations, images and the program come on top."""
    peak_bytes: int
    """Resident memory of the process at its highest, corpus and program included."""
    gpu_bytes: int | None
    """Allocated on the GPU at its highest; None without one."""
    strips: Sequence[Strip]
    """Images of the first batches, by stage, as the encoder gets them."""
