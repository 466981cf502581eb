"""Check the Image Pixel Module (PS3.3 C.7.6.3) of a DICOM file before a decoder reads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pydicom import Dataset, FileDataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import (
    UID,
    MediaStorageDirectoryStorage,
    MRSpectroscopyStorage,
    ParametricMapStorage,
    RTDoseStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from report_gen.errors import NotAnImageError, StudyError
from report_gen.imaging.fragments import ITEM, Fragments, find_fragments
from report_gen.imaging.limits import MAX_FRAMES, check_pixel_count
from report_gen.imaging.memory import format_bytes
from report_gen.records import PROGRAM

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

_CODESTREAMS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", ITEM)
"""First bytes of JPEG and JPEG 2000 codestreams and of encapsulated pixels."""

_PIXEL_VRS = (b"OB", b"OW", b"OF", b"OD", b"UN")

_UNDEFINED_LENGTH = b"\xff\xff\xff\xff"

_MAX_OVERHEAD = 2**20
"""Most bytes of a compressed frame beyond twice the size of its pixels, such as a color profile. RLE may double."""


class PixelLocation(NamedTuple):
    """Where the pixels of the frames lie in the file."""

    keyword: str
    """The attribute that holds them."""
    vr: str | None
    """Value representation of the element, None if the file does not state it."""
    start: int
    """Offset of the first byte of the value."""
    end: int
    """End of the pixels that are not compressed. The element may declare more, which is padding."""
    fragments: Fragments | None
    """Fragments of the frames; None if the pixels are not encapsulated."""


_LABEL_MAP_SEGMENTATION = UID("1.2.840.10008.5.1.4.1.1.66.7")  # newer than the dictionary of pydicom 3.0
_DERIVED = (
    _LABEL_MAP_SEGMENTATION,
    MRSpectroscopyStorage,
    ParametricMapStorage,
    RTDoseStorage,
    SegmentationStorage,
)
"""Objects whose pixels are no image to be read, but masks, doses, spectra or measurements."""

_KEY_IMAGE = "key image of a draft"


def check_is_image(dataset: FileDataset, path: Path) -> None:
    """Refuse objects whose pixels are no image. They can be displayed, but are no view of a study.

    The key image of a draft belongs to the study of its radiograph, so a folder or an archive gives it back with the
    radiograph. A draft of it would be a draft of the model's own outlines.

    Args:
        dataset: The attributes up to Manufacturer (0008,0070).
        path: The file, named in errors.

    Raises:
        NotAnImageError: The object is a segmentation, a parametric map, a dose, a spectrum or the key image of a draft.
    """
    sop_class = _sop_class(dataset)
    if sop_class == SecondaryCaptureImageStorage and dataset.get("Manufacturer") == PROGRAM:
        reason = "is the key image of an earlier draft, not an image of the patient; remove it from the input"
        raise NotAnImageError(path, reason, _KEY_IMAGE)
    if sop_class in _DERIVED:
        kind = _kind(sop_class)
        raise NotAnImageError(path, f"contains {kind} and no image; remove it from the input", kind)


def check_pixels(dataset: FileDataset, file: BinaryIO, path: Path) -> PixelLocation:
    """Check the header and the length of the pixels. Return where they lie; none of them are read.

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
    length, vr = file.read(4), None
    if length[:2] in _PIXEL_VRS:  # the VR and two reserved bytes; some files lack them against their transfer syntax
        length, vr = file.read(4), length[:2].decode()
    start = file.tell()
    file_size = file.seek(0, os.SEEK_END)
    file.seek(start)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return PixelLocation(keyword, vr, start, start, _check_encapsulated(dataset, length, file, file_size, path))
    return PixelLocation(keyword, vr, start, _check_native(dataset, length, file, file_size, path), None)


def frame_count(dataset: Dataset, path: Path) -> int:
    """Return Number of Frames (0028,0008), 1 if the header states none.

    Raises:
        StudyError: The number is negative or larger than `MAX_FRAMES`.
    """
    count = int(dataset.get("NumberOfFrames") or 1)
    if count < 1:
        raise StudyError(path, "malformed: negative Number of Frames; export the image again")
    if count > MAX_FRAMES:
        raise StudyError(path, f"{count} frames exceed the limit of {MAX_FRAMES}; export fewer frames in a file")
    return count


def _pixel_keyword(dataset: FileDataset, tag: bytes, path: Path) -> str:
    sop_class = _sop_class(dataset)
    kind = _kind(sop_class)
    if sop_class == MediaStorageDirectoryStorage:
        reason = "is a DICOMDIR, which lists images and contains none; give the folder in which it lies"
        raise NotAnImageError(path, reason, kind)
    keyword = PIXEL_KEYWORDS.get(tag) or PIXEL_KEYWORDS.get(tag[1::-1] + tag[:1:-1])
    if keyword is not None:
        return keyword
    if not sop_class or "Image Storage" in kind or "Rows" in dataset:
        raise StudyError(path, "truncated: the file ends before its pixels; copy or export it again")
    raise NotAnImageError(path, f"contains {kind} and no image; remove it from the input", kind)


def _sop_class(dataset: FileDataset) -> UID:
    return UID(str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or ""))


def _kind(sop_class: UID) -> str:
    """Return the name of a SOP class in the standard. A malformed value may contain data of the patient."""
    return sop_class.name if sop_class.name != sop_class else "an unknown kind of object"


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
    frame_count(dataset, path)
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


def _check_native(dataset: Dataset, length: bytes, file: BinaryIO, file_size: int, path: Path) -> int:
    """Return the end of the pixels of all frames."""
    start = file.tell()
    expected = get_expected_length(dataset)
    declared = int.from_bytes(length, "little" if dataset.original_encoding[1] else "big")
    begins_compressed = file.read(4).startswith(_CODESTREAMS)
    if length == _UNDEFINED_LENGTH or (begins_compressed and declared < expected):
        reason = "malformed: the pixels are compressed, but the transfer syntax says that they are not"
        raise StudyError(path, f"{reason}; correct the Transfer Syntax UID or export the image again")
    if start + expected > file_size:
        raise StudyError(path, "truncated: the file ends within its pixels; copy or export it again")
    return min(start + expected + expected % 2, file_size)  # words of a big endian file end after the padding byte


def _check_encapsulated(dataset: Dataset, length: bytes, file: BinaryIO, file_size: int, path: Path) -> Fragments:
    """Return the fragments of each frame."""
    start = file.tell()
    if length != _UNDEFINED_LENGTH and file.read(4) != ITEM:
        reason = "malformed: the pixels are not encapsulated, but the transfer syntax says that they are compressed"
        raise StudyError(path, f"{reason}; correct the Transfer Syntax UID or export the image again")
    file.seek(start)
    frames = frame_count(dataset, path)
    fragments = find_fragments(file, file_size, frames, path)
    largest = max(map(fragments.size, range(frames)))
    if largest > 2 * -(-get_expected_length(dataset) // frames) + _MAX_OVERHEAD:
        reason = f"malformed: {format_bytes(largest)} of compressed pixels for {dataset.Rows} x {dataset.Columns}"
        raise StudyError(path, f"{reason} pixels; export the image again")
    return fragments
