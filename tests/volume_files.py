"""Small DICOM volumes for tests: series of slices, and enhanced multi-frame objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileDataset
from pydicom.pixels.utils import compress
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from tests.dicom_files import STUDY_UID, dicom

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, -0.8)
"""Direction cosines of rows and columns, neither along an axis of the patient."""


def normal_of(orientation: Sequence[float]) -> NDArray[np.float64]:
    return np.cross(orientation[:3], orientation[3:])


def slices(count: int, rows: int = 40, columns: int = 36, dtype: Any = np.int16, top: int = 3000) -> NDArray[Any]:
    """Return a volume [count,rows,columns] of different values that are not symmetric."""
    values = np.random.default_rng(0).integers(-1000 if np.dtype(dtype).kind == "i" else 0, top, (count, rows, columns))
    return values.astype(dtype)


def write_slices(
    folder: Path,
    volume: NDArray[Any],
    *,
    origin: Sequence[float] = (-10.0, 20.0, -30.0),
    orientation: Sequence[float] = AXIAL,
    spacing: Sequence[float] = (0.7, 0.7),
    step: float = 2.5,
    per_slice: Sequence[Mapping[str, Any]] = (),
    syntax: UID = ExplicitVRLittleEndian,
    **attributes: Any,
) -> list[Path]:
    """Write a CT series of one file for each slice, in the order of the volume.

    Args:
        folder: Folder of the files.
        volume: Stored values [Z,H,W].
        origin: Position of the first pixel of the first slice, millimeters.
        orientation: Direction cosines of rows and columns.
        spacing: Distance between rows and between columns, millimeters.
        step: Distance between slices, millimeters.
        per_slice: Attributes of each slice.
        syntax: Transfer syntax; the pixels are compressed if it is a compressed one.
        attributes: Attributes of all slices.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, pixels in enumerate(volume):
        values: dict[str, Any] = {
            "SOPClassUID": CTImageStorage,
            "SOPInstanceUID": f"{STUDY_UID}.2.{number + 1}",
            "SeriesInstanceUID": f"{STUDY_UID}.2",
            "Modality": "CT",
            "InstanceNumber": number + 1,
            "ImageOrientationPatient": list(orientation),
            "ImagePositionPatient": list(np.asarray(origin) + number * step * normal_of(orientation)),
            "PixelSpacing": list(spacing),
            "SliceThickness": step,
            "RescaleSlope": 1,
            "RescaleIntercept": 0,
        }
        own = per_slice[number] if per_slice else {}
        dataset = written(pixels, syntax, **(values | attributes | own))
        paths.append(folder / f"{number:03}.dcm")
        dataset.save_as(paths[-1])
    return paths


def written(pixels: NDArray[Any], syntax: UID = ExplicitVRLittleEndian, **attributes: Any) -> FileDataset:
    """Return a data set that is compressed if the transfer syntax is a compressed one."""
    if not UID(syntax).is_encapsulated:
        return dicom(pixels, syntax, **attributes)
    dataset = dicom(pixels, **attributes)
    compress(dataset, syntax, generate_instance_uid=False)
    return dataset


def item(**attributes: Any) -> Dataset:
    """Return the item of a sequence."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def frame_groups(position: Sequence[float], number: int, **macros: Dataset) -> Dataset:
    """Return the functional groups of a frame; macros replace or add others."""
    groups = {
        "PlanePositionSequence": item(ImagePositionPatient=[float(f"{value:.6f}") for value in position]),
        "FrameContentSequence": item(FrameAcquisitionNumber=1, DimensionIndexValues=[number + 1]),
    } | macros
    return item(**{name: [group] for name, group in groups.items()})


def enhanced(
    volume: NDArray[Any],
    *,
    origin: Sequence[float] = (-10.0, 20.0, -30.0),
    orientation: Sequence[float] = AXIAL,
    spacing: Sequence[float] = (0.7, 0.7),
    step: float = 2.5,
    order: Sequence[int] | None = None,
    rescales: Sequence[tuple[float, float]] | None = None,
    syntax: UID = ExplicitVRLittleEndian,
    shared: Mapping[str, Dataset] | None = None,
    per_frame: Sequence[Mapping[str, Dataset]] | None = None,
    **attributes: Any,
) -> FileDataset:
    """Return an Enhanced CT of a volume [Z,H,W] of stored values.

    Args:
        volume: Stored values [Z,H,W], with the slices in the order of their positions.
        origin: Position of the first pixel of the first slice, millimeters.
        orientation: Direction cosines of rows and columns.
        spacing: Distance between rows and between columns, millimeters.
        step: Distance between slices, millimeters.
        order: The slice that each frame shows. Default: the order of the positions.
        rescales: Slope and intercept of each frame. Default: 1 and -1024 in the shared groups.
        syntax: Transfer syntax.
        shared: Macros of the shared groups, which replace or add others.
        per_frame: Macros of the groups of each frame.
        attributes: Attributes of the file.
    """
    order = range(len(volume)) if order is None else order
    positions = [np.asarray(origin) + index * step * normal_of(orientation) for index in order]
    common = {
        "PixelMeasuresSequence": item(PixelSpacing=list(spacing), SliceThickness=step),
        "PlaneOrientationSequence": item(ImageOrientationPatient=list(orientation)),
        "CTImageFrameTypeSequence": item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]),
    } | dict(shared or {})
    if rescales is None:
        common["PixelValueTransformationSequence"] = rescale(1, -1024)
    frames = []
    for number, position in enumerate(positions):
        macros = dict(per_frame[number]) if per_frame else {}
        if rescales is not None:
            macros["PixelValueTransformationSequence"] = rescale(*rescales[number])
        frames.append(frame_groups(position, number, **macros))
    values: dict[str, Any] = {
        "SOPClassUID": EnhancedCTImageStorage,
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        "NumberOfFrames": len(positions),
        "SharedFunctionalGroupsSequence": [item(**{name: [group] for name, group in common.items()})],
        "PerFrameFunctionalGroupsSequence": frames,
    }
    stored = volume[list(order)]
    dataset = dicom(
        stored[0],
        ExplicitVRLittleEndian if UID(syntax).is_encapsulated else syntax,
        **(values | {"PixelData": stored.tobytes()} | attributes),
    )
    if UID(syntax).is_encapsulated:
        compress(dataset, syntax, generate_instance_uid=False)
    return dataset


def rescale(slope: float, intercept: float) -> Dataset:
    """Return the item of a Pixel Value Transformation Sequence."""
    return item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="HU")
