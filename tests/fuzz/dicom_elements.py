"""Replace elements of DICOM files by elements with odd values and value representations."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from report_gen.imaging.header import HEADER_KEYWORDS
from tests.fuzz.example import Example
from tests.fuzz.values import ODD_NUMBERS, ODD_TEXTS

FILE = "image.dcm"

ODD_VALUES: SearchStrategy[bytes] = st.one_of(
    st.binary(max_size=40),
    ODD_TEXTS.map(lambda text: text.encode(errors="surrogatepass")),
    st.lists(ODD_NUMBERS.map(str), max_size=4).map(lambda numbers: "\\".join(numbers).encode()),
    st.lists(st.integers(0, 65535), max_size=4).map(lambda numbers: np.array(numbers, "<u2").tobytes()),
    st.lists(st.floats(width=64), max_size=3).map(lambda numbers: np.array(numbers, "<f8").tobytes()),
)
"""Encoded values of an element."""

_PIXEL_DATA = b"\xe0\x7f\x10\x00O"
"""Tag of Pixel Data and the first byte of its VR in explicit VR, little endian."""


def encoded(keyword: str, vr: str, value: bytes) -> tuple[int, bytes]:
    """Return the tag of an element and its encoding in explicit VR, little endian (PS3.5 7.1.2)."""
    tag = int(tag_for_keyword(keyword) or 0)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    value += b"\0" * (len(value) % 2)
    if vr in ("OB", "OW", "SQ", "UN", "UT", "OF", "UC", "UR"):
        return tag, head + b"\0\0" + struct.pack("<I", len(value)) + value
    return tag, head + struct.pack("<H", len(value) % 2**16) + value[: 2**16 - 1]


@st.composite
def _elements(draw: st.DrawFn) -> tuple[int, bytes]:
    """Draw an element that the reader uses, with a value or a VR that it should not have."""
    keyword = draw(st.sampled_from(HEADER_KEYWORDS))
    usual = dictionary_VR(keyword)[:2]
    vr = draw(
        st.one_of(st.just(usual), st.just(usual), st.sampled_from(("US", "DS", "LO", "SQ", "UN", "FD", "UI", "OW")))
    )
    return encoded(keyword, vr, draw(ODD_VALUES))


def changed_files(seeds: Sequence[Example]) -> SearchStrategy[Example]:
    """Return files in which up to four elements are replaced. The other elements are those of a seed."""
    return replaced(seeds, st.lists(_elements(), min_size=1, max_size=4))


def replaced(seeds: Sequence[Example], changes: SearchStrategy[list[tuple[int, bytes]]]) -> SearchStrategy[Example]:
    """Return files in which elements are replaced. The other elements are those of a seed."""
    parts = st.sampled_from([_parts(seed.files[FILE]) for seed in seeds if _is_explicit_little(seed.files[FILE])])
    return st.tuples(parts, changes).map(lambda drawn: _join(*drawn))


def _is_explicit_little(content: bytes) -> bool:
    return _PIXEL_DATA in content and content[128:132] == b"DICM"


@dataclass(frozen=True)
class _Parts:
    head: bytes
    """Preamble, prefix and file meta information."""
    elements: dict[int, bytes]
    """Encoded elements by tag."""
    tail: bytes
    """Pixel Data and what follows."""


def _parts(content: bytes) -> _Parts:
    meta_end = 144 + int.from_bytes(content[140:144], "little")
    elements = {}
    for element in dcmread(io.BytesIO(content), stop_before_pixels=True):
        single = Dataset()
        single.add(element)
        buffer = io.BytesIO()
        single.save_as(buffer, implicit_vr=False, little_endian=True)
        elements[int(element.tag)] = buffer.getvalue()
    return _Parts(content[:meta_end], elements, content[content.rindex(_PIXEL_DATA) :])


def _join(parts: _Parts, changed: list[tuple[int, bytes]]) -> Example:
    elements = sorted((parts.elements | dict(changed)).items())
    return Example({FILE: parts.head + b"".join(content for _, content in elements) + parts.tail}, FILE)
