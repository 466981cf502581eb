"""Train with monitoring, as `report-gen train` does."""

from __future__ import annotations

from pathlib import Path

from ..engine import train
from ..recipe import Recipe
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
        return train(
            recipe,
            folder,
            resume=resume,
            on_step=monitor.on_step,
            on_validation=monitor.on_validation,
            on_progress=monitor.on_progress,
        )
