"""Which arithmetic is faster on this machine."""

from __future__ import annotations

import time

import torch

from .config import Recipe

_SIDE = 1024
_WORTH = 1.5
"""bf16 has to be this much faster, since it costs some exactness."""


def choose_precision(recipe: Recipe, device: torch.device) -> str:
    """`bf16` or `no`, in accelerate's words: the recipe's wish, or on `auto` what a matrix product measures."""
    if recipe.precision != "auto":
        return "bf16" if recipe.precision == "bf16" else "no"
    return "bf16" if _seconds(torch.float32, device) > _WORTH * _seconds(torch.bfloat16, device) else "no"


def _seconds(dtype: torch.dtype, device: torch.device) -> float:
    """Least of five products of 1024-cubes; the first warms up."""
    matrix = torch.ones(_SIDE, _SIDE, dtype=dtype, device=device)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        (matrix @ matrix).sum().item()
        times.append(time.perf_counter() - start)
    return min(times)
