"""Silence the warnings of pydicom and Pillow, which may name a patient, and have Pillow refuse truncated images."""

from __future__ import annotations

import re
import warnings

from PIL import ImageFile

_MODULES = r"(pydicom|PIL)(\.|\Z)"
_FILTER = ("ignore", None, Warning, re.compile(_MODULES), 0)


def configure_decoders() -> None:
    """Ignore warnings that pydicom and Pillow issue, and refuse truncated images, from now on in the whole process.

    The warnings quote header values. WeasyPrint has Pillow pad truncated images with gray for the whole process, but
    half of a radiograph must not be drafted.

    `warnings.catch_warnings` would restore the filters it found. With several threads it then restores a list that
    another thread has changed, so a filter is lost or kept by chance (Python documentation, "Testing Warnings"). This
    function only adds a filter, and only once, so any number of threads may call it before they read a file.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    if _FILTER not in warnings.filters:
        warnings.filterwarnings("ignore", module=_MODULES)
