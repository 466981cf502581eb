"""A GPT-style causal language model that writes the report."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from report_gen.errors import CheckpointError, UsageError


class ReportDecoder(nn.Module):
    """A causal language model of transformers behind the two ways of conditioning.

    Args:
        language_model: any causal language model; cross-attention needs one with `add_cross_attention`.
        cross_attention: visual tokens go into cross-attention layers; otherwise they stand before the text.
        pretrained: names of the parameters of the language model that are not new.
    """

    def __init__(
        self, language_model: PreTrainedModel, *, cross_attention: bool, pretrained: frozenset[str] = frozenset()
    ) -> None:
        super().__init__()
        self.language_model: Any = language_model
        self.cross_attention = cross_attention
        self.pretrained = pretrained
        # A model without such layers takes the visual tokens as any other keyword, and would write without looking.
        if cross_attention and "encoder_hidden_states" not in inspect.signature(language_model.forward).parameters:
            raise CheckpointError(
                f"a {language_model.config.model_type} decoder has no cross-attention; use conditioning = 'prefix'"
            )

    @property
    def width(self) -> int:
        """D_txt."""
        return int(self.language_model.get_input_embeddings().weight.shape[1])

    @property
    def positions(self) -> int:
        """Longest T."""
        return int(self.language_model.config.max_position_embeddings)

    def forward(
        self,
        visual_tokens: torch.Tensor,
        visual_mask: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
    ) -> torch.Tensor:
        """Logits [B,L,vocabulary] of the text: those at place t predict the token at t + 1.

        Args:
            visual_tokens: [B,K,D_txt], with visual_mask [B,K].
            input_ids: prompt, begin, report, end: [B,L], with attention_mask [B,L].

        Raises:
            UsageError: T is longer than the decoder has positions.
        """
        call = self.conditioned(visual_tokens, visual_mask, input_ids, attention_mask)
        mask = call["attention_mask"].long()
        if mask.shape[1] > self.positions:
            raise UsageError(
                f"visual tokens, prompt and report take {mask.shape[1]} places, but the decoder has {self.positions}; "
                "shorten them, or train a decoder with more positions"
            )
        position_ids = (mask.cumsum(-1) - 1).clamp(min=0)
        logits: torch.Tensor = self.language_model(
            **call, position_ids=position_ids, use_cache=False, logits_to_keep=input_ids.shape[1]
        ).logits
        return logits

    def embed(self, input_ids: torch.Tensor) -> torch.Tensor:
        """The word embeddings [B,L,D_txt] of input_ids [B,L]."""
        embedded: torch.Tensor = self.language_model.get_input_embeddings()(input_ids)
        return embedded

    def conditioned(
        self,
        visual_tokens: torch.Tensor,
        visual_mask: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Keyword arguments for the language model or its `generate`: the one place where image and text meet."""
        if self.cross_attention:
            return {
                "input_ids": input_ids,
                "attention_mask": attention_mask,
                "encoder_hidden_states": visual_tokens,
                "encoder_attention_mask": visual_mask,
            }
        embedded = self.embed(input_ids)
        return {
            "inputs_embeds": torch.cat([visual_tokens.to(embedded.dtype), embedded], dim=1),  # [B,K+L,D_txt]
            "attention_mask": torch.cat([visual_mask.to(attention_mask.dtype), attention_mask], dim=1),
        }
