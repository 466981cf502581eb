"""Check the name of a recipe, which becomes the name of a folder."""

from __future__ import annotations

import os
import unicodedata

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
    elif any(unicodedata.category(character) in _UNSAFE for character in name):
        problem = "contains a control character or an invisible one"
    elif len(os.fsencode(name)) > LONGEST_NAME:
        problem = f"has more than {LONGEST_NAME} bytes"
    elif name.partition(".")[0].lower() in _RESERVED:
        problem = "is reserved by Windows"
    if problem:
        raise ValueError(f"{name[:50]!r} {problem}; it becomes the name of a folder, so choose letters and digits")
    return name
