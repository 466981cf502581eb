"""Causal language models of transformers: a GPT-2 from scratch, any other by its configuration, and pretrained ones."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, PreTrainedModel
from transformers.utils import logging

from report_gen.errors import CheckpointError
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID


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


@dataclass(frozen=True)
class Pretrained:
    """A pretrained language model that is to learn the words of another vocabulary."""

    model: PreTrainedModel
    kept: frozenset[str]
    """Names of its parameters that came with it. The others are new: word embeddings, output layer, and the
    cross-attention of a model that had none."""


def load_pretrained(name: str, *, vocabulary_size: int, cross_attention: bool) -> Pretrained:
    """A pretrained causal language model by local folder or hub name.

    Its body keeps the weights. Its words are learned anew even where there happen to be as many: the vocabulary is the
    corpus's own, so that the same number names another word.

    Raises:
        CheckpointError: nothing of the kind is there, or its weights do not fill the body that its configuration asks
            for; transformers alone would leave the rest random.
    """
    try:
        with _quiet():
            config = AutoConfig.from_pretrained(name)
            _adapt(config, vocabulary_size=vocabulary_size, cross_attention=cross_attention)
            model, found = AutoModelForCausalLM.from_pretrained(
                name,
                config=config,
                ignore_mismatched_sizes=True,  # of the words; others are refused below
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except (OSError, ValueError, SafetensorError, StrictDataclassError) as error:
        raise CheckpointError(
            f"{name}: no causal language model with safetensors weights is there; give a local folder or a hub name"
        ) from error
    absent = {*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])}
    words = _words(model)
    faults = sorted(absent - words - _cross_attention(config)) + sorted(filter(_LAYER.search, found["unexpected_keys"]))
    if faults:
        raise CheckpointError(
            f"{name}: its weights do not fit its config.json in {len(faults)} tensors, {faults[0]} first; "
            "download the model again"
        )
    _forget_words(model)
    return Pretrained(model, frozenset(name for name, _ in model.named_parameters()) - words - absent)


_LAYER = re.compile(r"\.\d+\.")
"""A weight of a numbered layer. One too many means a body cut short; a pooler or a second head does not matter."""


def _adapt(config: Any, *, vocabulary_size: int, cross_attention: bool) -> None:
    config.vocab_size = vocabulary_size
    config.bos_token_id, config.eos_token_id, config.pad_token_id = BOS_ID, EOS_ID, PAD_ID
    if hasattr(config, "is_decoder"):  # without it the BERTs read ahead, and learn to copy
        config.is_decoder = True
    if cross_attention:
        config.add_cross_attention = True


def _words(model: PreTrainedModel) -> set[str]:
    """Names of all parameters that belong to single words: input embeddings and output layer, tied or not."""
    owners = (model.get_input_embeddings(), model.get_output_embeddings())
    theirs = {id(parameter) for owner in owners if owner is not None for parameter in owner.parameters()}
    return {name for name, parameter in model.named_parameters(remove_duplicate=False) if id(parameter) in theirs}


@torch.no_grad()
def _forget_words(model: PreTrainedModel) -> None:
    words = _words(model)
    for name, parameter in model.named_parameters():
        if name in words and parameter.ndim > 1:
            nn.init.normal_(parameter, std=getattr(model.config, "initializer_range", 0.02))
        elif name in words:
            nn.init.zeros_(parameter)


def _cross_attention(config: Any) -> set[str]:
    """Names of the parameters that a model has for the sake of its cross-attention alone."""
    bare = copy.deepcopy(config)
    bare.add_cross_attention = False
    with torch.device("meta"):
        whole, without = (AutoModelForCausalLM.from_config(one).state_dict().keys() for one in (config, bare))
    return set(whole - without)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' bars and tables of keys: what is wrong with the weights is an error here."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
