"""Read medical images: files to study records, and study records to display intensities.

`report_gen.imaging.transform` needs torch and is therefore not imported here.
"""

from report_gen.imaging.archive import UnpackedArchives, open_archives
from report_gen.imaging.body_parts import header_body_parts, known_body_parts, shows_only_chest
from report_gen.imaging.decoding import decoder_plugins
from report_gen.imaging.dicom import read_attributes
from report_gen.imaging.dicom_file import is_dicom, open_dicom, raise_study_errors
from report_gen.imaging.gdcm import GdcmProcess
from report_gen.imaging.image_files import is_dicom_file
from report_gen.imaging.loaded_image import LoadedImage
from report_gen.imaging.loading import load_image, load_many, load_pixels, load_values, load_windows, read_pixels
from report_gen.imaging.memory import limit_memory, memory_errors, memory_limit
from report_gen.imaging.patients import differing_attributes
from report_gen.imaging.reading import StudyCollection, read_studies, read_study
from report_gen.imaging.reading_notices import JOIN_HINT
from report_gen.imaging.scope import check_scope
from report_gen.imaging.sharding import Shard, study_identity
from report_gen.imaging.synthetic import encode_synthetic, read_synthetic_rows
from report_gen.imaging.windowing import ONLY_HOUNSFIELD

__all__ = [
    "JOIN_HINT",
    "ONLY_HOUNSFIELD",
    "GdcmProcess",
    "LoadedImage",
    "Shard",
    "StudyCollection",
    "UnpackedArchives",
    "check_scope",
    "decoder_plugins",
    "differing_attributes",
    "encode_synthetic",
    "header_body_parts",
    "is_dicom",
    "is_dicom_file",
    "known_body_parts",
    "limit_memory",
    "load_image",
    "load_many",
    "load_pixels",
    "load_values",
    "load_windows",
    "memory_errors",
    "memory_limit",
    "open_archives",
    "open_dicom",
    "raise_study_errors",
    "read_attributes",
    "read_pixels",
    "read_studies",
    "read_study",
    "read_synthetic_rows",
    "shows_only_chest",
    "study_identity",
]
