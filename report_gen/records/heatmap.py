"""Records of the attention of each finding over an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from report_gen.records.box import Box
from report_gen.records.study import Image

if TYPE_CHECKING:  # every command imports the records, and numpy would double the time of --help
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Heatmap:
    """Attention weights over the patches of the first image of a study."""

    image: NDArray[np.float32]
    """Display intensities [H,W] in 0..1."""
    square: tuple[float, float, float]
    """Left edge, top edge and side of the square of patches, in pixels of the image; it may extend beyond the image."""
    part: Box
    """The part of the image that the model gets. Patches outside of it are padding."""
    weights: Mapping[str, NDArray[np.float32]]
    """Weights [g,g] by finding. The weights of a finding sum to 1 over all images of the study.

    The finding that follows from the others has no attention and is missing.
    """


@dataclass(frozen=True, kw_only=True)
class FindingAttention:
    """Attention weights over the patches of the first image of a study that the model gets, without its pixels."""

    image: Image
    square: tuple[float, float, float, float]
    """Left, upper, right and lower edge of the square of patches, in shares of the width and height of the image. The
    square may extend beyond the image."""
    weights: Mapping[str, NDArray[np.float32]]
    """Weights [g,g] by finding, as in `Heatmap`."""
