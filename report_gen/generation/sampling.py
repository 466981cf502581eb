"""Sampling with one random generator per study, so that a draft does not depend on its batch or on threads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

from report_gen.generation.decoding import Decoding

_LIKELY = 16
"""Number of tokens that nearly always reach `top_p`. Finding them takes less time than sorting all tokens.

On a CPU, `topk(k)` takes about three times as long if k is more than 1/64 of the vocabulary, because it then does not
use a partial sort (`use_partial_sort` in `TopKImpl.h` of PyTorch).
"""
_TEMPERATURES = 1e-6, 1e6
"""Limits of the temperature. At the lower one the most probable token is selected, and at the upper one all allowed
tokens have nearly the same probability. A smaller temperature overflows the logits; one that is infinite in float32
turns logits of -inf into NaN."""


def study_generator(seed: int, *content: object) -> torch.Generator:
    """Return the random generator of one study.

    The generator is seeded with the first 8 bytes of the SHA-256 of `seed` and `content`. A study therefore draws the
    same numbers wherever it stands in a list or batch, and two studies draw different ones.

    Args:
        seed: `Decoding.seed`.
        content: What identifies the study, for example the SHA-256 of its images; converted to text.
    """
    digest = hashlib.sha256("\0".join(map(str, (seed, *content))).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))


class Sampler:
    """Samples one token per text.

    The generator of each text gives one uniform random number per token. `generate` of transformers draws from the
    global generator instead, which other texts of the batch and other threads also advance. The numbers are drawn on
    the CPU, so a seed gives the same numbers on every device.

    Args:
        decoding: Temperature and `top_p`, applied before a token is drawn.
        generators: One per text of the batch; None selects the most probable token. Texts may share one.
    """

    def __init__(self, decoding: Decoding, generators: Sequence[torch.Generator | None]) -> None:
        self._temperature = min(max(float(decoding.temperature), _TEMPERATURES[0]), _TEMPERATURES[1])
        self._top_p = float(decoding.top_p)
        self._texts = len(generators)
        self._texts_of: dict[torch.Generator, list[int]] = {}
        for text, generator in enumerate(generators):
            if generator is not None:
                self._texts_of.setdefault(generator, []).append(text)

    def __call__(self, logits: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """Return the sampled token ids [N].

        Args:
            logits: Logits [N,vocabulary] of the texts that have not ended.
            rows: Their N numbers in the batch.
        """
        probabilities = (logits / self._temperature).softmax(-1)
        return draw_tokens(probabilities, self._uniform_numbers(rows).to(logits.device), top_p=self._top_p)

    def _uniform_numbers(self, rows: Sequence[int]) -> torch.Tensor:
        """Return uniform random numbers [N] in 0..1, float64; 0 for texts without a generator.

        A generator that several texts share gives a number to each of them until the last one has ended. Which of the
        texts have ended therefore does not change the numbers of the others.
        """
        numbers = [0.0] * self._texts
        active = set(rows)
        for generator, texts in self._texts_of.items():
            if not active.isdisjoint(texts):
                drawn = torch.rand(len(texts), dtype=torch.float64, generator=generator).tolist()
                for text, number in zip(texts, drawn, strict=True):
                    numbers[text] = number
        return torch.tensor([numbers[row] for row in rows], dtype=torch.float64)


def draw_tokens(probabilities: torch.Tensor, uniform: torch.Tensor, *, top_p: float) -> torch.Tensor:
    """Sample one token per text among the most probable ones (nucleus sampling; Holtzman et al., ICLR 2020).

    The most probable tokens whose probabilities add up to `top_p` are kept, and at least one. The sample is that of the
    inverse cumulative distribution: the first kept token, in the order of descending probability, at which the
    cumulative probability exceeds the random number.

    Args:
        probabilities: [N,vocabulary].
        uniform: Random numbers [N], from 0 to below 1, float64; 0 selects the most probable token.
        top_p: Above 0 and at most 1.

    Returns:
        Token ids [N].
    """
    likely, tokens = probabilities.topk(min(_LIKELY, probabilities.shape[-1]))  # [N,16], descending
    drawn = _draw_in_order(likely, tokens, uniform, top_p)
    incomplete = likely.sum(-1) < top_p  # [N]
    if bool(incomplete.any()):
        ordered, tokens = probabilities[incomplete].sort(descending=True)
        drawn[incomplete] = _draw_in_order(ordered, tokens, uniform[incomplete], top_p)
    return drawn


def _draw_in_order(
    probabilities: torch.Tensor, tokens: torch.Tensor, uniform: torch.Tensor, top_p: float
) -> torch.Tensor:
    """Sample one token per text, see `draw_tokens`, from tokens [N,M] whose probabilities [N,M] are descending."""
    ordered = probabilities.double()
    cumulative = ordered.cumsum(-1)
    kept = cumulative - ordered < top_p  # the more probable ones do not reach `top_p`
    total = cumulative.masked_fill(~kept, 0).amax(-1)
    place = (cumulative <= (uniform * total)[:, None]).sum(-1).clamp(max=ordered.shape[-1] - 1)
    return tokens.gather(1, place[:, None]).squeeze(1)
