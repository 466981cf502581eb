"""Confidence of sentences from the probabilities that the model gave to their tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

_SMALLEST = 1e-12
"""Probabilities are raised to this value, so that their logarithm exists."""


def geometric_mean(probabilities: Sequence[float]) -> float | None:
    """Return the geometric mean of probabilities, 0..1, or None for an empty sequence."""
    if not probabilities:
        return None
    return math.exp(sum(math.log(max(probability, _SMALLEST)) for probability in probabilities) / len(probabilities))
