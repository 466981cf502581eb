"""Paired predictions and references, with words and n-grams that several metrics share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from report_gen.metrics.ngrams import Ints, NgramCounts, count_words

NGRAM_ORDER = 4


class Pairs:
    """R predictions and their references in the preset's form, words separated by white space.

    Words, lengths and n-grams are computed on first use.
    """

    def __init__(self, predictions: Sequence[str], references: Sequence[str]) -> None:
        """Pair predictions with references of the same order.

        Raises:
            ValueError: The numbers of predictions and references differ.
        """
        if len(predictions) != len(references):
            raise ValueError(f"{len(predictions)} predictions for {len(references)} references; give one for each")
        self.predictions = tuple(predictions)
        self.references = tuple(references)

    def __len__(self) -> int:
        return len(self.references)

    @cached_property
    def predicted_words(self) -> list[list[str]]:
        """The words of each prediction."""
        return [split_words(text) for text in self.predictions]

    @cached_property
    def reference_words(self) -> list[list[str]]:
        """The words of each reference."""
        return [split_words(text) for text in self.references]

    @cached_property
    def predicted_lengths(self) -> Ints:
        """[R]: the number of words of each prediction."""
        return np.array([len(words) for words in self.predicted_words], dtype=np.int64)

    @cached_property
    def reference_lengths(self) -> Ints:
        """[R]: the number of words of each reference."""
        return np.array([len(words) for words in self.reference_words], dtype=np.int64)

    @cached_property
    def ngrams(self) -> tuple[NgramCounts, ...]:
        """The word n-grams for n = 1..4."""
        return count_words(self.predicted_words, self.reference_words, NGRAM_ORDER)


def split_words(text: str) -> list[str]:
    """Split a text at white space. Words are interned, so that a hundred thousand reports fit into memory."""
    return list(map(sys.intern, text.split()))
