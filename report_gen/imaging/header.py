"""Convert DICOM attributes to study records. Each function names its section of the standard."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from pydicom import Dataset
from pydicom.multival import MultiValue

from report_gen.imaging.acquisition import ACQUISITION_KEYWORDS
from report_gen.imaging.attributes import LONGEST_TEXT, code_meaning, optional_value, text_value
from report_gen.imaging.frame_records import frame_images
from report_gen.imaging.functional_groups import FUNCTIONAL_GROUP_KEYWORDS, SHUTTER_KEYWORDS
from report_gen.imaging.modality import is_for_processing, modality_of
from report_gen.imaging.nuclear import NUCLEAR_KEYWORDS
from report_gen.imaging.patient import PATIENT_KEYWORDS, patient_age, patient_species
from report_gen.imaging.planes import PLANE_KEYWORDS
from report_gen.imaging.study_time import TIME_KEYWORDS, study_time
from report_gen.records import Image, Laterality, Series, Study, ViewPosition, strip_controls

HEADER_KEYWORDS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "StudyDescription",
    "SeriesDescription",
    "PatientID",
    "PatientSex",
    "AdditionalPatientHistory",
    "AdmittingDiagnosesDescription",
    "PresentationIntentType",
    "AnatomicRegionSequence",
    "QualityControlImage",
    "BodyPartExamined",
    "ImagerPixelSpacing",
    "ProtocolName",
    "NominalScannedPixelSpacing",
    "AcquisitionDeviceProcessingDescription",
    "ViewPosition",
    "PatientOrientation",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "InstanceNumber",
    "Laterality",
    "ImageLaterality",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelAspectRatio",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "FloatPixelPaddingValue",
    "FloatPixelPaddingRangeLimit",
    "DoubleFloatPixelPaddingValue",
    "DoubleFloatPixelPaddingRangeLimit",
    "WindowCenter",
    "WindowWidth",
    "RescaleIntercept",
    "RescaleSlope",
    "VOILUTFunction",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "ReasonForStudy",
    "ViewCodeSequence",
    "RequestAttributesSequence",
    "ReasonForTheRequestedProcedure",
    "PresentationLUTSequence",
    "PresentationLUTShape",
    *PATIENT_KEYWORDS,
    *PLANE_KEYWORDS,
    *ACQUISITION_KEYWORDS,
    *NUCLEAR_KEYWORDS,
    *TIME_KEYWORDS,
    *FUNCTIONAL_GROUP_KEYWORDS,
    *SHUTTER_KEYWORDS,
)
"""All attributes that are read from a header. Others, such as names and private groups, are never loaded."""

VIEW_CODES = {
    "399348003": ViewPosition.AP,
    "R-10206": ViewPosition.AP,
    "272479007": ViewPosition.PA,
    "R-10214": ViewPosition.PA,
    "R-40888": ViewPosition.PA,
    "399033003": ViewPosition.FRONTAL,
    "R-10202": ViewPosition.FRONTAL,
    "399067008": ViewPosition.LATERAL,
    "R-102CD": ViewPosition.LATERAL,
    "399173006": ViewPosition.LATERAL,
    "R-10236": ViewPosition.LATERAL,
    "399198007": ViewPosition.LATERAL,
    "R-10232": ViewPosition.LATERAL,
    "399182000": ViewPosition.OBLIQUE,
    "R-102C1": ViewPosition.OBLIQUE,
    "399135007": ViewPosition.OBLIQUE,
    "R-10220": ViewPosition.OBLIQUE,
    "399356000": ViewPosition.OBLIQUE,
    "R-10224": ViewPosition.OBLIQUE,
    "R-40985": ViewPosition.OBLIQUE,
    "399006002": ViewPosition.OBLIQUE,
    "R-10212": ViewPosition.OBLIQUE,
    "399038007": ViewPosition.OBLIQUE,
    "R-10210": ViewPosition.OBLIQUE,
}
"""View Code Sequence (0054,0220): PS3.16 CID 4010 in SNOMED CT, and the SNOMED RT codes of older files."""


_DESCRIBED_VIEWS = (
    (r"decub(itus)?", ViewPosition.DECUBITUS),
    (r"obl(ique)?|lao|rao|lpo|rpo", ViewPosition.OBLIQUE),
    (r"lat(eral|[eé]rale?)?|llat|rlat|seitlich|profil|perfil", ViewPosition.LATERAL),
    (r"pa|p\.a\.|postero-?anterior", ViewPosition.PA),
    (r"ap|a\.p\.|antero-?posterior", ViewPosition.AP),
    (r"frontal", ViewPosition.FRONTAL),
)
"""Regular expressions of the words that name a view in free text."""

_ROW_DIRECTIONS = {
    **dict.fromkeys(("L", "R"), ViewPosition.FRONTAL),
    **dict.fromkeys(("A", "P"), ViewPosition.LATERAL),
}


def study_from_headers(headers: Iterable[Dataset], path: Path, sha256: str, frames: int) -> Study:
    """Return the study that the headers of the frames of one file describe, named after the file.

    Args:
        headers: Attributes of each frame, those of its functional groups included.
        path: The file.
        sha256: SHA-256 of the file.
        frames: Number of frames.
    """
    headers = iter(headers)
    first = next(headers)
    common = Image(
        path=path,
        sha256=sha256,
        rows=0,
        columns=0,
        sop_instance_uid=_uid(first, "SOPInstanceUID"),
        instance_number=_integer(first, "InstanceNumber"),
        view_position=_view_position(first),
        laterality=_laterality(first),
        for_processing=is_for_processing(first),
        quality_control=(text_value(first, "QualityControlImage") or "").upper() == "YES",
        indication=_indication(first),
    )
    series = Series(
        images=tuple(frame_images(common, chain((first,), headers), frames)),
        series_instance_uid=_uid(first, "SeriesInstanceUID"),
        series_number=_integer(first, "SeriesNumber"),
        modality=modality_of(first),
        body_part=text_value(first, "BodyPartExamined"),
        anatomic_region=code_meaning(first, "AnatomicRegionSequence"),
        descriptions=tuple(filter(None, (text_value(first, name) for name in ("SeriesDescription", "ProtocolName")))),
        study_description=text_value(first, "StudyDescription"),
    )
    return Study(
        name=path.stem,
        series=(series,),
        study_instance_uid=_uid(first, "StudyInstanceUID"),
        patient_id=text_value(first, "PatientID"),
        patient_age=patient_age(first),
        patient_sex=text_value(first, "PatientSex"),
        patient_species=patient_species(first),
        indication=common.indication,
        admitting_diagnoses=_admitting_diagnoses(first),
        study_time=study_time(first),
    )


def _uid(dataset: Dataset, keyword: str) -> str | None:
    """Return a UID if it is well-formed (PS3.5 9.1), so that it can become a file name; otherwise None."""
    value = str(optional_value(dataset, keyword) or "").strip(" \0")
    return value if re.fullmatch(r"[0-9.]{1,64}", value) and value.strip(".") else None


def _integer(dataset: Dataset, keyword: str) -> int | None:
    value = optional_value(dataset, keyword)
    return int(value) if isinstance(value, int) else None


def _view_position(dataset: Dataset) -> ViewPosition:
    """Return the view by View Position (0018,5101), else View Code Sequence, a description, or Patient Orientation."""
    named = ViewPosition.from_term(text_value(dataset, "ViewPosition") or "")
    if named is not ViewPosition.UNKNOWN:
        return named
    for item in optional_value(dataset, "ViewCodeSequence") or ():
        coded = VIEW_CODES.get(text_value(item, "CodeValue") or "")
        if coded is not None:
            return coded
    for keyword in ("ViewPosition", "SeriesDescription", "AcquisitionDeviceProcessingDescription", "ProtocolName"):
        described = _described_view(text_value(dataset, keyword) or "")
        if described is not ViewPosition.UNKNOWN:
            return described
    return _oriented_view(dataset)


def _described_view(description: str) -> ViewPosition:
    """Return the view that a description names as whole words; UNKNOWN for "PA and lateral", which names two images."""
    named = {
        view
        for words, view in _DESCRIBED_VIEWS
        if re.search(rf"(?<![^\W_])(?:{words})(?![^\W_])", description, re.IGNORECASE)
    }
    # "Lateral decubitus" and "decubitus PA" name a view as well, but the position of the patient has precedence.
    if ViewPosition.DECUBITUS in named:
        return ViewPosition.DECUBITUS
    if named and all(view.is_frontal for view in named):
        return named.pop() if len(named) == 1 else ViewPosition.FRONTAL
    return named.pop() if len(named) == 1 else ViewPosition.UNKNOWN


def _oriented_view(dataset: Dataset) -> ViewPosition:
    """Return LATERAL or FRONTAL by Patient Orientation (0020,0020), PS3.3 C.7.6.1.1.1.

    The columns of both run between head and feet, the rows of a frontal radiograph between left and right, and those of
    a lateral one between anterior and posterior. Directions in between, such as "LA", are of neither.
    """
    orientation = optional_value(dataset, "PatientOrientation")
    rows, columns = map(str, orientation) if isinstance(orientation, MultiValue) and len(orientation) == 2 else ("", "")
    if columns not in ("H", "F"):
        return ViewPosition.UNKNOWN
    return _ROW_DIRECTIONS.get(rows, ViewPosition.UNKNOWN)


def _laterality(dataset: Dataset) -> Laterality:
    """Return Image Laterality (0020,0062), else Laterality (0020,0060) of the series."""
    for keyword in ("ImageLaterality", "Laterality"):
        value = (text_value(dataset, keyword) or "").upper()
        if value in {side.value for side in Laterality} - {Laterality.UNKNOWN.value}:
            return Laterality(value)
    return Laterality.UNKNOWN


def _indication(dataset: Dataset) -> str | None:
    """Return Reason for the Requested Procedure (0040,1002) of the request (PS3.3 10.6) or of the image itself.

    Without it, return the retired Reason for Study (0032,1030), else Additional Patient History (0010,21B0).
    """
    for item in (*(optional_value(dataset, "RequestAttributesSequence") or ()), dataset):
        reason = text_value(item, "ReasonForTheRequestedProcedure")
        if reason:
            return reason
    return text_value(dataset, "ReasonForStudy") or text_value(dataset, "AdditionalPatientHistory")


def _admitting_diagnoses(dataset: Dataset) -> str | None:
    """Return the values of Admitting Diagnoses Description (0008,1080), separated by semicolons."""
    value = optional_value(dataset, "AdmittingDiagnosesDescription")
    values = value if isinstance(value, MultiValue) else [value]
    text = "; ".join(one for one in values if isinstance(one, str) and one)
    return strip_controls(text[:LONGEST_TEXT]) or None
