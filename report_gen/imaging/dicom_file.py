"""Open DICOM files of every encoding as a data set: with and without preamble and file meta information, deflated."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset, FileDataset, dcmread, filereader
from pydicom.dataset import FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from report_gen.errors import StudyError
from report_gen.imaging.decoder_warnings import silence_decoder_warnings
from report_gen.imaging.limits import MAX_INFLATED_BYTES

_META = b"\x02\x00"
"""Group of the file meta information (PS3.10 7.1), which is always little endian."""

_CHUNK_BYTES = 2**20

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
    zlib.error,
)
"""Exceptions that pydicom and its decoders raise on non-conformant bytes (RecursionError is a RuntimeError)."""


def is_dicom(head: bytes) -> bool:
    """Return whether a file that begins with these bytes (132 or more) may be DICOM.

    True for the prefix DICM (PS3.10 7.1), for files that lack preamble and prefix and begin with the file meta
    information, and for files older than PS3.10 that begin with group 0008 in either byte order.
    """
    if head[128:132] == b"DICM" or head[:2] == b"\x08\x00":
        return True
    is_big_endian = head[:2] == b"\x00\x08" and head[4:6].isalpha()
    is_meta = head[:3] == b"\x02\x00\x00" or (head[:2] == _META and head[4:6].isalpha())
    return is_big_endian or is_meta


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


@contextmanager
def open_dicom(path: Path) -> Iterator[BinaryIO]:
    """Open a file for `read_dataset`. A deflated data set (PS3.5 A.5) is inflated into memory.

    Raises:
        StudyError: The data set inflates to more than `MAX_INFLATED_BYTES`.
    """
    with path.open("rb") as file:
        meta = _read_meta(file)
        if meta is None or meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            yield file
            return
        header = DicomBytesIO()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        write_file_meta_info(header, FileMetaDataset(meta), enforce_standard=False)
        inflated = io.BytesIO()
        inflated.write(b"\0" * 128 + b"DICM" + header.getvalue())
        _inflate(file, inflated, path)
    yield inflated


def read_dataset(file: BinaryIO, keywords: tuple[str, ...], *, with_pixels: bool = False) -> FileDataset:
    """Read attributes up to the pixels, or including them. The file is then positioned at the pixels.

    Args:
        file: A file that `open_dicom` opened.
        keywords: DICOM keywords of the attributes; the keywords of nested items are included.
        with_pixels: Read to the end of the file.
    """
    file.seek(0)
    dataset = dcmread(file, stop_before_pixels=not with_pixels, specific_tags=list(keywords), force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = _guessed_syntax(dataset)
    return dataset


def _read_meta(file: BinaryIO) -> Dataset | None:
    """Read the file meta information and leave the file at the data set. Return None if there is none."""
    start = 132 if file.read(132)[128:] == b"DICM" else 0
    file.seek(start)
    if file.read(2) != _META:
        return None
    file.seek(start)
    return filereader.read_dataset(file, False, True, stop_when=lambda tag, *_: tag.group != 0x0002)


def _inflate(deflated: BinaryIO, inflated: io.BytesIO, path: Path) -> None:
    """Inflate in chunks, because pydicom would inflate any number of bytes at once."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)  # a raw stream without zlib header (PS3.5 A.5)
    remaining = MAX_INFLATED_BYTES
    while not stream.eof and (chunk := stream.unconsumed_tail or deflated.read(_CHUNK_BYTES)):
        data = stream.decompress(chunk, remaining + 1)
        remaining -= len(data)
        if remaining < 0:
            limit = f"the deflated data set exceeds the limit of {MAX_INFLATED_BYTES} bytes"
            raise StudyError(path, f"{limit}; convert it with dcmconv +te")
        inflated.write(data)
    if not stream.eof:
        raise StudyError(path, "truncated: the deflated data set is not complete; copy or export it again")


def _guessed_syntax(dataset: FileDataset) -> UID:
    """Return the transfer syntax of a file older than PS3.10, from the encoding of its first element."""
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian
