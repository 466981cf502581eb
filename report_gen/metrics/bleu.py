"""BLEU-1..4 as coco-caption computes it (Papineni et al., ACL 2002; Chen et al., arXiv:1504.00325).

Clipped matches and n-grams are summed over the corpus, the precisions multiplied up to n and their n-th root taken.
Instead of smoothing there are the two guards of coco's bleu_scorer.py. The brevity penalty stands on corpus lengths.
"""

from __future__ import annotations

import numpy as np

from report_gen.metrics.measure import Floats, Measure
from report_gen.metrics.pairs import Pairs

ORDER = 4
_TINY, _SMALL = 1e-15, 1e-9  # coco's guards of numerator and denominator


def bleu(pairs: Pairs) -> Measure:
    """BLEU-1..4, 0..1."""
    lengths = [pairs.predicted_lengths, pairs.reference_lengths]
    guessed = [np.maximum(pairs.predicted_lengths - n, 0) for n in range(ORDER)]
    matched = [counts.matches() for counts in pairs.ngrams]
    return Measure(
        names=tuple(f"BLEU-{n}" for n in range(1, ORDER + 1)),
        statistics=np.column_stack([*lengths, *guessed, *matched]).astype(np.float64),
        finish=bleu_from_sums,
        recipe="coco",
    )


def bleu_from_sums(sums: Floats) -> Floats:
    """Scores [..., 4] from sums [..., 10]: words predicted, words referenced, n-grams predicted x4, matches x4."""
    guessed, matched = sums[..., 2 : 2 + ORDER], sums[..., 2 + ORDER :]
    product = np.cumprod((matched + _TINY) / (guessed + _SMALL), axis=-1)
    length_ratio = (sums[..., :1] + _TINY) / (sums[..., 1:2] + _SMALL)
    with np.errstate(over="ignore", under="ignore"):
        brevity = np.exp(np.minimum(0.0, 1.0 - 1.0 / length_ratio))
    return product ** (1.0 / np.arange(1, ORDER + 1)) * brevity
