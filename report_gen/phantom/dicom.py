"""Draw a chest radiograph and write it as DICOM, for demonstrations and tests without patient data."""

from __future__ import annotations

import hashlib
import os
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from report_gen.files import write_atomically
from report_gen.phantom import anatomy
from report_gen.phantom.anatomy import Side

Photometric = Literal["MONOCHROME1", "MONOCHROME2"]

WHITE = 4095
"""Largest value of 12 bits."""

CHEST = Code("51185008", "SCT", "Chest")
POSTERO_ANTERIOR = Code("272479007", "SCT", "postero-anterior")


def draw_chest(
    rows: int = 1024,
    columns: int = 1024,
    *,
    seed: int = 0,
    effusion: Side | None = None,
    cardiomegaly: bool = False,
) -> NDArray[np.uint16]:
    """Draw a posteroanterior chest radiograph.

    Args:
        rows: H.
        columns: W.
        seed: Seed of vessels and noise; the anatomy stays the same.
        effusion: Side of a pleural effusion.
        cardiomegaly: Whether the heart is enlarged.

    Returns:
        Pixels [H,W] of 12 bits, 0 = black. The patient's left is on the right.
    """
    random = np.random.default_rng(seed)
    grid = anatomy.Grid(
        np.linspace(-1, 1, columns, dtype=np.float32)[None, :],
        np.linspace(0, 1, rows, dtype=np.float32)[:, None],
    )
    body, mediastinum = anatomy.body(grid), anatomy.mediastinum(grid)
    heart = anatomy.heart(grid, 1.4 if cardiomegaly else 1.0)
    air = anatomy.lungs(grid) * (1 - 0.88 * heart) * (1 - 0.8 * mediastinum)
    if effusion:
        air *= 1 - 0.9 * anatomy.effusion(grid, effusion)
    texture = anatomy.vessels(grid, random) + 0.35 * anatomy.mottle(random, (rows, columns))
    abdomen = anatomy.edge(grid.y - anatomy.diaphragm(grid), 0.02)
    tissue = 0.66 + 0.09 * mediastinum + 0.06 * heart + 0.07 * abdomen + anatomy.bones(grid)
    gas = 0.14 * anatomy.trachea(grid) + 0.17 * anatomy.gastric_bubble(grid) + air * (0.55 - 0.1 * texture)
    density = body * (tissue - gas) + random.normal(0, 0.008, (rows, columns))
    pixels = WHITE * (0.02 + 1.12 * np.tanh(1.3 * density.clip(0)))  # saturates in dense parts, as a detector does
    return np.asarray(pixels.clip(0, WHITE), dtype=np.uint16)


def write_phantom(
    folder: str | os.PathLike[str],
    *,
    rows: int = 1024,
    columns: int = 1024,
    seed: int = 0,
    effusion: Side | None = None,
    cardiomegaly: bool = False,
    photometric: Photometric = "MONOCHROME2",
) -> Path:
    """Write a chest radiograph as a Digital X-Ray Image for presentation (PS3.3 A.26), marked as a phantom.

    The UIDs are derived from the arguments, so the same call writes the same file.

    Args:
        folder: Folder of the file; it is created if missing.
        rows: See `draw_chest`.
        columns: See `draw_chest`.
        seed: See `draw_chest`.
        effusion: See `draw_chest`.
        cardiomegaly: See `draw_chest`.
        photometric: Photometric Interpretation; MONOCHROME1 stores the negative.

    Returns:
        Path of the file.

    Raises:
        OutputError: the file cannot be written.
    """
    pixels = draw_chest(rows, columns, seed=seed, effusion=effusion, cardiomegaly=cardiomegaly)
    identity = f"{rows} {columns} {seed} {effusion} {cardiomegaly} {photometric}"
    dataset = _dataset(pixels, identity, photometric)
    path = Path(folder, f"phantom-{dataset.SOPInstanceUID[-8:]}.dcm")
    content = BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    write_atomically(path, content.getvalue())
    return path


def write_png(path: Path, pixels: NDArray[np.uint16]) -> Path:
    """Write 12-bit pixels [H,W] as an 8-bit PNG. Return the path. Raises OutputError if it cannot be written."""
    content = BytesIO()
    PIL.Image.fromarray((pixels >> 4).astype(np.uint8)).save(content, format="PNG")
    write_atomically(path, content.getvalue())
    return path


def _dataset(pixels: NDArray[np.uint16], identity: str, photometric: Photometric) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = _uid("instance", identity)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    # A preamble with other content could make the file an executable (CVE-2019-11687).
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    _add_patient_and_study(dataset, identity)
    _add_acquisition(dataset, pixels.shape[0])
    _add_image(dataset, pixels, photometric)
    return dataset


def _uid(role: str, identity: str) -> UID:
    """Derive a UID under 2.25, the arc of UUIDs (PS3.5 B.2)."""
    digest = hashlib.sha256(f"report-gen phantom {role} {identity}".encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def _add_patient_and_study(dataset: Dataset, identity: str) -> None:
    """Add the modules of PS3.3 C.7.1.1, C.7.2.1, C.7.3.1 and C.7.5.1: a fictitious patient and a fixed date."""
    dataset.PatientName = "PHANTOM^REPORT-GEN"
    dataset.PatientID = "PHANTOM"
    dataset.PatientBirthDate = "19600101"
    dataset.PatientSex = "O"
    dataset.PatientAge = "065Y"
    dataset.QualityControlSubject = "YES"
    dataset.StudyInstanceUID = _uid("study", identity)
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = dataset.AcquisitionDate = "20250101"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = dataset.AcquisitionTime = "120000"
    dataset.StudyID = "1"
    dataset.StudyDescription = "PHANTOM chest radiograph"
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.SeriesInstanceUID = _uid("series", identity)
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.Manufacturer = "report-gen"
    dataset.ManufacturerModelName = "phantom"


def _add_acquisition(dataset: Dataset, rows: int) -> None:
    """Add the modules of PS3.3 C.8.11.1, C.8.11.2, C.8.11.4 and C.8.11.5: a posteroanterior view of the chest."""
    dataset.Modality = "DX"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    dataset.PatientOrientation = ["L", "F"]
    dataset.ImageLaterality = "U"
    dataset.AnatomicRegionSequence = [_coded(CHEST)]
    dataset.ViewCodeSequence = [_coded(POSTERO_ANTERIOR)]
    dataset.ViewCodeSequence[0].ViewModifierCodeSequence = []
    dataset.PositionerType = ""
    dataset.AcquisitionContextSequence = []
    dataset.DetectorType = ""
    dataset.ImagerPixelSpacing = [round(430 / rows, 6)] * 2  # a detector of 43 cm


def _add_image(dataset: Dataset, pixels: NDArray[np.uint16], photometric: Photometric) -> None:
    """Add the modules of PS3.3 C.7.6.3, C.8.11.3 and C.11.2: 12 bits, and a window of the full range."""
    white_is_zero = photometric == "MONOCHROME1"
    dataset.ImageType = ["DERIVED", "PRIMARY", ""]
    dataset.DerivationDescription = "Drawn by code; not a patient"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = photometric
    dataset.PresentationLUTShape = "INVERSE" if white_is_zero else "IDENTITY"
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = 1 if white_is_zero else -1
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    dataset.PixelData = (WHITE - pixels if white_is_zero else pixels).astype("<u2").tobytes()


def _coded(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item
