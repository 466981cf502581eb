"""Read medical images: files to study records, and study records to display intensities.

`report_gen.imaging.transform` needs torch and is therefore not imported here.
"""

from report_gen.imaging.body_parts import header_body_parts, known_body_parts
from report_gen.imaging.dicom import read_attributes
from report_gen.imaging.dicom_file import is_dicom, raise_study_errors
from report_gen.imaging.loaded_image import LoadedImage
from report_gen.imaging.memory import limit_memory, memory_errors
from report_gen.imaging.patients import differing_attributes
from report_gen.imaging.reading import (
    IMAGE_SUFFIXES,
    StudyCollection,
    is_dicom_file,
    load_image,
    load_pixels,
    read_pixels,
    read_studies,
    read_study,
)

__all__ = [
    "IMAGE_SUFFIXES",
    "LoadedImage",
    "StudyCollection",
    "differing_attributes",
    "header_body_parts",
    "is_dicom",
    "is_dicom_file",
    "known_body_parts",
    "limit_memory",
    "load_image",
    "load_pixels",
    "memory_errors",
    "raise_study_errors",
    "read_attributes",
    "read_pixels",
    "read_studies",
    "read_study",
]
