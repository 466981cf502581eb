"""Small DICOM files for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

STUDY_UID = "1.2.826.0.1.3680043.8.498.1"


def dicom(pixels: NDArray[Any] | None = None, syntax: UID = ExplicitVRLittleEndian, **attributes: Any) -> FileDataset:
    """Return a chest radiograph of these stored values. Attributes replace the defaults; None removes one."""
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4) if pixels is None else pixels
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.set_original_encoding(syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian)
    values: dict[str, Any] = {
        "SOPClassUID": ComputedRadiographyImageStorage,
        "SOPInstanceUID": f"{STUDY_UID}.1.1",
        "Modality": "CR",
        "PatientID": "P1",
        "StudyInstanceUID": STUDY_UID,
        "SeriesInstanceUID": f"{STUDY_UID}.1",
        "SamplesPerPixel": 3 if pixels.ndim == 3 else 1,
        "PhotometricInterpretation": "RGB" if pixels.ndim == 3 else "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": 8 * pixels.itemsize,
        "BitsStored": 8 * pixels.itemsize,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PixelData": pixels.tobytes(),
    }
    if pixels.ndim == 3:
        values["PlanarConfiguration"] = 0
    for keyword, value in (values | attributes).items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "HighBit" not in attributes and "BitsStored" in dataset:
        dataset.HighBit = dataset.BitsStored - 1
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "")
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "")
    return dataset


def write_dicom(path: Path, pixels: NDArray[Any] | None = None, **attributes: Any) -> Path:
    """Write a chest radiograph; see `dicom`. Return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dicom(pixels, **attributes).save_as(path)
    return path


def look_up_table(data: list[int], first: int, bits: int) -> list[Dataset]:
    """Return a Modality, VOI or Presentation LUT Sequence. The descriptor encodes 65,536 entries as 0."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(data) % 2**16, first, bits])
    if len(data) < 2**15:
        item.add_new("LUTData", "US", data)
    else:  # more than an element of VR US can hold
        item.add_new("LUTData", "OW", np.array(data, dtype="<u2").tobytes())
    return [item]


def item(**attributes: Any) -> Dataset:
    """Return an item of a sequence."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def coded(value: str, scheme: str, meaning: str = "view") -> Dataset:
    """Return the item of a code sequence."""
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)
