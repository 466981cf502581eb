"""ROUGE (Lin, 2004) in two variants with separate names, because they differ by several points on the same reports.

`ROUGE-L (coco)`: longest common subsequence of white-space separated words, F with beta 1.2, an empty text counts as
one empty word (coco-caption's rouge.py). `ROUGE-1/2/L (rouge-score)`: words are runs of [a-z0-9], F1 (Google's
rouge-score without stemmer). Both are means over the reports.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain

import numpy as np

from report_gen.metrics.measure import Floats, Measure, mean_measure, ratio
from report_gen.metrics.ngrams import count_words
from report_gen.metrics.pairs import Pairs

_BETA = 1.2
_WORD = re.compile(r"[a-z0-9]+")
_Words = Sequence[Sequence[str]]


def rouge_l_coco(pairs: Pairs) -> Measure:
    """Compute the recall-weighted ROUGE-L of coco-caption, 0 to 1."""
    predicted = [words or [""] for words in pairs.predicted_words]
    referenced = [words or [""] for words in pairs.reference_words]
    f_score = _f_score(_common(predicted, referenced), _lengths(predicted), _lengths(referenced), _BETA)
    return mean_measure(["ROUGE-L (coco)"], f_score[:, None], "beta1.2")


def rouge_score(pairs: Pairs) -> Measure:
    """Compute the F1 of ROUGE-1, ROUGE-2 and ROUGE-L of rouge-score, 0 to 1."""
    predicted, referenced = _find_words(pairs.predicted_words), _find_words(pairs.reference_words)
    predictions, references = _lengths(predicted), _lengths(referenced)
    columns = [
        _f_score(counts.matches(), np.maximum(predictions - n, 0), np.maximum(references - n, 0), 1.0)
        for n, counts in enumerate(count_words(predicted, referenced, 2))
    ]
    columns.append(_f_score(_common(predicted, referenced), predictions, references, 1.0))
    names = [f"ROUGE-{form} (rouge-score)" for form in ("1", "2", "L")]
    return mean_measure(names, np.column_stack(columns), "f1,nostem")


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest common subsequence of two texts, in words.

    The bits of `row` encode one row of the textbook table: a zero bit where the length grows. One addition carries
    through the whole row (Crochemore et al., Information Processing Letters 80, 2001; form of Hyyro, 2004).
    """
    positions: dict[str, int] = {}  # word -> bit set of its positions
    for position, word in enumerate(second):
        positions[word] = positions.get(word, 0) | 1 << position
    mask = row = (1 << len(second)) - 1
    for word in first:
        if word in positions:
            matched = row & positions[word]
            row = (row + matched | row - matched) & mask
    return len(second) - row.bit_count()


def _find_words(texts: _Words) -> list[list[str]]:
    """Return the words of rouge-score in texts that are split at white space. Each distinct word is searched once."""
    runs = {word: _WORD.findall(word.lower()) for word in set(chain.from_iterable(texts))}
    return [list(chain.from_iterable(map(runs.__getitem__, words))) for words in texts]


def _common(predicted: _Words, referenced: _Words) -> Floats:
    pairs = zip(predicted, referenced, strict=True)
    return np.array([common_subsequence(first, second) for first, second in pairs], dtype=np.float64)


def _lengths(texts: _Words) -> Floats:
    return np.array([len(words) for words in texts], dtype=np.float64)


def _f_score(common: Floats, predicted: Floats, referenced: Floats, beta: float) -> Floats:
    """Compute (1 + b2) P R / (R + b2 P) with P = common / predicted and R = common / referenced; 0 for no matches."""
    precision, recall = ratio(common, predicted), ratio(common, referenced)
    return ratio((1 + beta**2) * precision * recall, recall + beta**2 * precision)
