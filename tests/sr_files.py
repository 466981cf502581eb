"""Write DICOM structured reports for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian

from tests.dicom_files import STUDY_UID


def code(value: str, scheme: str, meaning: str = "x") -> list[Dataset]:
    """Return a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return [item]


def content(kind: str, concept: list[Dataset], *children: Dataset, text: str = "", how: str = "CONTAINS") -> Dataset:
    """Return a content item."""
    item = Dataset()
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence = how, kind, concept
    if text:
        item.TextValue = text
    if children:
        item.ContentSequence = list(children)
    return item


def document(
    path: Path, *children: Dataset, study: str = "1", kind: str = BasicTextSRStorage, **attributes: Any
) -> Path:
    """Write a structured report. `attributes` are attributes of the file. Return its path."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, f"{STUDY_UID}.{study}.9"
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = kind, f"{STUDY_UID}.{study}.9", "SR"
    dataset.StudyInstanceUID, dataset.PatientName = f"{STUDY_UID}.{study}", "Doe^Jane"
    dataset.ValueType, dataset.ConceptNameCodeSequence = "CONTAINER", code("18748-4", "LN", "Diagnostic Imaging Report")
    dataset.ContentDate, dataset.ContentTime = "20240101", "120000"
    dataset.ContentSequence = list(children)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path)
    return path
