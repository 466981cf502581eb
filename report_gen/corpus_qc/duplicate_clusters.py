"""Find clusters of similar items by locality-sensitive hashing, in arrays, so that a million items fit in memory.

Items with equal keys in one band are candidates (Indyk and Motwani, STOC 1998). The items are sorted by the key of a
band, and among equal keys by the next band. Each candidate is compared with the few that follow it (Hernandez and
Stolfo, SIGMOD 1995) and not with all, so that time and memory grow with the number of items and not of pairs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Indices = NDArray[np.intp]
SimilarityTest = Callable[[Indices, Indices], NDArray[np.bool_]]

_WINDOW = 8
"""Number of following candidates that a candidate is compared with."""
_CHUNK = 65_536
"""Number of pairs that are compared at once."""


def find_duplicate_clusters(keys: NDArray[np.unsignedinteger], are_similar: SimilarityTest) -> Indices:
    """Return the cluster number [N] of each of N items; an item without a similar one is a cluster of its own.

    Similarity is transitive here: the ends of a chain of similar items are in one cluster.

    Args:
        keys: Keys [N,B] of the items in B bands.
        are_similar: Compares M pairs, given as two arrays of M item numbers, and returns M booleans.
    """
    items, bands = keys.shape
    clusters = np.arange(items)
    for band in range(bands):
        key, next_key = keys[:, band], keys[:, (band + 1) % bands]
        order = np.lexsort((next_key, key))
        for step in range(1, min(_WINDOW, items - 1) + 1):
            left, right = order[:-step], order[step:]
            candidates = (key[left] == key[right]) & (clusters[left] != clusters[right])
            clusters = _join(clusters, *_select_similar(left[candidates], right[candidates], are_similar))
    return clusters


def _select_similar(left: Indices, right: Indices, are_similar: SimilarityTest) -> tuple[Indices, Indices]:
    starts = range(0, len(left), _CHUNK)
    chunks = [are_similar(*(side[start : start + _CHUNK] for side in (left, right))) for start in starts]
    similar = np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.bool_)
    return left[similar], right[similar]


def _join(clusters: Indices, left: Indices, right: Indices) -> Indices:
    """Merge the clusters of each pair of items."""
    if not len(left):
        return clusters
    size = len(clusters)
    edges = coo_array((np.ones(len(left), dtype=np.bool_), (clusters[left], clusters[right])), shape=(size, size))
    _, joined = connected_components(edges, directed=False)
    return np.asarray(joined, dtype=np.intp)[clusters]
