"""Refuse sequences of countless items before pydicom parses them.

pydicom reads a sequence whose length is defined at once, and parses it on first access. An item of eight bytes then
takes a kilobyte of memory and 60 microseconds.
"""

from __future__ import annotations

from pathlib import Path

from pydicom import Dataset
from pydicom.dataelem import RawDataElement

from report_gen.errors import StudyError

_MAX_ITEMS = 2**14
"""Most items of the sequences of a header, nested ones included. References to the images of a CT are some thousand."""
_ITEMS = b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00"
"""Item tag (FFFE,E000) in little and big endian."""
_MAY_BE_SEQUENCE = (None, "SQ", "UN")


def check_items(dataset: Dataset, path: Path) -> None:
    """Refuse a data set whose sequences have too many items.

    Args:
        dataset: A data set of which no sequence has been parsed on access.
        path: The file, named in errors.

    Raises:
        StudyError: There are too many items.
    """
    if _count(dataset) > _MAX_ITEMS:
        reason = f"the sequences of the header have more than {_MAX_ITEMS} items; export the image again"
        raise StudyError(path, reason)


def _count(dataset: Dataset) -> int:
    """Return the largest number of items that the sequences can have. Other bytes may look like a tag by chance."""
    total = 0
    for element in dataset.values():
        if not isinstance(element, RawDataElement):
            if element.VR == "SQ":  # of undefined length, which is parsed while it is read
                total += sum(1 + _count(item) for item in element.value)
        elif element.VR in _MAY_BE_SEQUENCE and element.value:
            total += max(map(element.value.count, _ITEMS))
    return total
