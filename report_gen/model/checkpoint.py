"""Save and load checkpoints: folders of JSON, text and safetensors files, without pickles or class paths.

The manifest proves integrity, not trust: its hashes show that the files were written together, but not who wrote them.
Whoever can change the weights can also change the manifest. Loading an untrusted checkpoint must therefore be harmless:
its configuration may only shape the network (`config/architecture.py`), opens no hub, file or code, and is compared
with the sizes of the weights before a model is built (`shape_check.py`). The content of the drafts cannot be protected
in this way: use checkpoints only from people you trust.

A checkpoint may be an adapter, whose decoder is a base with low-rank products added (`adapter.py`). The base is opened
only if it is an installed package or the user names it (`base_source.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save

from report_gen.config import ModelConfig
from report_gen.errors import CheckpointError, UsageError
from report_gen.files import write_folder
from report_gen.model.checkpoint_files import (
    CARD,
    CONFIG,
    CONTINUATIONS,
    MANIFEST,
    PROMPT,
    TRAINING,
    WEIGHTS,
    digest_file,
    parse_json,
    read_file,
)
from report_gen.model.config_file import find_checkpoint, parse_config
from report_gen.model.continuations import Continuations
from report_gen.model.device import check_memory
from report_gen.model.initialization import WithoutInitialization
from report_gen.model.report_model import ReportModel
from report_gen.model.shape_check import check_shapes
from report_gen.model.trial import try_model
from report_gen.model.weights import fill, map_weights, read_header
from report_gen.prompting import Prompt, PromptValues, render
from report_gen.tokenizer import TOKENIZER_FILES, ReportTokenizer, parse_tokenizer

if TYPE_CHECKING:
    from report_gen.model.pretrained_source import PretrainedSource

SEALED = (CONFIG, WEIGHTS, PROMPT, TRAINING)
"""Files whose SHA-256 is in the manifest. It also has that of one of `TOKENIZER_FILES` and, if the checkpoint has this
file, that of `CONTINUATIONS`. The model card may be edited."""

BASE_SHA256 = "base_sha256"
"""Key of the metadata of the weights with the SHA-256 of the base, so that `weights_sha256` determines all weights."""


@dataclass(frozen=True)
class Checkpoint:
    """A model with its tokenizer and prompt, and the SHA-256 of its weights."""

    model: ReportModel
    tokenizer: ReportTokenizer
    prompt: Prompt
    weights_sha256: str
    continuations: Continuations | None = None
    """N-grams of the training reports, for proposals; None if the checkpoint has none."""


def save_checkpoint(
    folder: str | os.PathLike[str],
    *,
    model: ReportModel,
    config: ModelConfig,
    tokenizer: ReportTokenizer,
    prompt: Prompt,
    training: Mapping[str, Any],
    card: str,
    continuations: Continuations | None = None,
    weights_dtype: torch.dtype = torch.float32,
    state: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write a checkpoint to a temporary folder, then rename it to `folder`, replacing an older checkpoint.

    Args:
        folder: The checkpoint folder.
        model: Model whose weights are stored.
        config: Configuration of the model, with the thresholds of its findings.
        tokenizer: Tokenizer of the model.
        prompt: Prompt that the model was trained with.
        training: Record of the training, written to `training.json`.
        card: Model card, Markdown.
        continuations: N-grams of the training reports, without those that could identify a patient; None for none.
        weights_dtype: Type in which floating-point weights are stored; they are loaded as float32.
        state: Weights to store by name; by default those of `model`. For an adapter, what `adapter.py` describes.

    Raises:
        OutputError: The folder cannot be written.
    """
    weights = {
        name: (tensor.to(weights_dtype) if tensor.is_floating_point() else tensor).contiguous().cpu()
        for name, tensor in _unshared(model.state_dict() if state is None else state).items()
    }
    metadata = {"format": "pt"} | ({} if config.adapter is None else {BASE_SHA256: config.adapter.sha256})
    contents = {
        CONFIG: _encode_config(config),
        WEIGHTS: save(weights, metadata=metadata),
        tokenizer.file_name: tokenizer.to_bytes(),
        PROMPT: prompt.text.encode(),
        TRAINING: json.dumps(training, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n",
    }
    if continuations is not None:
        contents[CONTINUATIONS] = continuations.to_bytes()
    manifest = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    contents[MANIFEST] = json.dumps(manifest, indent=2).encode() + b"\n"
    contents[CARD] = card.encode()
    write_folder(Path(folder), contents)


def replace_config(folder: str | os.PathLike[str], config: ModelConfig) -> None:
    """Write another configuration into a checkpoint. Its weights and its other files stay as they are.

    Raises:
        CheckpointError: The folder contains no checkpoint.
        OutputError: The folder cannot be written.
    """
    folder = Path(folder)
    manifest = parse_json(folder / MANIFEST, read_file(folder / MANIFEST))
    contents = {name: read_file(folder / name) for name in (*manifest, CARD) if (folder / name).is_file()}
    contents[CONFIG] = _encode_config(config)
    manifest[CONFIG] = hashlib.sha256(contents[CONFIG]).hexdigest()
    contents[MANIFEST] = json.dumps(manifest, indent=2).encode() + b"\n"
    write_folder(folder, contents)


def _encode_config(config: ModelConfig) -> bytes:
    return config.model_dump_json(indent=2).encode() + b"\n"


def load_checkpoint(
    folder: str | os.PathLike[str] | None = None,
    *,
    base: str | os.PathLike[str] | None = None,
    with_transformers: bool = False,
) -> Checkpoint:
    """Load a checkpoint. Older schema versions of `config.json` are migrated, see `migration.py`.

    Args:
        folder: Folder that `save_checkpoint` wrote, or the folder of a training run, which contains it as `best`. None:
            the embedded checkpoint.
        base: Base of a checkpoint that is an adapter: a folder, a GGUF file, an installed package, or a hub name in the
            local cache; nothing is downloaded. None: the installed package that the checkpoint names.
        with_transformers: Build the decoder as a model of transformers in every case, to train it further. By default
            a GPT-2 that is no adapter is a `Gpt2LanguageModel`, which loads faster and computes the same logits.

    Returns:
        The model in evaluation mode, in float32 on the CPU; its tokenizer, its prompt and the SHA-256 of its weights.

    Raises:
        CheckpointError: A file is missing, was altered, does not fit the others or asks for more than a network; a
            weight is not a finite number; the model cannot generate a report; or the base of an adapter is missing, has
            other weights or another architecture, or has to be named by the user.
        ResourceError: The model does not fit into the memory.
        UsageError: There is a `base`, but the checkpoint is no adapter.
    """
    folder = find_checkpoint(folder)
    manifest = parse_json(folder / MANIFEST, read_file(folder / MANIFEST))
    vocabulary = _tokenizer_file(folder, manifest)
    optional = (CONTINUATIONS,) if isinstance(manifest, dict) and CONTINUATIONS in manifest else ()
    contents = {name: read_file(folder / name) for name in (*SEALED, vocabulary, *optional) if name != WEIGHTS}
    _check_manifest(folder, contents, manifest)
    config = parse_config(folder / CONFIG, contents[CONFIG])
    tokenizer = parse_tokenizer(vocabulary, contents[vocabulary], name=str(folder / vocabulary))
    if tokenizer.vocabulary_size != config.vocabulary_size:
        raise CheckpointError(
            f"{folder / vocabulary}: {tokenizer.vocabulary_size} pieces, but {CONFIG} says {config.vocabulary_size}; "
            "copy the checkpoint again"
        )
    prompt = _parse_prompt(folder / PROMPT, contents[PROMPT])
    continuations = _parse_continuations(folder / CONTINUATIONS, contents.get(CONTINUATIONS), config)
    source = _find_base(config, folder, base)
    # Before the weights are read, because both the file and a model that does not fit it may be larger than the memory.
    header = read_header(folder / WEIGHTS)
    check_shapes(config, header.shapes, folder / WEIGHTS, encode=tokenizer.encode)
    weights = map_weights(folder / WEIGHTS)
    # After the file is mapped: if another file takes its place, the mapping keeps the one that was checked.
    _check_digest(folder / WEIGHTS, digest_file(folder / WEIGHTS), manifest)
    if config.adapter is not None and header.metadata.get(BASE_SHA256) != config.adapter.sha256:
        raise CheckpointError(
            f"{folder / WEIGHTS}: made for another base than {CONFIG} names; copy the checkpoint again"
        )
    model = _build(config, folder / WEIGHTS, weights, tokenizer, source, for_inference=not with_transformers)
    try:
        try_model(model.eval(), tokenizer.encode(render(prompt, PromptValues())))
    except CheckpointError as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error
    return Checkpoint(model, tokenizer, prompt, str(manifest[WEIGHTS]), continuations)


def _find_base(config: ModelConfig, folder: Path, given: str | os.PathLike[str] | None) -> PretrainedSource | None:
    """Find the base of a checkpoint that is an adapter; None for any other checkpoint."""
    if config.adapter is not None:
        from report_gen.model.base_source import find_base  # loads transformers

        return find_base(config.adapter, folder / CONFIG, None if given is None else os.fspath(given))
    if given is not None:
        raise UsageError(f"{folder}: contains all weights and has no base; leave base=... out")
    return None


def _build(
    config: ModelConfig,
    path: Path,
    state: Mapping[str, torch.Tensor],
    tokenizer: ReportTokenizer,
    source: PretrainedSource | None,
    *,
    for_inference: bool,
) -> ReportModel:
    """Build the model with the stored weights, and with those of the base if there is one."""
    try:
        if source is not None:
            from report_gen.model.adapter import build_adapted  # loads transformers

            return build_adapted(config, source, state, path, encode=tokenizer.encode)
        with WithoutInitialization():  # `fill` replaces every parameter
            model = ReportModel(config, encode=tokenizer.encode, for_inference=for_inference)
        fill(model, path, state)
    except (MemoryError, RuntimeError) as error:
        check_memory(error, f"the model of {path.stat().st_size / 1e9:.1f} GB in {path}")
        raise
    return model


def _unshared(named: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the state without tensors that share memory, such as an output layer tied to the token embeddings."""
    addresses: set[int] = set()
    state = {}
    for name, tensor in named.items():
        if tensor.data_ptr() not in addresses or tensor.numel() == 0:
            state[name] = tensor
        addresses.add(tensor.data_ptr())
    return state


def _tokenizer_file(folder: Path, manifest: Any) -> str:
    """Return the name of the tokenizer's file, of which the manifest has one."""
    names = [name for name in TOKENIZER_FILES if isinstance(manifest, dict) and name in manifest]
    if len(names) > 1:
        raise CheckpointError(f"{folder / MANIFEST}: lists {' and '.join(names)}; use another checkpoint")
    return (names or TOKENIZER_FILES)[0]


def _check_manifest(folder: Path, contents: Mapping[str, bytes], manifest: Any) -> None:
    """Compare file contents with the SHA-256 values in the manifest, which does not list itself."""
    for name in contents:
        _check_digest(folder / name, hashlib.sha256(contents[name]).hexdigest(), manifest)


def _check_digest(path: Path, digest: str, manifest: Any) -> None:
    if not isinstance(manifest, dict) or manifest.get(path.name) != digest:
        raise CheckpointError(f"{path}: altered since the checkpoint was written; copy the checkpoint again")


def _parse_prompt(path: Path, content: bytes) -> Prompt:
    """Return the prompt as it was stored, with its comments, because drafting must use the prompt of training."""
    try:
        return Prompt(content.decode(), name=str(path))
    except (UnicodeDecodeError, UsageError) as error:
        raise CheckpointError(f"{path}: not a valid prompt ({error}); copy the checkpoint again") from error


def _parse_continuations(path: Path, content: bytes | None, config: ModelConfig) -> Continuations | None:
    return None if content is None else Continuations.from_bytes(content, path=path, vocabulary=config.vocabulary_size)
