"""A GPT-2 for inference (Radford et al., 2019), which needs no transformers.

To import the GPT-2 of transformers takes longer than to draft a report with it. `Gpt2LanguageModel` has the parameters
of its `GPT2LMHeadModel` under the same names, and computes the same logits. It has no dropout, no gradient
checkpointing and no `generate`: training uses the model of transformers. `generation/gpt2_decoder.py` adds a cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True, kw_only=True)
class Gpt2Config:
    """Sizes of a GPT-2, under the names that transformers has for them."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    add_cross_attention: bool = False
    model_type: ClassVar[str] = "gpt2"
    activation_function: ClassVar[str] = "gelu_pytorch_tanh"


class Gpt2Output(NamedTuple):
    """Output of `Gpt2LanguageModel`."""

    logits: torch.Tensor
    """[B,L,vocabulary]; the logits at position t predict the token at t + 1."""


class Gpt2LanguageModel(nn.Module):
    """A GPT-2 with tied token embeddings and, if the configuration says so, cross-attention in each block.

    Args:
        config: Sizes.
    """

    def __init__(self, config: Gpt2Config) -> None:
        super().__init__()
        self.config = config
        self.transformer = _Body(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.lm_head.weight = self.transformer.wte.weight

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the token embeddings."""
        return self.transformer.wte

    def get_output_embeddings(self) -> nn.Linear:
        """Return the output layer."""
        return self.lm_head

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        *,
        inputs_embeds: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        encoder_hidden_states: torch.Tensor | None = None,
        encoder_attention_mask: torch.Tensor | None = None,
        use_cache: Literal[False] = False,
        logits_to_keep: int = 0,
    ) -> Gpt2Output:
        """Compute the logits of texts. The arguments are those of `GPT2LMHeadModel`.

        Args:
            input_ids: Token ids [B,T]; None if `inputs_embeds` is given.
            inputs_embeds: Token embeddings [B,T,D].
            attention_mask: [B,T], 0 for padding; None for texts without padding.
            position_ids: [B,T]; None for 0 to T - 1.
            encoder_hidden_states: [B,K,D], input of the cross-attention; None leaves the cross-attention out.
            encoder_attention_mask: [B,K], False for missing ones; None if none is missing.
            use_cache: There is no cache.
            logits_to_keep: Number L of last positions whose logits are computed; 0 for all T.
        """
        hidden = self.transformer.wte(input_ids) if inputs_embeds is None else inputs_embeds  # [B,T,D]
        length = hidden.shape[1]
        if position_ids is None:
            position_ids = torch.arange(length, device=hidden.device)
        hidden = hidden + self.transformer.wpe(position_ids)
        visible = torch.ones(length, length, dtype=torch.bool, device=hidden.device).tril()
        if attention_mask is not None:
            # Padding attends to itself: attention to nothing would be NaN.
            itself = torch.eye(length, dtype=torch.bool, device=hidden.device)
            visible = (visible & attention_mask.bool()[:, None, None]) | itself  # [B,1,T,T]
        across = None if encoder_attention_mask is None else encoder_attention_mask.bool()[:, None, None]  # [B,1,1,K]
        for block in self.transformer.h:
            hidden = block(hidden, visible, encoder_hidden_states, across)
        return Gpt2Output(self.lm_head(self.transformer.ln_f(hidden[:, -logits_to_keep:])))


class TransposedLinear(nn.Module):
    """A linear layer whose weight is stored as [in,out], as in the weights that OpenAI published.

    Args:
        inputs: Number of inputs.
        outputs: Number of outputs.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.empty(outputs))
        nn.init.normal_(self.weight, std=0.02)
        nn.init.zeros_(self.bias)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs [...,out] of inputs [...,in]."""
        return F.linear(inputs, self.weight.T, self.bias)


class _Body(nn.Module):
    def __init__(self, config: Gpt2Config) -> None:
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.hidden_size)
        self.wpe = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.h = nn.ModuleList(_Block(config) for _ in range(config.num_hidden_layers))
        self.ln_f = nn.LayerNorm(config.hidden_size)


class _Block(nn.Module):
    """A transformer block: attention, cross-attention if there is any, and a multi-layer perceptron."""

    def __init__(self, config: Gpt2Config) -> None:
        super().__init__()
        width, heads = config.hidden_size, config.num_attention_heads
        self.ln_1 = nn.LayerNorm(width)
        self.attn = _Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        if config.add_cross_attention:
            self.crossattention = _CrossAttention(width, heads)
            self.ln_cross_attn = nn.LayerNorm(width)
        self.mlp = _Mlp(width)

    def forward(
        self,
        hidden: torch.Tensor,
        visible: torch.Tensor,
        encoded: torch.Tensor | None,
        across: torch.Tensor | None,
    ) -> torch.Tensor:
        hidden = hidden + self.attn(self.ln_1(hidden), visible)
        if encoded is not None:
            hidden = hidden + self.crossattention(self.ln_cross_attn(hidden), encoded, across)
        output: torch.Tensor = hidden + self.mlp(self.ln_2(hidden))
        return output


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.c_attn = TransposedLinear(width, 3 * width)
        self.c_proj = TransposedLinear(width, width)

    def forward(self, hidden: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        queries, keys, values = (_by_head(part, self._heads) for part in self.c_attn(hidden).chunk(3, dim=-1))
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=visible)
        output: torch.Tensor = self.c_proj(attended.transpose(1, 2).flatten(2))
        return output


class _CrossAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.c_attn = TransposedLinear(width, 2 * width)
        self.q_attn = TransposedLinear(width, width)
        self.c_proj = TransposedLinear(width, width)

    def forward(self, hidden: torch.Tensor, encoded: torch.Tensor, across: torch.Tensor | None) -> torch.Tensor:
        queries = _by_head(self.q_attn(hidden), self._heads)
        keys, values = (_by_head(part, self._heads) for part in self.c_attn(encoded).chunk(2, dim=-1))
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=across)
        output: torch.Tensor = self.c_proj(attended.transpose(1, 2).flatten(2))
        return output


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = TransposedLinear(width, 4 * width)
        self.c_proj = TransposedLinear(4 * width, width)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.c_proj(F.gelu(self.c_fc(hidden), approximate="tanh"))
        return output


def _by_head(features: torch.Tensor, heads: int) -> torch.Tensor:
    """Return features [B,L,D] as [B,heads,L,D/heads]."""
    return features.view(*features.shape[:2], heads, -1).transpose(1, 2)
