"""A GPT-style causal language model that writes the report."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, PreTrainedModel

from report_gen.errors import CheckpointError, UsageError
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID


class ReportDecoder(nn.Module):
    """A causal language model of transformers behind the two ways of conditioning.

    Args:
        language_model: any causal language model; cross-attention needs one with `add_cross_attention`.
        cross_attention: visual tokens go into cross-attention layers; otherwise they stand before the text.
    """

    def __init__(self, language_model: PreTrainedModel, *, cross_attention: bool) -> None:
        super().__init__()
        self.language_model: Any = language_model
        self.cross_attention = cross_attention
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
        embedded = self.language_model.get_input_embeddings()(input_ids)  # [B,L,D_txt]
        return {
            "inputs_embeds": torch.cat([visual_tokens.to(embedded.dtype), embedded], dim=1),  # [B,K+L,D_txt]
            "attention_mask": torch.cat([visual_mask.to(attention_mask.dtype), attention_mask], dim=1),
        }


def build_gpt2(
    *, vocabulary_size: int, width: int, layers: int, heads: int, positions: int, dropout: float, cross_attention: bool
) -> GPT2LMHeadModel:
    """A GPT-2 from scratch."""
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocabulary_size,
            n_embd=width,
            n_layer=layers,
            n_head=heads,
            n_positions=positions,
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=0.0,  # with it torch leaves its fused attention
            activation_function="gelu_pytorch_tanh",  # GPT-2's own, fused
            add_cross_attention=cross_attention,
            bos_token_id=BOS_ID,
            eos_token_id=EOS_ID,
            pad_token_id=PAD_ID,
        )
    )


def build_from_configuration(
    transformer: dict[str, Any], *, vocabulary_size: int, cross_attention: bool
) -> PreTrainedModel:
    """Any causal language model from its transformers configuration, with the vocabulary of this project."""
    try:
        config = AutoConfig.for_model(**transformer)
        _adapt(config, vocabulary_size=vocabulary_size, cross_attention=cross_attention)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    except (ValueError, TypeError, KeyError, StrictDataclassError) as error:
        raise CheckpointError(
            f"transformers cannot build a decoder {transformer.get('model_type')!r} ({error}); correct its settings"
        ) from error
    return model


def load_pretrained(name: str, *, vocabulary_size: int, cross_attention: bool) -> PreTrainedModel:
    """A pretrained causal language model by local folder or hub name.

    Its body keeps the weights; its word embeddings are learned anew, since the vocabulary is the corpus's own.
    """
    try:
        config = AutoConfig.from_pretrained(name)
        _adapt(config, vocabulary_size=vocabulary_size, cross_attention=cross_attention)
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            name, config=config, ignore_mismatched_sizes=True, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{name}: no causal language model with safetensors weights is there; give a local folder or a hub name"
        ) from error
    return model


def _adapt(config: Any, *, vocabulary_size: int, cross_attention: bool) -> None:
    config.vocab_size = vocabulary_size
    config.bos_token_id, config.eos_token_id, config.pad_token_id = BOS_ID, EOS_ID, PAD_ID
    if cross_attention:
        config.add_cross_attention = True
