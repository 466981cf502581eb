"""Length ratio: words of the predictions over words of the references. A ratio below 1 lowers BLEU."""

from __future__ import annotations

import numpy as np

from report_gen.metrics.measure import Floats, Measure, ratio
from report_gen.metrics.pairs import Pairs


def length_ratio(pairs: Pairs) -> Measure:
    """Compute the length ratio of the corpus; 1 is the length of the references."""
    statistics = np.column_stack([pairs.predicted_lengths, pairs.reference_lengths]).astype(np.float64)
    return Measure(names=("length ratio",), statistics=statistics, finish=_finish, variant="words")


def _finish(sums: Floats) -> Floats:
    return ratio(sums[..., :1], sums[..., 1:])
