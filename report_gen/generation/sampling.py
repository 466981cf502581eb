"""Sampling with one random generator per study, so that a draft does not depend on its batch or on threads."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch

from report_gen.generation.decoding import Decoding

_LIKELY = 64
"""Number of tokens that nearly always reach `top_p`. They are found faster than all tokens are sorted."""


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
    """Perturbs logits so that their argmax is a sample.

    The argmax of logits plus standard Gumbel noise is an exact sample of their softmax (the Gumbel-max trick; Gumbel
    1954, Maddison et al., NeurIPS 2014). `generate` of transformers samples from the global generator instead, which
    neighbors in the batch and other threads also advance. The noise is drawn on the CPU, so a seed means the same on
    every device.

    Args:
        decoding: Temperature and `top_p`, applied before the noise.
        generators: One per text of the batch; None leaves the argmax of that text as it is. Texts may share one.
    """

    def __init__(self, decoding: Decoding, generators: Sequence[torch.Generator | None]) -> None:
        self._temperature = float(decoding.temperature)
        self._top_p = float(decoding.top_p)
        self._generators = generators

    def __call__(self, logits: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """Return perturbed logits.

        Args:
            logits: Logits [N,vocabulary] of the texts that have not ended.
            rows: Their N numbers in the batch.
        """
        scores = logits / self._temperature
        if self._top_p < 1:
            scores = keep_most_probable(scores, self._top_p)
        return scores + self._noise(rows, logits.shape[-1]).to(scores.device, scores.dtype)

    def _noise(self, rows: Sequence[int], size: int) -> torch.Tensor:
        """Return Gumbel noise [N,size].

        Texts that have ended draw as long as one that shares their generator goes on: whether a text has ended does not
        change what the next one of its study draws.
        """
        used = {id(self._generators[row]) for row in rows}
        drawn = {
            row: _gumbel(generator, size) for row, generator in enumerate(self._generators) if id(generator) in used
        }
        return torch.stack([drawn[row] for row in rows])


def keep_most_probable(scores: torch.Tensor, top_p: float) -> torch.Tensor:
    """Set the scores of improbable tokens to minus infinity (nucleus sampling; Holtzman et al., ICLR 2020).

    The most probable tokens are kept whose probabilities add up to `top_p`, and at least one.

    Args:
        scores: Logits [N,vocabulary].
        top_p: Above 0 and below 1.
    """
    probabilities = scores.softmax(-1)
    likely = probabilities.topk(min(_LIKELY, scores.shape[-1])).values  # [N,64], descending
    if bool((likely.sum(-1) < top_p).any()):
        likely = probabilities.sort(descending=True).values
    before = likely.cumsum(-1) - likely  # sum of the more probable ones
    least = likely.masked_fill(before >= top_p, math.inf).amin(-1, keepdim=True)
    return scores.masked_fill(probabilities < least, -math.inf)


def _gumbel(generator: torch.Generator | None, size: int) -> torch.Tensor:
    """Return standard Gumbel noise [size], or zeros without a generator."""
    if generator is None:
        return torch.zeros(size, dtype=torch.float64)
    # The negative logarithm of a standard exponential variable is a standard Gumbel variable.
    return -torch.empty(size, dtype=torch.float64).exponential_(generator=generator).log()
