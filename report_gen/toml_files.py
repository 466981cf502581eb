"""Read small TOML files of users, describe what is wrong with their content, and write such files."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from report_gen.errors import UsageError

if TYPE_CHECKING:
    import pydantic

_LARGEST = 2**20
"""Largest file that is read, bytes. No file that a person writes is larger."""


_BARE_KEY = re.compile("[A-Za-z0-9_-]+")


def read_toml_file(path: Path, kind: str, *, hint: str = "") -> dict[str, Any]:
    """Return the content of a TOML file.

    Args:
        path: The file.
        kind: What the file should be, such as "a findings file".
        hint: What to do if the file cannot be read, apart from giving another one.

    Raises:
        UsageError: The file cannot be read, is too large or is not TOML.
    """
    try:
        if path.exists() and (not path.is_file() or path.stat().st_size > _LARGEST):
            raise UsageError(f"{path}: not a regular file of at most {_LARGEST} bytes; give {kind} (TOML)")
        return parse_toml(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give {kind} (TOML){hint}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not TOML ({error}); correct that line") from error


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """Return the content of a TOML text.

    Args:
        text: The text.
        source: Name of the text in an error.

    Raises:
        UsageError: The text is not TOML.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, and arrays in arrays
        raise UsageError(f"{source}: not TOML ({error}); correct that line") from error


def format_toml(content: Mapping[str, Any]) -> str:
    """Return a TOML text, from which `parse_toml` returns the content again.

    Args:
        content: Texts, numbers, booleans, arrays of these, tables of them, and arrays of tables. None is left out.
    """
    return "\n".join(_toml_lines(content, "")).lstrip("\n") + "\n"


def _toml_lines(content: Mapping[str, Any], path: str) -> Iterator[str]:
    tables = [(key, value) for key, value in content.items() if _holds_tables(value)]
    for key, value in content.items():
        if value is not None and not _holds_tables(value):
            yield f"{_toml_key(key)} = {_toml_value(value)}"
    for key, value in tables:
        inner = f"{path}.{_toml_key(key)}".lstrip(".")
        if isinstance(value, Mapping):
            yield from ("", f"[{inner}]", *_toml_lines(value, inner))
        else:
            for item in value:
                yield from ("", f"[[{inner}]]", *_toml_lines(item, inner))


def _toml_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _toml_value(key)


def _toml_value(value: Any) -> str:
    """Return a value as JSON, which is TOML except for the character DEL in texts."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _holds_tables(value: Any) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)
    )


def describe_fault(error: pydantic.ValidationError) -> str:
    """Return what the first fault of a file is, with its key, and what to do."""
    fault = error.errors()[0]
    place = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        return f"unknown key {place!r}; remove it or correct its spelling"
    if fault["type"] == "missing":
        return f"key {place!r} is missing; add it"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
