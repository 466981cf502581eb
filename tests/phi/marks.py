"""Inputs in which every text is a mark that no program would write by itself, and the search for these marks."""

from __future__ import annotations

import gzip
import io
import json
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import PIL.Image
from pydicom import Dataset
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.dataset import FileDataset
from pydicom.tag import Tag
from pydicom.uid import BasicTextSRStorage

from report_gen.imaging.header import HEADER_KEYWORDS
from tests.builders import noise_image
from tests.dicom_files import coded, dicom

MARKS: Mapping[str, str] = {
    "header": r"ZQ[0-9A-F]{8}|18230517|223344\.5566|1\.2\.840\.88888\.|77777\.25|7777777",
    "patient id": "ZPATIENT",
    "indication": "ZINDICATION",
    "order": "ZORDER",
    "report": "ZREPORT",
    "study id": "ZSTUDY",
    "study uid": r"1\.2\.840\.55555\.1",
    "image uid": r"1\.2\.840\.55555\.2",
    "file name": "ZFILE",
    "folder name": "ZFOLDER",
}
"""Pattern of each kind of value. `header` are all attributes of a DICOM file that are no other kind: names, dates,
times, descriptions, comments, identifiers, numbers, private groups, preamble, overlays and trailing padding."""

STUDY_UID, IMAGE_UID = "1.2.840.55555.1", "1.2.840.55555.2"

_BY_VR = {
    **dict.fromkeys(("DA",), "18230517"),
    "TM": "223344.5566",
    "DT": "18230517223344.5566",
    "DS": "77777.25",
    "IS": "7777777",
}
_TEXT_VRS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")

_DECODING = ("SpecificCharacterSet", "SOPClassUID", "PhotometricInterpretation")
"""Attributes without whose usual values no image can be read."""
_CODED = (
    *("Modality", "BodyPartExamined", "ViewPosition", "PresentationIntentType", "Laterality", "ImageLaterality"),
    *("PatientOrientation", "QualityControlImage", "PresentationLUTShape", "VOILUTFunction", "ShutterShape"),
    *("PatientSpeciesDescription", "PatientSex"),
)
"""Attributes that the program interprets. They have usual values, or marks in the file of `coded_marks`."""
_INDICATION = ("AdditionalPatientHistory", "ReasonForStudy", "ReasonForTheRequestedProcedure")
_ORDER = ("StudyDescription", "AdmittingDiagnosesDescription")
"""Texts of the order that a corpus of DICOM files has beside the indication."""


def write_marked_dicom(path: Path, *, seed: int = 0, coded_marks: bool = False, **attributes: Any) -> Path:
    """Write a radiograph with a mark in every attribute of the data dictionary that holds text, a date or a number.

    Args:
        path: The file.
        seed: Number of the study and of its pixels.
        coded_marks: Whether attributes that the program interprets, such as the modality, have marks too.
        attributes: Further attributes.
    """
    dataset = _marked(coded_marks=coded_marks)
    pixels = dicom(noise_image(seed))
    for element in pixels:
        if element.keyword not in dataset or element.tag.group == 0x0028 or element.keyword in _DECODING:
            dataset[element.tag] = element
    if not coded_marks:
        dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", "PA"
    dataset.PatientID, dataset.StudyInstanceUID = f"ZPATIENT{seed}", f"{STUDY_UID}.{seed}"
    dataset.SOPInstanceUID = f"{IMAGE_UID}.{seed}"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return _save(dataset, pixels, path)


def write_marked_report(path: Path, *, seed: int = 0) -> Path:
    """Write a structured report of the study of `write_marked_dicom`, with marks and with a text."""
    dataset = _marked(coded_marks=False)
    base = dicom(SOPClassUID=BasicTextSRStorage)
    dataset.SOPClassUID, dataset.Modality = BasicTextSRStorage, "SR"
    dataset.PatientID, dataset.StudyInstanceUID = f"ZPATIENT{seed}", f"{STUDY_UID}.{seed}"
    item = Dataset()
    item.ValueType, item.TextValue = "TEXT", "ZREPORT The heart is enlarged."
    item.RelationshipType = "CONTAINS"
    item.ConceptNameCodeSequence = [coded("121071", "DCM")]
    dataset.ContentSequence = [item]
    return _save(dataset, base, path)


def _marked(*, coded_marks: bool) -> Dataset:
    dataset = Dataset()
    skipped = (*_DECODING, *(() if coded_marks else _CODED))
    for number, (vr, _, _, _, keyword) in DicomDictionary.items():
        group = number >> 16
        if keyword and keyword not in skipped and group not in (0x0000, 0x0002, 0x0004, 0x0028, 0xFFFE):
            value = _mark(number, vr)
            used = vr in ("DS", "IS") and keyword in HEADER_KEYWORDS
            if value is not None and not used:
                dataset.add_new(number, vr, value)
    for keyword in _INDICATION:
        setattr(dataset, keyword, f"ZINDICATION of {keyword}")
    for keyword in _ORDER:
        setattr(dataset, keyword, f"ZORDER of {keyword}")
    nested = Dataset()
    nested.update({element.tag: element for element in dataset if element.tag.group in (0x0010, 0x0040)})
    nested.ConceptCodeSequence = [coded("1", "DCM")]
    nested.ConceptCodeSequence[0].CodeMeaning = "ZQ00080104"
    for keyword in ("RequestAttributesSequence", "OtherPatientIDsSequence", "RequestedProcedureCodeSequence"):
        setattr(dataset, keyword, [nested])
    view = coded("272479007", "SCT")
    view.CodeMeaning = "ZQ00080104"
    dataset.ViewCodeSequence = [view]
    block = dataset.private_block(0x0011, "ZQ00110010", create=True)
    block.add_new(0x01, "LO", "ZQ00111001")
    block.add_new(0x02, "UN", b"ZQ00111002")
    dataset.add_new(0x60001500, "LO", "ZQ60001500")  # overlay label
    dataset.add_new(0x60000022, "LO", "ZQ60000022")  # overlay description
    dataset.add_new(0x60003000, "OW", b"ZQ60003000" * 8)  # overlay data
    dataset.add_new(0xFFFCFFFC, "OB", b"ZQFFFCFFFC")  # data set trailing padding
    dataset.EncapsulatedDocument = b"ZQ00420011"
    return dataset


def _mark(number: int, vr: str) -> str | None:
    if vr in _TEXT_VRS:
        return f"ZQ{number:08X}"
    if vr == "UI":
        return f"1.2.840.88888.{number}"
    return _BY_VR.get(vr)


def _save(dataset: Dataset, base: FileDataset, path: Path) -> Path:
    meta = base.file_meta
    meta.SourceApplicationEntityTitle = "ZQ00020016"
    meta.ImplementationVersionName = "ZQ00020013"
    meta.PrivateInformationCreatorUID, meta.PrivateInformation = "1.2.840.88888.2", b"ZQ00020102"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    marked = FileDataset("", dataset, file_meta=meta, preamble=b"ZQ00000000".ljust(128, b"\0"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings on marks that the value representation does not allow
        marked.save_as(path, implicit_vr=False, little_endian=True)
    return path


def write_marked_corpus(folder: Path, *, studies: int = 12) -> Path:
    """Write a manifest of radiographs, DICOM and PNG, with marks as ids, indications, reports and names of files."""
    rows = []
    for number in range(studies):
        split = ("train", "train", "val", "test")[number % 4]
        name = f"ZFILE{number}.dcm" if number % 2 else f"ZFILE{number}.png"
        path = folder / "ZFOLDER" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % 2:
            write_marked_dicom(path, seed=number)
        else:
            PIL.Image.fromarray(noise_image(number)).save(path)
        effusion = number % 3 == 0
        rows.append(
            {
                "study_id": f"ZSTUDY{number}",
                "patient_id": f"ZPATIENT{number}",
                "images": [f"ZFOLDER/{name}"],
                "views": ["PA"],
                "indication": f"ZINDICATION{number} cough and fever.",
                "study_description": f"ZORDER{number} chest",
                "findings": f"The heart is normal. {'Small' if effusion else 'No'} effusion. Seen by ZREPORT{number}.",
                "impression": "Effusion." if effusion else "No acute disease.",
                "split": split,
            }
        )
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def kinds_in(content: bytes) -> frozenset[str]:
    """Return the kinds of marks in a content, also as UTF-16 and inside of gzip, ZIP and compressed PNG texts."""
    found = set()
    for data in _unpacked(content):
        for kind, pattern in _PATTERNS.items():
            if pattern.search(data) or pattern.search(data.replace(b"\0", b"")):
                found.add(kind)
    return frozenset(found)


def describe_marks(content: bytes) -> str:
    """Return the marks of a content with the names of their attributes, for the message of a failed test."""
    marks = sorted({match[0].decode() for data in _unpacked(content) for match in _PATTERNS["header"].finditer(data)})
    tags = {mark: keyword_for_tag(Tag(int(mark[2:], 16))) for mark in marks if re.fullmatch("ZQ[0-9A-F]{8}", mark)}
    return ", ".join(f"{mark} {tags.get(mark, '')}".strip() for mark in marks)


_PATTERNS = {kind: re.compile(pattern.encode(), re.IGNORECASE) for kind, pattern in MARKS.items()}


def _unpacked(content: bytes) -> Iterator[bytes]:
    yield content
    if content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)
    elif content.startswith(b"PK\3\4"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield archive.read(name)
    elif content.startswith(b"\x89PNG"):
        with PIL.Image.open(io.BytesIO(content)) as image:
            yield repr(image.info).encode()
