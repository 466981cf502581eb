"""Collect the boxes of a batch as they lie in the squares that the model gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from .box_geometry import Boxes, clip_boxes
from .examples import TrainingExample
from .image_augmentation import ImageChange, move_boxes
from .image_cache import ImageCache


def collate_boxes(
    examples: Sequence[TrainingExample], changes: Sequence[ImageChange | None], images: ImageCache
) -> torch.Tensor:
    """Return the boxes [B,V,F,K,4] of B examples; K is the largest number of boxes of a finding in a view.

    Args:
        examples: The examples.
        changes: How each image of all examples was augmented, in order; None if it was not.
        images: Gives the place of every image in its square.
    """
    placed = list(_place_all(examples, changes, images))
    largest = max((len(one.boxes) for one in placed), default=0)
    views, findings = max(len(one.images) for one in examples), len(examples[0].states)
    collated = np.full((len(examples), views, findings, largest, 4), np.nan, dtype=np.float32)
    for one in placed:
        collated[one.row, one.view, one.finding, : len(one.boxes)] = one.boxes
    return torch.from_numpy(collated)


class _Placed(NamedTuple):
    """The boxes of one finding in one view of one example."""

    row: int
    view: int
    finding: int
    boxes: Boxes


def _place_all(
    examples: Sequence[TrainingExample], changes: Sequence[ImageChange | None], images: ImageCache
) -> Iterator[_Placed]:
    first = 0  # index of the first image of an example among all
    for row, example in enumerate(examples):
        for view, finding in sorted({(box.image, box.finding) for box in example.boxes}):
            boxes = np.array([box[2:] for box in example.boxes if box[:2] == (finding, view)], dtype=np.float32)
            square, change = images.geometry(example.images[view]).place(boxes), changes[first + view]
            moved = clip_boxes(square if change is None else move_boxes(square, change))
            yield _Placed(row, view, finding, moved[~np.isnan(moved).any(axis=1)])
        first += len(example.images)
