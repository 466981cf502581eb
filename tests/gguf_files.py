"""Write a GGUF file as llama.cpp does, for tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from tests.pretrained_models import SPECIAL, byte_level_bpe


def write_gguf(path: Path, model: LlamaForCausalLM) -> None:
    """Write a Llama with a byte-level BPE as llama.cpp does, in float32."""
    gguf = pytest.importorskip("gguf")
    config, tokenizer = model.config, byte_level_bpe()
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(config.vocab_size)
    tokens = [tokenizer.id_to_token(number) or f"[unused{number}]" for number in range(config.vocab_size)]
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token.startswith("<|") else 1 for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in merges])
    pad, unk, bos, eos = (tokenizer.token_to_id(name) for name in SPECIAL)
    writer.add_pad_token_id(pad)
    writer.add_unk_token_id(unk)
    writer.add_bos_token_id(bos)
    writer.add_eos_token_id(eos)
    for name, tensor in model.state_dict().items():
        if name != "lm_head.weight":
            writer.add_tensor(gguf_name(name), stored(name, tensor, config).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "model.layers": "blk",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "post_attention_layernorm": "ffn_norm",
    "input_layernorm": "attn_norm",
}


def gguf_name(name: str) -> str:
    for before, after in GGUF_NAMES.items():
        name = name.replace(before, after)
    return name


def stored(name: str, tensor: torch.Tensor, config: object) -> torch.Tensor:
    """Return a tensor as llama.cpp stores it: it orders the rows of queries and keys for its rotary embeddings."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}  # type: ignore[attr-defined]
    for part, count in heads.items():
        if part in name:
            return tensor.unflatten(0, (count, 2, -1)).transpose(1, 2).reshape(tensor.shape).contiguous()
    return tensor
