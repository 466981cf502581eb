"""Beam search with a `CachedDecoder`, one search per study, all studies of a batch in the same forward passes.

The search is that of transformers with `length_penalty = 1` and `early_stopping = False`: texts are compared by their
mean log probability, and a study is finished when its best unfinished text is not better than the worst of as many
finished ones as there are beams. Studies that are finished leave the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from report_gen.generation.cached_decoder import CachedDecoder, Prefix
from report_gen.generation.tokens import NEVER_GENERATED, GeneratedTokens, TokenRequest, finish
from report_gen.tokenizer import EOS_ID

_IMPOSSIBLE = -1e9
"""Sum of log probabilities of the beams that repeat the first one before the first token."""


@dataclass(frozen=True)
class _BeamText:
    """A text of a beam."""

    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    total: float
    """Sum of the log probabilities."""
    beam: int
    """Beam that its last token continues."""

    @property
    def mean(self) -> float:
        return self.total / len(self.tokens)


class _Search:
    """The beam search of one study."""

    def __init__(self, beams: int, limit: int) -> None:
        self._beams, self._limit = beams, limit
        self.running = [_BeamText((), (), 0.0 if beam == 0 else _IMPOSSIBLE, beam) for beam in range(beams)]
        self.ended: list[_BeamText] = []
        """At most `beams` texts, the best one first."""
        self.finished = False

    def advance(self, best: Sequence[tuple[int, int, float, float]]) -> None:
        """Continue the beams.

        Args:
            best: The 2*beams best continuations, the best one first: beam, token, sum of log probabilities with the
                token, log probability of the token. At most half of them end a text.
        """
        going: list[_BeamText] = []
        for rank, (beam, token, total, log_probability) in enumerate(best):
            parent = self.running[beam]
            text = _BeamText((*parent.tokens, token), (*parent.log_probabilities, log_probability), total, beam)
            if token != EOS_ID and len(text.tokens) < self._limit:
                going.append(text)
            elif rank < self._beams:
                self.ended.append(text)
        self.ended = sorted(self.ended, key=lambda text: text.mean, reverse=True)[: self._beams]
        full = len(self.ended) == self._beams
        self.finished = not going or (full and going[0].mean <= self.ended[-1].mean)
        self.running = _keep_places(going[: self._beams])


def _keep_places(texts: Sequence[_BeamText]) -> list[_BeamText]:
    """Order texts so that as many as possible keep the place of the beam that they continue.

    The keys and values of a text that keeps its place are not copied. Of several texts that continue the same beam, the
    first one keeps the place. The others get the places of beams that no text continues.
    """
    placed: dict[int, _BeamText] = {}
    others = []
    for text in texts:
        if text.beam in placed:
            others.append(text)
        else:
            placed[text.beam] = text
    return [placed[beam] if beam in placed else others.pop(0) for beam in range(len(texts))]


@torch.inference_mode()
def search_beams(decoder: CachedDecoder, prefix: Prefix, request: TokenRequest) -> list[GeneratedTokens]:
    """Return the best text of each of N beam searches.

    Args:
        decoder: The decoder.
        prefix: What it computed for the studies.
        request: Studies, limits and number of beams.
    """
    beams = request.decoding.beams
    searches = [_Search(beams, limit) for limit in request.limits]
    rows = [study for study in request.studies for _ in range(beams)]
    cache, logits = prefix.start(rows, max_tokens=max(request.limits))  # N*beams texts
    active = list(searches)
    never = torch.tensor(NEVER_GENERATED, device=logits.device)
    while True:
        if request.before_token is not None:
            request.before_token()
        log_probabilities = logits.float().log_softmax(-1).view(len(active), beams, -1)
        totals = torch.tensor([[text.total for text in search.running] for search in active], device=logits.device)
        sums = (log_probabilities + totals[:, :, None]).index_fill(2, never, -math.inf)
        best = sums.flatten(1).topk(2 * beams)
        own = log_probabilities.flatten(1).gather(1, best.indices)
        vocabulary = logits.shape[-1]
        for search, indices, values, given in zip(
            active, best.indices.tolist(), best.values.tolist(), own.tolist(), strict=True
        ):
            search.advance(
                [
                    (index // vocabulary, index % vocabulary, total, log_probability)
                    for index, total, log_probability in zip(indices, values, given, strict=True)
                ]
            )
        finished = [n for n, search in enumerate(active) if search.finished]
        if len(finished) == len(active):
            return [_generated(search.ended[0], request.with_probabilities) for search in searches]
        if finished:
            # The beams of a study stay together: as many places are left as texts move, and all of whole studies.
            order = cache.remove({n * beams + beam for n in finished for beam in range(beams)})
            active = [active[row // beams] for row in order[::beams]]
        cache.reorder([n * beams + text.beam for n, search in enumerate(active) for text in search.running])
        tokens = [text.tokens[-1] for search in active for text in search.running]
        logits = decoder.step(torch.tensor(tokens, device=logits.device), cache)


def _generated(text: _BeamText, with_probabilities: bool) -> GeneratedTokens:
    return finish(text.tokens, [math.exp(one) for one in text.log_probabilities] if with_probabilities else ())
