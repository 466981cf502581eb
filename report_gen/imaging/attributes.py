"""Read single attributes of a DICOM data set."""

from __future__ import annotations

from typing import Any

from pydicom import Dataset
from pydicom.errors import BytesLengthException


def optional_value(dataset: Dataset, keyword: str) -> Any:
    """Return the value of an optional attribute, or None if it is absent or malformed."""
    try:
        return dataset.get(keyword)
    except (BytesLengthException, TypeError, ValueError):
        return None
