"""Confidence of sentences from the probabilities that the model gave to their tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from report_gen.model import ReportModel

_SMALLEST = 1e-12
"""Probabilities are raised to this value, so that their logarithm exists."""


@torch.inference_mode()
def token_probabilities(
    model: ReportModel,
    *,
    visual_tokens: torch.Tensor,
    visual_mask: torch.Tensor,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    token_ids: torch.Tensor,
) -> torch.Tensor:
    """Return the probability [B,R] that the model gives to each generated token.

    One forward pass over the whole text gives the probabilities of the model itself, whatever method, temperature or
    `top_p` chose the tokens.

    Args:
        visual_tokens: [B,K,D_txt], with visual_mask [B,K].
        input_ids: Prompt and begin token [B,P], padded on the left, with attention_mask [B,P].
        token_ids: Generated tokens [B,R].
    """
    text = torch.cat([input_ids, token_ids], dim=1)  # [B,P+R]
    mask = torch.cat([attention_mask, attention_mask.new_ones(token_ids.shape)], dim=1)
    logits = model.decoder(visual_tokens, visual_mask, text, mask)
    # The logits at position t predict the token at t + 1: the last prompt position predicts the first report token.
    predicting = logits[:, input_ids.shape[1] - 1 : -1].float()  # [B,R,vocabulary]
    probabilities: torch.Tensor = predicting.softmax(-1).gather(-1, token_ids.unsqueeze(-1)).squeeze(-1)
    return probabilities


def geometric_mean(probabilities: Sequence[float]) -> float | None:
    """Return the geometric mean of probabilities, 0..1, or None for an empty sequence."""
    if not probabilities:
        return None
    return math.exp(sum(math.log(max(probability, _SMALLEST)) for probability in probabilities) / len(probabilities))
