"""Load a model of transformers from a hub or a local folder: no code of the model, and safetensors weights only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, BitsAndBytesConfig, PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.utils import cached_file, extract_commit_hash, find_adapter_config_file

from report_gen.backends.adapter_loading import load_adapter
from report_gen.backends.description import ModelDescription, Runtime, is_folder
from report_gen.backends.hub_errors import explained, remote_code_error
from report_gen.backends.interface import BackendInfo
from report_gen.errors import CheckpointError, UsageError
from report_gen.model import PretrainedSource, base_digest, quiet, resolve_device

ENCODER_DECODER = "vision-encoder-decoder"
"""`model_type` of VisionEncoderDecoderModel."""

IMAGE_TEXT = frozenset(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES) - {ENCODER_DECODER}
"""`model_type` of the models that AutoModelForImageTextToText loads and that have a prompt."""


_LEAST_BYTES = 0.5
"""Least memory of a parameter in a file, bytes: 4 bits."""


@dataclass(frozen=True, kw_only=True)
class HubModel:
    """A loaded model."""

    model: Any
    """The model, in evaluation mode."""
    info: BackendInfo
    location: str
    """Local folder or hub name."""
    arguments: dict[str, Any]
    """Keyword arguments of `from_pretrained` for other files of the same revision."""

    def load_part(self, auto_class: Any, what: str) -> Any:
        """Load another part of the model, such as its processor.

        Args:
            auto_class: Class of transformers, such as AutoProcessor.
            what: Name of the part and its files, for error messages.

        Raises:
            CheckpointError: There is no such part, or it cannot be loaded.
        """
        with explained(self.info.model, f"no {what} can be loaded; add its files to the folder of the model"), quiet():
            return auto_class.from_pretrained(self.location, **self.arguments)


def load_hub_model(description: ModelDescription, model_types: Collection[str], device: str = "auto") -> HubModel:
    """Load the model that a description names.

    `BackendInfo.weights_sha256` is the SHA-256 of the safetensors files, one after the other in the order of their
    names: `model.safetensors`, or else the files that `model.safetensors.index.json` lists. For a single file it is
    the output of `sha256sum`, which the hub shows as well. With an adapter it covers both, see `load_adapter`.

    Args:
        description: The description.
        model_types: Values of `model_type` in config.json that the backend can use.
        device: As in `resolve_device`. A device other than `auto` has precedence over `runtime.device_map`.

    Raises:
        CheckpointError: The model is not found, cannot be downloaded, or does not fit the backend.
        ResourceError: Memory is exhausted.
        UsageError: The device or quantization is not available on this computer.
    """
    settings, runtime = description.settings, description.settings.runtime
    target = resolve_device(device)
    placement = _placement(runtime, device, target)
    files = _find_files(description, model_types)
    name, location, arguments = files.name, files.location, files.arguments
    model = _load_weights(location, {**arguments, **placement}, name)
    if "device_map" not in placement:
        with explained(name, f"cannot be moved to {target}"):
            model = model.to(target)
    sha256 = base_digest(PretrainedSource(str(files.folder)))
    if settings.adapter is not None:
        sha256 = load_adapter(model, settings.adapter, description.folder, base=name, base_sha256=sha256)
    info = BackendInfo(
        model=name,
        revision=files.commit,
        weights_sha256=sha256,
        device=model.device.type,
        dtype=runtime.quantization or str(model.dtype).removeprefix("torch."),
    )
    return HubModel(model=model.eval(), info=info, location=location, arguments=arguments)


class _Files(NamedTuple):
    """Where the files of a model are."""

    name: str
    """Hub name, or name of the local folder."""
    location: str
    """Hub name or local folder."""
    folder: Path
    """Folder of the files on this computer."""
    commit: str
    """Commit at the hub; empty for a local folder, or if it is not known."""
    arguments: dict[str, Any]
    """Keyword arguments of `from_pretrained`."""


def _find_files(description: ModelDescription, model_types: Collection[str]) -> _Files:
    """Find the files of a model, and check its configuration before any weight is loaded.

    Raises:
        CheckpointError: The model is not found, cannot be downloaded, or does not fit the backend.
    """
    settings = description.settings
    local = description.folder / settings.model
    is_local = is_folder(local)
    location = str(local) if is_local else settings.model
    name = local.absolute().name if is_local else settings.model
    where: dict[str, Any] = {"local_files_only": is_local}
    if settings.revision and not is_local:
        where["revision"] = settings.revision
    with explained(name, "no config.json of transformers; give a folder or a hub name of such a model"), quiet():
        path = Path(cached_file(location, "config.json", **where))
        commit = "" if is_local else extract_commit_hash(str(path), None) or ""
        if commit:  # all files are then of one commit, even if the branch changes
            where["revision"] = commit
        config, _ = PreTrainedConfig.get_config_dict(location, **where)
        _check_kind(config, model_types, name)
        adapter = find_adapter_config_file(location, **where)
    if adapter is not None:  # transformers would load the base that it names
        raise CheckpointError(
            f"{name}: is an adapter (adapter_config.json); name its base as the model, and its folder with [adapter]"
        )
    arguments = {**where, "trust_remote_code": False}
    if is_local:
        _check_size(location, arguments, name)
    return _Files(name, location, path.parent, commit, arguments)


def _placement(runtime: Runtime, device: str, target: torch.device) -> dict[str, Any]:
    """Return the arguments of `from_pretrained` for type, device map and quantization."""
    dtype = "auto" if runtime.dtype == "auto" else getattr(torch, runtime.dtype)
    arguments: dict[str, Any] = {"dtype": torch.float32 if dtype == "auto" and target.type == "cpu" else dtype}
    if runtime.device_map and device == "auto":
        arguments["device_map"] = runtime.device_map
    if runtime.quantization:
        if find_spec("bitsandbytes") is None:
            raise UsageError("runtime.quantization needs bitsandbytes; pip install bitsandbytes, or remove the key")
        if target.type != "cuda":
            raise UsageError(f"runtime.quantization needs a GPU, and the device is {target.type}; remove the key")
        is_4bit = runtime.quantization == "4bit"
        arguments["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=is_4bit, load_in_8bit=not is_4bit, bnb_4bit_compute_dtype=torch.bfloat16
        )
        arguments.setdefault("device_map", {"": str(target)})  # quantized models cannot be moved
    return arguments


def _check_kind(config: dict[str, Any], model_types: Collection[str], name: str) -> None:
    """Raise CheckpointError if the model has another class than the backend needs."""
    if _names_kernel(config):
        raise remote_code_error(name)
    found = str(config.get("model_type"))  # any JSON value may stand there
    if found in model_types:
        return
    if found in IMAGE_TEXT or found == ENCODER_DECODER:
        fitting = "encoder-decoder" if found == ENCODER_DECODER else "image-text"
        raise CheckpointError(f'{name}: model_type is {found!r}, which needs backend = "{fitting}"; change the backend')
    if "auto_map" in config:
        raise remote_code_error(name)
    raise CheckpointError(
        f"{name}: model_type is {found[:100]!r}, which is no image-text model of the installed transformers; use "
        "another model, or a newer transformers"
    )


def _check_size(location: str, arguments: Mapping[str, Any], name: str) -> None:
    """Raise CheckpointError if the configuration describes a model that is far larger than its weight files.

    transformers would allocate its missing weights, which may exhaust the memory and end the process. The model is
    built without memory for weights here.
    """
    stored = sum(path.stat().st_size for path in Path(location).glob("*.safetensors"))
    with explained(name, "its config.json describes no model that can be built; download the model again"), quiet():
        config = AutoConfig.from_pretrained(location, **arguments)
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(config, trust_remote_code=False)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if stored and parameters * _LEAST_BYTES > stored:
        raise CheckpointError(
            f"{name}: its config.json describes {parameters:,} parameters, and its weights have {stored:,} bytes; "
            "download the model again"
        )


def _names_kernel(value: Any) -> bool:
    """Return whether a configuration takes its attention from a kernel at a hub, which is compiled code."""
    if isinstance(value, list):
        return any(map(_names_kernel, value))
    return isinstance(value, dict) and any(
        _names_kernel(one) or (str(key).endswith("attn_implementation") and "/" in str(one))
        for key, one in value.items()
    )


def _load_weights(location: str, arguments: dict[str, Any], name: str) -> Any:
    """Return the model with its weights; no weight may be missing."""
    otherwise = (
        "no safetensors weights that fit its config.json; pickle weights (pytorch_model.bin) are refused because they "
        "can run code, so convert them with `save_pretrained` where you trust them"
    )
    with explained(name, otherwise), quiet():
        model, found = AutoModelForImageTextToText.from_pretrained(
            location, **arguments, use_safetensors=True, output_loading_info=True
        )
    missing = sorted(found["missing_keys"])  # transformers alone would leave them random
    if missing:
        raise CheckpointError(
            f"{name}: its weights lack {len(missing)} tensors, {missing[0]} first; download the model again"
        )
    return model
