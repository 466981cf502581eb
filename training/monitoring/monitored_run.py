"""A run and who watches it, together: what `report-gen train` does."""

from __future__ import annotations

from pathlib import Path

from ..engine.session import train
from ..recipe.schema import Recipe
from .monitor import watching


def train_watched(recipe: Recipe, folder: Path, *, resume: bool = False) -> Path:
    """Train in a run folder with bars on standard error, and curves.png and samples.html in the folder.

    Returns the checkpoint folder.

    Raises:
        CorpusError, RecipeError, UsageError, OutputError, ResourceError, StoppedError: as `session.train`.
    """
    with watching(recipe, folder) as watcher:
        return train(
            recipe,
            folder,
            resume=resume,
            on_step=watcher.on_step,
            on_validation=watcher.on_validation,
            on_progress=watcher.on_progress,
        )
