"""Check the Image Pixel Module (PS3.3 C.7.6.3) of a DICOM file before a decoder reads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset, FileDataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import (
    UID,
    MediaStorageDirectoryStorage,
    ParametricMapStorage,
    RTDoseStorage,
    SegmentationStorage,
)

from report_gen.errors import NotAnImageError, StudyError
from report_gen.imaging.limits import check_pixel_count

SAMPLES_PER_PIXEL = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
}
"""Samples per pixel of each supported photometric interpretation (PS3.3 C.7.6.3.1.2)."""

PIXEL_KEYWORDS = {
    b"\x7f\xe0\x00\x10": "PixelData",
    b"\x7f\xe0\x00\x08": "FloatPixelData",
    b"\x7f\xe0\x00\x09": "DoubleFloatPixelData",
}
"""The attributes that hold pixels, by their tag in big endian byte order."""

_FLOAT_BITS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}

_ITEM = b"\xfe\xff\x00\xe0"
"""Item tag (FFFE,E000), which begins a fragment of encapsulated pixels (PS3.5 A.4)."""

_CODESTREAMS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", _ITEM)
"""First bytes of JPEG and JPEG 2000 codestreams and of encapsulated pixels."""

_PIXEL_VRS = (b"OB", b"OW", b"OF", b"OD", b"UN")

_UNDEFINED_LENGTH = b"\xff\xff\xff\xff"


_DERIVED = (ParametricMapStorage, RTDoseStorage, SegmentationStorage)
"""Objects whose pixels are no image to be read, but masks, doses or measurements of one."""


def check_pixels(dataset: FileDataset, file: BinaryIO, path: Path) -> str:
    """Check the header and the length of the pixels. Return the keyword of the attribute that holds them.

    Args:
        dataset: The attributes before the pixels.
        file: The file, positioned at the pixels.
        path: The file, named in errors.

    Raises:
        NotAnImageError: The object has no pixels.
        StudyError: The header contradicts itself or the pixels, or the pixels are truncated or not supported.
    """
    keyword = _pixel_keyword(dataset, file.read(4), path)
    _check_module(dataset, keyword, path)
    _check_decoder(dataset.file_meta.TransferSyntaxUID, path)
    length = file.read(4)
    if length[:2] in _PIXEL_VRS:  # the VR and two reserved bytes; some files lack them against their transfer syntax
        length = file.read(4)
    start = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(start)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        _check_encapsulated(length, file, size, path)
    else:
        _check_native(dataset, length, file, size, path)
    return keyword


def _pixel_keyword(dataset: FileDataset, tag: bytes, path: Path) -> str:
    sop_class = UID(str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or ""))
    # Only names of the standard are shown, because a malformed attribute may contain data of the patient.
    kind = sop_class.name if sop_class.name != sop_class else "an unknown kind of object"
    if sop_class == MediaStorageDirectoryStorage:
        reason = "is a DICOMDIR, which lists images and contains none; give the folder in which it lies"
        raise NotAnImageError(path, reason, kind)
    if sop_class in _DERIVED:
        raise NotAnImageError(path, f"contains {kind} and no image; remove it from the input", kind)
    keyword = PIXEL_KEYWORDS.get(tag) or PIXEL_KEYWORDS.get(tag[1::-1] + tag[:1:-1])
    if keyword is not None:
        return keyword
    if not sop_class or "Image Storage" in kind or "Rows" in dataset:
        raise StudyError(path, "truncated: the file ends before its pixels; copy or export it again")
    raise NotAnImageError(path, f"contains {kind} and no image; remove it from the input", kind)


def _check_module(dataset: Dataset, keyword: str, path: Path) -> None:
    """Refuse an Image Pixel Module that contradicts itself."""
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    interpretation = str(dataset.PhotometricInterpretation)
    if not rows or not columns:
        raise StudyError(path, "malformed: the image has no rows or no columns; export it again")
    check_pixel_count(rows, columns, path)
    if interpretation not in SAMPLES_PER_PIXEL:
        raise StudyError(path, "malformed: unknown Photometric Interpretation; export it as MONOCHROME2")
    if SAMPLES_PER_PIXEL[interpretation] != int(dataset.SamplesPerPixel):
        raise StudyError(path, "malformed: Samples per Pixel contradicts Photometric Interpretation; export it again")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise StudyError(path, "several frames in one file are not supported; export each frame as a file")
    if keyword in _FLOAT_BITS:
        if int(dataset.BitsAllocated) != _FLOAT_BITS[keyword] or interpretation != "MONOCHROME2":
            raise StudyError(path, "malformed: the header contradicts the floating-point pixels; export it again")
    else:
        _check_bits(dataset, path)


def _check_bits(dataset: Dataset, path: Path) -> None:
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    sizes = (8, 16) if dataset.PhotometricInterpretation == "PALETTE COLOR" else (1, 8, 16, 32)
    if allocated not in sizes or not 1 <= stored <= allocated:
        raise StudyError(path, "malformed: impossible Bits Allocated or Bits Stored; export it again")
    high = dataset.get("HighBit")
    # 0 stands for an absent value, as in DCMTK. Until PS3.5-2014 the stored bits could end at any bit.
    if high and not stored - 1 <= int(high) < allocated:
        raise StudyError(path, "malformed: High Bit contradicts Bits Stored; correct the header or export it again")


def _check_decoder(syntax: UID, path: Path) -> None:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        name = syntax.name if syntax.name[:1].isalpha() else "unknown"
        raise StudyError(path, f"unsupported transfer syntax ({name}); convert the file with gdcmconv --raw") from error
    if not decoder.is_available:
        missing = "; ".join(decoder.missing_dependencies)
        raise StudyError(path, f"no decoder for {syntax.name} is installed; install one of: {missing}")


def _check_native(dataset: Dataset, length: bytes, file: BinaryIO, size: int, path: Path) -> None:
    start = file.tell()
    expected = get_expected_length(dataset)
    declared = int.from_bytes(length, "little" if dataset.original_encoding[1] else "big")
    begins_compressed = file.read(4).startswith(_CODESTREAMS)
    if length == _UNDEFINED_LENGTH or (begins_compressed and declared < expected):
        reason = "malformed: the pixels are compressed, but the transfer syntax says that they are not"
        raise StudyError(path, f"{reason}; correct the Transfer Syntax UID or export the image again")
    if start + expected > size:
        raise StudyError(path, "truncated: the file ends within its pixels; copy or export it again")


def _check_encapsulated(length: bytes, file: BinaryIO, size: int, path: Path) -> None:
    start = file.tell()
    if length != _UNDEFINED_LENGTH and file.read(4) != _ITEM:
        reason = "malformed: the pixels are not encapsulated, but the transfer syntax says that they are compressed"
        raise StudyError(path, f"{reason}; correct the Transfer Syntax UID or export the image again")
    file.seek(start)
    while file.read(4) == _ITEM:
        file.seek(int.from_bytes(file.read(4), "little"), os.SEEK_CUR)
    if file.tell() > size:
        raise StudyError(path, "truncated: the file ends within its pixels; copy or export it again")
