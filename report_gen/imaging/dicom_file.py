"""Open DICOM files of every encoding as a data set: with and without preamble and file meta information, deflated."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset, FileDataset, filereader
from pydicom.dataset import FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from report_gen.errors import StudyError, is_out_of_memory
from report_gen.imaging.bounded_file import BoundedFile
from report_gen.imaging.decoder_settings import configure_decoders
from report_gen.imaging.functional_groups import PER_FRAME_TAG, FrameGroups, find_frame_groups
from report_gen.imaging.limits import MAX_INFLATED_BYTES
from report_gen.imaging.memory import memory_errors, memory_limit
from report_gen.imaging.sequence_checks import check_items

_META = b"\x02\x00"
"""Group of the file meta information (PS3.10 7.1), which is always little endian."""

_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
"""Tags of the attributes that hold pixels."""

_MANUFACTURER = 0x00080070
"""Tag of Manufacturer, among the first attributes and after SOP Class UID."""

_CHUNK_BYTES = 2**20

_MALFORMED = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""Exceptions that pydicom and its decoders raise on non-conformant bytes (RecursionError is a RuntimeError)."""

_BROKEN = "malformed DICOM; export the study again, or repair it with dcmconv"


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
def raise_study_errors(path: Path, reason: str = _BROKEN) -> Iterator[None]:
    """Convert exceptions of the operating system and of pydicom into a StudyError, and silence pydicom's warnings.

    pydicom parses an attribute on first access, so the block must also contain the code that uses the attributes.

    Args:
        path: The file whose attributes are used.
        reason: What is wrong if pydicom refuses them, and what to do.
    """
    configure_decoders()
    with memory_errors(path):
        try:
            yield
        except OSError as error:
            if isinstance(error.__context__, StudyError):  # pydicom hides the error of a bounded file
                raise error.__context__ from None
            if error.errno is None:  # pydicom found no item where one must be
                raise StudyError(path, reason) from error
            if is_out_of_memory(error):
                raise
            raise StudyError(path, f"cannot be read ({error.strerror}); check the file") from error
        except _MALFORMED as error:
            if is_out_of_memory(error):
                raise
            raise StudyError(path, reason) from error


@contextmanager
def open_dicom(path: Path) -> Iterator[BoundedFile]:
    """Open a file for `read_dataset`. A deflated data set (PS3.5 A.5) is inflated into memory.

    Raises:
        StudyError: The data set inflates to more than `MAX_INFLATED_BYTES`.
    """
    with path.open("rb", buffering=0) as raw, BoundedFile(raw, path) as file:
        with file.bounded():
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
    inflated.seek(0)
    yield BoundedFile(inflated, path)


def read_dataset(file: BoundedFile, keywords: tuple[str, ...]) -> FileDataset:
    """Read attributes up to the pixels. The file is then positioned at the pixels.

    Args:
        file: A file that `open_dicom` opened.
        keywords: DICOM keywords of the attributes; the keywords of nested items are included.

    Raises:
        StudyError: The file declares more data than a header has, see `BoundedFile`.
    """
    return read_with_groups(file, keywords)[0]


def read_with_groups(
    file: BoundedFile, keywords: tuple[str, ...], *, check: Callable[[FileDataset], None] | None = None
) -> tuple[FileDataset, FrameGroups]:
    """Read attributes as `read_dataset` does, and find the functional groups of the frames, which are read later.

    Args:
        file: A file that `open_dicom` opened.
        keywords: DICOM keywords of the attributes; the keywords of nested items are included.
        check: Called with the attributes up to Manufacturer (0008,0070), before others are read. An error that it
            raises ends the reading.
    """
    tags: list[BaseTag | int] = [*_tags(keywords)]

    def is_end(tag: BaseTag, *_: object) -> bool:
        return tag in _PIXELS or tag == PER_FRAME_TAG

    file.seek(0)
    with file.bounded():
        if check is None:
            dataset = filereader.read_partial(file, is_end, force=True, specific_tags=tags)
        else:
            dataset = filereader.read_partial(
                file, lambda tag, *_: tag > _MANUFACTURER, force=True, specific_tags=[*tags, _MANUFACTURER]
            )
            check(dataset)
            _read_on(file, dataset, is_end, tags)
    groups = FrameGroups(file)
    if _is_at_groups(file, dataset):
        groups = find_frame_groups(file, dataset)
        with file.bounded():
            _read_on(file, dataset, lambda tag, *_: tag in _PIXELS, tags)
    check_items(dataset, file.path)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = _guessed_syntax(dataset)
    return dataset, groups


def _read_on(file: BoundedFile, dataset: FileDataset, is_end: Callable[..., bool], tags: list[BaseTag | int]) -> None:
    """Read further attributes into a data set, from where reading ended."""
    implicit, little = map(bool, dataset.original_encoding)
    rest = filereader.read_dataset(
        file,
        implicit,
        little,
        stop_when=is_end,
        parent_encoding=dataset.original_character_set,
        specific_tags=tags,
    )
    dataset.update(rest)


@cache
def _tags(keywords: tuple[str, ...]) -> tuple[BaseTag, ...]:
    """Return the tags of keywords, whose look-up would take a tenth of the time of reading a header."""
    return tuple(Tag(keyword) for keyword in keywords)


def _is_at_groups(file: BinaryIO, dataset: FileDataset) -> bool:
    start, tag = file.tell(), file.read(4)
    file.seek(start)
    return tag == struct.pack("<HH" if dataset.original_encoding[1] else ">HH", *divmod(PER_FRAME_TAG, 2**16))


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
    limit = min(MAX_INFLATED_BYTES, memory_limit())
    remaining = limit
    while not stream.eof:
        chunk = stream.unconsumed_tail or deflated.read(_CHUNK_BYTES)
        data = stream.decompress(chunk, min(remaining + 1, _CHUNK_BYTES)) if chunk else stream.flush()
        remaining -= len(data)
        if remaining < 0:
            reason = f"the deflated data set exceeds the limit of {limit} bytes; convert it with dcmconv +te"
            raise StudyError(path, reason)
        inflated.write(data)
        if not chunk and not stream.eof:
            raise StudyError(path, "truncated: the deflated data set is not complete; copy or export it again")


def _guessed_syntax(dataset: FileDataset) -> UID:
    """Return the transfer syntax of a file older than PS3.10, from the encoding of its first element."""
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian
