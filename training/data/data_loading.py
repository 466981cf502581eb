"""Provide the batches of a training stage to one of its processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from report_gen.errors import CorpusError, RecipeError
from report_gen.model import ImageEncoder

from ..recipe import Recipe, StageRecipe, read_image_side
from ..run import OnProgress, Processes
from .batch_sampler import BatchSampler
from .batches import Batch, BatchDataset
from .example_store import ExampleStore, group_by_kind, merge_normalizations
from .feature_cache import FeatureCache, cache_features
from .preparation import PreparedCorpora, image_transform

Groups = Sequence[ExampleStore]
"""Groups of examples, one per kind (with images, with reports, with both)."""


class TrainingData:
    """The training and validation studies of one stage, as batches for one process.

    A batch depends only on the seed, the step and the process.

    Raises:
        CorpusError: The stage has no training studies.
        RecipeError: Nothing that the stage trains gets a gradient from the studies, a batch has fewer studies than
            there are processes, or features of a trained encoder are to be cached.
    """

    def __init__(self, recipe: Recipe, index: int, prepared: PreparedCorpora, processes: Processes) -> None:
        self._recipe, self._index, self._stage = recipe, index, recipe.stages[index]
        self._prepared, self._processes = prepared, processes
        self._features: FeatureCache | None = None
        self.training = self._usable_groups("train")
        """The training studies by kind."""
        self.validation = self._usable_groups("val")
        """The validation studies by kind."""
        self._check()

    @property
    def usual_tokens(self) -> float | None:
        """Mean number of report tokens in a step with reports, end tokens included; None if no study has a report."""
        lengths = [float(group.lengths.mean()) + 1 for group in self.training if group.lengths.any()]
        if not lengths:
            return None
        return sum(lengths) / len(lengths) * self._stage.batch_size * self._stage.accumulate

    def cache_features(self, folder: Path, encoder: ImageEncoder, on_progress: OnProgress) -> None:
        """Compute the features of a frozen encoder for every image once, if the stage asks for it.

        All processes must call this method.

        Raises:
            OutputError: The cache cannot be written.
        """
        if not self._stage.cached_features:
            return
        variants = {path: 1 for group in self.validation for path in group.image_paths()}
        count = self._stage.cached_features if self._stage.augment else 1
        variants |= {path: count for group in self.training for path in group.image_paths()}
        self._features = cache_features(
            folder,
            encoder,
            variants,
            self._prepared.images,
            image_transform(self._recipe),
            self._recipe.augmentation,
            seed=self._recipe.seed,
            bf16=self._recipe.precision == "bf16",
            on_progress=on_progress,
            own=merge_normalizations([*self.training, *self.validation]),
            rank=self._processes.rank,
            processes=self._processes.count,
            wait=self._processes.wait,
        )

    def steps(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield the training batches of the steps `start` to `stop` (exclusive), `accumulate` batches per step."""
        sampler = BatchSampler(
            self.training,
            self._stage,
            (self._recipe.seed, self._index),
            schema=self._prepared.schema,
            steps=range(start, stop),
            rank=self._processes.rank,
            processes=self._processes.count,
        )
        return self._dataset(self.training, training=True).training_batches(sampler, self._recipe.workers)

    def studies(self, groups: Groups) -> Iterator[Batch]:
        """Yield every study once and in order; the processes take turns with the batches."""
        dataset, processes = self._dataset(groups, training=False), self._processes
        return dataset.validation_batches(self._stage.batch_size, processes.rank, processes.count)

    def _dataset(self, groups: Groups, *, training: bool) -> BatchDataset:
        return BatchDataset(
            groups,
            self._stage,
            image_transform(self._recipe),
            images=self._prepared.images,
            attributes=self._prepared.attributes,
            augmentation=self._recipe.augmentation,
            features=self._features,
            training=training,
        )

    def _usable_groups(self, split: str) -> Groups:
        """Return the groups of a split that this stage can learn from."""
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
                f"stage {stage.name!r}: batch_size = {stage.batch_size} leaves some of the {processes} processes "
                f"without a study; set it to {processes} or more"
            )
        if stage.cached_features and stage.rates.encoder:
            raise RecipeError(
                f"stage {stage.name!r}: cached_features needs a frozen encoder, but rates.encoder is above 0; "
                "remove cached_features, or set rates.encoder = 0"
            )

    def _fault(self, group: ExampleStore) -> str | None:
        """Explain why a group gives no gradient to any trained part; None if it gives one."""
        rates, has_images, has_texts = self._stage.rates, bool(group.views.any()), bool(group.lengths.any())
        if has_texts and not has_images and not rates.decoder:
            return (
                "reports without images train only the decoder, which is frozen here; set rates.decoder above 0, or "
                "remove their corpus from the stage"
            )
        has_head_loss = self._stage.finding_weight or (self._prepared.attributes and self._stage.attribute_weight)
        if has_images and not has_texts and not (has_head_loss and (rates.encoder or rates.projector)):
            return (
                "images without reports train only encoder, projector and heads, which are frozen or without a loss; "
                "set rates.projector and finding_weight or attribute_weight above 0, or remove their corpus from the "
                "stage"
            )
        return None


def groups_of(stage: StageRecipe, prepared: PreparedCorpora, split: str) -> Groups:
    """Return the examples of a stage's corpora by kind; no group is empty.

    Args:
        stage: Recipe of the stage, which names its corpora.
        prepared: The prepared corpora.
        split: Name of the split.
    """
    return [group for name in stage.corpora for group in group_by_kind(prepared.encoded.examples[name][split])]


def trained_findings(recipe: Recipe, prepared: PreparedCorpora, stages: int) -> tuple[bool, ...]:
    """Return for each finding whether enough positive and negative studies with images trained the head.

    The head may have been trained before, in the checkpoint that the recipe starts from. The `unknown_findings` of the
    recipe do not count as trained, because the decoder learns no sentence about them.

    Args:
        recipe: The recipe.
        prepared: The prepared corpora.
        stages: Number of stages, from the first.
    """
    groups = _finding_groups(recipe, prepared, stages)
    labels = np.concatenate([np.zeros((0, len(prepared.schema.findings))), *(group.labels for group in groups)])
    support, image_side = recipe.model.finding_support, read_image_side(recipe)
    enough = ((labels > 0).sum(axis=0) >= support) & ((labels == 0).sum(axis=0) >= support)
    trained = enough | (False if image_side is None else np.array(image_side.findings.reported))
    return tuple((trained & ~np.isin(prepared.schema.findings, recipe.text.unknown_findings)).tolist())


def trained_locations(recipe: Recipe, prepared: PreparedCorpora) -> tuple[bool, ...]:
    """Return for each finding whether enough training studies with images say on which side it is.

    The head may have been trained before, in the checkpoint that the recipe starts from.
    """
    image_side = read_image_side(recipe)
    before = None if image_side is None else image_side.locations
    groups = [
        group.location_targets
        for stage in recipe.stages
        if stage.location_weight > 0 and stage.rates.projector > 0
        for group in groups_of(stage, prepared, "train")
    ]
    findings = len(prepared.schema.findings)
    known = sum(((~np.isnan(targets[:, :, 0])).sum(axis=0) for targets in groups), np.zeros(findings))
    enough = known >= recipe.model.finding_support
    return tuple((enough | (False if before is None else np.array(before.trained))).tolist())


def _finding_groups(recipe: Recipe, prepared: PreparedCorpora, stages: int) -> list[ExampleStore]:
    """Return the training studies with images of the first `stages` stages, if a stage trains the finding head."""
    return [
        group
        for stage in recipe.stages[:stages]
        if stage.finding_weight > 0 and stage.rates.projector > 0
        for group in groups_of(stage, prepared, "train")
        if group.views.any()
    ]
