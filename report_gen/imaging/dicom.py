"""Read DICOM files: study records and pixels.

The header is read and checked before any pixel is decoded. Only the attributes of `HEADER_KEYWORDS` are read.
"""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset, dcmread
from pydicom.encaps import get_frame
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import get_expected_length, pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    ParametricMapStorage,
    RLELossless,
    RTDoseStorage,
    SegmentationStorage,
)

from report_gen.errors import NotAnImageError, StudyError
from report_gen.imaging.codestream import coded_size
from report_gen.imaging.decoder_warnings import silence_decoder_warnings
from report_gen.imaging.gdcm import decode_with_gdcm
from report_gen.imaging.grayscale import to_grayscale
from report_gen.imaging.header import HEADER_KEYWORDS, study_from_header
from report_gen.imaging.limits import check_pixel_count
from report_gen.records import Study

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

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in the luma of ITU-R BT.601, as in YBR_FULL (PS3.3 C.7.6.3.1.2)."""

_PLUGINS = ("pylibjpeg", "pillow", "pyjpegls", "gdcm")
"""Decoder plugins of pydicom in the order in which they are tried. GDCM is last: it needs a separate process."""

_DERIVED = (ParametricMapStorage, RTDoseStorage, SegmentationStorage)
"""Objects whose pixels are no image to be read, but masks, doses or measurements of one."""

_FRAGMENT = b"\xfe\xff\x00\xe0"
"""Item tag (FFFE,E000), which begins a fragment of encapsulated pixels."""

_MALFORMED = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""Exceptions that pydicom and its decoders raise on non-conformant bytes (RecursionError is a RuntimeError)."""


def is_dicom(head: bytes) -> bool:
    """Return whether a file that begins with these bytes (132 or more) may be DICOM.

    True for the prefix DICM (PS3.10 7.1), and for files older than PS3.10 that begin with group 0008 in either byte
    order.
    """
    return head[128:132] == b"DICM" or head[:2] == b"\x08\x00" or (head[:2] == b"\x00\x08" and head[4:6].isalpha())


def describe_dicom(path: Path, sha256: str) -> Study:
    """Return the record of one file: a study of one image, named after the file. No pixels are decoded.

    Raises:
        NotAnImageError: The object has no pixels: a structured report, a PDF, a treatment plan.
        StudyError: The file cannot be opened, is malformed or truncated, or its pixels are not supported.
    """
    with raise_study_errors(path):
        return study_from_header(_read_header(path), path, sha256)


def read_dicom_pixels(path: Path) -> NDArray[np.float32]:
    """Return display intensities [H,W] in 0..1, 0 = black, after modality, VOI and presentation LUT.

    Color becomes luma.

    Raises:
        StudyError: See `describe_dicom`; also if the pixels are truncated or cannot be decoded.
    """
    with raise_study_errors(path):
        _read_header(path)
        with path.open("rb") as file:
            dataset = _read(file, (*HEADER_KEYWORDS, "PixelData"), path)
        stored = _decode(dataset, path)
        if stored.shape[:2] != (dataset.Rows, dataset.Columns):
            raise StudyError(path, "malformed: header and pixels differ in size; export the image again")
        if dataset.PhotometricInterpretation in ("MONOCHROME1", "MONOCHROME2"):
            return to_grayscale(stored, dataset)
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            stored = apply_color_lut(stored, dataset)
            return _luma(stored, np.iinfo(stored.dtype).max)
        return _luma(stored, 2**dataset.BitsStored - 1)


def read_attributes(path: Path, keywords: tuple[str, ...]) -> FileDataset:
    """Read attributes of any DICOM object, without pixels. Call it within `raise_study_errors`.

    Args:
        path: File.
        keywords: DICOM keywords of the attributes; the keywords of nested items are included.

    Raises:
        StudyError: The transfer syntax is deflated.
    """
    with path.open("rb") as file:
        return _read(file, keywords, path)


@contextmanager
def raise_study_errors(path: Path) -> Iterator[None]:
    """Convert exceptions of the operating system and of pydicom into a StudyError, and silence pydicom's warnings.

    pydicom parses an attribute on first access, so the block must also contain the code that uses the attributes.
    """
    silence_decoder_warnings()
    try:
        yield
    except OSError as error:
        raise StudyError(path, f"cannot be read ({error.strerror or 'system error'}); check the file") from error
    except _MALFORMED as error:
        raise StudyError(path, "malformed DICOM; export the study again, or repair it with dcmconv") from error


def _read_header(path: Path) -> FileDataset:
    with path.open("rb") as file:
        dataset = _read(file, HEADER_KEYWORDS, path)
        _check_pixels_follow(dataset, file.read(4), path)
        _check_pixel_module(dataset, path)
        _check_decoder(dataset.file_meta.TransferSyntaxUID, path)
        file.seek(4 if dataset.original_encoding[0] else 8, os.SEEK_CUR)  # skip VR and length
        if _end_of_pixels(dataset, file) > path.stat().st_size:
            raise StudyError(path, "truncated: the file ends within its pixels; copy or export it again")
    return dataset


def _read(file: BinaryIO, keywords: tuple[str, ...], path: Path) -> FileDataset:
    """Read attributes up to the pixels, or including them if the keywords contain PixelData."""
    has_meta = file.read(132)[128:] == b"DICM"
    if has_meta:
        file.seek(0)
        syntax = read_file_meta_info(path).get("TransferSyntaxUID")
        if syntax == DeflatedExplicitVRLittleEndian:  # pydicom inflates without a size limit
            raise StudyError(path, "a deflated transfer syntax is not supported; convert the file with dcmconv +te")
    file.seek(0)
    stop = "PixelData" not in keywords
    dataset = dcmread(file, stop_before_pixels=stop, specific_tags=list(keywords), force=not has_meta)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = _guessed_syntax(dataset)
    return dataset


def _guessed_syntax(dataset: FileDataset) -> UID:
    """Return the transfer syntax of a file older than PS3.10, from the encoding of its first element."""
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _check_pixels_follow(dataset: FileDataset, tag: bytes, path: Path) -> None:
    sop_class = UID(str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or ""))
    # Only names of the standard are shown, because a malformed attribute may contain data of the patient.
    kind = sop_class.name if sop_class.name != sop_class else "an unknown kind of object"
    if sop_class == MediaStorageDirectoryStorage:
        reason = "is a DICOMDIR, which lists images and contains none; give the folder in which it lies"
        raise NotAnImageError(path, reason, kind)
    if sop_class in _DERIVED:
        raise NotAnImageError(path, f"contains {kind} and no image; remove it from the input", kind)
    if tag in (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10"):
        return
    if tag in (b"\xe0\x7f\x08\x00", b"\xe0\x7f\x09\x00"):
        raise StudyError(path, "floating-point pixels are not supported; export the image with integer pixels")
    if not sop_class or "Image Storage" in kind or "Rows" in dataset:
        raise StudyError(path, "truncated: the file ends before its pixels; copy or export it again")
    raise NotAnImageError(path, f"contains {kind} and no image; remove it from the input", kind)


def _check_pixel_module(dataset: Dataset, path: Path) -> None:
    """Refuse a contradictory Image Pixel Module (PS3.3 C.7.6.3) before a decoder reads it."""
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    interpretation = str(dataset.PhotometricInterpretation)
    if not rows or not columns:
        raise StudyError(path, "malformed: the image has no rows or no columns; export it again")
    check_pixel_count(rows, columns, path)
    if interpretation not in SAMPLES_PER_PIXEL:
        raise StudyError(path, "malformed: unknown Photometric Interpretation; export it as MONOCHROME2")
    if SAMPLES_PER_PIXEL[interpretation] != int(dataset.SamplesPerPixel):
        raise StudyError(path, "malformed: Samples per Pixel contradicts Photometric Interpretation; export it again")
    if int(dataset.BitsAllocated) not in (1, 8, 16, 32) or not 1 <= int(dataset.BitsStored) <= dataset.BitsAllocated:
        raise StudyError(path, "malformed: impossible Bits Allocated or Bits Stored; export it again")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise StudyError(path, "several frames in one file are not supported; export each frame as a file")


def _check_decoder(syntax: UID, path: Path) -> None:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        name = syntax.name if syntax.name[:1].isalpha() else "unknown"
        raise StudyError(path, f"unsupported transfer syntax ({name}); convert the file with gdcmconv --raw") from error
    if not decoder.is_available:
        missing = "; ".join(decoder.missing_dependencies)
        raise StudyError(path, f"no decoder for {syntax.name} is installed; install one of: {missing}")


def _end_of_pixels(dataset: FileDataset, file: BinaryIO) -> int:
    """Return the offset at which the pixels that begin here must end.

    It follows from the number of pixels, or from the lengths of the encapsulated fragments (PS3.5 A.4).
    """
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return file.tell() + get_expected_length(dataset)
    while file.read(4) == _FRAGMENT:
        file.seek(int.from_bytes(file.read(4), "little"), os.SEEK_CUR)
    return file.tell()


def _decode(dataset: FileDataset, path: Path) -> NDArray[Any]:
    """Decode stored values [H,W] or [H,W,3], YBR as RGB. Bytes after the first frame are ignored."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated:
        size = coded_size(get_frame(dataset.PixelData, 0, number_of_frames=1))
        if size is not None and size != (dataset.Rows, dataset.Columns):
            raise StudyError(path, "malformed: header and compressed pixels differ in size; export the image again")
    failure: Exception | None = None
    for plugin in _plugins(syntax):  # if one decoder fails, try the next
        try:
            if plugin == "gdcm":
                return decode_with_gdcm(path)
            return pixel_array(dataset, decoding_plugin=plugin, allow_excess_frames=False)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            failure = error
    others = "; ".join(get_decoder(syntax).missing_dependencies) or "none"
    reason = f"the pixels ({syntax.name}) are malformed, or need a decoder that is not installed ({others})"
    raise StudyError(path, reason) from failure


def _plugins(syntax: UID) -> tuple[str, ...]:
    if not syntax.is_encapsulated:
        return ("",)
    if syntax == RLELossless:  # the faster pylibjpeg-rle panics on damaged data: not an Exception
        return ("pydicom",)
    available = get_decoder(syntax).available_plugins
    return tuple(plugin for plugin in _PLUGINS if plugin in available)


def _luma(rgb: NDArray[Any], peak: int) -> NDArray[np.float32]:
    """Return the luma [H,W] in 0..1 of an RGB image [H,W,3] with values 0..peak."""
    return ((rgb.astype(np.float32) @ _LUMA) / np.float32(peak)).clip(0, 1)
