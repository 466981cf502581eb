"""Read the files of a checkpoint, which may come from a stranger: regular files of limited size, and plain JSON."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any

from report_gen.errors import CheckpointError, ResourceError
from report_gen.strict_json import unique_keys
from report_gen.tokenizer import TOKENIZER_FILES

MANIFEST, CONFIG, WEIGHTS, PROMPT, TRAINING, CARD = (
    "manifest.json",
    "config.json",
    "model.safetensors",
    "prompt.txt",
    "training.json",
    "README.md",
)
CONTINUATIONS = "continuations.safetensors"
"""Optional file with the `Continuations` of the training reports."""
TOKENIZER, TOKENIZER_JSON = TOKENIZER_FILES
"""Files of a learned tokenizer and of that of a pretrained decoder; a checkpoint has one of them."""

_MIB = 2**20
MAX_BYTES = {
    MANIFEST: _MIB // 16,
    CONFIG: _MIB,
    PROMPT: _MIB,
    TOKENIZER: 64 * _MIB,
    TOKENIZER_JSON: 32 * _MIB,
    TRAINING: 64 * _MIB,
    CONTINUATIONS: 64 * _MIB,
    CARD: _MIB,
}
"""Largest size of each file, bytes. The size of the weights is compared with their own header, see `weights.py`."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_file(path: Path) -> bytes:
    """Return the content of a file of a checkpoint.

    Raises:
        CheckpointError: There is no regular file at the path, it is larger than `MAX_BYTES`, or it cannot be read.
        ResourceError: The file does not fit into the memory.
    """
    limit = MAX_BYTES.get(path.name)
    try:
        with _open(path) as file:
            content = file.read() if limit is None else file.read(limit + 1)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); copy the checkpoint again") from error
    except MemoryError as error:
        raise ResourceError(f"{path}: not enough memory for this file; use a smaller model or free memory") from error
    if limit is not None and len(content) > limit:
        raise CheckpointError(f"{path}: larger than {limit} bytes, so not written by this program; get the original")
    return content


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file of a checkpoint, hexadecimal. The file is not read into the memory as a whole.

    Raises:
        CheckpointError: There is no regular file at the path, or it cannot be read.
    """
    try:
        with _open(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); copy the checkpoint again") from error


def _open(path: Path) -> BufferedReader:
    check_regular(path)
    # Not blocking, in case a pipe has taken the place of the file since it was checked.
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def check_regular(path: Path) -> int:
    """Return the size of a regular file, or of the one that a symbolic link names, bytes.

    Opening a pipe would wait forever, and opening a device can act on it, so the kind is checked before.

    Raises:
        CheckpointError: There is no file, or it is a folder, a pipe, a socket or a device.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        is_other_folder = isinstance(error, FileNotFoundError) and path.name == CONFIG
        remedy = f"give the folder that contains {CONFIG}" if is_other_folder else "copy the checkpoint again"
        raise CheckpointError(f"{path}: cannot be read ({reason}); {remedy}") from error
    if not stat.S_ISREG(status.st_mode):
        kind = next((kind for matches, kind in _KINDS if matches(status.st_mode)), "of an unknown kind")
        raise CheckpointError(f"{path}: is {kind}, not a file; copy the checkpoint again")
    return status.st_size


def parse_json(path: Path, content: bytes) -> Any:
    """Return the content of a JSON file of a checkpoint.

    Raises:
        CheckpointError: The content is not JSON, is nested too deeply, or contains a key twice or a number that is not
            finite.
    """
    try:
        return json.loads(content, object_pairs_hook=unique_keys, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:  # not chained: its traceback has a thousand lines
        fault = "nested too deeply"
    except UnicodeDecodeError:
        fault = "not UTF-8 text"
    except ValueError as error:
        fault = str(error)
    raise CheckpointError(f"{path}: not valid JSON ({fault}); copy the checkpoint again")


def _refuse(constant: str) -> None:
    raise ValueError(f"the number {constant} is not finite")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {digits[:20]} is not finite")
    return number
