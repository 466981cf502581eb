"""The studies of each step when a corpus is read in shuffled passes, given by the seed and the step alone."""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def pass_indices(count: int, size: int, step: int, seed: int) -> torch.Tensor:
    """Return the indices [size] of the items of a step. Every item is drawn once in each pass over all items.

    Args:
        count: Number of items.
        size: Items per step.
        step: Number of the step, from 0.
        seed: Seed of the order.
    """
    positions = np.arange(step * size, (step + 1) * size)
    passes, places = positions // count, positions % count
    orders = {one: _order(count, draw_seed(seed, "pass", one)) for one in set(passes.tolist())}
    return torch.stack([orders[one][place] for one, place in zip(passes.tolist(), places.tolist(), strict=True)])


def draw_seed(*parts: object) -> int:
    """Return the seed that belongs to these parts, such as a seed and the number of an image."""
    digest = hashlib.sha256(" ".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _order(count: int, seed: int) -> torch.Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))
