"""Recognize the format of an image file by its content, and open it.

A file of any format is described as a study of its images, and opened for loading them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from report_gen.errors import NotAnImageError, StudyError, describe_missing
from report_gen.files import IMAGE_SUFFIXES
from report_gen.imaging.dicom import describe_dicom, open_frames
from report_gen.imaging.dicom_file import is_dicom
from report_gen.imaging.gdcm import GdcmProcess
from report_gen.imaging.loaded_image import LoadedImage
from report_gen.imaging.nifti import describe_nifti, open_nifti
from report_gen.imaging.nifti_header import is_nifti
from report_gen.imaging.raster import RasterFile, describe_raster, is_raster
from report_gen.records import Series, Study

FORMATS = "DICOM, NIfTI, PNG, JPEG, TIFF or WebP"

_UNSUPPORTED_SUFFIXES = frozenset({".bmp", ".gif", ".heic", ".j2k", ".jp2", ".jxl", ".mha", ".mhd", ".nrrd"})
"""Images of other formats. They are errors also beside images, because they may belong to a study."""

_PROGRAMS = (b"\x7fELF", b"\xca\xfe\xba\xbe", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe")
"""First bytes of programs for Linux and macOS, such as the viewer on a CD of images. Their names have no suffix."""

_NIFTI_SUFFIXES = (".nii", ".nii.gz")

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
"""First bytes of a ZIP archive, with files and without."""

_HEAD_BYTES = 4096
"""Enough to recognize every format: the longest header before its signature is that of a compressed NIfTI."""


class FileFormat(Enum):
    """Format of an image file."""

    DICOM = auto()
    NIFTI = auto()
    PICTURE = auto()
    """PNG, JPEG, TIFF or WebP."""


class ImageFile(Protocol):
    """An open file, of which each image is loaded when it is asked for. `frame` is None for the only image."""

    def image(self, frame: int | None) -> LoadedImage:
        """Return the display intensities of an image; see `load_image`."""
        ...

    def values(self, frame: int | None) -> NDArray[np.float32]:
        """Return the values of an image; see `load_values`."""
        ...


def describe_file(path: Path) -> tuple[FileFormat, Study]:
    """Read the record of a file: its format, and a study named after the file.

    Raises:
        NotAnImageError: The file contains no image.
        StudyError: The file cannot be read, is damaged, or its format is not supported.
    """
    head = _read_head(path)
    found = _recognize(head)
    if found is FileFormat.DICOM:
        return found, _hashed(describe_dicom(path, ""))
    if found is FileFormat.NIFTI:
        return found, _hashed(describe_nifti(path, ""))
    if found is FileFormat.PICTURE:
        return found, _hashed(Study(name=path.stem, series=(Series(images=(describe_raster(path, ""),)),)))
    raise _not_an_image(path, head)


@contextmanager
def open_image_file(path: Path, gdcm: GdcmProcess | None = None) -> Iterator[ImageFile]:
    """Open a file whose images are loaded within the block.

    Args:
        path: The file.
        gdcm: Decodes frames that no other decoder decodes; files may share it. Default: one for this file alone.

    Raises:
        StudyError: The file is not an image, or its header is damaged.
    """
    found = _recognize(_read_head(path))
    if found is FileFormat.DICOM:
        with open_frames(path, gdcm) as frames:
            yield frames
    elif found is FileFormat.NIFTI:
        with open_nifti(path) as slices:
            yield slices
    else:
        yield RasterFile(path)


def is_dicom_file(path: Path) -> bool:
    """Return whether a file may be DICOM by its content. Raises StudyError if it cannot be read."""
    return is_dicom(_read_head(path))


def is_archive(path: Path) -> bool:
    """Return whether a file is a ZIP archive by its content. False if it cannot be read."""
    try:
        head = _read_head(path)
    except StudyError:
        return False
    return head.startswith(_ZIP) and _recognize(head) is None  # a DICOM file may begin with any 128 bytes


def _recognize(head: bytes) -> FileFormat | None:
    if is_dicom(head):
        return FileFormat.DICOM
    if is_raster(head):
        return FileFormat.PICTURE
    return FileFormat.NIFTI if is_nifti(head) else None


def _read_head(path: Path) -> bytes:
    """Return the first bytes of a file, by which its format is recognized."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise StudyError(path, "is not a regular file; give a file or a folder")
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except (FileNotFoundError, ValueError) as error:
        raise StudyError(path, describe_missing(path)) from error
    except OSError as error:
        raise StudyError(path, f"cannot be read ({error.strerror}); check its permissions") from error


def _not_an_image(path: Path, head: bytes) -> StudyError:
    """Return why a file whose content is not recognized is refused."""
    suffix = path.suffix.lower()
    may_be_dicom = suffix[1:].isdigit() or not suffix[1:]  # files of DICOM media have no suffix, others end like a UID
    if not head and (suffix in IMAGE_SUFFIXES or may_be_dicom):
        return StudyError(path, "the file is empty; copy or export it again")
    if suffix in IMAGE_SUFFIXES or path.name.lower().endswith(_NIFTI_SUFFIXES):
        return StudyError(path, f"has the name of an image but is not one; give a {FORMATS} file")
    if suffix in _UNSUPPORTED_SUFFIXES:
        return StudyError(path, f"is an image in a format that is not supported; export it as {FORMATS}")
    if head.startswith(_ZIP):
        return NotAnImageError(
            path, "is a ZIP archive, which is not unpacked here; open it with open_archives, or unpack it"
        )
    if may_be_dicom and b"\0" in head and not head.startswith(_PROGRAMS):
        return StudyError(path, f"is neither an image nor a text; give a {FORMATS} file")
    return NotAnImageError(path, f"is not an image; give a {FORMATS} file")


def _hashed(single: Study) -> Study:
    """Return a study with the hash of its file, which is computed last because it reads the whole file."""
    digest = _sha256(single.images[0].path)
    series = (
        dataclasses.replace(one, images=tuple(dataclasses.replace(image, sha256=digest) for image in one.images))
        for one in single.series
    )
    return dataclasses.replace(single, series=tuple(series))


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StudyError(path, f"cannot be read ({error.strerror}); check the disk") from error
