"""Train with monitoring, as `report-gen train` does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from accelerate import PartialState

from report_gen.config import DeclaredScope
from report_gen.terminal import print_notice

from ..engine import train
from ..recipe import Recipe
from ..run import LOG
from .history import read_history
from .monitor import open_monitor


def train_watched(recipe: Recipe, folder: Path, *, resume: bool = False) -> Path:
    """Train in a run folder, with progress bars on standard error and curves.png and samples.html in the folder.

    Args:
        recipe: The recipe.
        folder: Run folder.
        resume: Whether to continue the run in the folder.

    Returns:
        The checkpoint folder.

    Raises:
        CorpusError, RecipeError, UsageError, OutputError, ResourceError, StoppedError: As `engine.train`.
    """
    with open_monitor(recipe, folder) as monitor:
        checkpoint = train(
            recipe,
            folder,
            resume=resume,
            on_step=monitor.on_step,
            on_validation=monitor.on_validation,
            on_progress=monitor.on_progress,
        )
    if PartialState().is_main_process:
        for notice in _notices(recipe, folder):
            print_notice(notice)
    return checkpoint


def _notices(recipe: Recipe, folder: Path) -> Iterator[str]:
    """Yield what a user must know before the use of a checkpoint."""
    if recipe.model.scope == DeclaredScope() and recipe.recognizer is None:
        yield (
            "the recipe declares no scope, so that the model drafts images of every kind; name modalities and body "
            "parts in [model.scope]"
        )
    yield from collapse_notices(folder)


def collapse_notices(folder: Path) -> Iterator[str]:
    """Yield a notice if the drafts of the weights that the last stage of a run kept have collapsed."""
    if any(record.get("collapsed") for stage in read_history(folder / LOG)[-1:] for record in stage.kept.values()):
        yield "the drafts of the kept weights have collapsed to a few texts; train longer, or on more studies"
