"""Sampling with one random generator per study, so that a draft does not depend on its batch or on threads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

from report_gen.generation.decoding import Decoding

_LIKELY = 64
"""Number of tokens that nearly always reach `top_p`. They are found faster than all tokens are sorted."""
_LEAST_TEMPERATURE = 1e-6
"""Temperature that takes the most probable token; with a lower one the logits would overflow."""


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
    """Chooses tokens at random.

    Each text has a uniform random number per token, from its own generator. `generate` of transformers draws from the
    global generator instead, which neighbors in the batch and other threads also advance. The numbers are drawn on the
    CPU, so a seed means the same on every device.

    Args:
        decoding: Temperature and `top_p`, applied before a token is drawn.
        generators: One per text of the batch; None takes the most probable token. Texts may share one.
    """

    def __init__(self, decoding: Decoding, generators: Sequence[torch.Generator | None]) -> None:
        self._temperature = max(float(decoding.temperature), _LEAST_TEMPERATURE)
        self._top_p = float(decoding.top_p)
        self._texts = len(generators)
        self._drawn: dict[torch.Generator, list[int]] = {}
        """The texts of each generator."""
        for text, generator in enumerate(generators):
            if generator is not None:
                self._drawn.setdefault(generator, []).append(text)

    def __call__(self, logits: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """Return tokens [N].

        Args:
            logits: Logits [N,vocabulary] of the texts that have not ended.
            rows: Their N numbers in the batch.
        """
        probabilities = (logits / self._temperature).softmax(-1)
        return draw_tokens(probabilities, self._uniform_numbers(rows).to(logits.device), top_p=self._top_p)

    def _uniform_numbers(self, rows: Sequence[int]) -> torch.Tensor:
        """Return N uniform random numbers, 0 for texts without a generator.

        Texts that have ended draw as long as one that shares their generator goes on: whether a text has ended does not
        change what the next one of its study draws.
        """
        numbers = torch.zeros(self._texts, dtype=torch.float64)
        active = set(rows)
        for generator, texts in self._drawn.items():
            if not active.isdisjoint(texts):
                numbers[texts] = torch.rand(len(texts), dtype=torch.float64, generator=generator)
        return numbers[list(rows)]


def draw_tokens(probabilities: torch.Tensor, uniform: torch.Tensor, *, top_p: float) -> torch.Tensor:
    """Draw one of the most probable tokens of each text (nucleus sampling; Holtzman et al., ICLR 2020).

    The most probable tokens are kept whose probabilities add up to `top_p`, and at least one. In the order of
    descending probability, the token is drawn at which the cumulative probability of the kept ones exceeds the number.

    Args:
        probabilities: [N,vocabulary].
        uniform: N numbers from 0 to below 1, float64; 0 draws the most probable token.
        top_p: Above 0 and at most 1.

    Returns:
        Token ids [N].
    """
    likely, tokens = probabilities.topk(min(_LIKELY, probabilities.shape[-1]))  # [N,64], descending
    if bool((likely.sum(-1) < top_p).any()):
        likely, tokens = probabilities.sort(descending=True)
    likely = likely.double()
    cumulative = likely.cumsum(-1)
    kept = cumulative - likely < top_p  # the more probable ones do not reach `top_p`
    total = cumulative.masked_fill(~kept, 0).amax(-1)
    place = (cumulative <= (uniform * total)[:, None]).sum(-1).clamp(max=likely.shape[-1] - 1)
    return tokens.gather(1, place[:, None]).squeeze(1)
