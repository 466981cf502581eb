"""The settings of timm encoders and transformers decoders that a configuration may contain.

A configuration may come from an untrusted source. Only names on these lists reach the two libraries. They shape the
network; none of them can load weights or code, open a file, name a hub or choose a device. Numbers are limited, so that
a configuration cannot exhaust the memory before it is compared with its weights, see `model/shape_check.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MAX_LAYERS = 256
"""Largest number of layers of an encoder or a decoder."""
MAX_WIDTH = 32_768
"""Largest width of a layer, of images in pixels, and of every other number of an encoder."""
MAX_NUMBER = 2**20
"""Largest number in the configuration of a decoder, such as its positions or the size of its vocabulary."""
MAX_TEXT = 64
"""Largest number of characters of a setting that is a text, such as the name of an activation function."""

VOLUME_ENCODERS = frozenset({"astra_i3resnet152", "tiny_i3resnet"})
"""Encoders of whole volumes, whose channels are the slices of a CT; see `model/inflated_resnet.py`."""

_MAX_CHANNELS, _MAX_SLICE = 64, 512
"""Most channels of images, and largest side of the slices of volumes, pixels: an input must fit into the memory."""

_MAX_ITEMS = 1024
_MAX_DEPTH = 3
_MAX_FLOAT = 1e9


def _names(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


ENCODER_ARGUMENTS = _names(
    """
    act_layer aa_layer attn_drop_rate avg_down base_width bn_eps bn_momentum bn_tf cardinality class_token conv_bias
    conv_mlp depth drop_block_rate drop_path_rate drop_rate dynamic_img_pad dynamic_img_size embed_dim fc_norm
    final_norm fix_stem global_pool growth_rate head_dim img_size init_values kernel_size layer_scale_init_value
    ls_init_value mlp_ratio no_embed_class norm_eps norm_layer num_heads num_reg_tokens output_stride pad_type
    patch_drop_rate patch_size pos_drop_rate pos_embed pre_norm proj_drop_rate qk_norm qkv_bias reg_tokens
    replace_stem_pool se_ratio stem_size stem_type stem_width strict_img_size swiglu_mlp use_abs_pos_emb
    use_rel_pos_bias use_rot_pos_emb use_shared_rel_pos_bias weight_init width_factor window_size
    """
)
"""Keyword arguments of timm models that only shape the network, its regularization and its initialization."""

MODEL_TYPES = _names(
    """
    arcee bert bert-generation biogpt camembert codegen cohere cohere2 electra ernie4_5 falcon gemma gemma2 gemma3_text
    glm glm4 gpt2 gpt_bigcode gpt_neox gptj granite helium llama megatron-bert ministral mistral nemotron olmo olmo2
    olmo3 opt phi phi3 qwen2 qwen3 roberta smollm3 stablelm starcoder2 xlm-roberta
    """
)
"""Types of language models that may be decoders: dense models without custom code."""

_KEYS_BY_TYPE: Mapping[tuple[type, ...], str] = {
    (bool,): """
        _remove_final_layer_norm add_cross_attention alibi attention_bias attention_softmax_in_fp32 bias
        do_layer_norm_before enable_bias is_decoder layer_norm_elementwise_affine mlp_bias multi_query
        new_decoder_architecture parallel_attn qk_layernorm reorder_and_upcast_attn scale_attention_softmax_in_fp32
        scale_attn_by_inverse_layer_idx scale_attn_weights scale_embedding tie_word_embeddings use_bias
        use_bidirectional_attention use_parallel_residual use_qk_norm use_qkv_bias use_sliding_window
    """,
    (int,): """
        bos_token_id chunk_size_feed_forward embedding_size ffn_dim ffn_hidden_size head_dim hidden_size
        intermediate_size max_position_embeddings max_window_layers n_ctx n_embd n_head n_inner n_layer n_positions
        no_rope_layer_interval num_attention_heads num_hidden_layers num_key_value_heads num_kv_heads
        num_ln_in_parallel_attn original_max_position_embeddings pad_token_id pretraining_tp rotary_dim
        sliding_window sliding_window_pattern type_vocab_size vocab_size word_embed_proj_dim
    """,
    (int, float): """
        activation_dropout attention_dropout attention_multiplier attention_probs_dropout_prob
        attn_logit_softcapping attn_pdrop clip_qkv dropout embd_pdrop embedding_dropout embedding_multiplier
        final_logit_softcapping hidden_dropout hidden_dropout_prob init_std initializer_range layer_norm_eps
        layer_norm_epsilon layerdrop logit_scale logits_scaling norm_eps norm_epsilon partial_rotary_factor
        query_pre_attn_scalar resid_pdrop residual_dropout residual_multiplier rms_norm_eps rope_local_base_freq
        rope_theta rotary_emb_base rotary_pct
    """,
    (str,): """
        activation activation_function attn_implementation hidden_act hidden_activation model_type
        position_embedding_type
    """,
    (list, tuple): "layer_types no_rope_layers",
    (Mapping,): "rope_parameters rope_scaling",
    (int, list, tuple): "eos_token_id",
}
TRANSFORMER_TYPES = {key: types for types, keys in _KEYS_BY_TYPE.items() for key in _names(keys)}
"""Keys of transformers configurations that shape the network, with the types of their values; None is allowed for all.

transformers checks the types of the keys that a model declares, but not those of keys that it reads without.
"""

TRANSFORMER_KEYS = frozenset(TRANSFORMER_TYPES)
"""Keys of transformers configurations that shape the network."""

UNUSED_KEYS = _names(
    """
    _attn_implementation_autoset _name_or_path architectures classifier_dropout dtype gradient_checkpointing id2label
    is_encoder_decoder is_llama_config label2id output_attentions output_hidden_states problem_type return_dict
    rope_interleaved summary_activation summary_first_dropout summary_last_dropout summary_proj_to_labels summary_type
    summary_use_proj task_specific_params tokenizer_class torch_dtype transformers.js_config transformers_version
    use_cache
    """
)
"""Keys that transformers writes into a configuration and that do not change a decoder. They are left out."""

_LAYER_NAMES = ("depth", "n_layer", "num_hidden_layers")
_TYPE_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    tuple: "a list",
    Mapping: "a table",
}
_ATTENTION = ("eager", "sdpa")
_DTYPES = ("float32", "float16", "bfloat16")
_ARCHITECTURE = re.compile(r"\w{1,100}(\.\w{1,100})?", re.ASCII)


def check_encoder_name(name: str) -> str:
    """Return the name of a timm architecture; raise ValueError for the name of a hub, a folder or an address."""
    if not _ARCHITECTURE.fullmatch(name):
        raise ValueError(f"timm has no encoder {name[:100]!r}; give the name of an architecture, not a hub or a folder")
    return name


def check_encoder_size(name: str, *, channels: int, image_size: int) -> None:
    """Raise ValueError if an image has more channels, or a volume larger slices, than an encoder needs."""
    if name in VOLUME_ENCODERS and image_size > _MAX_SLICE:
        raise ValueError(f"image_size is {image_size}; give at most {_MAX_SLICE} for slices of volumes")
    if name not in VOLUME_ENCODERS and channels > _MAX_CHANNELS:
        raise ValueError(f"channels is {channels}; give at most {_MAX_CHANNELS}, as only encoders of volumes take more")


def check_encoder_arguments(arguments: Mapping[str, Any]) -> None:
    """Raise ValueError if an argument does more than shape the network, or has a value out of bounds."""
    for name, value in arguments.items():
        if name == "pretrained":
            raise ValueError(
                "the encoder argument 'pretrained' is not allowed, as it would download weights; remove it, or set "
                'model.encoder_weights = "pretrained" in the recipe'
            )
        if name not in ENCODER_ARGUMENTS:
            raise ValueError(f"the encoder argument {name[:100]!r} is not allowed; remove it")
        _check_value(name, value, largest=MAX_WIDTH)


def check_transformer(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Check the configuration of a decoder and return it without `UNUSED_KEYS`.

    Raises:
        ValueError: A key does more than shape the network, or a value is out of bounds.
    """
    model_type = settings.get("model_type")
    if not isinstance(model_type, str) or model_type not in MODEL_TYPES:
        raise ValueError(
            f"transformers decoders of model_type {str(model_type)[:100]!r} are not supported; choose from "
            f"{', '.join(sorted(MODEL_TYPES))}"
        )
    for key in ("dtype", "torch_dtype"):
        _check_choice(key, settings.get(key), _DTYPES)
    _check_choice("attn_implementation", settings.get("attn_implementation"), _ATTENTION)
    checked = {key: value for key, value in settings.items() if key not in UNUSED_KEYS}
    for key, value in checked.items():
        if key not in TRANSFORMER_KEYS:
            raise ValueError(f"the decoder key {key[:100]!r} is not allowed; remove it")
        _check_type(key, value, TRANSFORMER_TYPES[key])
        _check_value(key, value, largest=MAX_NUMBER)
    return checked


def _check_choice(key: str, value: object, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise ValueError(f"{key} {str(value)[:100]!r} is not supported; choose from {', '.join(choices)}")


def _check_type(key: str, value: object, types: tuple[type, ...]) -> None:
    """Raise ValueError if a value is of another type. True and False are no numbers; None leaves the choice open."""
    if value is not None and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
        names = " or ".join(dict.fromkeys(_TYPE_NAMES[one] for one in types))
        raise ValueError(f"{key} = {str(value)[:100]!r} is not {names}; correct it")


def _check_value(name: str, value: object, *, largest: int, depth: int = 0) -> None:
    """Raise ValueError if a value is a too large number, a too long text or list, or nested too deeply."""
    if isinstance(value, str | bool) or value is None:
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise ValueError(f"{name} has {len(value)} characters; use at most {MAX_TEXT}")
    elif isinstance(value, int):
        limit = MAX_LAYERS if name in _LAYER_NAMES else largest
        if not -1 <= value <= limit:
            raise ValueError(f"{name} = {_shorten(value)} is outside -1 to {limit}; correct it")
    elif isinstance(value, float):
        if not abs(value) <= _MAX_FLOAT:  # also true for NaN
            raise ValueError(f"{name} = {value} is not a number of at most {_MAX_FLOAT:g}; correct it")
    else:
        _check_items(name, value, largest=largest, depth=depth)


def _check_items(name: str, value: object, *, largest: int, depth: int) -> None:
    if not isinstance(value, Mapping | list | tuple) or depth >= _MAX_DEPTH or len(value) > _MAX_ITEMS:
        raise ValueError(
            f"{name} is not a simple value, or has more than {_MAX_ITEMS} items or {_MAX_DEPTH} levels; correct it"
        )
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_value(f"{name}.{str(key)[:MAX_TEXT]}", item, largest=largest, depth=depth + 1)
    else:
        for item in value:
            _check_value(name, item, largest=largest, depth=depth + 1)


def _shorten(value: int) -> str:
    """Return a number in digits, or how long it is: Python refuses to print integers of thousands of digits."""
    return str(value) if value.bit_length() <= 100 else f"a number of {value.bit_length()} bits"
