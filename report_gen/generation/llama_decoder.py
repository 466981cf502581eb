"""The arithmetic of Llama (Touvron et al., 2023) and of models that differ in biases only: Mistral and Qwen2."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM

from report_gen.generation.cached_decoder import AttentionCache, CachedDecoder
from report_gen.generation.key_value_cache import CacheShape
from report_gen.generation.linear_layers import Layer, linear_layer

_MODELS = (LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM)
_FIXED_FREQUENCIES = frozenset({"default", "linear", "llama3"})
"""Kinds of rotary position embeddings whose frequencies do not depend on the length of the text."""


class LlamaDecoder(CachedDecoder):
    """A Llama, Mistral or Qwen2 model with a cache.

    Args:
        model: A model for which `supports` is true.
    """

    def __init__(self, model: Any) -> None:
        config, body = model.config, model.model
        first = body.layers[0].self_attn
        shape = CacheShape(config.num_hidden_layers, config.num_key_value_heads, first.head_dim, first.scaling)
        super().__init__(shape, embeddings=body.embed_tokens, output=linear_layer(model.lm_head))
        self._heads = config.num_attention_heads
        self._rotary = body.rotary_emb
        self._layers = [_Layer(layer) for layer in body.layers]
        self._norm = _rms_norm(body.norm)

    @staticmethod
    def supports(model: nn.Module) -> bool:
        """Return whether a model is of a known type, without a sliding window and with constant frequencies."""
        if type(model) not in _MODELS:
            return False
        config: Any = model.config
        window = getattr(config, "sliding_window", None)
        return window is None and config.rope_parameters.get("rope_type") in _FIXED_FREQUENCIES

    def _hidden(self, embedded: torch.Tensor, positions: torch.Tensor, cache: AttentionCache) -> torch.Tensor:
        texts, length, _ = embedded.shape
        heads, head_width = self._heads, self.shape.head_width
        cos, sin = (angles[:, :, None] for angles in self._rotary(embedded, positions))  # [N or 1,L,1,head_width]
        hidden = embedded.flatten(0, 1)
        for number, layer in enumerate(self._layers):
            normed = layer.norm_1(hidden)
            rotated = torch.cat([layer.queries(normed), layer.keys(normed)], dim=1).view(texts, length, -1, head_width)
            rotated = rotated * cos + _rotate_half(rotated) * sin
            values = layer.values(normed).view(texts, length, -1, head_width)
            attended = cache.attend(number, rotated[:, :, :heads], rotated[:, :, heads:], values)
            hidden = hidden + layer.attention_out(attended.reshape(texts * length, -1))
            normed = layer.norm_2(hidden)
            hidden = hidden + layer.mlp_out(layer.activation(layer.gate(normed)) * layer.mlp_in(normed))
        return self._norm(hidden).view(embedded.shape)


class _Layer:
    """The parts of one transformer layer as functions."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.norm_1, self.norm_2 = _rms_norm(layer.input_layernorm), _rms_norm(layer.post_attention_layernorm)
        self.queries, self.keys, self.values, self.attention_out = (
            linear_layer(part) for part in (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
        )
        self.gate, self.mlp_in, self.mlp_out = (
            linear_layer(part) for part in (mlp.gate_proj, mlp.up_proj, mlp.down_proj)
        )
        self.activation = mlp.act_fn


def _rotate_half(heads: torch.Tensor) -> torch.Tensor:
    first, second = heads.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)


def _rms_norm(norm: Any) -> Layer:
    weight, eps = norm.weight, norm.variance_epsilon
    return lambda inputs: functional.rms_norm(inputs, weight.shape, weight, eps)
