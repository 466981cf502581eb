"""A training run on disk and its surroundings: folder, saved state, events, signals, processes, failures."""

from .events import (
    OnProgress,
    Progress,
    Sample,
    Validation,
    ignore_progress,
    report_progress,
    selection_scores,
)
from .failures import explain_failures
from .folder import BEST, LAST, LOG, RECIPE, Run, TrainProgress, TrainState, ValidationScore
from .processes import Processes
from .signals import StopRequest, catch_stop_signals, ignore_interrupts
from .state import Tensors, pack_optimizer, snapshot, unpack_optimizer

__all__ = [
    "BEST",
    "LAST",
    "LOG",
    "RECIPE",
    "OnProgress",
    "Processes",
    "Progress",
    "Run",
    "Sample",
    "StopRequest",
    "Tensors",
    "TrainProgress",
    "TrainState",
    "Validation",
    "ValidationScore",
    "catch_stop_signals",
    "explain_failures",
    "ignore_interrupts",
    "ignore_progress",
    "pack_optimizer",
    "report_progress",
    "selection_scores",
    "snapshot",
    "unpack_optimizer",
]
