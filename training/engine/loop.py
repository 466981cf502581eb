"""A recipe to a trained model: its stages in turn, from where the run stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from accelerate.utils import send_to_device

from report_gen.model import ReportModel

from ..data.batches import Batch, Items
from ..data.data_loading import TrainingData
from ..data.example_store import ExampleStore, group_by_kind
from ..data.preparation import Prepared, transform_of
from ..recipe.schema import Recipe
from ..run.failures import explaining_failures
from ..run.folder import TrainProgress, TrainState
from ..run.processes import Processes
from ..run.state import snapshot
from .stage import Stage
from .stage_context import Fitting


def fit(fitting: Fitting) -> None:
    """Train through the stages, from where the run stopped; the model ends with the best weights of the last stage.

    Raises:
        StoppedError: a signal asked for it; the run can be resumed.
        ReportGenError: the loss is no number; and all that `explaining_failures` raises.
        CorpusError, RecipeError: a stage has nothing to learn from; see `TrainingData`.
        UsageError: the saved state is damaged.
    """
    model, run, stages = fitting.checkpoint.model, fitting.run, fitting.recipe.stages
    for index in range(len(stages)):  # what is wrong with the last stage shows before the first one
        TrainingData(fitting.recipe, index, fitting.prepared, Processes(fitting.accelerator))
    state = run.state() or TrainState(TrainProgress(), snapshot(model))
    with run.reading():
        model.load_state_dict(dict(state.weights))
    for index in range(state.position.stage, len(stages)):
        with explaining_failures(stages[index]):
            Stage(fitting, index, state).fit()
        state = TrainState(TrainProgress(stage=index + 1), snapshot(model))
        if fitting.accelerator.is_main_process:
            run.save(state)


def validation_groups(prepared: Prepared) -> list[ExampleStore]:
    """All validation studies with images, by kind."""
    stores = [corpus["val"] for corpus in prepared.encoded.examples.values()]
    return [group for store in stores for group in group_by_kind(store) if group.views.any()]


def validation_batches(
    model: ReportModel, recipe: Recipe, prepared: Prepared, groups: Sequence[ExampleStore]
) -> Iterator[Batch]:
    """The studies of validation groups in order, as the last stage sees them, on the model's device."""
    stage = recipe.stages[-1]
    items = Items(
        groups,
        stage,
        transform_of(recipe),
        images=prepared.images,
        attributes=prepared.attributes,
        augmentation=recipe.augmentation,
        training=False,
    )
    for batch in items.validation(stage.batch_size):
        yield send_to_device(batch, next(model.parameters()).device)
