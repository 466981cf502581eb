"""The arithmetic of GPT-2 (Radford et al., 2019), with the cross-attention that transformers adds to it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from report_gen.generation.cached_decoder import AttentionCache, CachedDecoder
from report_gen.generation.key_value_cache import CacheShape
from report_gen.generation.linear_layers import Layer, linear_layer
from report_gen.model.gpt2 import Gpt2LanguageModel, TransposedLinear

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel

_TANH_GELU = frozenset({"gelu_new", "gelu_pytorch_tanh"})


class Gpt2Decoder(CachedDecoder):
    """A `Gpt2LanguageModel`, or a `GPT2LMHeadModel` of transformers, with a cache.

    Args:
        model: A model for which `supports` is true.
    """

    def __init__(self, model: Gpt2LanguageModel | GPT2LMHeadModel) -> None:
        config, body = model.config, model.transformer
        self._heads = config.num_attention_heads
        head_width = config.hidden_size // self._heads
        shape = CacheShape(config.num_hidden_layers, self._heads, head_width, head_width**-0.5)
        super().__init__(shape, embeddings=body.wte, output=linear_layer(model.lm_head))
        self._positions = body.wpe.weight
        self._blocks = [_Block(block, config, _linear_type(model)) for block in body.h]
        self._norm = _layer_norm(body.ln_f)

    @staticmethod
    def supports(model: nn.Module) -> bool:
        """Return whether a model is a GPT-2 with the usual attention."""
        if type(model) is Gpt2LanguageModel:
            return True
        from transformers import GPT2LMHeadModel  # other decoders are models of transformers, which is loaded by then

        if type(model) is not GPT2LMHeadModel:
            return False
        config: Any = model.config
        unusual = config.scale_attn_by_inverse_layer_idx or config.reorder_and_upcast_attn
        return bool(config.scale_attn_weights) and not unusual

    def _hidden(self, embedded: torch.Tensor, positions: torch.Tensor, cache: AttentionCache) -> torch.Tensor:
        texts, length, width = embedded.shape
        hidden = (embedded + self._positions[positions]).view(texts * length, width)
        across = cache.has_cross_attention
        for number, block in enumerate(self._blocks):
            normed = block.norm_1(hidden)
            queries, keys, values = block.attention_in(normed).view(texts, length, 3, self._heads, -1).unbind(2)
            attended = cache.attend(number, queries, keys, values)
            hidden = hidden + block.attention_out(attended.reshape(-1, width))
            if across:
                queries = block.cross_queries(block.norm_cross(hidden)).view(texts, length, self._heads, -1)
                hidden = hidden + block.cross_out(cache.attend_across(number, queries).reshape(-1, width))
            hidden = hidden + block.mlp_out(block.activation(block.mlp_in(block.norm_2(hidden))))
        return self._norm(hidden).view(embedded.shape)

    def _cross_attention(self, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        encoded = inputs.get("encoder_hidden_states")
        if encoded is None:
            return None, None
        studies, tokens, width = encoded.shape
        layers = [block.cross_keys_values(encoded.reshape(-1, width)) for block in self._blocks]
        stored = torch.stack(layers).view(len(layers), studies, tokens, 2, self._heads, -1)
        # [layers,B,K,2,heads,head_width] to [B,2*layers,heads,K,head_width]
        return stored.permute(1, 0, 3, 4, 2, 5).flatten(1, 2).contiguous(), inputs["encoder_attention_mask"].bool()


class _Block:
    """The layers of one transformer block as functions."""

    def __init__(self, block: Any, config: Any, linear: type[nn.Module]) -> None:
        affine = partial(linear_layer, transposed=linear)
        self.norm_1, self.norm_2 = (_layer_norm(norm) for norm in (block.ln_1, block.ln_2))
        self.attention_in, self.attention_out = affine(block.attn.c_attn), affine(block.attn.c_proj)
        self.mlp_in, self.mlp_out = affine(block.mlp.c_fc), affine(block.mlp.c_proj)
        self.activation = _tanh_gelu if config.activation_function in _TANH_GELU else block.mlp.act
        if config.add_cross_attention:
            cross = block.crossattention
            self.norm_cross = _layer_norm(block.ln_cross_attn)
            self.cross_queries, self.cross_keys_values = affine(cross.q_attn), affine(cross.c_attn)
            self.cross_out = affine(cross.c_proj)


def _linear_type(model: nn.Module) -> type[nn.Module]:
    """Return the class of the linear layers of a GPT-2, whose weights are stored as [in,out]."""
    if isinstance(model, Gpt2LanguageModel):
        return TransposedLinear
    from transformers.pytorch_utils import Conv1D

    kind: type[nn.Module] = Conv1D
    return kind


def _tanh_gelu(inputs: torch.Tensor) -> torch.Tensor:
    return functional.gelu(inputs, approximate="tanh")


def _layer_norm(norm: nn.LayerNorm) -> Layer:
    shape, weight, bias, eps = norm.normalized_shape, norm.weight, norm.bias, norm.eps
    return lambda inputs: torch.layer_norm(inputs, shape, weight, bias, eps)
