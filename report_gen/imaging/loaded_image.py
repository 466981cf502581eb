"""The record of an image whose pixels are loaded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LoadedImage:
    """Display intensities of one image, and what a reader must know about them."""

    pixels: NDArray[np.float32]
    """[H,W] in 0..1, 0 = black. The pixels are square."""
    notices: tuple[str, ...] = ()
    """Sentences for the reader: contradictory or missing display attributes of the file, and how they were handled."""
