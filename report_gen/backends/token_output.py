"""Read the output of `generate` of transformers: new tokens, their probabilities, and their positions in the text."""

from __future__ import annotations

import os
from typing import Any

import torch


def new_tokens(output: Any) -> tuple[list[list[int]], list[list[float]]]:
    """Return the generated token ids [N,T] and the probability of each in the distribution of the model.

    Args:
        output: Output of `generate` with logits.
    """
    beams = output.get("beam_indices")  # [N,T], -1 after the end; row of the logits that a token was chosen from
    length = len(output.logits) if beams is None else beams.shape[1]
    token_ids = output.sequences[:, output.sequences.shape[1] - length :]
    if beams is None:
        beams = torch.arange(len(token_ids), device=token_ids.device)[:, None].expand(-1, length)
    probabilities = [
        logits.float().softmax(-1)[rows.clamp(min=0), tokens]  # [N]
        for logits, rows, tokens in zip(output.logits, beams.T, token_ids.T, strict=False)
    ]
    return token_ids.tolist(), torch.stack(probabilities, dim=1).tolist()


def decode(token_ids: list[int], tokenizer: Any) -> tuple[str, tuple[int, ...]]:
    """Return the text without special tokens, and the position in it after each token.

    A token that ends within a character, as a byte-level BPE has them, ends before the character. The time grows with
    the square of the length: 0.05 s for 512 tokens, 3 s for 4,096.
    """

    def text_of(count: int) -> str:
        return str(tokenizer.decode(token_ids[:count], skip_special_tokens=True, clean_up_tokenization_spaces=False))

    text = text_of(len(token_ids))
    ends, end = [], 0
    for count in range(1, len(token_ids) + 1):
        end = max(end, len(os.path.commonprefix([text, text_of(count)])))  # noqa: RUF071 - characters
        ends.append(end)
    return text, tuple(ends)
