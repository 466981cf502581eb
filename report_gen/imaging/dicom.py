"""Read DICOM files: study records and pixels.

The header is read and checked before any pixel is decoded. Only the attributes of `HEADER_KEYWORDS` are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pydicom import FileDataset
from pydicom.dataelem import RawDataElement

from report_gen.errors import StudyError
from report_gen.imaging.dicom_file import open_dicom, raise_study_errors, read_dataset
from report_gen.imaging.frames import DicomFrames
from report_gen.imaging.gdcm import GdcmProcess
from report_gen.imaging.header import study_from_headers
from report_gen.imaging.loaded_image import LoadedImage
from report_gen.imaging.pixel_checks import check_is_image
from report_gen.records import Study

_UNDEFINED_LENGTH = 0xFFFFFFFF


def describe_dicom(path: Path, sha256: str) -> Study:
    """Return the record of one file: a study named after the file, with an image for each frame. No pixels are decoded.

    Raises:
        NotAnImageError: The object has no pixels, such as a structured report, or are a mask, a dose or a key image.
        StudyError: The file cannot be opened, is malformed or truncated, or its pixels are not supported.
    """
    with raise_study_errors(path), open_dicom(path) as file:
        frames = DicomFrames(file, path, GdcmProcess(), check=partial(check_is_image, path=path))
        return study_from_headers(frames.headers(), path, sha256, frames.count)


@contextmanager
def open_frames(path: Path, gdcm: GdcmProcess | None = None) -> Iterator[DicomFrames]:
    """Open a file whose frames are loaded within the block.

    Args:
        path: The file.
        gdcm: Decodes what no other decoder does. Default: one for this file alone.

    Raises:
        StudyError: See `describe_dicom`.
    """
    with raise_study_errors(path), open_dicom(path) as file, GdcmProcess() as own:
        yield DicomFrames(file, path, gdcm or own)


def read_dicom_image(path: Path, frame: int | None = None) -> LoadedImage:
    """Return the display intensities of one frame; see `DicomFrames.image`.

    Raises:
        StudyError: See `describe_dicom`; also if the pixels cannot be decoded, or if the memory does not suffice.
    """
    with open_frames(path) as frames:
        return frames.image(frame)


def read_attributes(path: Path, keywords: tuple[str, ...]) -> FileDataset:
    """Read attributes of any DICOM object, without pixels. Call it within `raise_study_errors`.

    Args:
        path: File.
        keywords: DICOM keywords of the attributes; the keywords of nested items are included.

    Raises:
        StudyError: A deflated data set is too large, or the file ends within one of the attributes.
    """
    with open_dicom(path) as file:
        dataset = read_dataset(file, keywords)
    for element in dataset.values():  # pydicom shortens the last value, and with it the items of a sequence
        if isinstance(element, RawDataElement) and len(element.value or b"") < element.length < _UNDEFINED_LENGTH:
            raise StudyError(path, "truncated: the file ends within its header; copy or export it again")
    return dataset
