"""Where a model looked: the attention of each finding over the first image of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Heatmap:
    """Weights over the patches of one image."""

    image: NDArray[np.float32]
    """[H,W] 0..1, the first image that the model looked at."""
    square: tuple[float, float, float]
    """Left, top and side of the square of patches in pixels of the image; it may reach beyond the edges."""
    weights: Mapping[str, NDArray[np.float32]]
    """[g,g] by finding but the one that follows from the others; over all images of the study they sum to 1."""
