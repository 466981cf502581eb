"""Near duplicates among many: locality-sensitive hashing by bands, in arrays, so that a million items fit in memory.

Items that agree in all of one band are candidates (Indyk and Motwani, STOC 1998). Sorted by a band, and within it by
the next, each candidate is held against the few that follow it (Hernandez and Stolfo, SIGMOD 1995) and not against all:
time and memory grow with the number of items rather than of pairs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Places = NDArray[np.intp]
Alike = Callable[[Places, Places], NDArray[np.bool_]]

_WINDOW = 8
_AT_ONCE = 65_536


def find_duplicate_clusters(keys: NDArray[np.unsignedinteger], alike: Alike) -> Places:
    """The number [N] of the family of each of N items; an item without a near duplicate is a family of its own.

    A chain of near duplicates is one family, though its ends may differ by more.

    Args:
        keys: [N,B] of each item in each of B bands.
        alike: Whether items are near duplicates, pair by pair: two arrays of M places to M answers.
    """
    items, bands = keys.shape
    clusters = np.arange(items)
    for band in range(bands):
        key, next_key = keys[:, band], keys[:, (band + 1) % bands]
        order = np.lexsort((next_key, key))
        for step in range(1, min(_WINDOW, items - 1) + 1):
            left, right = order[:-step], order[step:]
            candidates = (key[left] == key[right]) & (clusters[left] != clusters[right])
            left, right = left[candidates], right[candidates]
            clusters = _join(clusters, *_select(left, right, alike))
    return clusters


def _select(left: Places, right: Places, alike: Alike) -> tuple[Places, Places]:
    starts = range(0, len(left), _AT_ONCE)
    near = [alike(*(side[start : start + _AT_ONCE] for side in (left, right))) for start in starts]
    kept = np.concatenate(near) if near else np.zeros(0, dtype=np.bool_)
    return left[kept], right[kept]


def _join(clusters: Places, left: Places, right: Places) -> Places:
    if not len(left):
        return clusters
    size = len(clusters)
    edges = coo_array((np.ones(len(left), dtype=np.bool_), (clusters[left], clusters[right])), shape=(size, size))
    _, joined = connected_components(edges, directed=False)
    return np.asarray(joined, dtype=np.intp)[clusters]
