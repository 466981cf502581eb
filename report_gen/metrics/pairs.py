"""Predictions and references side by side, and what several measures need of them, computed once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from report_gen.metrics.ngrams import Ints, NgramCounts, count_words

NGRAM_ORDER = 4


class Pairs:
    """R predictions and their references, one each, already in the preset's form; words are apart by white space.

    Raises ValueError when there are not as many references as predictions.
    """

    def __init__(self, predictions: Sequence[str], references: Sequence[str]) -> None:
        if len(predictions) != len(references):
            raise ValueError(f"{len(predictions)} predictions for {len(references)} references")
        self.predictions = tuple(predictions)
        self.references = tuple(references)

    def __len__(self) -> int:
        return len(self.references)

    @cached_property
    def predicted_words(self) -> list[list[str]]:
        return [split_words(text) for text in self.predictions]

    @cached_property
    def reference_words(self) -> list[list[str]]:
        return [split_words(text) for text in self.references]

    @cached_property
    def predicted_lengths(self) -> Ints:
        return np.array([len(words) for words in self.predicted_words], dtype=np.int64)

    @cached_property
    def reference_lengths(self) -> Ints:
        return np.array([len(words) for words in self.reference_words], dtype=np.int64)

    @cached_property
    def ngrams(self) -> tuple[NgramCounts, ...]:
        """Word n-grams for n = 1..4."""
        return count_words(self.predicted_words, self.reference_words, NGRAM_ORDER)


def split_words(text: str) -> list[str]:
    """Words apart by white space. Equal words are one object, which keeps a hundred thousand reports in memory."""
    return list(map(sys.intern, text.split()))
