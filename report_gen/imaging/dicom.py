"""Read DICOM files: study records and pixels.

The header is read and checked before any pixel is decoded. Only the attributes of `HEADER_KEYWORDS` are read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import FileDataset

from report_gen.imaging.bounded_file import BoundedFile
from report_gen.imaging.color import luma, palette_luma
from report_gen.imaging.decoding import decode, read_pixel_data
from report_gen.imaging.dicom_file import open_dicom, raise_study_errors, read_dataset
from report_gen.imaging.functional_groups import promote_functional_groups
from report_gen.imaging.grayscale import to_grayscale
from report_gen.imaging.header import HEADER_KEYWORDS, study_from_header
from report_gen.imaging.limits import check_pixel_count
from report_gen.imaging.loaded_image import LoadedImage
from report_gen.imaging.memory import image_memory
from report_gen.imaging.memory_need import dicom_memory
from report_gen.imaging.pixel_checks import PixelLocation, check_is_image, check_pixels
from report_gen.imaging.shutter import shutter_intensity, visible_pixels
from report_gen.imaging.square_pixels import pixel_aspect, resample_to_square, square_size
from report_gen.records import Study

_SOP_CLASS = 0x00080016
"""Tag of SOP Class UID, one of the first attributes."""


def describe_dicom(path: Path, sha256: str) -> Study:
    """Return the record of one file: a study of one image, named after the file. No pixels are decoded.

    Raises:
        NotAnImageError: The object has no pixels, such as a structured report, or they are no image but a mask or dose.
        StudyError: The file cannot be opened, is malformed or truncated, or its pixels are not supported.
    """
    with raise_study_errors(path), open_dicom(path) as file:
        check_is_image(read_dataset(file, ("SOPClassUID",), last=_SOP_CLASS), path)
        dataset, _ = _read_header(file, path)
        return study_from_header(dataset, path, sha256)


def read_dicom_image(path: Path) -> LoadedImage:
    """Return the display intensities after modality, VOI and presentation LUT, shutter and resampling to square pixels.

    Color becomes luma. Only the header and the pixels of the frame are read of the file.

    Raises:
        StudyError: See `describe_dicom`; also if the pixels are truncated or cannot be decoded, or if the memory does
            not suffice.
    """
    with raise_study_errors(path), open_dicom(path) as file:
        dataset, location = _read_header(file, path)
        aspect = pixel_aspect(dataset)
        need = dicom_memory(dataset, location.size, aspect)
        with image_memory(path, dataset.Rows, dataset.Columns, need):
            read_pixel_data(dataset, file, location)
            visible = visible_pixels(dataset, aspect)
            image = _display(dataset, visible, path)
            pixels = image.pixels
            if visible is not None:
                pixels = np.where(visible, pixels, np.float32(shutter_intensity(dataset)))
            return LoadedImage(resample_to_square(pixels, aspect), image.notices)


def read_attributes(path: Path, keywords: tuple[str, ...]) -> FileDataset:
    """Read attributes of any DICOM object, without pixels. Call it within `raise_study_errors`.

    Args:
        path: File.
        keywords: DICOM keywords of the attributes; the keywords of nested items are included.

    Raises:
        StudyError: A deflated data set is too large.
    """
    with open_dicom(path) as file:
        return read_dataset(file, keywords)


def _read_header(file: BoundedFile, path: Path) -> tuple[FileDataset, PixelLocation]:
    """Read and check the header. Return its attributes and where the pixels lie."""
    dataset = read_dataset(file, HEADER_KEYWORDS)
    promote_functional_groups(dataset)
    location = check_pixels(dataset, file, path)
    check_pixel_count(*square_size(dataset.Rows, dataset.Columns, pixel_aspect(dataset)), path)
    return dataset, location


def _display(dataset: FileDataset, visible: NDArray[np.bool_] | None, path: Path) -> LoadedImage:
    """Return the display intensities of the pixels as they are stored."""
    stored, precision = decode(dataset, path)
    if dataset.PhotometricInterpretation in ("MONOCHROME1", "MONOCHROME2"):
        return to_grayscale(stored, dataset, precision=precision, visible=visible)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return LoadedImage(palette_luma(stored, dataset, precision))
    return LoadedImage(luma(stored, dataset, precision))
