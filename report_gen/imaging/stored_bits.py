"""Extract the stored bits from values as they lie in Bits Allocated (PS3.5 8.1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

_CONTINUED = 0.5
"""Share of the steps across the highest stored bit that must be small to show that the values need more bits."""

_SMALL_STEP = 0.75
"""Size of a small step, as a share of the range of the stored bits. An overlay adds at least the whole range."""


@dataclass(frozen=True)
class StoredBits:
    """Position of the stored bits in an allocated value."""

    count: int
    shift: int
    """Number of unused bits below the stored ones."""
    is_signed: bool

    @classmethod
    def from_header(cls, dataset: Dataset, precision: int) -> StoredBits:
        """Return the stored bits that the header specifies.

        Args:
            dataset: Attributes of the Image Pixel Module.
            precision: Number of bits that the decoder filled; the codestream of a JPEG may hold the stored bits only,
                even if High Bit places them higher.
        """
        count = int(dataset.BitsStored)
        high = int(dataset.get("HighBit") or count - 1)
        shift = max(0, min(high + 1, precision) - count)
        return cls(count, shift, bool(dataset.get("PixelRepresentation")))

    def extract(self, allocated: NDArray[Any]) -> NDArray[np.int64]:
        """Return the stored values of allocated values. Bits above and below the stored ones are dropped."""
        values: NDArray[np.int64] = (allocated.astype(np.int64) >> self.shift) & (2**self.count - 1)
        if self.is_signed:
            sign = 2 ** (self.count - 1)
            values = (values ^ sign) - sign
        return values


def find_missed_bits(allocated: NDArray[Any], bits: StoredBits) -> int:
    """Return how many bits above the stored ones belong to the values, because Bits Stored is too small.

    Unused bits may hold overlays (PS3.5 8.1.1), which do not belong to the values. The rule compares neighboring pixels
    that differ in the bits above the stored ones. If these bits belong to the values, the whole values differ little,
    because the stored bits wrap around. If they are an overlay, the values differ by a power of two.

    Args:
        allocated: Unsigned values [H,W] as they lie in Bits Allocated.
        bits: The stored bits by the header.
    """
    if bits.is_signed:  # unused bits repeat the sign, so that `beyond` is 0 or -1 for values that fit
        values = allocated.view(f"i{allocated.itemsize}").astype(np.int32) >> bits.shift
        beyond = values >> (bits.count - 1)
        beyond[beyond == -1] = 0
    else:
        values = allocated.astype(np.int32) >> bits.shift
        beyond = values >> bits.count
    crossing = beyond[:, 1:] != beyond[:, :-1]
    if not crossing.any():
        return 0
    steps = np.abs(np.diff(values, axis=1))[crossing]
    if (steps < _SMALL_STEP * 2**bits.count).mean() <= _CONTINUED:
        return 0
    return int(max(beyond.max(), ~beyond.min())).bit_length()
