"""Matrices that interpolate samples on a line, and average them where the result is coarser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from report_gen.imaging.slice_geometry import Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def interpolation_matrix(nodes: Floats, centers: Floats, *, spacing: float, margin: float = 0.0) -> csr_array:
    """Return the matrix [M,N] that takes samples at N places to M other places of a line.

    The samples are interpolated linearly. If `spacing`, the distance between the results, exceeds the median distance d
    of the samples, the interpolated line is averaged over a length of sqrt(spacing**2 - d**2) around each place. With
    the length d that a sample stands for, this is the variance of a box of the length `spacing`, so that structures
    that the results cannot show are averaged (anti-aliasing), and nothing changes abruptly at equal distances.

    Args:
        nodes: [N], places of the samples, ascending, N >= 2 unless all results are at the one place.
        centers: [M], places of the results.
        spacing: Distance of the results.
        margin: Distance beyond the first and the last sample to which these stand for the line.

    Returns:
        Weights whose rows sum to 1, or to 0 if a place is outside.
    """
    from scipy.sparse import csr_array  # only volumes need it, and it takes a third of a second

    if len(nodes) == 1:
        inside = np.abs(centers - nodes[0]) <= max(margin, 1e-6)
        return csr_array(inside[:, None].astype(np.float32))
    tolerance = margin + 1e-6 * float(nodes[-1] - nodes[0])
    inside = (centers >= nodes[0] - tolerance) & (centers <= nodes[-1] + tolerance)
    places = centers.clip(nodes[0], nodes[-1])
    distance = float(np.median(np.diff(nodes)))
    if spacing > distance:
        half = np.sqrt(spacing**2 - distance**2) / 2
        rows, columns, weights = _mean_weights(
            nodes, np.stack([places - half, places + half]).clip(nodes[0], nodes[-1])
        )
    else:
        rows, columns, weights = _linear_weights(nodes, places)
    shape = (len(centers), len(nodes))
    return csr_array(((weights * inside[rows]).astype(np.float32), (rows, columns)), shape=shape)


_Weights = tuple[NDArray[np.int64], NDArray[np.int64], Floats]
"""Row, column and weight of each entry of a matrix."""


def _linear_weights(nodes: Floats, places: Floats) -> _Weights:
    """Return the weights of the two nodes around each place."""
    left = np.searchsorted(nodes, places, side="right").clip(1, len(nodes) - 1) - 1
    fraction = (places - nodes[left]) / (nodes[left + 1] - nodes[left])
    rows = np.arange(len(places))
    return np.tile(rows, 2), np.concatenate([left, left + 1]), np.concatenate([1 - fraction, fraction])


def _mean_weights(nodes: Floats, ends: Floats) -> _Weights:
    """Return the weights of the mean of the interpolated line between two ends [2,M], by integrating its pieces."""
    first, last = (np.searchsorted(nodes, end, side="right").clip(1, len(nodes) - 1) - 1 for end in ends)
    pieces = first[:, None] + np.arange((last - first).max() + 1)  # [M,K]
    rows = np.broadcast_to(np.arange(ends.shape[1])[:, None], pieces.shape)
    is_piece = pieces <= last[:, None]
    rows, pieces = rows[is_piece], pieces[is_piece]
    start, length = nodes[pieces], nodes[pieces + 1] - nodes[pieces]
    low = np.maximum(ends[0][rows], start) - start
    high = np.minimum(ends[1][rows], start + length) - start
    right = (high**2 - low**2) / (2 * length)
    left = high - low - right
    total = (ends[1] - ends[0])[rows]
    return np.tile(rows, 2), np.concatenate([pieces, pieces + 1]), np.concatenate([left, right]) / np.tile(total, 2)
