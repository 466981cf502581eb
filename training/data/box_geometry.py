"""Carry boxes from an image file into the square that the encoder gets, and through its augmentation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
"""[n,4]: left, top, right and bottom edge, in shares of width and height."""


class ExampleBox(NamedTuple):
    """A box around a finding of a training example, in shares of the width and height of its image file."""

    finding: int
    """Index of the finding."""
    image: int
    """Index of the image in its study."""
    left: float
    top: float
    right: float
    bottom: float


class SquareGeometry(NamedTuple):
    """Where an image lies in its square: a share x of its width is at `x_scale * x + x_offset` of the square."""

    x_scale: float
    x_offset: float
    y_scale: float
    y_offset: float

    def place(self, boxes: Boxes) -> Boxes:
        """Return boxes of the image as boxes of the square; edges beyond the square are below 0 or above 1."""
        scales, offsets = (self.x_scale, self.y_scale) * 2, (self.x_offset, self.y_offset) * 2
        placed: Boxes = (boxes * np.array(scales) + np.array(offsets)).astype(np.float32)
        return placed


def transform_boxes(boxes: Boxes, matrix: NDArray[np.float64], offset: NDArray[np.float64]) -> Boxes:
    """Return the bounding boxes of boxes whose corners p move to `matrix @ p + offset`.

    Args:
        boxes: [n,4].
        matrix: [2,2].
        offset: [2].
    """
    corners = np.stack([boxes[:, [x, y]] for x in (0, 2) for y in (1, 3)], axis=1)  # [n,4,2]
    moved = corners @ matrix.T + offset
    return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1).astype(np.float32)


def clip_boxes(boxes: Boxes) -> Boxes:
    """Return the parts of boxes inside the square; NaN for a box outside it."""
    clipped = boxes.clip(0, 1)
    is_outside = (clipped[:, 2:] <= clipped[:, :2]).any(axis=1)
    clipped[is_outside] = np.nan
    return clipped
