"""Write pooled image features as decimal numbers, for the conditioning `numbers`.

This is the simplest way to condition a language model on images, kept as a baseline to measure the others against. A
number takes about six tokens and has two decimals, while one visual token represents hundreds of features. Pooling
discards positions in the image. Digits are discrete, so no gradient passes from the text to the image encoder and the
projector, which learn from the finding head alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from report_gen.errors import CheckpointError
from report_gen.tokenizer import PAD_ID

Encode = Callable[[str], Sequence[int]]
"""Converts a text to token ids, as `ReportTokenizer.encode` does."""

_LARGEST = 9.99
"""Numbers are clamped to this absolute value, so that each has one digit before its point."""
_EXAMPLES = 100
"""Lines that a vocabulary is learned from."""


class FeatureNumbers:
    """Converts the patch features of a study to the token ids of one line of numbers.

    Features are averaged over views and patches, then over groups of neighboring channels. The numbers of a study are
    standardized to mean 0 and standard deviation 1, so that two decimals distinguish images whatever the scale of the
    encoder is.

    Args:
        channels: Width D_img of the patch features.
        numbers: Numbers per study, each the mean of one group of channels.
        decimals: Digits after the point.
        encode: Tokenizer; None if the model is only built, not used.

    Raises:
        CheckpointError: There are fewer channels than numbers.
    """

    def __init__(self, *, channels: int, numbers: int, decimals: int, encode: Encode | None) -> None:
        if numbers > channels:
            raise CheckpointError(
                f"the encoder has {channels} channels, too few for {numbers} numbers; lower projector.numbers"
            )
        self._numbers, self._decimals, self._encode = numbers, decimals, encode

    def __call__(self, patch_features: torch.Tensor, view_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the token ids [B,K] of the line of each study, padded at the end, and their mask [B,K] bool.

        Args:
            patch_features: [B,V,N,D_img], with view_mask [B,V] bool.
        """
        numbers = self.pool(patch_features, view_mask)  # [B,numbers]
        lines = [torch.tensor(self._encode_line(row)) for row in numbers.tolist()]
        ids = pad_sequence(lines, batch_first=True, padding_value=PAD_ID).to(patch_features.device)
        return ids, ids != PAD_ID

    @torch.no_grad()
    def pool(self, patch_features: torch.Tensor, view_mask: torch.Tensor) -> torch.Tensor:
        """Return the numbers [B,numbers] in float32.

        Args:
            patch_features: [B,V,N,D_img], with view_mask [B,V] bool.
        """
        views = patch_features.float().mean(2)  # [B,V,D_img]
        present = view_mask.unsqueeze(-1)
        pooled = (views * present).sum(1) / present.sum(1)  # [B,D_img]
        grouped = F.adaptive_avg_pool1d(pooled, self._numbers)
        return F.layer_norm(grouped, (self._numbers,)).clamp(-_LARGEST, _LARGEST)

    @property
    def longest(self) -> int:
        """Number of tokens K of the longest possible line; 0 without a tokenizer.

        A tokenizer may have tokens of several digits, so all numbers of two decimals are tried; further decimals take
        at most one token each. The other numbers of a line do not change the tokens of a number.
        """
        if self._encode is None:
            return 0
        decimals = min(self._decimals, 2)
        count = 10 ** (decimals + 1)
        values = [min(max(n / count * 10, -_LARGEST), _LARGEST) for n in range(-count, count + 1)]
        first, second = (
            [len(self._encode(write_line([*before, value], decimals))) for value in values]
            for before in ((), values[:1])
        )
        longest = max(first) + (self._numbers - 1) * (max(second) - first[0])
        return longest + self._numbers * (self._decimals - decimals)

    def _encode_line(self, numbers: Sequence[float]) -> list[int]:
        if self._encode is None:
            raise CheckpointError("conditioning 'numbers' needs a tokenizer; pass `encode` to the model")
        return list(self._encode(write_line(numbers, self._decimals)))


def write_line(numbers: Sequence[float], decimals: int) -> str:
    """Return the line of numbers that precedes the prompt."""
    rounded = (round(number, decimals) + 0.0 for number in numbers)  # adding 0 removes the sign of a negative zero
    return f"The features of the image are: {', '.join(f'{number:.{decimals}f}' for number in rounded)}."


def example_lines(numbers: int, decimals: int) -> Iterator[str]:
    """Return lines of random numbers from which a vocabulary learns their spelling; always the same lines."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(_EXAMPLES):
        yield write_line(torch.randn(numbers, generator=generator).tolist(), decimals)
