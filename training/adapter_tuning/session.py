"""A whole fine-tuning of a published model, from a recipe to an adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate import PartialState

from report_gen.errors import ResourceError, UsageError, is_out_of_memory
from report_gen.terminal import print_notice

from ..monitoring import collapse_notices, open_monitor, read_history
from ..recipe import TuningRecipe
from ..run import BEST, CACHE, LOG, OnProgress, Progress, Run, Validation, catch_stop_signals, ignore_progress
from .adapter_checkpoint import write_adapter_checkpoint
from .tunable_model import describe_model, load_tunable_model
from .tuning import Tuning
from .tuning_studies import read_studies


def tune_watched(recipe: TuningRecipe, folder: Path, *, resume: bool = False) -> Path:
    """Fine-tune in a run folder, with progress bars on standard error and curves.png and samples.html in the folder.

    Args:
        recipe: The recipe.
        folder: Run folder.
        resume: Whether to continue the run in the folder.

    Returns:
        The checkpoint folder.

    Raises:
        CheckpointError, CorpusError, RecipeError, UsageError, OutputError, ResourceError, StoppedError: As `tune`.
    """
    with open_monitor(recipe, folder) as monitor:
        checkpoint = tune(
            recipe,
            folder,
            resume=resume,
            on_step=monitor.on_step,
            on_validation=monitor.on_validation,
            on_progress=monitor.on_progress,
        )
    for notice in _notices(folder):
        print_notice(notice)
    return checkpoint


def _notices(folder: Path) -> Iterator[str]:
    """Yield what a user must know before the use of the checkpoint."""
    yield from collapse_notices(folder)
    if any(0 in stage.kept for stage in read_history(folder / LOG)):
        yield (
            "no validation was better than that of the model as it was, so that the adapter changes nothing; train "
            "longer, or with another learning_rate"
        )


def tune(
    recipe: TuningRecipe,
    folder: Path,
    *,
    resume: bool = False,
    on_step: Callable[[Progress], None] = lambda _: None,
    on_validation: Callable[[Validation], None] = lambda _: None,
    on_progress: OnProgress = ignore_progress,
) -> Path:
    """Fine-tune the model of a recipe in a run folder.

    Args:
        recipe: The recipe.
        folder: Run folder.
        resume: Continue the run in the folder; otherwise the folder must not hold one.
        on_step: Called after every step.
        on_validation: Called after every validation.
        on_progress: Called while the corpora are read.

    Returns:
        The checkpoint folder.

    Raises:
        CheckpointError: The model cannot be loaded.
        CorpusError, RecipeError, UsageError, OutputError, ResourceError, StoppedError: With a message for the user.
    """
    if PartialState().num_processes > 1:
        raise UsageError("a published model is fine-tuned by one process; start it without accelerate launch")
    description = describe_model(recipe)
    with Run.open(folder, recipe, resume=resume) as run, _explained_memory(recipe):
        studies = read_studies(recipe, folder / CACHE, description.schema, on_progress=on_progress)
        model = load_tunable_model(recipe, description)
        with catch_stop_signals() as stop:
            tuning = Tuning(recipe, run, model, studies, stop=stop, on_step=on_step, on_validation=on_validation)
            validation = tuning.fit()
        write_adapter_checkpoint(folder / BEST, recipe, model, counts=studies.counts, validation=validation)
    return folder / BEST


@contextmanager
def _explained_memory(recipe: TuningRecipe) -> Iterator[None]:
    """Turn an exhausted memory into an error that names the remedy. Raises ResourceError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise ResourceError(
            f"{recipe.name}: out of memory with batch_size = {recipe.batch_size}; use {', or '.join(_remedies(recipe))}"
        ) from error


def _remedies(recipe: TuningRecipe) -> Iterator[str]:
    if not recipe.checkpoint_activations:
        yield "checkpoint_activations = true"
    if recipe.batch_size > 1:
        yield f"batch_size = 1 with accumulate = {recipe.batch_size * recipe.accumulate}"
    if recipe.dtype != "bfloat16":
        yield 'dtype = "bfloat16"'
    yield "a smaller images.size or images.max_images in the description of the model"
