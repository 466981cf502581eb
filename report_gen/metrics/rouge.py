"""ROUGE in its two current forms, named apart because they differ by several points on the same reports.

`ROUGE-L (coco)`: longest common subsequence of the words as they stand, F with beta 1.2, an empty text counts as one
empty word (coco-caption's rouge.py). `ROUGE-1/2/L (rouge-score)`: words are runs of [a-z0-9], F1 (Lin, 2004; Google's
rouge-score without stemmer). Both are means over the reports.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from report_gen.metrics.lcs import common_subsequence
from report_gen.metrics.measure import Floats, Measure, mean_measure, ratio
from report_gen.metrics.ngrams import count_words
from report_gen.metrics.pairs import Pairs, split_words

_BETA = 1.2
_NOT_A_WORD = re.compile(r"[^a-z0-9]+")
_Words = Sequence[Sequence[str]]


def rouge_l_coco(pairs: Pairs) -> Measure:
    """ROUGE-L, 0..1, recall-weighted."""
    predicted = [words or [""] for words in pairs.predicted_words]
    referenced = [words or [""] for words in pairs.reference_words]
    f_score = _f_score(_common(predicted, referenced), _lengths(predicted), _lengths(referenced), _BETA)
    return mean_measure(["ROUGE-L (coco)"], f_score[:, None], "beta1.2")


def rouge_score(pairs: Pairs) -> Measure:
    """ROUGE-1, ROUGE-2 and ROUGE-L, 0..1, balanced."""
    predicted = [split_words(_NOT_A_WORD.sub(" ", text.lower())) for text in pairs.predictions]
    referenced = [split_words(_NOT_A_WORD.sub(" ", text.lower())) for text in pairs.references]
    said, meant = _lengths(predicted), _lengths(referenced)
    columns = [
        _f_score(counts.matches(), np.maximum(said - n, 0), np.maximum(meant - n, 0), 1.0)
        for n, counts in enumerate(count_words(predicted, referenced, 2))
    ]
    columns.append(_f_score(_common(predicted, referenced), said, meant, 1.0))
    names = [f"ROUGE-{form} (rouge-score)" for form in ("1", "2", "L")]
    return mean_measure(names, np.column_stack(columns), "f1,nostem")


def _common(predicted: _Words, referenced: _Words) -> Floats:
    pairs = zip(predicted, referenced, strict=True)
    return np.array([common_subsequence(first, second) for first, second in pairs], dtype=np.float64)


def _lengths(texts: _Words) -> Floats:
    return np.array([len(words) for words in texts], dtype=np.float64)


def _f_score(common: Floats, predicted: Floats, referenced: Floats, beta: float) -> Floats:
    """(1 + b2) P R / (R + b2 P) with P = common / predicted and R = common / referenced; 0 for nothing in common."""
    precision, recall = ratio(common, predicted), ratio(common, referenced)
    return ratio((1 + beta**2) * precision * recall, recall + beta**2 * precision)
