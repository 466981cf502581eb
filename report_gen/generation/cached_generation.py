"""Greedy decoding and sampling with a `CachedDecoder`; for beam search see `beam_search.py`.

The tokens are those of `generate` of transformers. Texts that have ended leave the batch, so that the others cost less.
"""

from __future__ import annotations

import math

import torch

from report_gen.generation.beam_search import search_beams
from report_gen.generation.cached_decoder import CachedDecoder, Prefix
from report_gen.generation.sampling import Sampler
from report_gen.generation.tokens import NEVER_GENERATED, GeneratedTokens, TokenGenerator, TokenRequest, finish
from report_gen.tokenizer import EOS_ID


class CachedTokenGenerator(TokenGenerator):
    """Generates with a decoder that this package knows.

    Args:
        decoder: The decoder.
        prefix: What it computed for the visual tokens and prompts of the studies.
    """

    def __init__(self, decoder: CachedDecoder, prefix: Prefix) -> None:
        self._decoder = decoder
        self._prefix = prefix

    @torch.inference_mode()
    def generate(self, request: TokenRequest) -> list[GeneratedTokens]:
        if request.decoding.method == "beam" and request.decoding.beams > 1:
            return search_beams(self._decoder, self._prefix, request)
        return self._choose_tokens(request)

    def _choose_tokens(self, request: TokenRequest) -> list[GeneratedTokens]:
        """Generate token by token."""
        cache, logits = self._prefix.start(request.studies, max_tokens=max(request.limits))
        sampler = Sampler(request.decoding, request.generators) if request.decoding.method == "sample" else None
        texts = [_Text(limit) for limit in request.limits]
        active = list(range(len(texts)))
        never = torch.tensor(NEVER_GENERATED, device=logits.device)
        while True:
            if request.before_token is not None:
                request.before_token()
            allowed = logits.float().index_fill(1, never, -math.inf)
            chosen = allowed.argmax(-1) if sampler is None else sampler(allowed, active)  # [N]
            given = _probabilities(logits, chosen) if request.with_probabilities else [math.nan] * len(active)
            for row, token, probability in zip(active, chosen.tolist(), given, strict=True):
                texts[row].append(token, probability)
            ended = {n for n, row in enumerate(active) if texts[row].finished}
            if len(ended) == len(active):
                return [text.generated(request.with_probabilities) for text in texts]
            if ended:
                order = cache.remove(ended)
                active, chosen = [active[n] for n in order], chosen[order]
            logits = self._decoder.step(chosen, cache)


class _Text:
    """One text that is being generated."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tokens: list[int] = []
        self._probabilities: list[float] = []

    def append(self, token: int, probability: float) -> None:
        self._tokens.append(token)
        self._probabilities.append(probability)

    @property
    def finished(self) -> bool:
        return self._tokens[-1] == EOS_ID or len(self._tokens) == self._limit

    def generated(self, with_probabilities: bool) -> GeneratedTokens:
        return finish(self._tokens, self._probabilities if with_probabilities else ())


def _probabilities(logits: torch.Tensor, chosen: torch.Tensor) -> list[float]:
    """Return the probability of each chosen token [N] under logits [N,vocabulary]."""
    given: list[float] = logits.float().softmax(-1).gather(1, chosen[:, None]).squeeze(1).tolist()
    return given
