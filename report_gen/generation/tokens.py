"""Generated tokens, and the interface of what generates them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from report_gen.generation.decoding import Decoding
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID

NEVER_GENERATED = (PAD_ID, UNK_ID, BOS_ID)
"""Token ids that no text may contain."""


@dataclass(frozen=True)
class GeneratedTokens:
    """The token ids of one text without its end token, and the probability of each token."""

    token_ids: tuple[int, ...]
    probabilities: tuple[float, ...] = ()
    """One per token, 0..1; empty if they were not requested."""
    ended: bool = True
    """Whether the model generated the end token; False if the text was cut at the largest length."""
    finite: bool = True
    """Whether all probabilities are finite; False if weights are so large that sums of their products overflow."""


@dataclass(frozen=True, kw_only=True)
class TokenRequest:
    """Which texts to generate, and how. Row n of N texts begins with study `studies[n]`."""

    studies: Sequence[int]
    """Indices of the N texts into the B studies; a study may occur several times."""
    limits: Sequence[int]
    """Maximum number of report tokens of each text."""
    decoding: Decoding
    """Method and its options; `Decoding.candidates` and `Decoding.max_tokens` are not considered."""
    generators: Sequence[torch.Generator | None] = ()
    """For the method `sample`, one per text; None decodes that text greedily. Texts may share a generator."""
    with_probabilities: bool = True
    """Whether to return the probability of each token."""
    before_token: Callable[[], None] | None = None
    """Called once per generation step, which gives one token per text, or several with speculative decoding. An error
    that it raises ends the generation."""


class TokenGenerator(ABC):
    """Generates texts for B studies whose visual tokens and prompts are given once."""

    @abstractmethod
    def generate(self, request: TokenRequest) -> list[GeneratedTokens]:
        """Return the tokens of N texts.

        A probability is that of the model itself, whatever method, temperature or `top_p` chose the token.
        """


def finish(token_ids: Sequence[int], probabilities: Sequence[float] = ()) -> GeneratedTokens:
    """Return generated tokens without the end token and what follows it.

    Args:
        token_ids: Token ids of one text, up to its end token or its largest length; what follows does not matter.
        probabilities: Probability of each token; empty if they were not requested.
    """
    length = token_ids.index(EOS_ID) if EOS_ID in token_ids else len(token_ids)
    return GeneratedTokens(
        tuple(token_ids[:length]),
        tuple(probabilities[:length]),
        ended=EOS_ID in token_ids,
        finite=all(map(math.isfinite, probabilities)),
    )
