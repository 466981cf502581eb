"""All stages of a run in order.

The loop adds to a stage: it continues from the stage where the run stopped, and passes the best weights of a stage to
the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from accelerate.utils import send_to_device

from report_gen.model import ReportModel

from ..data import Batch, BatchDataset, ExampleStore, PreparedCorpora, TrainingData, group_by_kind, image_transform
from ..recipe import Recipe
from ..run import LAST, Processes, TrainProgress, TrainState, explain_failures, snapshot
from .resume_check import check_base_unchanged, check_state
from .run_context import RunContext
from .stage import Stage


def fit(context: RunContext) -> None:
    """Train all stages, starting where the run stopped; the model ends with the best weights of the last stage.

    Raises:
        StoppedError: A signal asked the run to stop; it can be resumed.
        CorpusError, RecipeError: A stage has nothing to learn from; see `TrainingData`.
        UsageError: The saved state is damaged.
        ResourceError, ReportGenError: See `explain_failures` and `Stage`.
    """
    model, run, stages = context.checkpoint.model, context.run, context.recipe.stages
    for index in range(len(stages)):  # check all stages now, not when the last one starts
        TrainingData(context.recipe, index, context.prepared, Processes(context.accelerator))
    state = run.load()
    if state is None:
        state = TrainState(TrainProgress(), snapshot(model), seed=context.recipe.seed)
    check_state(state, context.recipe, model.state_dict(), run.folder / LAST)
    check_base_unchanged(state, context.recipe, model)
    with run.restoring():
        model.load_state_dict(dict(state.weights))
    for index in range(state.progress.stage, len(stages)):
        with explain_failures(stages[index]):
            Stage(context, index, state).fit()
        state = TrainState(TrainProgress(stage=index + 1), snapshot(model), seed=context.recipe.seed)
        if context.accelerator.is_main_process:
            run.save(state)


def validation_groups(prepared: PreparedCorpora) -> list[ExampleStore]:
    """Return all validation studies with images, by kind."""
    stores = [corpus["val"] for corpus in prepared.encoded.examples.values()]
    return [group for store in stores for group in group_by_kind(store) if group.views.any()]


def validation_batches(
    model: ReportModel, recipe: Recipe, prepared: PreparedCorpora, groups: Sequence[ExampleStore]
) -> Iterator[Batch]:
    """Yield the studies of validation groups in order, with the settings of the last stage, on the model's device."""
    stage = recipe.stages[-1]
    dataset = BatchDataset(
        groups,
        stage,
        image_transform(recipe),
        images=prepared.images,
        attributes=prepared.attributes,
        augmentation=recipe.augmentation,
        training=False,
    )
    for batch in dataset.validation_batches(stage.batch_size):
        yield send_to_device(batch, next(model.parameters()).device)
