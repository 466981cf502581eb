"""Convert DICOM attributes to study records. Each function names its section of the standard."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime
from pathlib import Path

from pydicom import Dataset
from pydicom.multival import MultiValue

from report_gen.imaging.attributes import optional_value
from report_gen.imaging.functional_groups import FUNCTIONAL_GROUP_KEYWORDS, SHUTTER_KEYWORDS
from report_gen.imaging.square_pixels import pixel_aspect, pixel_spacing, square_size
from report_gen.records import Image, Laterality, Series, Study, ViewPosition

HEADER_KEYWORDS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyDate",
    "Modality",
    "StudyDescription",
    "SeriesDescription",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "AdditionalPatientHistory",
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
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
    "PixelSpacing",
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

_YEARS_PER = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


def study_from_header(dataset: Dataset, path: Path, sha256: str) -> Study:
    """Return the study that the header of one file describes: one image, named after the file."""
    rows, columns = square_size(int(dataset.Rows), int(dataset.Columns), pixel_aspect(dataset))
    image = Image(
        path=path,
        sha256=sha256,
        rows=rows,
        columns=columns,
        sop_instance_uid=_uid(dataset, "SOPInstanceUID"),
        instance_number=_integer(dataset, "InstanceNumber"),
        view_position=_view_position(dataset),
        laterality=_laterality(dataset),
        pixel_spacing=_spacing(dataset),
        for_processing=_text(dataset, "PresentationIntentType") == "FOR PROCESSING",
        quality_control=_text(dataset, "QualityControlImage") == "YES",
    )
    series = Series(
        images=(image,),
        series_instance_uid=_uid(dataset, "SeriesInstanceUID"),
        series_number=_integer(dataset, "SeriesNumber"),
        modality=_text(dataset, "Modality"),
        body_part=_text(dataset, "BodyPartExamined"),
        anatomic_region=_code_meaning(dataset, "AnatomicRegionSequence"),
        descriptions=tuple(filter(None, (_text(dataset, name) for name in ("SeriesDescription", "ProtocolName")))),
    )
    return Study(
        name=path.stem,
        series=(series,),
        study_instance_uid=_uid(dataset, "StudyInstanceUID"),
        patient_id=_text(dataset, "PatientID"),
        patient_age=_age(dataset),
        patient_sex=_text(dataset, "PatientSex"),
        patient_species=_text(dataset, "PatientSpeciesDescription")
        or _code_meaning(dataset, "PatientSpeciesCodeSequence"),
        description=_text(dataset, "StudyDescription"),
        indication=_indication(dataset),
    )


def _uid(dataset: Dataset, keyword: str) -> str | None:
    """Return a UID if it is well-formed (PS3.5 9.1), so that it can become a file name; otherwise None."""
    value = str(optional_value(dataset, keyword) or "").strip(" \0")
    return value if re.fullmatch(r"[0-9.]{1,64}", value) and value.strip(".") else None


def _text(dataset: Dataset, keyword: str) -> str | None:
    """Return a text, decoded by Specific Character Set (0008,0005).

    Control and direction characters become spaces because a terminal would act on them.
    """
    value = optional_value(dataset, keyword)
    characters = "".join(" " if unicodedata.category(c)[0] == "C" else c for c in str("" if value is None else value))
    return " ".join(characters.split()) or None


def _code_meaning(dataset: Dataset, keyword: str) -> str | None:
    """Return the Code Meaning (0008,0104) of the first item of a code sequence (PS3.3 8.8)."""
    return next((_text(item, "CodeMeaning") for item in optional_value(dataset, keyword) or ()), None)


def _integer(dataset: Dataset, keyword: str) -> int | None:
    value = optional_value(dataset, keyword)
    return int(value) if isinstance(value, int) else None


def _view_position(dataset: Dataset) -> ViewPosition:
    """Return the view by View Position (0018,5101), else View Code Sequence, a description, or Patient Orientation."""
    named = ViewPosition.from_term(_text(dataset, "ViewPosition") or "")
    if named is not ViewPosition.UNKNOWN:
        return named
    for item in optional_value(dataset, "ViewCodeSequence") or ():
        coded = VIEW_CODES.get(_text(item, "CodeValue") or "")
        if coded is not None:
            return coded
    for keyword in ("ViewPosition", "SeriesDescription", "AcquisitionDeviceProcessingDescription", "ProtocolName"):
        described = _described_view(_text(dataset, keyword) or "")
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
        value = (_text(dataset, keyword) or "").upper()
        if value in {side.value for side in Laterality} - {Laterality.UNKNOWN.value}:
            return Laterality(value)
    return Laterality.UNKNOWN


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Return the pixel spacing after the image is resampled to square pixels, millimeters."""
    spacing = pixel_spacing(dataset)
    if spacing is None or pixel_aspect(dataset) == 1:
        return spacing
    return min(spacing), min(spacing)


def _age(dataset: Dataset) -> float | None:
    """Return the age in years from Patient's Age (0010,1010), an AS such as 065Y (PS3.5 6.2), else the birth date."""
    match = re.fullmatch(r"(\d{1,3})([YMWD])", (_text(dataset, "PatientAge") or "").upper())
    if match:
        return int(match[1]) * _YEARS_PER[match[2]]
    born, imaged = _date(dataset, "PatientBirthDate"), _date(dataset, "StudyDate")
    if born is None or imaged is None or imaged < born:
        return None
    return imaged.year - born.year - ((imaged.month, imaged.day) < (born.month, born.day))


def _date(dataset: Dataset, keyword: str) -> date | None:
    try:
        return datetime.strptime(_text(dataset, keyword) or "", "%Y%m%d").date()
    except ValueError:
        return None


def _indication(dataset: Dataset) -> str | None:
    """Return Reason for the Requested Procedure (0040,1002) of the request (PS3.3 10.6) or of the image itself.

    Without it, return the retired Reason for Study (0032,1030), else Additional Patient History (0010,21B0).
    """
    for item in (*(optional_value(dataset, "RequestAttributesSequence") or ()), dataset):
        reason = _text(item, "ReasonForTheRequestedProcedure")
        if reason:
            return reason
    return _text(dataset, "ReasonForStudy") or _text(dataset, "AdditionalPatientHistory")
