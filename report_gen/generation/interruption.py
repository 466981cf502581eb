"""Let a caller interrupt the generation of texts, for example at a time limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList


def call_before_token(function: Callable[[], None] | None) -> StoppingCriteriaList:
    """Return stopping criteria that call a function before each further token, and stop no text.

    `max_time` of transformers' `generate` would cut the texts of all rows at the limit, and a caller could not
    distinguish them from complete texts. An error that the function raises ends the call of `generate` instead.
    """
    return StoppingCriteriaList([] if function is None else [_CallBeforeToken(function)])


class _CallBeforeToken(StoppingCriteria):  # type: ignore[misc]  # transformers is not typed
    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor | None, **_: Any) -> torch.Tensor:
        """Return whether each row is finished [rows]: never."""
        self._function()
        return input_ids.new_zeros(len(input_ids), dtype=torch.bool)
