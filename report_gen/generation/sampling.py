"""Sampling with one random generator per study, so that a draft does not depend on its batch or on threads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from transformers import LogitsProcessor, LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

from report_gen.generation.decoding import Decoding


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


def sampling_processors(decoding: Decoding, generators: Sequence[torch.Generator | None]) -> LogitsProcessorList:
    """Return logits processors that turn greedy decoding into sampling.

    Args:
        decoding: Temperature and `top_p`, applied before the noise.
        generators: One per row of the batch; None decodes that row greedily. Rows may share a generator.
    """
    processors = [TemperatureLogitsWarper(float(decoding.temperature))]
    if decoding.top_p < 1:
        processors.append(TopPLogitsWarper(decoding.top_p))
    return LogitsProcessorList([*processors, GumbelNoise(generators)])


class GumbelNoise(LogitsProcessor):  # type: ignore[misc]  # transformers is not typed
    """Adds Gumbel noise to the logits of each row, drawn from the generator of that row.

    The argmax of logits plus standard Gumbel noise is an exact sample of their softmax (the Gumbel-max trick; Gumbel
    1954, Maddison et al., NeurIPS 2014), so greedy decoding of the perturbed logits samples. `generate` of transformers
    samples from the global generator instead, which neighbors in the batch and other threads also advance.

    The noise is drawn on the CPU, so a seed means the same on every device.
    """

    def __init__(self, generators: Sequence[torch.Generator | None]) -> None:
        self._generators = generators

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores [rows,vocabulary] with noise."""
        noise = torch.stack([_gumbel(generator, scores.shape[-1]) for generator in self._generators])
        return scores + noise.to(scores.device, scores.dtype)


def _gumbel(generator: torch.Generator | None, size: int) -> torch.Tensor:
    """Return standard Gumbel noise [size], or zeros without a generator."""
    if generator is None:
        return torch.zeros(size, dtype=torch.float64)
    # The negative logarithm of a standard exponential variable is a standard Gumbel variable.
    return -torch.empty(size, dtype=torch.float64).exponential_(generator=generator).log()
