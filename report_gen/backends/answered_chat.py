"""A chat with its answer, as a model gets it in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

IGNORED_LABEL = -100
"""Label of a position whose next token is not learned."""


@dataclass(frozen=True, kw_only=True)
class AnsweredChat:
    """Inputs of a model for one chat with its answer, L positions, and what it should predict at each of them."""

    sequences: Mapping[str, torch.Tensor]
    """Inputs with a value per position [L], such as input_ids and attention_mask, by the names of the model."""
    images: Mapping[str, torch.Tensor]
    """Other inputs, such as pixel_values, with the batch as their first axis."""
    labels: torch.Tensor
    """[L] token that follows each position, if it belongs to the answer; else `IGNORED_LABEL`."""
