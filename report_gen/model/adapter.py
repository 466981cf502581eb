"""Adapters: checkpoints whose decoder is a base with low-rank products added (LoRA, Hu et al., ICLR 2022).

The low-rank matrices of a layer have the names that peft gives them: `LAYER.lora_A.weight` [rank,in] and
`LAYER.lora_B.weight` [out,rank], with the prefix `decoder.language_model.` in place of peft's `base_model.model.`. When
a checkpoint is loaded, their product is added to the weights of the base, so that drafting costs nothing extra.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from report_gen.config import AdapterConfig, ModelConfig
from report_gen.errors import CheckpointError
from report_gen.model.base_source import check_base
from report_gen.model.checkpoint_files import CONFIG
from report_gen.model.conditioning import conditioning_type
from report_gen.model.decoder import LANGUAGE_MODEL
from report_gen.model.feature_numbers import Encode
from report_gen.model.language_model import load_pretrained
from report_gen.model.pretrained_source import PretrainedSource
from report_gen.model.report_model import ReportModel
from report_gen.model.weights import fill, stored_tensors, take

TOKEN_ROWS = "decoder.token_rows"  # noqa: S105 - the name of a tensor
"""Name of the row [vocabulary] in the token embeddings of the base of every token id, whole numbers."""

_SPECIAL_IDS = 4
"""Padding, unknown, begin and end; several of them may have the same row."""


def build_adapted(
    config: ModelConfig, source: PretrainedSource, state: Mapping[str, torch.Tensor], path: Path, *, encode: Encode
) -> ReportModel:
    """Build the model of an adapter: the weights of the base, those of the file, and the low-rank products.

    Args:
        config: Configuration of the model.
        source: The base.
        state: Tensors of the weights file.
        path: File of the weights, for error messages.
        encode: Tokenizer.

    Raises:
        CheckpointError: The weights of the base are others, or the tensors of the file do not fit.
    """
    adapter = config.adapter
    if adapter is None:
        raise ValueError("the checkpoint is no adapter; build its model without a base")
    check_base(source, adapter, path.with_name(CONFIG))
    pretrained = load_pretrained(
        str(source.path),
        vocabulary_size=config.vocabulary_size,
        cross_attention=conditioning_type(config.conditioning).adds_cross_attention,
        rows=read_token_rows(state, adapter, config.vocabulary_size, path),
        expected=config.decoder.transformer,
    )
    model = ReportModel(config, pretrained=pretrained, encode=encode)
    fill(model, path, state)
    merge(model, adapter, state, path)
    return model


def adapter_shapes(
    model: ReportModel, adapter: AdapterConfig, *, stored: Collection[str]
) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor in the weights file of an adapter by its name.

    Args:
        model: The model with all weights merged, for example on the device `meta`.
        adapter: Configuration of the adapter.
        stored: Names of the tensors in the file. Parameters of the decoder that are not among them come from the base.
    """
    base = _base_parameters(model) - set(stored)
    shapes = {name: tuple(tensor.shape) for name, tensor in stored_tensors(model).items() if name not in base}
    for name, layer in _adapted_layers(model, adapter, base):
        shapes |= {f"{name}.{part}.weight": shape for part, shape in _matrix_shapes(layer, adapter.rank).items()}
    if adapter.keeps_tokens:
        shapes[TOKEN_ROWS] = (model.config.vocabulary_size,)
    return shapes


def read_token_rows(
    state: Mapping[str, torch.Tensor], adapter: AdapterConfig, vocabulary_size: int, path: Path
) -> list[int] | None:
    """Return the rows of the token embeddings of the base that an adapter keeps; None if it has new embeddings.

    Args:
        state: Tensors of the weights file.
        adapter: Configuration of the adapter.
        vocabulary_size: Number of token ids.
        path: File of the weights, for error messages.

    Raises:
        CheckpointError: A row is negative, or one row belongs to several tokens: embeddings could then be larger than
            those of the base.
    """
    if not adapter.keeps_tokens:
        return None
    like = torch.empty(vocabulary_size, dtype=torch.int64, device="meta")
    rows: list[int] = take(state, TOKEN_ROWS, like, path).tolist()
    ordinary = rows[_SPECIAL_IDS:]
    if min(rows) < 0 or len(set(ordinary)) < len(ordinary):
        raise CheckpointError(f"{path}: {TOKEN_ROWS} has a negative row or one row twice; copy the checkpoint again")
    return rows


@torch.no_grad()
def merge(model: ReportModel, adapter: AdapterConfig, state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Add the low-rank products to the weights of the base, in float32 and one layer at a time.

    Args:
        model: Model with the weights of the base, and with those of the file that have a place in it.
        adapter: Configuration of the adapter.
        state: Tensors of the weights file.
        path: File of the weights, for error messages.

    Raises:
        CheckpointError: A matrix is missing, of another shape or type, or the sum is not finite.
    """
    for name, layer in _adapted_layers(model, adapter, _base_parameters(model) - state.keys()):
        first, second = (
            take(state, f"{name}.{part}.weight", torch.empty(shape, device="meta"), path)
            for part, shape in _matrix_shapes(layer, adapter.rank).items()
        )
        product = (second @ first) * (adapter.alpha / adapter.rank)  # [out,in]
        layer.weight += product.T if isinstance(layer, Conv1D) else product
        if not bool(torch.isfinite(layer.weight).all()):
            raise CheckpointError(f"{path}: {name} is not finite with its low-rank product; use another checkpoint")


def _base_parameters(model: ReportModel) -> set[str]:
    """Return the names of the parameters that a base can have: all of the language model, tied ones once."""
    return {f"{LANGUAGE_MODEL}{name}" for name, _ in model.decoder.language_model.named_parameters()}


def _adapted_layers(
    model: ReportModel, adapter: AdapterConfig, base: Collection[str]
) -> Iterator[tuple[str, nn.Linear | Conv1D]]:
    """Yield the linear layers with low-rank matrices: those with a name of the targets and the weights of the base."""
    for name, layer in model.decoder.language_model.named_modules():
        is_target = any(name == target or name.endswith(f".{target}") for target in adapter.targets)
        full = f"{LANGUAGE_MODEL}{name}"
        if is_target and isinstance(layer, nn.Linear | Conv1D) and f"{full}.weight" in base:
            yield full, layer


def _matrix_shapes(layer: nn.Linear | Conv1D, rank: int) -> dict[str, tuple[int, int]]:
    """Return the shapes of the two low-rank matrices of a layer; the weight of a Conv1D is stored as [in,out]."""
    outputs, inputs = reversed(layer.weight.shape) if isinstance(layer, Conv1D) else layer.weight.shape
    return {"lora_A": (rank, inputs), "lora_B": (outputs, rank)}
