"""The batches of a stage, as they come to one of its processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from report_gen.errors import CorpusError, RecipeError
from report_gen.model.encoder import ImageEncoder

from ..calibration.thresholds import Floats, is_supported
from ..recipe.schema import Recipe, StageRecipe
from ..run.processes import Processes
from ..run.reporting import OnProgress
from .batch_sampler import BatchSampler
from .batches import Batch, Items
from .example_store import ExampleStore, group_by_kind
from .feature_cache import FeatureCache, cache_features
from .preparation import Prepared, transform_of

Groups = Sequence[ExampleStore]
"""Examples of one kind each."""


class TrainingData:
    """What one process of a stage is fed with. A batch follows from the seed, the step and the process alone.

    Raises:
        CorpusError: there is nothing to train on.
        RecipeError: a process would have none of a batch, or features are to be kept of an encoder that learns.
    """

    def __init__(self, recipe: Recipe, index: int, prepared: Prepared, processes: Processes) -> None:
        self._recipe, self._index, self._stage = recipe, index, recipe.stages[index]
        self._prepared, self._processes = prepared, processes
        self._features: FeatureCache | None = None
        self.training = self._teaching("train")
        """The training studies by kind."""
        self.validation = self._teaching("val")
        """The validation studies by kind."""
        self._check()

    @property
    def usual_tokens(self) -> float | None:
        """Report tokens of a step with texts on average, ends included; None where no studies have texts."""
        told = [float(group.lengths.mean()) + 1 for group in self.training if group.lengths.any()]
        return sum(told) / len(told) * self._stage.batch_size * self._stage.accumulate if told else None

    def keep_features(self, folder: Path, encoder: ImageEncoder, on_progress: OnProgress) -> None:
        """Ask a frozen encoder once for what it makes of every image, if the stage wants that; all processes call it.

        Raises:
            OutputError: the cache cannot be written.
        """
        if not self._stage.cached_features:
            return
        variants = {path: 1 for group in self.validation for path in group.image_paths()}
        several = self._stage.cached_features if self._stage.augment else 1
        variants |= {path: several for group in self.training for path in group.image_paths()}
        self._features = cache_features(
            folder,
            encoder,
            variants,
            self._prepared.images,
            transform_of(self._recipe),
            self._recipe.augmentation,
            seed=self._recipe.seed,
            bf16=self._recipe.precision == "bf16",
            on_progress=on_progress,
            rank=self._processes.rank,
            processes=self._processes.count,
            wait=self._processes.wait,
        )

    def steps(self, start: int, stop: int) -> Iterator[Batch]:
        """The training batches for the steps from `start` to `stop`, `accumulate` for each."""
        plan = BatchSampler(
            self.training,
            self._stage,
            (self._recipe.seed, self._index),
            schema=self._prepared.schema,
            steps=range(start, stop),
            rank=self._processes.rank,
            processes=self._processes.count,
        )
        return self._items(self.training, training=True).loader(plan, self._recipe.workers)

    def studies(self, groups: Groups) -> Iterator[Batch]:
        """Every study once and in order, batch by batch dealt out to the processes."""
        items, processes = self._items(groups, training=False), self._processes
        return items.validation(self._stage.batch_size, processes.rank, processes.count)

    def _items(self, groups: Groups, *, training: bool) -> Items:
        return Items(
            groups,
            self._stage,
            transform_of(self._recipe),
            images=self._prepared.images,
            attributes=self._prepared.attributes,
            augmentation=self._recipe.augmentation,
            features=self._features,
            training=training,
        )

    def _teaching(self, split: str) -> Groups:
        """The studies of a split from which this stage can learn: of a corpus some may lack what it needs."""
        return [group for group in groups_of(self._stage, self._prepared, split) if self._fault(group) is None]

    def _check(self) -> None:
        stage, processes = self._stage, self._processes.count
        if not self.training:
            groups = groups_of(stage, self._prepared, "train")
            if groups:
                raise RecipeError(f"stage {stage.name!r}: {self._fault(groups[0])}")
            raise CorpusError(
                f"stage {stage.name!r}: no training studies in {', '.join(stage.corpora)}; check the splits"
            )
        if stage.batch_size < processes:
            raise RecipeError(
                f"stage {stage.name!r}: a batch_size of {stage.batch_size} leaves some of the {processes} processes "
                f"without a study; set at least {processes}"
            )
        if stage.cached_features and stage.rates.encoder:
            raise RecipeError(
                f"stage {stage.name!r}: the encoder learns, so its features cannot be kept; leave cached_features out, "
                "or freeze it with rates.encoder = 0"
            )

    def _fault(self, group: ExampleStore) -> str | None:
        """Why no gradient comes from studies of one kind to anything that learns, if that is so."""
        rates, has_images, has_texts = self._stage.rates, bool(group.views.any()), bool(group.lengths.any())
        if has_texts and not has_images and not rates.decoder:
            return (
                "reports without images teach the decoder alone, which is frozen; "
                "give rates.decoder, or leave their corpus out of the stage"
            )
        judged = self._stage.finding_weight or (self._prepared.attributes and self._stage.attribute_weight)
        if has_images and not has_texts and not (judged and (rates.encoder or rates.projector)):
            return (
                "images without reports teach the heads and what stands before them, which are frozen; give "
                "rates.projector with finding_weight or attribute_weight, or leave their corpus out of the stage"
            )
        return None


def groups_of(stage: StageRecipe, prepared: Prepared, split: str) -> Groups:
    """The examples of a stage's corpora by kind; no group is empty."""
    return [group for name in stage.corpora for group in group_by_kind(prepared.encoded.examples[name][split])]


def has_trained_findings(recipe: Recipe, prepared: Prepared, stages: int) -> bool:
    """Whether the finding head has learned from images in the first `stages` stages."""
    return bool(_teaching_groups(recipe, prepared, stages))


def trained_findings(recipe: Recipe, prepared: Prepared) -> tuple[bool, ...]:
    """Of each finding whether the head has learned from images of studies that have it, and of such that have not."""
    labels = _taught_labels(recipe, prepared)
    return tuple(((labels > 0).any(axis=0) & (labels == 0).any(axis=0)).tolist())


def trained_prevalence(recipe: Recipe, prepared: Prepared) -> Floats:
    """[F]: share of the studies that taught the head which have a finding; NaN where they are too few to tell."""
    labels = _taught_labels(recipe, prepared)
    return np.array([np.nanmean(column) if is_supported(column) else np.nan for column in labels.T])


def _taught_labels(recipe: Recipe, prepared: Prepared) -> Floats:
    """[S,F] of the studies that taught the head, 1 or 0, NaN where nothing is known."""
    groups = _teaching_groups(recipe, prepared, len(recipe.stages))
    return np.concatenate([np.zeros((0, len(prepared.schema.findings))), *(group.labels for group in groups)])


def _teaching_groups(recipe: Recipe, prepared: Prepared, stages: int) -> list[ExampleStore]:
    """Training studies with images of those of the first stages that teach the finding head."""
    return [
        group
        for stage in recipe.stages[:stages]
        if stage.finding_weight > 0 and stage.rates.projector > 0
        for group in groups_of(stage, prepared, "train")
        if group.views.any()
    ]
