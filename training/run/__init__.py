"""A training run on disk and its surroundings: folder, saved state, events, signals, processes, failures."""

from .events import CHOSEN_BY, OnProgress, Progress, Sample, Validation, ignore_progress, report_progress
from .failures import explain_failures
from .folder import BEST, LAST, LOG, RECIPE, Run, TrainProgress, TrainState, ValidationScore
from .processes import Processes
from .signals import StopRequest, catch_stop_signals, ignore_interrupts
from .state import Tensors, pack_optimizer, snapshot, unpack_optimizer

__all__ = [
    "BEST",
    "CHOSEN_BY",
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
    "snapshot",
    "unpack_optimizer",
]
