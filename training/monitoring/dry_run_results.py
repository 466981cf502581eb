"""Results of a dry run: the memory and time that a full run of the recipe would need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..recipe import StageRecipe
from .contact_sheet import Strip
from .first_batch import FirstText


@dataclass(frozen=True, kw_only=True)
class StageDryRun:
    """Measurements of a few steps of one stage."""

    stage: StageRecipe
    trained: Mapping[str, int]
    """Trained parameters by model part."""
    seconds: float
    """Seconds per step."""
    batch_seconds: float
    """Seconds to make the batches of a step, if done in the training process."""
    studies: float
    """Studies per step."""
    tokens: float
    """Report tokens per step."""
    validation_seconds: float
    """Estimated seconds of a validation of all studies; 0 without validation studies."""
    texts: Sequence[FirstText]

    @property
    def whole_seconds(self) -> float:
        """Estimated seconds of the full stage with its validations, unless it ends early."""
        validations = 1 + -(-self.stage.steps // self.stage.validate_every)
        return self.stage.steps * self.seconds + validations * self.validation_seconds


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """Measurements of a recipe."""

    parameters: Mapping[str, int]
    """All parameters by model part."""
    stages: Sequence[StageDryRun]
    estimated_bytes: int
    """Weights, best weights, gradients, optimizer state and EMA in the most demanding stage; activations, images and
    the program are not included."""
    peak_bytes: int
    """Peak resident memory of the process, everything included."""
    gpu_bytes: int | None
    """Peak memory allocated on the GPU; None without one."""
    strips: Sequence[Strip]
    """Images of the first batches, per stage, as the encoder gets them."""
