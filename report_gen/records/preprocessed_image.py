"""Record of an image after every step of its preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from report_gen.records.box import Box

if TYPE_CHECKING:  # every command imports the records, and numpy would double the time of --help
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class PreprocessedImage:
    """An image on its way into the model."""

    stages: tuple[tuple[str, NDArray[np.float32]], ...]
    """Name and display intensities [H,W] in 0..1: the image as it was loaded, then after each step."""
    part: Box
    """The part of the loaded image that the model gets."""
    square: NDArray[np.float32]
    """The input of the model before normalization, [size,size] 0..1."""
    target: Box
    """The pixels of the square that show the part; the others are black."""
