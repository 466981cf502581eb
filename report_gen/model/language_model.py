"""Build causal language models of transformers: a new GPT-2, any other by its configuration, or a pretrained one."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
)

from report_gen.config import TRANSFORMER_KEYS, check_transformer
from report_gen.errors import CheckpointError
from report_gen.model.device import check_memory
from report_gen.model.pretrained_source import LIBRARY_ERRORS, LOADING_ERRORS, find_source, quiet
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID


def build_gpt2(
    *, vocabulary_size: int, width: int, layers: int, heads: int, positions: int, dropout: float, cross_attention: bool
) -> GPT2LMHeadModel:
    """Build a GPT-2 with random weights.

    Args:
        vocabulary_size: Number of token ids.
        width: Width D_txt of the token embeddings.
        layers: Number of transformer blocks.
        heads: Attention heads per block.
        positions: Largest number of positions T.
        dropout: Dropout of embeddings and residual connections.
        cross_attention: Whether each block gets a cross-attention layer.
    """
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocabulary_size,
            n_embd=width,
            n_layer=layers,
            n_head=heads,
            n_positions=positions,
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=0.0,  # torch has no fused attention with dropout
            activation_function="gelu_pytorch_tanh",  # same function as the default `gelu_new`, but fused
            add_cross_attention=cross_attention,
            bos_token_id=BOS_ID,
            eos_token_id=EOS_ID,
            pad_token_id=PAD_ID,
        )
    )


def build_from_configuration(
    transformer: dict[str, Any], *, vocabulary_size: int, cross_attention: bool
) -> PreTrainedModel:
    """Build any causal language model with random weights.

    Args:
        transformer: Its transformers configuration, with `model_type`; only what `check_transformer` lets through.
        vocabulary_size: Number of token ids; overrides the configuration.
        cross_attention: Whether the model gets cross-attention layers.

    Raises:
        CheckpointError: transformers cannot build such a model.
    """
    try:
        config = AutoConfig.for_model(**check_transformer(transformer))
        _adapt(config, vocabulary_size=vocabulary_size, cross_attention=cross_attention)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, trust_remote_code=False, dtype=torch.float32)
    except LIBRARY_ERRORS as error:
        check_memory(error, f"a decoder {transformer.get('model_type')!r}")
        reason = " ".join(str(error).split()).rstrip(".")  # some messages have several lines
        raise CheckpointError(
            f"transformers cannot build a decoder {transformer.get('model_type')!r} ({reason}); correct its settings"
        ) from error
    return model


@dataclass(frozen=True)
class Pretrained:
    """A pretrained language model with token embeddings for the vocabulary of a recipe."""

    model: PreTrainedModel
    kept: frozenset[str]
    """Names of the parameters with pretrained values. The others are new: token embeddings and output layer for another
    vocabulary, and the cross-attention layers of a model that had none."""
    configuration: dict[str, Any] = field(default_factory=dict)
    """Settings from which `build_from_configuration` builds the same architecture."""
    rows: Sequence[int] | None = None
    """Row of the pretrained token embeddings of every id, as given to `load_pretrained`."""


def load_pretrained(
    name: str,
    *,
    vocabulary_size: int,
    cross_attention: bool,
    rows: Sequence[int] | None = None,
    expected: Mapping[str, Any] | None = None,
) -> Pretrained:
    """Load a pretrained causal language model for the vocabulary of a recipe.

    The body keeps its weights. With `rows` the token embeddings and the output layer keep theirs, in the order of the
    vocabulary. Without, they are initialized anew even if their sizes agree by chance: the vocabulary is learned from
    the corpus, so an id means another token.

    Nothing else than the named model is loaded: no custom code and no kernels, and from a local folder nothing of a
    hub, such as the base model of an adapter.

    Args:
        name: Local folder, GGUF file, package or hub name as the user wrote it, see `find_source`.
        vocabulary_size: Number of token ids.
        cross_attention: Whether the model gets cross-attention layers.
        rows: For every id of a tokenizer of the same model its id there, see `source_rows`.
        expected: Settings of the network that the model must have, as `Pretrained.configuration`; None: any.

    Raises:
        CheckpointError: There is no such model, it has other settings than expected, or its weights do not fit its
            configuration. transformers alone would leave missing weights random.
    """
    source = find_source(name)
    try:
        with quiet():
            configuration = network_settings(AutoConfig.from_pretrained(source.location, **source.arguments), name)
            if expected is not None:
                _check_settings(configuration, expected, name)
            config = AutoConfig.for_model(**configuration)
            size = vocabulary_size if rows is None else config.vocab_size
            _adapt(config, vocabulary_size=size, cross_attention=cross_attention)
            model, found = AutoModelForCausalLM.from_pretrained(
                source.location,
                config=config,
                **source.arguments,
                ignore_mismatched_sizes=True,  # of the token embeddings; others are refused below
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except (*LOADING_ERRORS, SafetensorError) as error:
        check_memory(error, name)
        raise CheckpointError(
            f"{name}: no causal language model with safetensors weights found; give a local folder or a hub name"
        ) from error
    absent = {*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])}
    token_parameters = _token_parameters(model) if rows is None else set()
    faults = sorted(absent - token_parameters - _cross_attention(config)) + sorted(
        filter(_LAYER.search, found["unexpected_keys"])
    )
    if faults:
        raise CheckpointError(
            f"{name}: its weights do not fit its config.json in {len(faults)} tensors, {faults[0]} first; "
            "download the model again"
        )
    if rows is None:
        _reset_tokens(model)
    else:
        _select_tokens(model, rows, name)
    _forget_quantizer(model)
    # A checkpoint with all weights has no such file, and drafts have to be the same: penalties would change them.
    model.generation_config = GenerationConfig.from_model_config(model.config)
    kept = frozenset(name for name, _ in model.named_parameters()) - token_parameters - absent
    return Pretrained(model, kept, configuration, rows)


def network_settings(config: Any, name: str) -> dict[str, Any]:
    """Return the settings of a pretrained model that shape its network, which its checkpoints will contain.

    Raises:
        CheckpointError: The weights are quantized, or a setting of the network is not supported.
    """
    if getattr(config, "quantization_config", None) is not None:
        raise CheckpointError(f"{name}: its weights are quantized; use the model before quantization")
    settings = {"model_type": config.model_type, **config.to_diff_dict()}
    defaults = type(config)().to_dict()
    changed = {key for key in defaults if key in settings and settings[key] != defaults[key]}
    # Keys that the class of the configuration does not have, such as notes of the authors, do not reach the network.
    kept = {key: value for key, value in settings.items() if key in TRANSFORMER_KEYS or key in changed}
    kept["model_type"] = config.model_type
    kept.pop("attn_implementation", None)
    try:
        return check_transformer(kept)
    except ValueError as error:
        raise CheckpointError(f"{name}: cannot be a decoder ({error}); use another language model") from error


def _check_settings(found: dict[str, Any], expected: Mapping[str, Any], name: str) -> None:
    """Compare the settings of two networks, as this release of transformers spells them.

    Raises:
        CheckpointError: A setting differs.
    """
    ours, theirs = (network_settings(AutoConfig.for_model(**settings), name) for settings in (found, expected))
    differing = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    if differing:
        raise CheckpointError(
            f"{name}: another architecture than that of the adapter ({differing[0]} = "
            f"{str(ours.get(differing[0]))[:100]} instead of {str(theirs.get(differing[0]))[:100]}); give its base"
        )


_LAYER = re.compile(r"\.\d+\.")
"""Matches a weight of a numbered layer. An unexpected one means that layers were left out; a pooler does not matter."""


def _adapt(config: Any, *, vocabulary_size: int, cross_attention: bool) -> None:
    """Set the vocabulary, causal attention and cross-attention in a configuration of transformers."""
    config.vocab_size = vocabulary_size
    config.bos_token_id, config.eos_token_id, config.pad_token_id = BOS_ID, EOS_ID, PAD_ID
    if hasattr(config, "is_decoder"):  # otherwise BERT models attend to later tokens
        config.is_decoder = True
    if cross_attention:
        config.add_cross_attention = True


def _token_parameters(model: PreTrainedModel) -> set[str]:
    """Return the names of the parameters with a row per token: input embeddings and output layer, tied or not."""
    owners = (model.get_input_embeddings(), model.get_output_embeddings())
    ids = {id(parameter) for owner in owners if owner is not None for parameter in owner.parameters()}
    return {name for name, parameter in model.named_parameters(remove_duplicate=False) if id(parameter) in ids}


@torch.no_grad()
def _reset_tokens(model: PreTrainedModel) -> None:
    """Initialize token embeddings and output layer anew."""
    token_parameters = _token_parameters(model)
    for name, parameter in model.named_parameters():
        if name in token_parameters and parameter.ndim > 1:
            nn.init.normal_(parameter, std=getattr(model.config, "initializer_range", 0.02))
        elif name in token_parameters:
            nn.init.zeros_(parameter)


@torch.no_grad()
def _select_tokens(model: PreTrainedModel, rows: Sequence[int], name: str) -> None:
    """Replace the rows of token embeddings and output layer by those of other ids; tied ones stay the same object."""
    embeddings, output = model.get_input_embeddings(), model.get_output_embeddings()
    index = torch.tensor(rows)
    if int(index.max()) >= len(embeddings.weight):
        raise CheckpointError(
            f"{name}: its tokenizer has the id {int(index.max())}, but its embeddings have {len(embeddings.weight)} "
            'rows; download the model again, or set model.decoder.tokenizer = "own"'
        )
    owners = [owner for owner in (embeddings, output) if owner is not None]
    parameters = {id(parameter): parameter for owner in owners for parameter in owner.parameters()}
    for parameter in parameters.values():
        parameter.data = parameter.data[index].clone()
    embeddings.num_embeddings = model.config.vocab_size = len(rows)
    if embeddings.padding_idx is not None:  # the row of this id gets no gradient
        embeddings.padding_idx = PAD_ID
    if output is not None:
        output.out_features = len(rows)


def _forget_quantizer(model: PreTrainedModel) -> None:
    """Remove the marks of a model that was read from a GGUF file, whose weights are plain numbers by now.

    With them transformers would refuse to save the model, and to move it to another type.
    """
    for name in ("hf_quantizer", "is_quantized", "quantization_method"):
        if hasattr(model, name):
            delattr(model, name)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def _cross_attention(config: Any) -> set[str]:
    """Return the names of the parameters that belong to cross-attention layers."""
    plain = copy.deepcopy(config)
    plain.add_cross_attention = False
    with torch.device("meta"):  # without memory for the weights
        names, plain_names = (AutoModelForCausalLM.from_config(one).state_dict().keys() for one in (config, plain))
    return set(names - plain_names)
