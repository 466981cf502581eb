"""Greedy decoding and sampling with a `CachedDecoder`; for beam search see `beam_search.py`.

The tokens are those of `generate` of transformers. Texts that have ended leave the batch, so that the others cost less.
"""

from __future__ import annotations

import math

import torch

from report_gen.generation.beam_search import search_beams
from report_gen.generation.cached_decoder import CachedDecoder, Prefix
from report_gen.generation.proposals import Proposer
from report_gen.generation.sampling import Sampler
from report_gen.generation.tokens import NEVER_GENERATED, GeneratedTokens, TokenGenerator, TokenRequest, finish
from report_gen.tokenizer import EOS_ID


class CachedTokenGenerator(TokenGenerator):
    """Generates with a decoder that this package knows.

    Args:
        decoder: The decoder.
        prefix: What it computed for the visual tokens and prompts of the studies.
        proposer: Proposes tokens for greedy decoding of a single text; None for no proposals.
    """

    def __init__(self, decoder: CachedDecoder, prefix: Prefix, proposer: Proposer | None = None) -> None:
        self._decoder = decoder
        self._prefix = prefix
        self._proposer = proposer

    @torch.inference_mode()
    def generate(self, request: TokenRequest) -> list[GeneratedTokens]:
        if request.decoding.method == "beam" and request.decoding.beams > 1:
            return search_beams(self._decoder, self._prefix, request)
        if request.decoding.method != "sample" and len(request.studies) == 1 and self._proposer is not None:
            return [self._decode_with_proposals(request, self._proposer)]
        return self._choose_tokens(request)

    def _decode_with_proposals(self, request: TokenRequest, proposer: Proposer) -> GeneratedTokens:
        """Generate one text by speculative decoding: a forward pass gives a token, and one more per right proposal."""
        (study,), (limit,) = request.studies, request.limits
        cache, logits = self._prefix.start([study], max_tokens=limit)
        text = _Text(limit)
        proposed: list[int] = []
        never = torch.tensor(NEVER_GENERATED, device=logits.device)
        while True:
            if request.before_token is not None:
                request.before_token()
            chosen = logits.float().index_fill(1, never, -math.inf).argmax(-1)  # [1+proposals]
            given = _probabilities(logits, chosen) if request.with_probabilities else [math.nan] * len(chosen)
            # The first token follows the text. Each further one follows a proposal, and is valid only if that proposal
            # is the token that the decoder chose before it.
            right = 0
            for token, probability in zip(chosen.tolist(), given, strict=True):
                text.append(token, probability)
                if text.finished:
                    return text.generated(request.with_probabilities)
                if proposed[right : right + 1] != [token]:
                    break
                right += 1
            cache.remove_last(len(proposed) - right)
            proposed = proposer.propose(study, text.tokens, most=limit - len(text.tokens) - 1)
            logits = self._decoder.step_tokens([text.tokens[-1], *proposed], cache)

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
        self.tokens: list[int] = []
        self._probabilities: list[float] = []

    def append(self, token: int, probability: float) -> None:
        self.tokens.append(token)
        self._probabilities.append(probability)

    @property
    def finished(self) -> bool:
        return self.tokens[-1] == EOS_ID or len(self.tokens) == self._limit

    def generated(self, with_probabilities: bool) -> GeneratedTokens:
        return finish(self.tokens, self._probabilities if with_probabilities else ())


def _probabilities(logits: torch.Tensor, chosen: torch.Tensor) -> list[float]:
    """Return the probability of each chosen token [N] under logits [N,vocabulary]."""
    given: list[float] = logits.float().softmax(-1).gather(1, chosen[:, None]).squeeze(1).tolist()
    return given
