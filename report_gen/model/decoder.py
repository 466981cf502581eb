"""The decoder: a causal language model, of this package or of transformers, that generates the report."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from report_gen.errors import CheckpointError, UsageError
from report_gen.model.conditioning import Conditioning
from report_gen.model.gpt2 import Gpt2LanguageModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LANGUAGE_MODEL = "decoder.language_model."
"""Prefix of the names that the parameters of the language model have in a `ReportModel`."""


class ReportDecoder(nn.Module):
    """A causal language model, conditioned on visual tokens.

    Args:
        language_model: `Gpt2LanguageModel`, or any causal language model of transformers; some ways of conditioning
            need `add_cross_attention` in its configuration.
        conditioning: How the visual tokens reach the language model.
        pretrained: Names of the parameters of the language model whose values come from pretraining.
        token_rows: Row of the pretrained token embeddings of every token id; None if the embeddings are new.

    Raises:
        CheckpointError: The conditioning needs cross-attention layers, which the language model cannot have.
    """

    def __init__(
        self,
        language_model: PreTrainedModel | Gpt2LanguageModel,
        *,
        conditioning: Conditioning,
        pretrained: frozenset[str] = frozenset(),
        token_rows: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.language_model: Any = language_model
        self.conditioning = conditioning
        self.pretrained = pretrained
        self.token_rows = token_rows
        accepted = inspect.signature(language_model.forward).parameters
        # A model without such layers accepts the visual tokens as any other keyword, and ignores them silently.
        if conditioning.adds_cross_attention and "encoder_hidden_states" not in accepted:
            raise CheckpointError(
                f"a {language_model.config.model_type} decoder has no cross-attention; use conditioning = 'prefix'"
            )

    @property
    def width(self) -> int:
        """Width D_txt of the token embeddings."""
        return int(self.language_model.get_input_embeddings().weight.shape[1])

    @property
    def positions(self) -> int:
        """Largest number of positions T."""
        return int(self.language_model.config.max_position_embeddings)

    def forward(
        self,
        visual_tokens: torch.Tensor,
        visual_mask: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
    ) -> torch.Tensor:
        """Return the logits [B,L,vocabulary] of a text; the logits at position t predict the token at t + 1.

        Args:
            visual_tokens: [B,K,D_txt], with visual_mask [B,K].
            input_ids: Prompt, begin token, report and end token [B,L], with attention_mask [B,L].

        Raises:
            UsageError: Visual tokens and text take more positions than the decoder has.
        """
        inputs = self.conditioned(visual_tokens, visual_mask, input_ids, attention_mask)
        mask = inputs["attention_mask"].long()
        # Padding takes columns and no positions. The longest row is counted only where it matters: it takes a transfer.
        if mask.shape[1] > self.positions and (longest := int(mask.sum(1).max())) > self.positions:
            raise UsageError(
                f"visual tokens, prompt and report take {longest} positions, but the decoder has "
                f"{self.positions}; shorten them, or train a decoder with more positions"
            )
        position_ids = (mask.cumsum(-1) - 1).clamp(min=0)
        logits: torch.Tensor = self.language_model(
            **inputs, position_ids=position_ids, use_cache=False, logits_to_keep=input_ids.shape[1]
        ).logits
        return logits

    def embed(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Return the token embeddings [B,L,D_txt] of input_ids [B,L]."""
        embedded: torch.Tensor = self.language_model.get_input_embeddings()(input_ids)
        return embedded

    def conditioned(
        self,
        visual_tokens: torch.Tensor,
        visual_mask: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Return the keyword arguments that combine visual tokens and text for the language model or its `generate`.

        Args:
            visual_tokens: [B,K,D_txt], with visual_mask [B,K].
            input_ids: [B,L], with attention_mask [B,L].
        """
        return self.conditioning.decoder_inputs(visual_tokens, visual_mask, input_ids, attention_mask, self.embed)
