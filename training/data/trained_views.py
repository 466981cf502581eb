"""Count the views that a recipe trains a model on, for the configuration of its checkpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import ceil

from report_gen.config import TrainedViews
from report_gen.prompting import describe_views
from report_gen.records import ViewPosition

from ..recipe import Recipe, StageRecipe
from .data_loading import groups_of
from .example_store import ExampleStore
from .examples import prompt_views
from .preparation import PreparedCorpora


def count_trained_views(recipe: Recipe, prepared: PreparedCorpora) -> TrainedViews:
    """Count the training images and prompts by view, as the model gets them in one epoch of every stage.

    Images count in stages that train the projector, which contains the view embedding, and prompts in stages that train
    the decoder. `view_dropout` moves its share of both to unknown views.

    Args:
        recipe: The recipe.
        prepared: The prepared corpora.
    """
    images: Counter[ViewPosition] = Counter()
    prompts: Counter[str] = Counter()
    for stage in recipe.stages:
        for group in groups_of(stage, prepared, "train"):
            if stage.rates.projector and group.views.any():
                images.update(_count_images(group, stage))
            if stage.rates.decoder and group.lengths.any():
                prompts.update(_count_prompts(group, stage))
    return TrainedViews(images=dict(images.most_common()), prompts=dict(prompts.most_common()))


def _count_images(group: ExampleStore, stage: StageRecipe) -> Mapping[ViewPosition, int]:
    counts: Counter[ViewPosition] = Counter()
    for views, studies in group.view_counts().items():
        for view in views:
            counts[view] += studies
    unknown = ceil(stage.view_dropout * counts.total())
    kept = {view: ceil((1 - stage.view_dropout) * count) for view, count in counts.items()}
    return +(Counter(kept) + Counter({ViewPosition.UNKNOWN: unknown}))


def _count_prompts(group: ExampleStore, stage: StageRecipe) -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    for views, studies in group.view_counts().items():
        *with_views, _ = prompt_views(views, has_images=bool(group.views.any()))
        for positions in with_views:
            counts[describe_views(positions)] += ceil((1 - stage.view_dropout) * studies / len(with_views))
        counts[""] += ceil(stage.view_dropout * studies)
    return +counts
