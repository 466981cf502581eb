"""Load a low-rank adapter in the format of PEFT onto a model of transformers."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from report_gen.backends.description import Adapter
from report_gen.backends.hub_errors import explained
from report_gen.errors import CheckpointError
from report_gen.model import quiet

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def load_adapter(model: Any, adapter: Adapter, folder: Path, *, base: str, base_sha256: str) -> str:
    """Add an adapter to a model.

    transformers loads it with peft, which must be installed. In a model of bfloat16 the adapter is rounded to it.

    Args:
        model: The model with the weights of the base; it is changed.
        adapter: Adapter of a description.
        folder: Folder of the description.
        base: Name of the base, for error messages.
        base_sha256: SHA-256 of its weights.

    Returns:
        The SHA-256 of base and adapter together: that of their two hexadecimal digests, one after the other.

    Raises:
        CheckpointError: The adapter or peft is missing, or the adapter was altered, does not fit the model, or was
            trained on another base.
    """
    path = folder / adapter.folder
    sha256 = adapter_digest(path)
    if adapter.sha256 not in ("", sha256):
        raise CheckpointError(f"{path}: the adapter is not the one that its description names; copy the folder again")
    if adapter.base_sha256 not in ("", base_sha256):
        raise CheckpointError(
            f"{base}: its weights are others than those that the adapter {path} was trained on "
            f"({adapter.base_sha256[:12]}); name the original base with --base, or its commit with `revision`"
        )
    if find_spec("peft") is None:
        raise CheckpointError(f"{path}: an adapter needs peft; pip install peft")
    with explained(str(path), f"the adapter does not fit {base}; use the base that its {_CONFIG} names"), quiet():
        found = model.load_adapter(str(path), use_safetensors=True)
    if left := sorted({*found.missing_keys, *found.unexpected_keys}):
        raise CheckpointError(
            f"{path}: {len(left)} tensors of the adapter and of {base} do not fit each other, {left[0]} first; use the "
            f"base that its {_CONFIG} names"
        )
    return hashlib.sha256(f"{base_sha256}{sha256}".encode()).hexdigest()


def adapter_digest(folder: Path) -> str:
    """Return the SHA-256 over the configuration and the weights of an adapter, one after the other.

    Raises:
        CheckpointError: A file is missing or cannot be read.
    """
    digest = hashlib.sha256()
    for path in (folder / _CONFIG, folder / _WEIGHTS):
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file; name the folder of an adapter in the format of PEFT")
        try:
            with path.open("rb") as file:
                hashlib.file_digest(file, lambda: digest)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror}); check the permissions") from error
    return digest.hexdigest()
