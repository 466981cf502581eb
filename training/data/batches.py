"""Turn training examples into batches of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from report_gen.config import STATES, VIEWS, AttributeConfig
from report_gen.imaging.transform import ImageTransform, collate_view_offsets, collate_view_positions
from report_gen.records import ATTRIBUTES, FindingState, ViewOffset, ViewPosition
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID

from ..recipe import AugmentationRecipe, StageRecipe
from .batch_sampler import BatchSampler, SampleSpec
from .box_batches import collate_boxes
from .example_store import ExampleStore, merge_normalizations
from .examples import TrainingExample
from .feature_cache import FeatureCache
from .image_augmentation import ImageChange, augment, draw_change
from .image_cache import ImageCache
from .image_normalization import IntensityMatching
from .prefetching import prefetch

IGNORED = -100
"""Label of prefix, prompt and padding, as in torch and transformers: such positions have no loss."""

_ABSENT, _UNKNOWN = STATES.index(FindingState.ABSENT), STATES.index(FindingState.UNKNOWN)
_UNKNOWN_VIEW = VIEWS.index(ViewPosition.UNKNOWN)
_UNKNOWN_VALUE = 0
"""Index of the unknown value of an attribute."""


class Batch(NamedTuple):
    """B studies of one kind: all of them have images or none has, all have reports or none has."""

    pixel_values: torch.Tensor
    """[B,V,C,H,W]; V is 0 if the studies have no images, or if `patch_features` replaces the pixels."""
    view_positions: torch.Tensor
    """[B,V] indices into VIEWS."""
    view_mask: torch.Tensor
    """[B,V] bool: False where a study has fewer than V views."""
    view_offsets: torch.Tensor
    """[B,V,3] `ViewOffset` of each view, NaN where it is not known."""
    input_ids: torch.Tensor
    """[B,L] prompt, begin token, report, end token; L is 0 if the studies have no reports."""
    attention_mask: torch.Tensor
    """[B,L]: 1 for tokens, 0 for padding."""
    labels: torch.Tensor
    """[B,L]: token ids of the report and the end token, IGNORED elsewhere."""
    finding_states: torch.Tensor
    """[B,F] indices into STATES: the finding states that condition the decoder."""
    finding_locations: torch.Tensor
    """[B,F,P] `LOCATION_PARTS` of the findings that condition the decoder: 1 or 0, float32; all 0 if unknown."""
    finding_targets: torch.Tensor
    """[B,F] targets of the finding head, 0..1, NaN where the corpus has no label."""
    attribute_values: torch.Tensor
    """[B,A] attribute values that condition the decoder: 0 for unknown, n for the n-th value."""
    attribute_targets: torch.Tensor
    """[B,A] targets of the attribute heads, in the same numbering; 0 where the corpus has no value."""
    token_weights: torch.Tensor
    """[B,L] weight of each label in the report loss, 0 where it is IGNORED."""
    patch_features: torch.Tensor
    """[B,V,N,D_img] cached encoder output in its stored type; V is 0 if the encoder runs on the pixels."""
    boxes: torch.Tensor
    """[B,V,F,K,4] up to K boxes around each finding in each view: left, top, right and bottom edge in shares 0..1 of
    the square image, after its augmentation; NaN where there is none. A finding without a box may be present."""
    location_targets: torch.Tensor
    """[B,F,P] parts of the location of each finding in its boxes, else in the report: 1 or 0, NaN where it is not
    known."""
    sample_weights: torch.Tensor
    """[B] weight of each study in every loss; `token_weights` contain it already. 1 in validation."""
    references: tuple[str, ...]
    """B reference reports: the text that the labels encode, as `format_report` writes it."""
    study_ids: tuple[str, ...]
    """B study ids."""

    @property
    def image_inputs(self) -> tuple[torch.Tensor, ...]:
        """The arguments of `ReportModel.encode_images`, in its order."""
        return self.pixel_values, self.view_positions, self.view_mask, self.patch_features, self.view_offsets


@dataclass(frozen=True)
class _Sample:
    """An example with its random choices made (prompt, dropout); only its pixels are not loaded yet."""

    example: TrainingExample
    prompt_ids: tuple[int, ...]
    finding_states: NDArray[np.int64]
    view_positions: list[int]
    """[V] indices into VIEWS; the unknown view if the views are dropped, as in the prompt."""
    attribute_values: NDArray[np.int64]
    """[A] values that condition the decoder."""
    attribute_targets: NDArray[np.int64]
    """[A] values of the corpus."""
    random: np.random.Generator
    """For the augmentation of the images."""

    @property
    def input_ids(self) -> list[int]:
        ids = self.example.report_ids
        return [*self.prompt_ids, BOS_ID, *ids, EOS_ID] if ids else []


class BatchDataset(Dataset[Batch]):
    """Batches made from groups of examples, one group per kind.

    Args:
        images: Decoded images of all examples.
        augmentation: How images are augmented, if the stage asks for it.
        attributes: Attributes (modality, plane, body part) that the model recognizes.
        features: Cached features of a frozen encoder, which replace the pixels.
        training: False switches augmentation off.
    """

    def __init__(
        self,
        groups: Sequence[ExampleStore],
        stage: StageRecipe,
        transform: ImageTransform,
        *,
        images: ImageCache,
        augmentation: AugmentationRecipe,
        attributes: Sequence[AttributeConfig] = (),
        features: FeatureCache | None = None,
        training: bool,
    ) -> None:
        self._groups, self._stage, self._transform = groups, stage, transform
        self._images, self._features, self._attributes = images, features, attributes
        self._augmentation = augmentation if training and stage.augment else None
        self._training = training
        self._matching = IntensityMatching(transform, merge_normalizations(groups))

    def __getitem__(self, specs: Sequence[SampleSpec]) -> Batch:
        """Build the batch of these examples, which are of one kind."""
        samples = [self._sample(spec) for spec in specs]
        texts = [sample.input_ids for sample in samples]
        starts = [len(ids) - len(one.example.report_ids) - 1 for ids, one in zip(texts, samples, strict=True)]
        labels = [[IGNORED] * start + ids[start:] if ids else [] for start, ids in zip(starts, texts, strict=True)]
        weights = [[0.0] * start + self._token_weights(one) for start, one in zip(starts, samples, strict=True)]
        pixel_values, patch_features, changes = self._load_images(samples)
        view_positions, view_mask = collate_view_positions([sample.view_positions for sample in samples])
        return Batch(
            pixel_values=pixel_values,
            view_positions=view_positions,
            view_mask=view_mask,
            view_offsets=collate_view_offsets([self._offsets(sample.example) for sample in samples]),
            input_ids=_pad(texts, PAD_ID),
            attention_mask=_pad([[1] * len(ids) for ids in texts], 0),
            labels=_pad(labels, IGNORED),
            finding_states=torch.from_numpy(np.stack([sample.finding_states for sample in samples])),
            finding_locations=torch.from_numpy(np.stack([sample.example.locations for sample in samples])).float(),
            finding_targets=torch.from_numpy(np.stack([sample.example.targets for sample in samples])),
            attribute_values=torch.from_numpy(np.stack([sample.attribute_values for sample in samples])),
            attribute_targets=torch.from_numpy(np.stack([sample.attribute_targets for sample in samples])),
            token_weights=_pad(weights, 0.0),
            patch_features=patch_features,
            boxes=collate_boxes([one.example for one in samples], changes, self._images),
            location_targets=torch.from_numpy(np.stack([sample.example.location_targets for sample in samples])),
            sample_weights=torch.tensor([self._weight(one) for one in samples]),
            references=tuple(sample.example.reference for sample in samples),
            study_ids=tuple(sample.example.study_id for sample in samples),
        )

    def training_batches(self, sampler: BatchSampler, workers: int) -> Iterator[Batch]:
        """Yield the batches of a sampler, made ahead by `workers` processes, or by one thread if `workers` is 0."""
        return prefetch(self, sampler, workers)

    def validation_batches(self, batch_size: int, rank: int = 0, processes: int = 1) -> Iterator[Batch]:
        """Yield every example once and in order; processes take turns. Random choices depend only on the example."""
        return prefetch(self, list(self._in_order(batch_size))[rank::processes], workers=0)

    def _in_order(self, batch_size: int) -> Iterable[list[SampleSpec]]:
        for group, examples in enumerate(self._groups):
            for start in range(0, len(examples), batch_size):
                rows = range(start, min(start + batch_size, len(examples)))
                yield [SampleSpec(group, index, (group, index)) for index in rows]

    def _sample(self, spec: SampleSpec) -> _Sample:
        example, random = self._groups[spec.group][spec.example], np.random.default_rng(spec.seed)
        # The order of these draws is part of a run: another order changes every batch.
        drops_views = random.random() < self._stage.view_dropout
        prompt_ids = self._choose_prompt(example, drops_views, random)
        views = [_UNKNOWN_VIEW if drops_views else VIEWS.index(view) for view in example.views[: len(example.images)]]
        drops_states = bool(example.images) and random.random() < self._stage.state_dropout
        states = np.full_like(example.states, _UNKNOWN) if drops_states else self._assume_absent(example.states, random)
        targets = np.array([self._value(example, attribute) for attribute in self._attributes], dtype=np.int64)
        values = np.where(random.random(len(targets)) < self._stage.attribute_dropout, _UNKNOWN_VALUE, targets)
        if drops_states or self._drops_locations(example, random):
            example = example.without_locations()
        return _Sample(example, prompt_ids, states, views, values, targets, random)

    def _choose_prompt(
        self, example: TrainingExample, drops_views: bool, random: np.random.Generator
    ) -> tuple[int, ...]:
        half = len(example.prompts) // 2  # prompts with the indication come first, prompts without it last
        dropped = random.random() < self._stage.indication_dropout
        wordings = example.prompts[half:] if dropped else example.prompts[:half]
        *with_views, without_views = wordings
        return without_views if drops_views else with_views[random.integers(len(with_views))]

    def _assume_absent(self, states: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        """Return the finding states [F] that condition the decoder: some unknown ones become absent."""
        assumed = (states == _UNKNOWN) & (random.random(len(states)) < self._stage.assume_absent)
        return np.where(assumed, _ABSENT, states)

    def _drops_locations(self, example: TrainingExample, random: np.random.Generator) -> bool:
        """Return whether the locations become unknown. A study without locations draws no random number."""
        if not self._training or not example.locations.any() or example.needs_places:
            return False
        return random.random() < self._stage.location_dropout

    @staticmethod
    def _offsets(example: TrainingExample) -> Sequence[ViewOffset]:
        """Return the offsets [V] of the images; a corpus may state none."""
        return example.offsets or [ViewOffset()] * len(example.images)

    @staticmethod
    def _value(example: TrainingExample, attribute: AttributeConfig) -> int:
        return attribute.index(example.attributes[ATTRIBUTES.index(attribute.name)])

    def _token_weights(self, sample: _Sample) -> list[float]:
        """Return the weights of the report tokens and the end token."""
        own = self._weight(sample)
        weights = [own * (self._stage.abnormal_weight if abnormal else 1.0) for abnormal in sample.example.abnormal]
        return [*weights, own] if weights else []

    def _weight(self, sample: _Sample) -> float:
        return sample.example.loss_weight if self._training else 1.0

    def _load_images(self, samples: Sequence[_Sample]) -> tuple[torch.Tensor, torch.Tensor, list[ImageChange | None]]:
        """Return pixel_values [B,V,C,H,W], patch_features [B,V,N,D_img], and how each image was augmented.

        V is 0 in at least one of the tensors.
        """
        counts = [len(sample.example.images) for sample in samples]
        size, channels = self._transform.size, self._transform.channels
        no_pixels, no_features = torch.empty(len(samples), 0, channels, size, size), torch.empty(len(samples), 0, 0, 0)
        if not any(counts):
            return no_pixels, no_features, []
        paths = [path for sample in samples for path in sample.example.images]
        randoms = [sample.random for sample in samples for _ in sample.example.images]
        if self._features is not None:
            augmented = self._augmentation is not None
            cached = [
                self._features.read(path, random if augmented else None)
                for path, random in zip(paths, randoms, strict=True)
            ]
            features = torch.stack([one.patch_features for one in cached])
            return no_pixels, _group_views(features, counts), [one.change for one in cached]
        squares = np.stack(list(map(self._images.read, paths)))  # [sum of V,*square_shape]
        values = torch.from_numpy(squares).float() / 255
        changes: list[ImageChange | None] = [None] * len(paths)
        if self._augmentation is not None:
            drawn = [draw_change(random, self._augmentation) for random in randoms]
            values, changes = augment(values, drawn, self._augmentation), list(drawn)
        values = self._matching.match(values, paths)
        return self._transform.normalize(_group_views(values, counts)), no_features, changes


def _group_views(views: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    """Split the views of B studies, concatenated as [sum of counts,...], into [B,V,...]; missing views are zeros."""
    return pad_sequence(list(torch.split(views, list(counts))), batch_first=True)


def _pad(rows: Sequence[Sequence[float]], filler: float) -> torch.Tensor:
    """Pad rows on the right to one length, [B,length], in the type of the filler."""
    dtype = torch.long if isinstance(filler, int) else torch.float32
    return pad_sequence([torch.tensor(row, dtype=dtype) for row in rows], batch_first=True, padding_value=filler)
