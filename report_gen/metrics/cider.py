"""CIDEr-D with one reference per report (Vedantam et al., CVPR 2015), as coco-caption's cider_scorer.py.

The weight of an n-gram is term frequency x (log R - log df), where df is the number of the R references that contain
it: an n-gram of every report has weight 0. A report scores 10 x the mean over n = 1..4 of the clipped cosine, times a
Gaussian of the difference in length. Because df comes from the references, scores of different test sets are not
comparable. Bootstrap draws keep the df of the full set. A single report can only be scored with the df of other
reports, such as those of the training split.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np

from report_gen.metrics.measure import Floats, Measure, mean_measure, ratio
from report_gen.metrics.ngrams import MULTIPLIER, Ints, NgramCounts, hash_words
from report_gen.metrics.pairs import NGRAM_ORDER, Pairs, split_words

_SIGMA = 6.0
_SLOT_BITS = 22
"""Logarithm of the number of slots of the hash table of n-grams, 32 MB."""
_BLOCK = 20_000
"""Reports in memory at a time when document frequencies are counted."""


@dataclass(frozen=True)
class DocumentFrequencies:
    """The number of reports that contain each n-gram."""

    reports: int
    """Number of reports counted."""
    ngrams: tuple[Ints, ...]
    """For n = 1..4 the ascending hashes of `hash_words`. N-grams of one report are left out: df 1 weighs like df 0."""
    counts: tuple[Ints, ...]
    """For n = 1..4 the number of reports that contain each n-gram."""

    def lookup(self, order: int, ngrams: Ints) -> Floats:
        """Return the document frequencies [rows] of the n-grams of an order with these hashes [rows]."""
        known, counts = self.ngrams[order - 1], self.counts[order - 1]
        if not len(known):
            return np.zeros(len(ngrams))
        index = np.minimum(np.searchsorted(known, ngrams), len(known) - 1)
        return np.where(known[index] == ngrams, counts[index], 0).astype(np.float64)


def document_frequencies(reports: Iterable[str]) -> DocumentFrequencies:
    """Count document frequencies of n-grams in reports whose words are separated by white space."""
    total, counted = 0, [(np.zeros(0, np.int64), np.zeros(0, np.int64))] * NGRAM_ORDER
    texts = iter(reports)
    while words := [split_words(text) for text in islice(texts, _BLOCK)]:
        total += len(words)
        block = hash_words([[]] * len(words), words, NGRAM_ORDER)
        counted = [_add(*known, one.ngram) for known, one in zip(counted, block, strict=True)]
    kept = [(ngrams[counts > 1], counts[counts > 1]) for ngrams, counts in counted]
    return DocumentFrequencies(total, tuple(ngrams for ngrams, _ in kept), tuple(counts for _, counts in kept))


def cider_d(pairs: Pairs, frequencies: DocumentFrequencies | None = None) -> Measure:
    """Compute CIDEr-D, 0 to 10, with the document frequencies of the references or with given ones."""
    if frequencies is None:
        origin = "references"
        similarities = [_similarity(counts, *_reference_frequencies(counts)) for counts in pairs.ngrams]
    else:
        hashed = hash_words(pairs.predicted_words, pairs.reference_words, NGRAM_ORDER)
        similarities = [
            _similarity(counts, frequencies.lookup(order, counts.ngram), frequencies.reports)
            for order, counts in enumerate(hashed, start=1)
        ]
        origin = f"{frequencies.reports} reports"
    # coco-caption uses the number of bigrams as the length.
    difference = np.maximum(pairs.predicted_lengths - 1, 0) - np.maximum(pairs.reference_lengths - 1, 0)
    penalty = np.exp(-(difference**2) / (2 * _SIGMA**2))
    scores = 10 * np.mean(similarities, axis=0) * penalty
    return mean_measure(["CIDEr-D"], scores[:, None], f"sigma6,df:{origin}")


def _reference_frequencies(counts: NgramCounts) -> tuple[Floats, int]:
    """Return the document frequencies [rows] in the references, and the number of references.

    Sorting millions of n-grams is slow. Each slot of a hash table therefore belongs to the last n-gram that was written
    to it, and only the n-grams whose slot belongs to another one are sorted.
    """
    in_reference = counts.referenced > 0
    slot = (counts.ngram.astype(np.uint64) * MULTIPLIER >> np.uint64(64 - _SLOT_BITS)).astype(np.int64)
    owner = np.zeros(2**_SLOT_BITS, dtype=counts.ngram.dtype)
    owner[slot] = counts.ngram
    others = np.flatnonzero(owner[slot] != counts.ngram)
    owned = in_reference.copy()
    owned[others] = False
    df = np.bincount(slot, weights=owned, minlength=len(owner))[slot]
    if len(others):
        _, kind = np.unique(counts.ngram[others], return_inverse=True)
        df[others] = np.bincount(kind, weights=in_reference[others])[kind]
    return df.astype(np.float64, copy=False), counts.pairs


def _similarity(counts: NgramCounts, df: Floats, reports: int) -> Floats:
    """Compute the clipped cosine [pairs] of the weighted n-grams; 0 where one side has no weight."""
    weight = np.log(max(reports, 1)) - np.log(np.maximum(df, 1))
    predicted, referenced = counts.predicted * weight, counts.referenced * weight
    norm = np.sqrt(counts.per_pair(predicted**2) * counts.per_pair(referenced**2))
    return ratio(counts.per_pair(np.minimum(predicted, referenced) * referenced), norm)


def _add(ngrams: Ints, counts: Ints, more: Ints) -> tuple[Ints, Ints]:
    """Add n-grams that count 1 each to counts by ascending n-gram."""
    merged, index = np.unique(np.concatenate([ngrams, more]), return_inverse=True)
    weights = np.concatenate([counts, np.ones(len(more), np.int64)])
    return merged, np.bincount(index, weights=weights, minlength=len(merged)).astype(np.int64)
