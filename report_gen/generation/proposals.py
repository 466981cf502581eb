"""Propose the next tokens of a text, which the decoder checks in one forward pass (Leviathan et al., ICML 2023).

A forward pass over a few tokens of one text costs hardly more than over one, because it reads the same weights. The
proposals cost nothing: they come from the text itself, its prompt, and how the training reports went on. Every token is
still the decoder's own choice, so that the text is the same with and without proposals.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from report_gen.model import Continuations
from report_gen.tokenizer import BOS_ID, EOS_ID

LARGE = 15_000_000
"""Number of weights from which on a decoder is faster with proposals, see `report-gen bench generation --sizes`."""
_MOST = 6
"""Tokens that are proposed at once: more of them are rarely right."""
_REPEATED = 3
"""Last tokens that must have occurred before to propose what followed them then."""


class Proposer:
    """Proposes tokens for the texts of B studies.

    Args:
        prompts: Token ids of B prompts, without the begin token.
        continuations: How reports go on; None if that is not known.
    """

    def __init__(self, prompts: Sequence[Sequence[int]], continuations: Continuations | None = None) -> None:
        self._prompts = prompts
        self._continuations = continuations

    def propose(self, study: int, tokens: Sequence[int], *, most: int) -> list[int]:
        """Return the tokens that are likely to follow.

        Args:
            study: Number of the study.
            tokens: Token ids of its text so far.
            most: Largest number of tokens to return.
        """
        text = [*self._prompts[study], BOS_ID, *tokens]
        known = len(text)
        while len(text) - known < min(most, _MOST):
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
    """Return the token that followed the last tokens when they occurred before, most recently of several times.

    Args:
        text: Token ids, the last ones of which are proposals.
        known: Number of tokens that are no proposals.
    """
    last = text[-_REPEATED:]
    for end in range(known - 1, _REPEATED - 1, -1):
        if text[end - _REPEATED : end] == last:
            return text[end]
    return None


def gains_by_proposals(decoder: nn.Module) -> bool:
    """Return whether a decoder spends most of a step on its weights, so that further tokens cost little."""
    return sum(weight.numel() for weight in decoder.parameters()) >= LARGE
