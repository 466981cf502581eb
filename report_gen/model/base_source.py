"""Find the base of a checkpoint that is an adapter. Nothing is downloaded, and a checkpoint opens no file by itself.

A checkpoint may come from a stranger. The name of the base in its configuration therefore opens only an installed
package of `PACKAGES`; a folder, a file or a hub name is opened only if the user gives it. In every case the SHA-256 of
the weights has to be the recorded one, and a hub name is looked up in the local cache alone.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from report_gen.config import AdapterConfig
from report_gen.errors import CheckpointError
from report_gen.model.pretrained_source import PACKAGES, PretrainedSource, find_source, package_folder

_OPTION = "give it with base=... as its folder, GGUF file, package, or hub name in the local cache"


def find_base(adapter: AdapterConfig, path: Path, given: str | None = None) -> PretrainedSource:
    """Find the base of an adapter on this computer.

    Args:
        adapter: Configuration of the adapter.
        path: File of the configuration, for error messages.
        given: Folder, GGUF file, package or hub name that the user gave; None: the package that the adapter names.

    Raises:
        CheckpointError: The base is not on this computer, or only the checkpoint names it.
    """
    if given is None and adapter.base not in PACKAGES:
        raise CheckpointError(
            f"{path}: the decoder is an adapter of {adapter.base!r}, and a checkpoint may open no file or hub model by "
            f"itself; {_OPTION}"
        )
    try:
        return local_source(str(package_folder(adapter.base)) if given is None else given)
    except CheckpointError as error:
        raise CheckpointError(
            f"{path}: the decoder is an adapter of {adapter.base!r}, which is not found ({error})"
        ) from error


def check_base(source: PretrainedSource, adapter: AdapterConfig, path: Path) -> None:
    """Check that the weights of a base are those that an adapter was trained on.

    Args:
        source: The base.
        adapter: Configuration of the adapter.
        path: File of the configuration, for error messages.

    Raises:
        CheckpointError: The weights are others, or cannot be read.
    """
    found = base_digest(source)
    if found != adapter.sha256:
        raise CheckpointError(
            f"{source.path}: not the base of the adapter {path.parent}: the SHA-256 of its weights is {found} instead "
            f"of {adapter.sha256}; give the weights of {adapter.base!r} with base=..."
        )


def local_source(name: str) -> PretrainedSource:
    """Find a pretrained language model on this computer.

    Args:
        name: As in `find_source`; a hub name is looked up in the local cache of the hub.

    Raises:
        CheckpointError: There is no such model on this computer.
    """
    try:
        source = find_source(name)
        if Path(source.location).is_dir():
            return source
        cached = try_to_load_from_cache(name, "config.json")  # never connects
    except (OSError, ValueError):  # neither a path nor a name that a hub could have
        cached = None
    if not isinstance(cached, str):
        raise CheckpointError(
            f"{name}: no such folder or GGUF file, and no such model in the local cache of the hub; correct the name, "
            "or download the model first"
        )
    return find_source(str(Path(cached).parent))


def base_digest(source: PretrainedSource) -> str:
    """Return the SHA-256 of the weights of a local language model, see `AdapterConfig.sha256`.

    Raises:
        CheckpointError: The weights cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for path in _weights_files(source):
            if not path.is_file():  # opening a pipe would wait forever
                raise CheckpointError(f"{path}: no such weights file; give a folder with safetensors or GGUF weights")
            with path.open("rb") as file:
                hashlib.file_digest(file, lambda: digest)
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{source.path}: its weights cannot be read ({error}); give another folder") from error
    return digest.hexdigest()


def _weights_files(source: PretrainedSource) -> list[Path]:
    """Return the files with the weights that transformers loads."""
    folder = Path(source.location)
    index = folder / SAFE_WEIGHTS_INDEX_NAME
    if source.gguf_file is not None:
        return [source.path]
    if (folder / SAFE_WEIGHTS_NAME).exists() or not index.is_file():
        return [folder / SAFE_WEIGHTS_NAME]
    names = set(json.loads(index.read_bytes())["weight_map"].values())
    return [folder / name for name in sorted(names)]
