"""Describe the status codes with which archives answer (PS3.7 Annex C, PS3.4 B.2.3, PS3.18 Annex I.2)."""

from __future__ import annotations

from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS, code_to_category

_OUT_OF_RESOURCES = range(0xA700, 0xA800)
"""Refused: out of resources, the only transient failure of PS3.4 table B.2-1."""
_UNSUPPORTED_SYNTAX = 0xC122
"""Failure reason of STOW-RS (PS3.18 table I.2-2) that C-STORE does not have."""


def describe_status(code: int) -> str:
    """Return the number of a status and its meaning."""
    if code == _UNSUPPORTED_SYNTAX:
        meaning = "Transfer Syntax Not Supported"
    else:
        _, meaning = STORAGE_SERVICE_CLASS_STATUS.get(code, ("", ""))
    return f"0x{code:04X} {meaning}" if meaning else f"0x{code:04X}"


def is_warning(code: int) -> bool:
    """Return whether the file was stored although something was changed in it."""
    return code_to_category(code) == "Warning"


def is_transient(code: int) -> bool:
    """Return whether the same file may be stored if it is sent again."""
    return code in _OUT_OF_RESOURCES
