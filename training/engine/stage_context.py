"""What the stages of a run share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from accelerate import Accelerator

from report_gen.model import Checkpoint

from ..data.preparation import Prepared
from ..recipe.schema import Recipe
from ..run.events import Progress, Validation
from ..run.folder import Run
from ..run.reporting import OnProgress
from ..run.signals import StopRequest


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """What the stages of a run share."""

    checkpoint: Checkpoint
    """The model in training, with its words."""
    recipe: Recipe
    prepared: Prepared
    run: Run
    accelerator: Accelerator
    stop: StopRequest
    on_step: Callable[[Progress], None]
    on_validation: Callable[[Validation], None]
    on_progress: OnProgress
