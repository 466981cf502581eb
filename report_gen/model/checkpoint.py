"""A checkpoint: a folder that explains itself and runs nothing."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from report_gen.config import ModelConfig
from report_gen.errors import CheckpointError, UsageError
from report_gen.files import write_folder
from report_gen.model.migration import migrate_config
from report_gen.model.report_model import ReportModel
from report_gen.prompting import Prompt
from report_gen.tokenizer import ReportTokenizer

CONFIG, WEIGHTS, TOKENIZER, PROMPT, TRAINING, MANIFEST, CARD = (
    "config.json",
    "model.safetensors",
    "tokenizer.model",
    "prompt.txt",
    "training.json",
    "manifest.json",
    "README.md",
)
SEALED = (CONFIG, WEIGHTS, TOKENIZER, PROMPT, TRAINING)
"""Files whose SHA-256 stands in the manifest; the model card may be edited."""


@dataclass(frozen=True)
class Checkpoint:
    """What drafting needs: the model, its words, its prompt, and the SHA-256 of its weights."""

    model: ReportModel
    tokenizer: ReportTokenizer
    prompt: Prompt
    weights_sha256: str


def save_checkpoint(
    folder: Path,
    *,
    model: ReportModel,
    config: ModelConfig,
    tokenizer: ReportTokenizer,
    prompt: Prompt,
    training: Mapping[str, Any],
    card: str,
    weights_dtype: torch.dtype = torch.float32,
    state: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write a checkpoint under a temporary name, then rename it to `folder`, replacing an older one.

    Args:
        config: the model's, with the thresholds of its findings.
        training: how the model came to be; goes to `training.json`.
        card: the model card, Markdown.
        weights_dtype: type in which floating-point weights are stored; they are loaded as float32.
        state: the weights under the names of a plain model, where `model` has adapters; its own if not given.

    Raises:
        OutputError: the folder cannot be written.
    """
    weights = {
        name: (tensor.to(weights_dtype) if tensor.is_floating_point() else tensor).contiguous().cpu()
        for name, tensor in _unshared(model.state_dict() if state is None else state).items()
    }
    contents = {
        CONFIG: config.model_dump_json(indent=2).encode() + b"\n",
        WEIGHTS: save(weights, metadata={"format": "pt"}),
        TOKENIZER: tokenizer.to_bytes(),
        PROMPT: prompt.text.encode(),
        TRAINING: json.dumps(training, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n",
    }
    manifest = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    contents[MANIFEST] = json.dumps(manifest, indent=2).encode() + b"\n"
    contents[CARD] = card.encode()
    write_folder(folder, contents)


def load_checkpoint(folder: str | os.PathLike[str]) -> Checkpoint:
    """Load the model of a checkpoint folder and what drafting needs besides.

    Args:
        folder: folder that `save_checkpoint` wrote.

    Returns:
        The model in evaluation mode, float32, on the CPU; its tokenizer, its prompt and the SHA-256 of its weights.

    Raises:
        CheckpointError: a file is missing, altered or does not fit the others.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such checkpoint folder; give the folder that holds {CONFIG}")
    contents = {name: _read(folder / name) for name in (*SEALED, MANIFEST)}
    _check_manifest(folder, contents)
    config = _parse_config(folder / CONFIG, contents[CONFIG])
    tokenizer = ReportTokenizer.from_bytes(contents[TOKENIZER], name=str(folder / TOKENIZER))
    if tokenizer.vocabulary_size != config.vocabulary_size:
        raise CheckpointError(
            f"{folder / TOKENIZER}: {tokenizer.vocabulary_size} pieces, but {CONFIG} says {config.vocabulary_size}; "
            "copy the checkpoint again"
        )
    model = ReportModel(config, encode=tokenizer.encode)
    _fill(model, folder / WEIGHTS, contents[WEIGHTS])
    weights_sha256 = hashlib.sha256(contents[WEIGHTS]).hexdigest()
    return Checkpoint(model.eval(), tokenizer, _parse_prompt(folder / PROMPT, contents[PROMPT]), weights_sha256)


def _unshared(named: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state without second names of the same memory, such as an output layer tied to the word embeddings."""
    seen: set[int] = set()
    state = {}
    for name, tensor in named.items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            state[name] = tensor
        seen.add(tensor.data_ptr())
    return state


def _fill(model: ReportModel, path: Path, content: bytes) -> None:
    """Load strictly: a missing, unexpected or mis-shaped tensor would otherwise stay random without a word."""
    try:
        state = load(content)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a safetensors file ({error}); copy the checkpoint again") from error
    wanted = _unshared(model.state_dict())
    faults = sorted(set(wanted) ^ set(state)) or sorted(
        name for name, tensor in wanted.items() if tensor.shape != state[name].shape
    )
    if faults:
        raise CheckpointError(
            f"{path}: {len(faults)} tensors do not fit {CONFIG}, {faults[0]} first; copy the checkpoint again"
        )
    model.load_state_dict({name: state[name].to(wanted[name].dtype) for name in wanted}, strict=False)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); copy the checkpoint again") from error


def _check_manifest(folder: Path, contents: Mapping[str, bytes]) -> None:
    try:
        manifest = json.loads(contents[MANIFEST])
    except ValueError as error:
        raise CheckpointError(f"{folder / MANIFEST}: not JSON; copy the checkpoint again") from error
    for name in SEALED:
        if not isinstance(manifest, dict) or manifest.get(name) != hashlib.sha256(contents[name]).hexdigest():
            raise CheckpointError(
                f"{folder / name}: altered since the checkpoint was written; copy the checkpoint again"
            )


def _parse_prompt(path: Path, content: bytes) -> Prompt:
    """Exactly as it was sealed: what was trained with is what is drafted with."""
    try:
        return Prompt(content.decode(), name=str(path))
    except (UnicodeDecodeError, UsageError) as error:
        raise CheckpointError(f"{path}: no prompt ({error}); copy the checkpoint again") from error


def _parse_config(path: Path, content: bytes) -> ModelConfig:
    try:
        return ModelConfig.model_validate_json(json.dumps(migrate_config(json.loads(content))))
    except (ValueError, AttributeError, TypeError) as error:
        if not isinstance(error, pydantic.ValidationError):
            raise CheckpointError(f"{path}: {error}; install the release that wrote the checkpoint") from error
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise CheckpointError(f"{path}: {where}: {fault['msg']}; the checkpoint is of another version") from error
