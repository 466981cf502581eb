"""Examples to batches of tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from report_gen.model.config import STATES
from report_gen.model.projector import VIEWS
from report_gen.pixels import PixelTransform
from report_gen.reading import read_pixels, read_study
from report_gen.report import FINDINGS, FindingState
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID

from .augmenting import augment
from .examples import TrainingExample
from .objectives import IGNORED
from .plan import Draw, Plan
from .recipe import StageRecipe

_ABSENT, _UNKNOWN = STATES.index(FindingState.ABSENT), STATES.index(FindingState.UNKNOWN)


class Batch(NamedTuple):
    """B studies of one kind: all with images or none, all with texts or none."""

    pixel_values: torch.Tensor
    """[B,V,C,H,W]; V is 0 where there are no images."""
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
    """[B,14] as the decoder is told them."""
    finding_targets: torch.Tensor
    """[B,14] 0..1, NaN where nothing is known."""
    token_weights: torch.Tensor
    """[B,L] of the labels in the report loss, 0 where they are IGNORED."""
    patch_features: torch.Tensor
    """[B,V,N,D_img] in place of pixel_values; V is 0 where these are there."""


@dataclass(frozen=True)
class Item:
    """An example after everything random about it was drawn."""

    squares: torch.Tensor  # [V,size,size] 0..1
    views: tuple[int, ...]
    prompt_ids: tuple[int, ...]
    report_ids: tuple[int, ...]
    states: NDArray[np.int64]
    targets: NDArray[np.float32]


class Items(Dataset[Item]):
    """Groups of examples of one kind each, read and drawn on demand."""

    def __init__(
        self,
        groups: Sequence[Sequence[TrainingExample]],
        stage: StageRecipe,
        transform: PixelTransform,
        *,
        training: bool,
    ) -> None:
        self._groups, self._stage, self._transform, self._training = groups, stage, transform, training

    def __getitem__(self, draw: Draw) -> Item:
        example, random = self._groups[draw.group][draw.place], np.random.default_rng(draw.seed)
        squares = torch.empty(0, self._transform.size, self._transform.size)
        if example.images:
            squares = torch.stack([_read_square(path, self._transform) for path in example.images]).float() / 255
        if self._training and self._stage.augment and example.images:
            squares = torch.stack([augment(square, random) for square in squares])
        return Item(
            squares=squares,
            views=tuple(VIEWS.index(view) for view in example.views[: len(squares)]),
            prompt_ids=self._choose_prompt(example, random),
            report_ids=example.report_ids,
            states=self._tell(example, random),
            targets=example.targets,
        )

    def loader(self, plan: Plan, workers: int) -> DataLoader[Batch]:
        """The batches of a plan."""
        return DataLoader(self, batch_sampler=plan, collate_fn=self._collate, num_workers=workers)  # type: ignore[arg-type]

    def validation(self, batch_size: int) -> Iterator[Batch]:
        """Every example once and in order; what is random about it follows from its place."""
        for group, examples in enumerate(self._groups):
            for start in range(0, len(examples), batch_size):
                rows = range(start, min(start + batch_size, len(examples)))
                yield self._collate([self[Draw(group, index, (group, index))] for index in rows])

    def _choose_prompt(self, example: TrainingExample, random: np.random.Generator) -> tuple[int, ...]:
        half = len(example.prompts) // 2
        forgets = random.random() < self._stage.forget_indication
        wordings = example.prompts[half:] if forgets else example.prompts[:half]
        return wordings[random.integers(len(wordings))]

    def _tell(self, example: TrainingExample, random: np.random.Generator) -> NDArray[np.int64]:
        if example.images and random.random() < self._stage.forget_states:
            return np.full_like(example.states, _UNKNOWN)
        assumed = (example.states == _UNKNOWN) & (random.random(len(FINDINGS)) < self._stage.assume_absent)
        return np.where(assumed, _ABSENT, example.states)

    def _collate(self, items: Sequence[Item]) -> Batch:
        """Pad views and texts of B items of one kind."""
        views = max(len(item.views) for item in items)
        texts = [[*item.prompt_ids, BOS_ID, *item.report_ids, EOS_ID] if item.report_ids else [] for item in items]
        starts = [len(item.prompt_ids) + 1 for item in items]
        labels = [[IGNORED] * start + text[start:] if text else [] for start, text in zip(starts, texts, strict=True)]
        squares = torch.stack(
            [
                torch.cat([item.squares, item.squares.new_zeros(views - len(item.views), *item.squares.shape[1:])])
                for item in items
            ]
        )
        return Batch(
            pixel_values=self._transform.normalise(squares),
            view_positions=_padded([item.views for item in items], 0),
            view_mask=_padded([[1] * len(item.views) for item in items], 0).bool(),
            input_ids=_padded(texts, PAD_ID),
            attention_mask=_padded([[1] * len(text) for text in texts], 0),
            labels=_padded(labels, IGNORED),
            finding_states=torch.from_numpy(np.stack([item.states for item in items])),
            finding_targets=torch.from_numpy(np.stack([item.targets for item in items])),
            token_weights=(_padded(labels, IGNORED) != IGNORED).float(),
            patch_features=torch.empty(len(items), 0, 0, 0),
        )


@lru_cache(maxsize=4096)
def _read_square(path: Path, transform: PixelTransform) -> torch.Tensor:
    """An image fitted into its square, as uint8 [size,size]; a corpus of thousands stays in memory."""
    (image,) = read_study(path).images
    return (transform.fit(read_pixels(image))[0] * 255).round().to(torch.uint8)


def _padded(rows: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
    """[B,longest]."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows], dtype=torch.long)
