"""Images and preprocessing steps for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from report_gen.config import PreprocessingStep


def step(name: str, **parameters: Any) -> PreprocessingStep:
    """Return the step of this name, with defaults for other parameters."""
    found: PreprocessingStep = TypeAdapter(PreprocessingStep).validate_python({"name": name, **parameters})
    return found


def anatomy(rows: int = 200, columns: int = 160) -> NDArray[np.float32]:
    """Return a smooth image 0.2..0.8 in which no row and no column is uniform."""
    y, x = np.mgrid[:rows, :columns]
    return (0.5 + 0.15 * np.sin(x / 9) + 0.15 * np.cos(y / 11)).astype(np.float32)
