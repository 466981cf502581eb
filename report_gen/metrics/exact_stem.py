"""Unigram F of equal words and stems: METEOR as it was in 2005 (Banerjee and Lavie, ACL workshop), without synonyms.

For machines without Java. It is far from METEOR 1.5, so it goes by another name: F = 10 P R / (R + 9 P), lowered by
half the cube of chunks per match. Words are paired from the end, as nltk does; published METEOR figures do not compare.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import snowballstemmer  # type: ignore[import-untyped]

from report_gen.metrics.measure import Measure, mean_measure
from report_gen.metrics.pairs import Pairs

_STEMMER = snowballstemmer.stemmer("english")


def exact_stem(pairs: Pairs) -> Measure:
    """Mean over the reports, 0..1."""
    scores = [_score(*words) for words in zip(pairs.predicted_words, pairs.reference_words, strict=True)]
    return mean_measure(["exact+stem F"], np.array(scores, dtype=np.float64)[:, None], "meteor2005,nosynonyms")


@lru_cache(maxsize=2**16)
def stem(word: str) -> str:
    """The word's stem by the Snowball rules for English."""
    return str(_STEMMER.stemWord(word))


def _score(predicted: Sequence[str], referenced: Sequence[str]) -> float:
    matches = sorted(_align([word.lower() for word in predicted], [word.lower() for word in referenced]).items())
    if not matches:
        return 0.0
    precision, recall = len(matches) / len(predicted), len(matches) / len(referenced)
    follows = sum((here + 1, there + 1) == following for (here, there), following in pairwise(matches))
    chunks = len(matches) - follows
    return 10 * precision * recall / (recall + 9 * precision) * (1 - 0.5 * (chunks / len(matches)) ** 3)


def _align(predicted: Sequence[str], referenced: Sequence[str]) -> dict[int, int]:
    """Places in the prediction and the places in the reference that they are paired with: equal words, then stems."""
    paired: dict[int, int] = {}
    _pair(predicted, referenced, paired)
    _pair([stem(word) for word in predicted], [stem(word) for word in referenced], paired)
    return paired


def _pair(predicted: Sequence[str], referenced: Sequence[str], paired: dict[int, int]) -> None:
    """Give each prediction word not yet paired, from the last on, the last free place of the same word."""
    taken = set(paired.values())
    free: defaultdict[str, list[int]] = defaultdict(list)
    for place, word in enumerate(referenced):
        if place not in taken:
            free[word].append(place)
    for place in reversed(range(len(predicted))):
        if place not in paired and free[predicted[place]]:
            paired[place] = free[predicted[place]].pop()
