"""Check the names in a recipe: its own, which becomes the name of a folder, and those of its parts."""

from __future__ import annotations

import os
import unicodedata
from typing import Annotated

from pydantic import AfterValidator

LONGEST_NAME = 200
"""Longest name, bytes. A file name may have 255, and the contact sheet appends a suffix."""

_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
"""Names that Windows gives to devices, with any suffix; a run folder may be on a shared disk."""
_UNSAFE = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories of characters that are invisible or that a terminal may act on."""


def check_name(name: str) -> str:
    """Return a name that is a file name on every system.

    Raises:
        ValueError: The name could write outside its folder, or is no file name.
    """
    problem = None
    if any(character in name for character in "/\\:"):
        problem = "contains a slash or a colon"
    elif not name or name != name.strip() or name.startswith(".") or name.endswith("."):
        problem = "is empty, or begins or ends with a dot or a space"
    elif name.partition(".")[0].lower() in _RESERVED:
        problem = "is reserved by Windows"
    problem = problem or _fault(name)
    if problem:
        raise ValueError(f"{name[:50]!r} {problem}; it becomes the name of a folder, so choose letters and digits")
    return name


def _check_label(name: str) -> str:
    problem = _fault(name) if name.strip() else "is empty"
    if problem:
        raise ValueError(f"{name[:50]!r} {problem}; it appears in messages and logs, so choose letters and digits")
    return name


Label = Annotated[str, AfterValidator(_check_label)]
"""Name of a part of a recipe: not empty, at most `LONGEST_NAME` bytes, without control and invisible characters."""


def _fault(name: str) -> str | None:
    """Return what no name in a recipe may contain, if this one does."""
    if any(unicodedata.category(character) in _UNSAFE for character in name):
        return "contains a control character or an invisible one"
    return f"has more than {LONGEST_NAME} bytes" if len(os.fsencode(name)) > LONGEST_NAME else None
