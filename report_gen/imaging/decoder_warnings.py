"""Silence the warnings of pydicom and Pillow, which quote header values and so may name a patient."""

from __future__ import annotations

import re
import warnings

_MODULES = r"(pydicom|PIL)(\.|\Z)"
_FILTER = ("ignore", None, Warning, re.compile(_MODULES), 0)


def silence_decoder_warnings() -> None:
    """Ignore warnings that pydicom and Pillow issue, from now on and in the whole process.

    `warnings.catch_warnings` would restore the filters it found. With several threads it then restores a list that
    another thread has changed, so a filter is lost or kept by chance (Python documentation, "Testing Warnings"). This
    function only adds a filter, and only once, so any number of threads may call it before they read a file.
    """
    if _FILTER not in warnings.filters:
        warnings.filterwarnings("ignore", module=_MODULES)
