"""Read size and precision from the header of a compressed frame, without decoding it.

JPEG 2000: ISO/IEC 15444-1 A.5.1. JPEG: ISO/IEC 10918-1 B.2.2. JPEG-LS: ISO/IEC 14495-1 C.2.2.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_J2K_START = b"\xff\x4f\xff\x51"
"""SOC and SIZ, the first two markers of a JPEG 2000 codestream."""
_NOT_A_FRAME = {0xC4, 0xC8, 0xCC}
"""DHT, JPG and DAC, which lie among the codes of the SOF markers."""
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
"""TEM and RST0 to RST7, markers that no length follows."""
_START_OF_SCAN = 0xDA


class CodedFormat(NamedTuple):
    """Format of a compressed frame."""

    rows: int
    columns: int
    precision: int
    """Bits per sample."""
    samples: int
    """Samples per pixel: components of the image."""


def coded_format(frame: bytes) -> CodedFormat | None:
    """Return the format of a JPEG, JPEG-LS or JPEG 2000 frame, or None if its header is not found.

    Raises:
        struct.error: The frame ends within its header.
    """
    if frame.startswith(b"\xff\xd8"):
        return _jpeg_format(frame)
    start = frame.find(_J2K_START, 0, 4096)  # JP2 boxes may precede the codestream
    if start < 0:
        return None
    x_end, y_end, x_start, y_start = struct.unpack_from(">4I", frame, start + 8)
    # Csiz, and Ssiz of the first component: the sign and precision - 1
    components, sample = struct.unpack_from(">HB", frame, start + 40)
    return CodedFormat(y_end - y_start, x_end - x_start, (sample & 0x7F) + 1, components)


def _jpeg_format(frame: bytes) -> CodedFormat | None:
    position = 2
    while position + 4 <= len(frame):
        start, marker, length = struct.unpack_from(">BBH", frame, position)
        if start != 0xFF or marker == _START_OF_SCAN:
            return None
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker in _WITHOUT_LENGTH:
            position += 2
        elif (0xC0 <= marker <= 0xCF and marker not in _NOT_A_FRAME) or marker == 0xF7:  # SOF0 to SOF15, or SOF55
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 4)
            return CodedFormat(rows, columns, precision, components)
        else:
            position += 2 + length
    return None
