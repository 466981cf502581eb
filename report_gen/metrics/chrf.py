"""chrF2 as sacrebleu computes it (Popovic, WMT 2015): character n-grams up to 6 without white space, beta 2."""

from __future__ import annotations

import numpy as np

from report_gen.metrics.measure import Floats, Measure, ratio
from report_gen.metrics.ngrams import count_characters
from report_gen.metrics.pairs import Pairs

_ORDER = 6
_BETA = 2
_BLOCK = 100
"""Pairs counted at a time. A report has about 300 characters, so counting all at once would take gigabytes."""


def chrf(pairs: Pairs) -> Measure:
    """Compute chrF2, 0 to 100."""
    predicted = ["".join(words) for words in pairs.predicted_words]
    referenced = ["".join(words) for words in pairs.reference_words]
    blocks = [
        _count(predicted[start : start + _BLOCK], referenced[start : start + _BLOCK])
        for start in range(0, len(pairs), _BLOCK)
    ]
    statistics = np.concatenate([np.zeros((0, 3 * _ORDER)), *blocks])
    return Measure(names=("chrF2",), statistics=statistics, finish=_finish, variant="nc:6,nw:0,space:no")


def _count(predicted: list[str], referenced: list[str]) -> Floats:
    """Count character n-grams per pair [pairs, 18]: for n = 1..6 those predicted, referenced and matched."""
    lengths = np.array([[len(text) for text in side] for side in (predicted, referenced)], dtype=np.float64)
    columns: list[Floats] = []
    for n, counts in enumerate(count_characters(predicted, referenced, _ORDER)):
        predictions, references = np.maximum(lengths - n, 0)
        # As in sacrebleu: if the reference has no n-gram of this order, those of the prediction are not counted.
        columns += [np.where(references > 0, predictions, 0), references, counts.matches()]
    return np.column_stack(columns)


def _finish(sums: Floats) -> Floats:
    predicted, referenced, matched = sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]
    counted = (predicted > 0) & (referenced > 0)
    orders = counted.sum(axis=-1, keepdims=True).astype(np.float64)
    precision = ratio(np.where(counted, ratio(matched, predicted), 0).sum(axis=-1, keepdims=True), orders)
    recall = ratio(np.where(counted, ratio(matched, referenced), 0).sum(axis=-1, keepdims=True), orders)
    return 100 * ratio((1 + _BETA**2) * precision * recall, _BETA**2 * precision + recall)
