"""The objects that all stages of a run share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from accelerate import Accelerator

from report_gen.model import Checkpoint

from ..data import PreparedCorpora
from ..recipe import Recipe
from ..run import OnProgress, Progress, Run, StopRequest, Validation


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """Objects that all stages of a run share."""

    checkpoint: Checkpoint
    """The model in training, its tokenizer and its prompt."""
    recipe: Recipe
    prepared: PreparedCorpora
    run: Run
    accelerator: Accelerator
    stop: StopRequest
    on_step: Callable[[Progress], None]
    on_validation: Callable[[Validation], None]
    on_progress: OnProgress
