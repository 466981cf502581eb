"""CIDEr-D with one reference per report (Vedantam et al., CVPR 2015), as coco-caption's cider_scorer.py.

An n-gram weighs term frequency x (log R - log df), where df is the number of the R references that hold it: words that
every report has weigh nothing. A report scores 10 x the mean over n = 1..4 of the clipped cosine, lowered by a Gaussian
of the difference in length. Because df comes from the references, figures from different test sets do not compare;
bootstrap draws keep the df of the full set. A single report can only be scored with the df of others, such as those
that a model was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np

from report_gen.metrics.measure import Floats, Measure, mean_measure, ratio
from report_gen.metrics.ngrams import Ints, NgramCounts, hash_words
from report_gen.metrics.pairs import NGRAM_ORDER, Pairs, split_words

_SIGMA = 6.0
_AT_A_TIME = 20_000


@dataclass(frozen=True)
class DocumentFrequencies:
    """In how many of many reports each n-gram stands."""

    reports: int
    ngrams: tuple[Ints, ...]
    """For n = 1..4 the hashes of `hash_words`, ascending. N-grams of one report are left out: one weighs like none."""
    counts: tuple[Ints, ...]
    """[n-grams] reports that hold it."""

    def of(self, order: int, ngram: Ints) -> Floats:
        """[rows] of the n-grams with these hashes."""
        known, counts = self.ngrams[order - 1], self.counts[order - 1]
        if not len(known):
            return np.zeros(len(ngram))
        place = np.minimum(np.searchsorted(known, ngram), len(known) - 1)
        return np.where(known[place] == ngram, counts[place], 0).astype(np.float64)


def document_frequencies(reports: Iterable[str]) -> DocumentFrequencies:
    """Counted over reports whose words are apart by white space, a share of them in memory at a time."""
    total, found = 0, [(np.zeros(0, np.int64), np.zeros(0, np.int64))] * NGRAM_ORDER
    texts = iter(reports)
    while words := [split_words(text) for text in islice(texts, _AT_A_TIME)]:
        total += len(words)
        counts = hash_words([[]] * len(words), words, NGRAM_ORDER)
        found = [_added(*known, one.ngram) for known, one in zip(found, counts, strict=True)]
    kept = [(ngrams[counts > 1], counts[counts > 1]) for ngrams, counts in found]
    return DocumentFrequencies(total, tuple(ngrams for ngrams, _ in kept), tuple(counts for _, counts in kept))


def cider_d(pairs: Pairs, frequencies: DocumentFrequencies | None = None) -> Measure:
    """CIDEr-D, 0..10, with the document frequencies of the references, or with given ones."""
    if frequencies is None:
        similarities, origin = [_similarity(counts, *_referenced(counts)) for counts in pairs.ngrams], "references"
    else:
        hashed = hash_words(pairs.predicted_words, pairs.reference_words, NGRAM_ORDER)
        similarities = [
            _similarity(counts, frequencies.of(order, counts.ngram), frequencies.reports)
            for order, counts in enumerate(hashed, start=1)
        ]
        origin = f"{frequencies.reports} reports"
    # coco takes the number of bigrams for the length.
    longer = np.maximum(pairs.predicted_lengths - 1, 0) - np.maximum(pairs.reference_lengths - 1, 0)
    penalty = np.exp(-(longer**2) / (2 * _SIGMA**2))
    scores = 10 * np.mean(similarities, axis=0) * penalty
    return mean_measure(["CIDEr-D"], scores[:, None], f"sigma6,df:{origin}")


def _referenced(counts: NgramCounts) -> tuple[Floats, int]:
    """[rows] document frequencies in the references, and how many these are."""
    _, kind = np.unique(counts.ngram, return_inverse=True)
    df = np.bincount(kind, weights=counts.referenced > 0)[kind] if len(kind) else np.zeros(0)
    return df.astype(np.float64), counts.pairs


def _similarity(counts: NgramCounts, df: Floats, reports: int) -> Floats:
    """[pairs]: clipped cosine of the weighted n-grams; 0 where a side has no weight."""
    weight = np.log(max(reports, 1)) - np.log(np.maximum(df, 1))
    predicted, referenced = counts.predicted * weight, counts.referenced * weight
    norm = np.sqrt(counts.per_pair(predicted**2) * counts.per_pair(referenced**2))
    return ratio(counts.per_pair(np.minimum(predicted, referenced) * referenced), norm)


def _added(ngrams: Ints, counts: Ints, further: Ints) -> tuple[Ints, Ints]:
    """Counts by ascending n-gram, and further n-grams that each count one."""
    merged, place = np.unique(np.concatenate([ngrams, further]), return_inverse=True)
    weights = np.concatenate([counts, np.ones(len(further), np.int64)])
    return merged, np.bincount(place, weights=weights, minlength=len(merged)).astype(np.int64)
