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
from .folder import BEST, CACHE, LAST, LOG, RECIPE, Run
from .json_files import read_json
from .processes import Processes
from .signals import StopRequest, catch_stop_signals, ignore_interrupts
from .state import Tensors, pack_optimizer, snapshot, unpack_optimizer
from .train_state import TrainProgress, TrainState, ValidationScore, damaged

__all__ = [
    "BEST",
    "CACHE",
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
    "damaged",
    "explain_failures",
    "ignore_interrupts",
    "ignore_progress",
    "pack_optimizer",
    "read_json",
    "report_progress",
    "selection_scores",
    "snapshot",
    "unpack_optimizer",
]
