"""Examples to batches of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from report_gen.config import STATES, AttributeConfig
from report_gen.imaging.transform import ImageTransform, collate_view_positions
from report_gen.model.projector import VIEWS
from report_gen.records.findings import FindingState
from report_gen.records.report import ATTRIBUTES
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID

from ..optimization.objectives import IGNORED
from ..recipe.schema import AugmentationRecipe, StageRecipe
from .batch_sampler import BatchSampler, SampleSpec
from .example_store import ExampleStore
from .examples import TrainingExample
from .feature_cache import FeatureCache
from .image_augmentation import augment
from .image_cache import ImageCache
from .prefetching import prefetched

_ABSENT, _UNKNOWN = STATES.index(FindingState.ABSENT), STATES.index(FindingState.UNKNOWN)

_NOT_KNOWN = 0
"""Place of the unknown value in `AttributeConfig.conditioning_values`."""


class Batch(NamedTuple):
    """B studies of one kind: all with images or none, all with texts or none."""

    pixel_values: torch.Tensor
    """[B,V,C,H,W]; V is 0 where there are no images, or their features in their place."""
    view_positions: torch.Tensor
    """[B,V]."""
    view_mask: torch.Tensor
    """[B,V] bool."""
    input_ids: torch.Tensor
    """[B,L] prompt, begin, report, end; L is 0 where there are no texts."""
    attention_mask: torch.Tensor
    """[B,L]."""
    labels: torch.Tensor
    """[B,L]: the ids of report and end, IGNORED elsewhere."""
    finding_states: torch.Tensor
    """[B,F] as the decoder is told them."""
    finding_targets: torch.Tensor
    """[B,F] 0..1, NaN where nothing is known."""
    attribute_values: torch.Tensor
    """[B,A] as the decoder is told them: indices into `AttributeConfig.conditioning_values`, 0 for unknown."""
    attribute_targets: torch.Tensor
    """[B,A] as the corpus has them."""
    token_weights: torch.Tensor
    """[B,L] of the labels in the report loss, 0 where they are IGNORED."""
    patch_features: torch.Tensor
    """[B,V,N,D_img] in the type they are stored in; V is 0 where the encoder is to look at the pixels."""
    references: tuple[str, ...]
    """B reports that the labels spell, as `parse_report` reads them."""
    study_ids: tuple[str, ...]
    """B."""


@dataclass(frozen=True)
class _Item:
    """An example after everything random about it was drawn, but for its pixels."""

    example: TrainingExample
    prompt_ids: tuple[int, ...]
    states: NDArray[np.int64]
    values: NDArray[np.int64]
    targets: NDArray[np.int64]
    """Attribute values that are told, and those of the corpus."""
    random: np.random.Generator

    @property
    def text(self) -> list[int]:
        ids = self.example.report_ids
        return [*self.prompt_ids, BOS_ID, *ids, EOS_ID] if ids else []

    @property
    def views(self) -> list[int]:
        return [VIEWS.index(view) for view in self.example.views[: len(self.example.images)]]


class Items(Dataset[Batch]):
    """Batches from groups of examples of one kind each.

    Args:
        images: the squares of all images of the groups.
        augmentation: how images are changed, where the stage says that they are.
        attributes: what the model tells apart of modality, plane and body part.
        features: what stands in for pixels, where the encoder is frozen and was asked before.
        training: False leaves images as they are.
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

    def __getitem__(self, draws: Sequence[SampleSpec]) -> Batch:
        """The batch of these draws, which are of one group."""
        items = [self._draw(draw) for draw in draws]
        texts = [item.text for item in items]
        starts = [len(text) - len(item.example.report_ids) - 1 for text, item in zip(texts, items, strict=True)]
        labels = [[IGNORED] * start + text[start:] if text else [] for start, text in zip(starts, texts, strict=True)]
        weights = [[0.0] * start + self._weigh(item) for start, item in zip(starts, items, strict=True)]
        pixel_values, patch_features = self._look(items)
        view_positions, view_mask = collate_view_positions([item.views for item in items])
        return Batch(
            pixel_values=pixel_values,
            view_positions=view_positions,
            view_mask=view_mask,
            input_ids=_padded(texts, PAD_ID),
            attention_mask=_padded([[1] * len(text) for text in texts], 0),
            labels=_padded(labels, IGNORED),
            finding_states=torch.from_numpy(np.stack([item.states for item in items])),
            finding_targets=torch.from_numpy(np.stack([item.example.targets for item in items])),
            attribute_values=torch.from_numpy(np.stack([item.values for item in items])),
            attribute_targets=torch.from_numpy(np.stack([item.targets for item in items])),
            token_weights=_padded(weights, 0.0),
            patch_features=patch_features,
            references=tuple(item.example.reference for item in items),
            study_ids=tuple(item.example.study_id for item in items),
        )

    def loader(self, plan: BatchSampler, workers: int) -> Iterator[Batch]:
        """The batches of a plan, made ahead: by so many processes, or by a thread of this one."""
        return prefetched(self, plan, workers)

    def validation(self, batch_size: int, rank: int = 0, processes: int = 1) -> Iterator[Batch]:
        """Every example once and in order, its batches dealt out among processes; all randomness follows its place."""
        return prefetched(self, list(self._in_order(batch_size))[rank::processes], workers=0)

    def _in_order(self, batch_size: int) -> Iterable[list[SampleSpec]]:
        for group, examples in enumerate(self._groups):
            for start in range(0, len(examples), batch_size):
                rows = range(start, min(start + batch_size, len(examples)))
                yield [SampleSpec(group, place, (group, place)) for place in rows]

    def _draw(self, draw: SampleSpec) -> _Item:
        example, random = self._groups[draw.group][draw.place], np.random.default_rng(draw.seed)
        prompt_ids, states = self._choose_prompt(example, random), self._tell(example, random)
        targets = np.array([self._value(example, attribute) for attribute in self._attributes], dtype=np.int64)
        values = np.where(random.random(len(targets)) < self._stage.attribute_dropout, _NOT_KNOWN, targets)
        return _Item(example, prompt_ids, states, values, targets, random)

    def _choose_prompt(self, example: TrainingExample, random: np.random.Generator) -> tuple[int, ...]:
        half = len(example.prompts) // 2
        forgets = random.random() < self._stage.indication_dropout
        wordings = example.prompts[half:] if forgets else example.prompts[:half]
        return wordings[random.integers(len(wordings))]

    def _tell(self, example: TrainingExample, random: np.random.Generator) -> NDArray[np.int64]:
        if example.images and random.random() < self._stage.state_dropout:
            return np.full_like(example.states, _UNKNOWN)
        assumed = (example.states == _UNKNOWN) & (random.random(len(example.states)) < self._stage.assume_absent)
        return np.where(assumed, _ABSENT, example.states)

    @staticmethod
    def _value(example: TrainingExample, attribute: AttributeConfig) -> int:
        return attribute.index(example.attributes[ATTRIBUTES.index(attribute.name)])

    def _weigh(self, item: _Item) -> list[float]:
        """Weights of report and end."""
        tokens = [self._stage.abnormal_weight if abnormal else 1.0 for abnormal in item.example.abnormal]
        return [*tokens, 1.0] if tokens else []

    def _look(self, items: Sequence[_Item]) -> tuple[torch.Tensor, torch.Tensor]:
        """pixel_values and patch_features, one of them without views."""
        counts = [len(item.example.images) for item in items]
        size, channels = self._transform.size, self._transform.channels
        if self._features is not None and any(counts):
            varied = self._augmentation is not None
            seen = [self._features.read(p, i.random if varied else None) for i in items for p in i.example.images]
            return torch.empty(len(items), 0, channels, size, size), _by_study(torch.stack(seen), counts)
        nothing = torch.empty(len(items), 0, 0, 0)
        if not any(counts):
            return torch.empty(len(items), 0, channels, size, size), nothing
        squares = np.stack([self._images.read(path) for item in items for path in item.example.images])
        values = torch.from_numpy(squares).float() / 255
        if self._augmentation is not None:
            values = augment(values, [item.random for item in items for _ in item.example.images], self._augmentation)
        return self._transform.normalize(_by_study(values, counts)), nothing


def _by_study(views: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    """Return the views of B studies, given one after the other [sum of counts,...], as [B,V,...] padded with zeros."""
    return pad_sequence(list(torch.split(views, list(counts))), batch_first=True)


def _padded(rows: Sequence[Sequence[float]], filler: float) -> torch.Tensor:
    """Return rows [B,longest] padded with the filler, in its type."""
    dtype = torch.long if isinstance(filler, int) else torch.float32
    tensors = [torch.tensor(row, dtype=dtype) for row in rows]
    return pad_sequence(tensors, batch_first=True, padding_value=filler)
