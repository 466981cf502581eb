"""Speculative decoding without a second model: propose tokens that the decoder checks in one forward pass.

A forward pass over a few tokens of one text costs hardly more than over one token, because it reads the same weights
(Leviathan et al., ICML 2023). The proposals cost almost nothing: they are look-ups in the n-grams of the text, of its
prompt and of the training reports. A proposal is kept only if the decoder would have chosen the same token, so the text
is the same with and without proposals.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from report_gen.model import Continuations
from report_gen.tokenizer import BOS_ID, EOS_ID

MIN_WEIGHTS = 4_000_000
"""Number of weights of a decoder from which proposals are used.

The smallest decoder that was measured has 4.5 million weights and is faster with proposals, also with those of the text
alone, see `report_gen_training.benchmarks.proposals`.
"""
_MAX_PROPOSALS = 6
"""Tokens that are proposed at once. Further ones are rarely right."""
_NGRAM = 3
"""Last tokens that must have occurred earlier, so that the token that followed them is proposed again."""


class Proposer:
    """Proposes the next tokens of the texts of B studies.

    Args:
        prompts: Token ids of B prompts, without the begin token.
        continuations: Frequent n-grams of the training reports; None for proposals from prompt and text only.
    """

    def __init__(self, prompts: Sequence[Sequence[int]], continuations: Continuations | None = None) -> None:
        self._prompts = prompts
        self._continuations = continuations

    def propose(self, study: int, tokens: Sequence[int], *, most: int) -> list[int]:
        """Return the tokens that are likely to follow, possibly none.

        Args:
            study: Index of the study, 0 to B - 1.
            tokens: Token ids of its text so far, without the begin token.
            most: Largest number of tokens to return.
        """
        text = [*self._prompts[study], BOS_ID, *tokens]
        known = len(text)
        while len(text) - known < min(most, _MAX_PROPOSALS):
            token = None if self._continuations is None else self._continuations.next_token(text)
            if token is None:
                token = _repeat(text, known)
            if token is None:
                break
            text.append(token)
            if token == EOS_ID:
                break
        return text[known:]


def _repeat(text: Sequence[int], known: int) -> int | None:
    """Return the token that followed the most recent earlier occurrence of the last tokens; None if there is none.

    Args:
        text: Token ids; those after the first `known` ones are proposals.
        known: Number of tokens that are not proposals.
    """
    last = text[-_NGRAM:]
    for end in range(known - 1, _NGRAM - 1, -1):
        if text[end - _NGRAM : end] == last:
            return text[end]
    return None


def default_proposer(
    decoder: nn.Module, prompts: Sequence[Sequence[int]], continuations: Continuations | None = None
) -> Proposer | None:
    """Return a proposer for a decoder that is faster with proposals; None for a smaller decoder.

    Args:
        decoder: The language model.
        prompts: As in `Proposer`.
        continuations: As in `Proposer`.
    """
    return Proposer(prompts, continuations) if benefits_from_proposals(decoder) else None


def benefits_from_proposals(decoder: nn.Module) -> bool:
    """Return whether a decoder is so large that reading its weights takes a large part of the time of a step."""
    return sum(weight.numel() for weight in decoder.parameters()) >= MIN_WEIGHTS
