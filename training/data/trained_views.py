"""Count the views that a recipe trains a model on, for the configuration of its checkpoint."""

from __future__ import annotations

from collections import Counter

from report_gen.config import TrainedViews
from report_gen.prompting import describe_views
from report_gen.records import ViewPosition

from ..recipe import Recipe, read_image_side
from .data_loading import groups_of
from .example_store import ExampleStore
from .examples import prompt_views
from .preparation import PreparedCorpora


def count_trained_views(recipe: Recipe, prepared: PreparedCorpora) -> TrainedViews:
    """Count the training images and reports by view.

    Images count in stages that train the projector, which contains the view embedding, and reports in stages that train
    the decoder. The images that trained the checkpoint `model.image_weights` are added.

    Args:
        recipe: The recipe.
        prepared: The prepared corpora.
    """
    image_side = read_image_side(recipe)
    before = None if image_side is None else image_side.trained_views
    images: Counter[ViewPosition] = Counter({} if before is None else before.images)
    prompts: Counter[str] = Counter()
    dropout = 0.0 if before is None else before.dropout
    for stage in recipe.stages:
        for group in groups_of(stage, prepared, "train"):
            if stage.rates.projector and group.views.any():
                images.update(_count_images(group))
                dropout = max(dropout, stage.view_dropout)
            if stage.rates.decoder and group.lengths.any():
                prompts.update(_count_prompts(group, stage.view_dropout))
    return TrainedViews(images=dict(images.most_common()), prompts=dict(prompts.most_common()), dropout=dropout)


def _count_images(group: ExampleStore) -> Counter[ViewPosition]:
    counts: Counter[ViewPosition] = Counter()
    for views, studies in group.view_counts().items():
        for view in views:
            counts[view] += studies
    return counts


def _count_prompts(group: ExampleStore, dropout: float) -> Counter[str]:
    counts: Counter[str] = Counter()
    for views, studies in group.view_counts(with_prior=False).items():
        *with_views, without_views = prompt_views(views, has_images=bool(group.views.any()))
        for positions in with_views if dropout < 1 else ():
            counts[describe_views(positions)] += studies
        counts[describe_views(without_views)] += studies if dropout else 0
    return +counts
