"""DICOM files whose patient and study attributes have values that the standard does not allow."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from io import BytesIO
from random import Random

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.uid import ExplicitVRLittleEndian

from tests.dicom_files import dicom

_LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT")
"""Value representations whose length has 32 bits in Explicit VR (PS3.5 7.1.2)."""
_UNDEFINED = b"\xff\xff\xff\xff"
_ITEM, _END_OF_ITEM, _END = (b"\xfe\xff" + number for number in (b"\x00\xe0", b"\x0d\xe0", b"\xdd\xe0"))

_VALUES = (
    b"",
    b" ",
    b"\0",
    b"x" * 70,
    b"x" * 66_000,
    b"a\\b\\c",
    b"\\",
    b"\\\\\\\\",
    b"NaN",
    b"inf ",
    b"-1e99999",
    b"1e400\\2",
    b"99999999999999999999",
    b"1.5",
    b"\x1b[31mred\x1b[0m",
    b"\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
    b"line\r\nline\x07\x0c\t",
    b"\xff\xfe\xfd\xfc",
    "Łukasiewicz^山田=やまだ".encode(),
    b"^^^^^^^^^=^^^=====",
    b"20250231",
    b"2025.01.02",
    b"256199.9999999999",
    b"1.2.3.04.5",
    b"1..2",
    b"062",
    b"\x00\x00\xc0\x7f",  # NaN of the VR FL
    b"\x00\x00\x00\x00\x00\x00\xf8\x7f",  # NaN of the VR FD
)
_CHARACTER_SETS = (
    b"ISO_IR 192",
    b"ISO_IR 100",
    b"\\ISO 2022 IR 87",
    b"ISO 2022 IR 149\\ISO_IR 6",
    b"NONSENSE",
    b"\\\\",
)
_VRS = (b"AE", b"AS", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SQ", b"TM")
_OTHER_VRS = (b"UI", b"UL", b"UN", b"US", b"UT", b"OB", b"AT", b"??")


def hostile_file(keywords: Sequence[str], seed: int) -> bytes:
    """Return a file of a chest radiograph in which some of these attributes have hostile values.

    Args:
        keywords: The attributes.
        seed: Seed of the choice of attributes and values.
    """
    random = Random(seed)  # noqa: S311
    dataset = dicom()
    elements = {int(element.tag): _written(element) for element in dataset}
    meta = BytesIO()
    del dataset[:]
    dataset.save_as(meta)
    for keyword in random.sample(list(keywords), k=random.randint(1, len(keywords) // 4)):
        tag = tag_for_keyword(keyword)
        assert tag is not None
        elements[tag] = _element(tag, _value_representation(keyword, random), random)
    if random.random() < 0.5:
        elements[0x00080005] = _encode(0x00080005, b"CS", random.choice(_CHARACTER_SETS))
    return meta.getvalue() + b"".join(elements[tag] for tag in sorted(elements))


def _written(element: object) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, ExplicitVRLittleEndian.is_implicit_VR
    write_data_element(buffer, element)  # type: ignore[arg-type]
    return buffer.getvalue()


def _value_representation(keyword: str, random: Random) -> bytes:
    """Return the right VR, or in one case of five another one."""
    return random.choice((*_VRS, *_OTHER_VRS)) if random.random() < 0.2 else dictionary_VR(keyword).encode()


def _element(tag: int, representation: bytes, random: Random, depth: int = 0) -> bytes:
    if representation == b"SQ" and random.random() < 0.9:
        return _sequence(tag, random, depth)
    return _encode(tag, representation, random.choice(_VALUES))


def _encode(tag: int, representation: bytes, value: bytes) -> bytes:
    """Return a data element in Explicit VR Little Endian. A value that is too long for the VR has the VR UN."""
    if len(value) > 0xFFFF and representation not in _LONG_VRS:
        representation = b"UN"
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + representation
    if representation in _LONG_VRS:
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def _sequence(tag: int, random: Random, depth: int) -> bytes:
    """Return a sequence: empty, with empty items, with hostile attributes, nested, or without its delimiters."""
    items = [_item(random, depth) for _ in range(random.choice((0, 1, 1, 1, 2)))]
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + b"SQ\0\0"
    if random.random() < 0.5:
        content = b"".join(_ITEM + struct.pack("<I", len(item)) + item for item in items)
        return head + struct.pack("<I", len(content)) + content
    content = b"".join(_ITEM + _UNDEFINED + item + _END_OF_ITEM + b"\0\0\0\0" for item in items)
    return head + _UNDEFINED + content + _END + b"\0\0\0\0"


_NESTED = {
    "CodeValue": b"SH",
    "CodingSchemeDesignator": b"SH",
    "CodingSchemeVersion": b"SH",
    "CodeMeaning": b"LO",
    "PatientID": b"LO",
    "TypeOfPatientID": b"CS",
    "UniversalEntityID": b"UT",
    "UniversalEntityIDType": b"CS",
    "LocalNamespaceEntityID": b"UT",
    "IssuerOfPatientIDQualifiersSequence": b"SQ",
    "ReferencedSOPClassUID": b"UI",
}


def _item(random: Random, depth: int) -> bytes:
    names = random.sample(list(_NESTED), k=random.randint(0, 5))
    tags = sorted((tag_for_keyword(name) or 0, _NESTED[name]) for name in names)
    kinds = [random.choice(_VRS) if random.random() < 0.1 else kind for _, kind in tags]
    return b"".join(
        _encode(tag, b"LO", b"1") if kind == b"SQ" and depth > 3 else _element(tag, kind, random, depth + 1)
        for (tag, _), kind in zip(tags, kinds, strict=True)
    )
