"""Read the JSON files of a run strictly: small regular files, without duplicate keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from report_gen.strict_json import parse_json

_LARGEST = 2**24
"""Largest file, bytes. A recipe with a long list of excluded studies stays far below it."""


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        OSError: The file is missing or cannot be read.
        ValueError: The file is not a regular file, too large, not JSON, nested too deeply, or has a key twice.
    """
    size = path.stat().st_size
    if not path.is_file() or size > _LARGEST:
        raise ValueError(f"not a regular file of at most {_LARGEST} bytes")
    return parse_json(path.read_bytes())
