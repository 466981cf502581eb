"""BLEU-1..4 as coco-caption computes it (Papineni et al., ACL 2002; Chen et al., arXiv:1504.00325).

Clipped matches and n-gram counts are summed over the corpus. The precisions are multiplied up to order n and the n-th
root is taken. Instead of smoothing there are the two guards of coco's bleu_scorer.py. The brevity penalty uses corpus
lengths.
"""

from __future__ import annotations

import numpy as np

from report_gen.metrics.measure import Floats, Measure
from report_gen.metrics.pairs import Pairs

ORDER = 4
_TINY, _SMALL = 1e-15, 1e-9  # coco's guards of numerator and denominator


def bleu(pairs: Pairs) -> Measure:
    """Compute BLEU-1 to BLEU-4, 0 to 1."""
    lengths = [pairs.predicted_lengths, pairs.reference_lengths]
    predicted = [np.maximum(pairs.predicted_lengths - n, 0) for n in range(ORDER)]
    matched = [counts.matches() for counts in pairs.ngrams]
    return Measure(
        names=tuple(f"BLEU-{n}" for n in range(1, ORDER + 1)),
        statistics=np.column_stack([*lengths, *predicted, *matched]).astype(np.float64),
        finish=bleu_from_sums,
        variant="coco",
    )


def bleu_from_sums(sums: Floats) -> Floats:
    """Compute BLEU-1 to BLEU-4 [..., 4] from summed counts.

    Args:
        sums: [..., 10]: words of the predictions, words of the references, n-grams of the predictions for n = 1..4,
            clipped matches for n = 1..4.
    """
    predicted, matched = sums[..., 2 : 2 + ORDER], sums[..., 2 + ORDER :]
    product = np.cumprod((matched + _TINY) / (predicted + _SMALL), axis=-1)
    length_ratio = (sums[..., :1] + _TINY) / (sums[..., 1:2] + _SMALL)
    with np.errstate(over="ignore", under="ignore"):
        brevity = np.exp(np.minimum(0.0, 1.0 - 1.0 / length_ratio))
    return product ** (1.0 / np.arange(1, ORDER + 1)) * brevity
