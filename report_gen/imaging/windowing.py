"""Show values, such as Hounsfield units, within a window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from report_gen.records import Window

ONLY_HOUNSFIELD = "in which the windows of the model are stated; give a CT series as DICOM, or another model"
"""End of the reason why a study that is no CT is refused."""


def apply_window(values: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """Return intensities in 0..1 of the same shape; NaN, which is padding, becomes 0.

    The function is LINEAR_EXACT (PS3.3 C.11.2.1.3.2). LINEAR differs by half a unit, for values that are integers.
    """
    intensities = (values - np.float32(window.center - window.width / 2)) / np.float32(window.width)
    known: NDArray[np.float32] = np.nan_to_num(intensities, copy=False, nan=0.0, posinf=1.0, neginf=0.0)
    return known.clip(0, 1)
