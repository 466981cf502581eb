"""Apply the look-up tables of a DICOM header: Modality, VOI and Presentation LUT (PS3.3 C.11.1, C.11.2, C.11.4).

The functions of pydicom refuse modality LUTs of 10 to 15 bits, tables of 8 bits in words, and swap no bytes of
presentation LUTs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

_LARGEST_TABLE = 2**16
"""Number of entries that the descriptor encodes as 0."""


def first_usable_lut(dataset: Dataset, keyword: str) -> Dataset | None:
    """Return the first item of a LUT sequence that has a descriptor and data; some devices write empty items."""
    items: Iterable[Dataset] = dataset.get(keyword) or ()
    return next((item for item in items if item.get("LUTDescriptor") and item.get("LUTData")), None)


def look_up(values: NDArray[np.float64], lut: Dataset, dataset: Dataset) -> NDArray[np.float64]:
    """Return the entry for each value. Values below and above the table get its first and last entry.

    Args:
        values: Values in the domain of the table; they are rounded.
        lut: An item of a LUT sequence.
        dataset: The data set of the item; its encoding determines the byte order.

    Raises:
        ValueError: The descriptor does not describe the data.
    """
    table = _entries(lut, is_little_endian=bool(dataset.original_encoding[1]))
    first = int(lut.LUTDescriptor[1])
    index = (np.rint(values) - first).clip(0, table.size - 1).astype(np.int64)
    return table[index].astype(np.float64)


def entry_count(lut: Dataset) -> int:
    """Return the number of entries. It is unsigned, even if a device encoded it with a sign."""
    return int(lut.LUTDescriptor[0]) % _LARGEST_TABLE or _LARGEST_TABLE


def largest_entry(lut: Dataset) -> int:
    """Return the largest entry that the descriptor allows.

    Raises:
        ValueError: The descriptor does not specify 1 to 16 bits.
    """
    bits = int(lut.LUTDescriptor[2])
    if not 1 <= bits <= 16:
        raise ValueError("impossible number of bits in a LUT Descriptor")
    return int(2**bits - 1)


def _entries(lut: Dataset, *, is_little_endian: bool) -> NDArray[Any]:
    count, data = entry_count(lut), lut.LUTData
    if isinstance(data, bytes):  # VR OW: words, or two entries of 8 bits in a word
        is_packed = len(data) < 2 * count
        data = np.frombuffer(data, dtype="u1" if is_packed else "<u2" if is_little_endian else ">u2")
    table = np.atleast_1d(np.asarray(data))[:count]
    if table.size < count:
        raise ValueError("fewer LUT entries than the LUT Descriptor states")
    return table
