"""CIDEr-D with one reference per report (Vedantam et al., CVPR 2015), as coco-caption's cider_scorer.py.

An n-gram weighs term frequency x (log R - log df), where df is the number of the R references that hold it: words that
every report has weigh nothing. A report scores 10 x the mean over n = 1..4 of the clipped cosine, lowered by a Gaussian
of the difference in length. Because df comes from the references, figures from different test sets do not compare;
bootstrap draws keep the df of the full set.
"""

from __future__ import annotations

import numpy as np

from report_gen.scoring.measure import Floats, Measure, mean_measure, ratio
from report_gen.scoring.ngrams import NgramCounts
from report_gen.scoring.pairs import Pairs

_SIGMA = 6.0


def cider_d(pairs: Pairs) -> Measure:
    """CIDEr-D, 0..10."""
    similarity = np.mean([_similarity(counts) for counts in pairs.ngrams], axis=0)
    # coco takes the number of bigrams for the length.
    longer = np.maximum(pairs.predicted_lengths - 1, 0) - np.maximum(pairs.reference_lengths - 1, 0)
    penalty = np.exp(-(longer**2) / (2 * _SIGMA**2))
    return mean_measure(["CIDEr-D"], (10 * similarity * penalty)[:, None], "sigma6,df:references")


def _similarity(counts: NgramCounts) -> Floats:
    """[pairs]: clipped cosine of the weighted n-grams; 0 where a side has no weight."""
    _, kind = np.unique(counts.ngram, return_inverse=True)
    df = np.bincount(kind, weights=counts.referenced > 0)[kind] if len(kind) else np.zeros(0)
    weight = np.log(max(counts.pairs, 1)) - np.log(np.maximum(df, 1))
    predicted, referenced = counts.predicted * weight, counts.referenced * weight
    norm = np.sqrt(counts.per_pair(predicted**2) * counts.per_pair(referenced**2))
    return ratio(counts.per_pair(np.minimum(predicted, referenced) * referenced), norm)
