"""The batches of a stage, as they come to one of its processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from report_gen.errors import CorpusError, RecipeError
from report_gen.pixels import PixelTransform

from .batches import Batch, Items
from .examples import TrainingExample
from .plan import Plan, group_by_kind
from .processes import Processes
from .recipe import Recipe, StageRecipe

Examples = Mapping[str, Mapping[str, Sequence[TrainingExample]]]
"""Corpus name -> split -> examples."""

Groups = Sequence[Sequence[TrainingExample]]
"""Examples of one kind each."""


class Feed:
    """What one process of a stage is fed with. A batch follows from the seed, the step and the process alone.

    Raises:
        CorpusError: there is nothing to train on.
        RecipeError: a process would have none of a batch.
    """

    def __init__(self, recipe: Recipe, index: int, examples: Examples, processes: Processes) -> None:
        self._recipe, self._index, self._stage, self._processes = recipe, index, recipe.stages[index], processes
        self._training = groups_of(self._stage, examples, "train")
        self.validation = groups_of(self._stage, examples, "val")
        """The validation studies by kind."""
        self._check()

    def steps(self, start: int, stop: int) -> Iterator[Batch]:
        """The training batches for the steps from `start` to `stop`, `accumulate` for each."""
        plan = Plan(
            self._training,
            self._stage,
            (self._recipe.seed, self._index),
            steps=range(start, stop),
            rank=self._processes.rank,
            processes=self._processes.count,
        )
        return iter(self._items(self._training, training=True).loader(plan, self._recipe.workers))

    def studies(self, groups: Groups, *, dealt: bool) -> Iterator[Batch]:
        """Studies once and in order; `dealt` gives every process its share, else each gets all."""
        rank, count = (self._processes.rank, self._processes.count) if dealt else (0, 1)
        return self._items(groups, training=False).validation(self._stage.batch_size, rank, count)

    def _items(self, groups: Groups, *, training: bool) -> Items:
        return Items(groups, self._stage, transform_of(self._recipe), training=training)

    def _check(self) -> None:
        name, size, processes = self._stage.name, self._stage.batch_size, self._processes.count
        if not self._training:
            raise CorpusError(
                f"stage {name!r}: no training studies in {', '.join(self._stage.corpora)}; check the splits"
            )
        if size < processes:
            raise RecipeError(
                f"stage {name!r}: a batch_size of {size} leaves some of the {processes} processes without a study; "
                f"set at least {processes}"
            )


def groups_of(stage: StageRecipe, examples: Examples, split: str) -> Groups:
    """The examples of a stage's corpora by kind; no group is empty."""
    return [group for name in stage.corpora for group in group_by_kind(examples[name][split])]


def has_taught_findings(recipe: Recipe, examples: Examples, stages: int) -> bool:
    """Whether the finding head has learned from images in the first `stages` stages."""
    return any(
        stage.finding_weight > 0
        and stage.rates.projector > 0
        and any(group[0].images for group in groups_of(stage, examples, "train"))
        for stage in recipe.stages[:stages]
    )


def transform_of(recipe: Recipe) -> PixelTransform:
    """How the recipe's encoder wants its images."""
    encoder = recipe.model.encoder
    return PixelTransform(size=encoder.image_size, channels=encoder.channels, mean=encoder.mean, std=encoder.std)
