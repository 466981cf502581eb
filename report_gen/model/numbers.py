"""The naive way to condition a language model on images: their features, written out as numbers in its prompt.

It is here to be compared with. A number costs about six tokens, and says with two decimals what one visual token says
of hundreds of features. Where in the image something lies is lost to the pooling. And since digits are chosen, not
computed, no gradient passes from the text to what saw the images: encoder and projector learn from the finding head
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from report_gen.errors import CheckpointError
from report_gen.tokenizer import PAD_ID

Encode = Callable[[str], Sequence[int]]
"""Text to token ids, as `ReportTokenizer.encode` does it."""

_LARGEST = 9.99
"""What is farther from 0 is cut: every number has one digit before its point."""
_EXAMPLES = 100


class NumberWriter:
    """Patch features of a study to the token ids of one line of numbers.

    Features are averaged over views and patches, then over groups of neighbouring channels; the numbers of a study are
    shifted and scaled to mean 0 and deviation 1, so that two decimals tell images apart whatever the encoder's scale.

    Args:
        channels: D_img.
        numbers: how many are written, of so many groups of channels.
        decimals: behind their point.
        encode: the tokenizer's; without it nothing can be written.

    Raises:
        CheckpointError: there are fewer channels than numbers.
    """

    def __init__(self, *, channels: int, numbers: int, decimals: int, encode: Encode | None) -> None:
        if numbers > channels:
            raise CheckpointError(
                f"the encoder has {channels} channels, which make no {numbers} numbers; lower projector.numbers"
            )
        self._numbers, self._decimals, self._encode = numbers, decimals, encode

    def __call__(self, patch_features: torch.Tensor, view_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids [B,K] of the line of each study, padded at the end, and their mask [B,K] bool.

        Args:
            patch_features: [B,V,N,D_img], with view_mask [B,V] bool.
        """
        numbers = self.pool(patch_features, view_mask)  # [B,numbers]
        lines = [torch.tensor(self._spell(write_line(row, self._decimals))) for row in numbers.tolist()]
        ids = pad_sequence(lines, batch_first=True, padding_value=PAD_ID).to(patch_features.device)
        return ids, ids != PAD_ID

    @torch.no_grad()
    def pool(self, patch_features: torch.Tensor, view_mask: torch.Tensor) -> torch.Tensor:
        """The numbers themselves [B,numbers], float32."""
        views = patch_features.float().mean(2)  # [B,V,D_img]
        there = view_mask.unsqueeze(-1)
        pooled = (views * there).sum(1) / there.sum(1)  # [B,D_img]
        grouped = F.adaptive_avg_pool1d(pooled, self._numbers)
        return F.layer_norm(grouped, (self._numbers,)).clamp(-_LARGEST, _LARGEST)

    @property
    def longest(self) -> int:
        """Tokens K of the longest line there can be; 0 without a tokenizer. Digits are pieces of their own."""
        if self._encode is None:
            return 0
        return max(len(self._spell(write_line([number] * self._numbers, self._decimals))) for number in (8.0, -8.0))

    def _spell(self, line: str) -> list[int]:
        if self._encode is None:
            raise CheckpointError("a model that reads numbers needs its tokenizer; build it with `encode`")
        return list(self._encode(line))


def write_line(numbers: Sequence[float], decimals: int) -> str:
    """The line that stands before the prompt."""
    rounded = (round(number, decimals) + 0.0 for number in numbers)  # adding 0 takes the sign from a negative one
    return f"The features of the image are: {', '.join(f'{number:.{decimals}f}' for number in rounded)}."


def example_lines(numbers: int, decimals: int) -> Iterator[str]:
    """Lines of random numbers, for a vocabulary to learn their spelling; the same every time."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(_EXAMPLES):
        yield write_line(torch.randn(numbers, generator=generator).tolist(), decimals)
