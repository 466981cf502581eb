"""Length ratio: words predicted over words referenced, in the whole corpus. Under 1 BLEU is lowered for brevity."""

from __future__ import annotations

import numpy as np

from report_gen.metrics.measure import Floats, Measure, ratio
from report_gen.metrics.pairs import Pairs


def length_ratio(pairs: Pairs) -> Measure:
    """Ratio of words, 0 and up; 1 is the references' length."""
    statistics = np.column_stack([pairs.predicted_lengths, pairs.reference_lengths]).astype(np.float64)
    return Measure(names=("length ratio",), statistics=statistics, finish=_finish, recipe="words")


def _finish(sums: Floats) -> Floats:
    return ratio(sums[..., :1], sums[..., 1:])
