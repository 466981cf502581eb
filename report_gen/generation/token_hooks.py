"""Functions that `generate` of transformers calls at each token: sampling by a `Sampler`, and a check of time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from transformers import LogitsProcessor, StoppingCriteria

from report_gen.generation.sampling import Sampler


class SampleTokens(LogitsProcessor):  # type: ignore[misc]  # transformers is not typed
    """Leaves one token per text, drawn by a `Sampler`, so that transformers' own choice is fixed."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores [N,vocabulary] that are 0 for the drawn token and -inf for every other one."""
        chosen = self._sampler(scores, range(len(scores)))
        return torch.full_like(scores, -math.inf).scatter_(1, chosen[:, None], 0.0)


class CallBeforeToken(StoppingCriteria):  # type: ignore[misc]  # transformers is not typed
    """Calls a function before each further token, and stops no text.

    `max_time` of transformers' `generate` would cut the texts of all rows at the limit, and a caller could not
    distinguish them from complete texts. An error that the function raises ends the call of `generate` instead.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor | None, **_: Any) -> torch.Tensor:
        """Return whether each text has ended [N]: never."""
        self._function()
        return input_ids.new_zeros(len(input_ids), dtype=torch.bool)
