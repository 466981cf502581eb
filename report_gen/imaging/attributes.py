"""Read single attributes of a DICOM data set."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue

LONGEST_TEXT = 10_240
"""Longest text that is taken from a header, characters: that of the value representation LT (PS3.5 6.2)."""


def optional_value(dataset: Dataset, keyword: str) -> Any:
    """Return the value of an optional attribute, or None if it is absent or malformed."""
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in dataset:  # `Dataset.get` finds that out by an exception, which takes longer
        return None
    try:
        return dataset.get(keyword)
    except (BytesLengthException, TypeError, ValueError):
        return None


def number_value(dataset: Dataset, keyword: str) -> float | None:
    """Return the number of an optional attribute, or None if it is absent, malformed or not one finite number."""
    numbers = number_values(dataset, keyword)
    return numbers[0] if len(numbers) == 1 else None


def number_values(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """Return the numbers of an optional attribute; none if it is absent, malformed or contains NaN or infinity."""
    value = optional_value(dataset, keyword)
    try:
        numbers = tuple(map(float, value if isinstance(value, MultiValue | list | tuple) else (value,)))
    except (TypeError, ValueError):
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()


def text_value(dataset: Dataset, keyword: str) -> str | None:
    """Return a text, decoded by Specific Character Set (0008,0005), or None if it is absent or empty.

    The text is cut to `LONGEST_TEXT` characters. Control and direction characters become spaces because a terminal
    would act on them.
    """
    value = optional_value(dataset, keyword)
    if isinstance(value, bytes):  # a text of more than 64 KiB is written with the VR UN (PS3.5 6.2.2)
        value = value[:LONGEST_TEXT].decode(errors="replace")
    text = str("" if value is None else value)[:LONGEST_TEXT]
    if not text.isprintable():  # most texts are
        text = "".join(" " if unicodedata.category(c)[0] == "C" else c for c in text)
    return " ".join(text.split()) or None


def code_meaning(dataset: Dataset, keyword: str) -> str | None:
    """Return the Code Meaning (0008,0104) of the first item of a code sequence (PS3.3 8.8)."""
    return next((text_value(item, "CodeMeaning") for item in optional_value(dataset, keyword) or ()), None)
