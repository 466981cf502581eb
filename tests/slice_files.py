"""Slices of volumes for tests: records, DICOM series, and the volumes that other programs make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dcm2niix
import nibabel
import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom.uid import CTImageStorage, MRImageStorage

from report_gen.records import Acquisition, Image, Series, SlicePlane, Study, Vector
from tests.dicom_files import STUDY_UID, dicom

AXIAL: tuple[Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
CORONAL: tuple[Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
SAGITTAL: tuple[Vector, Vector] = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
"""Row direction and column direction of the usual orientations."""

RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From the coordinates of DICOM to those of NIfTI, and back."""


def slice_image(
    number: int,
    position: Sequence[float] | None,
    directions: tuple[Vector, Vector] = AXIAL,
    *,
    spacing: tuple[float, float] = (0.7, 0.8),
    thickness: float | None = 2.0,
    acquisition: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Image:
    """Return the record of a slice of 12 rows and 10 columns with this instance number; no file is written."""
    plane = None
    if position is not None:
        x, y, z = map(float, position)
        row, column = directions
        plane = SlicePlane(
            position=(x, y, z), row_direction=row, column_direction=column, spacing=spacing, thickness=thickness
        )
    values: dict[str, Any] = {
        "path": Path(f"{number}.dcm"),
        "sha256": "",
        "rows": 12,
        "columns": 10,
        "instance_number": number,
        "plane": plane,
        "acquisition": Acquisition(**acquisition) if acquisition else None,
        "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"),
    }
    return Image(**values | changes)


def slices_at(locations: Iterable[float], **changes: Any) -> list[Image]:
    """Return axial slices at these heights, millimeters, numbered from 1."""
    return [slice_image(number, (0, 0, z), **changes) for number, z in enumerate(locations, start=1)]


def study_of(*groups: Sequence[Image], modality: str = "CT", **changes: Any) -> Study:
    """Return a study with one series for each group of images, numbered from 1."""
    series = (
        Series(images=tuple(group), series_number=number, modality=modality, **changes)
        for number, group in enumerate(groups, start=1)
    )
    return Study(name="study", series=tuple(series))


@dataclass(frozen=True)
class SliceFiles:
    """A DICOM series that was written, with the stored values that were drawn at random."""

    folder: Path
    values: dict[Path, NDArray[np.int16]]


def write_slices(
    folder: Path,
    positions: Sequence[Sequence[float]],
    directions: tuple[Vector, Vector] = AXIAL,
    *,
    shape: tuple[int, int] = (12, 10),
    spacing: tuple[float, float] = (0.7, 0.8),
    modality: str = "CT",
    pixels: Callable[[int], NDArray[Any]] | None = None,
    **attributes: Any,
) -> SliceFiles:
    """Write a series with one file for each position. Names of files are in random order.

    Args:
        folder: Folder of the files.
        positions: Image Position (Patient) of each slice.
        directions: Row direction and column direction.
        shape: Rows and columns.
        spacing: Pixel Spacing.
        modality: CT or MR.
        pixels: Returns the stored values of a slice; noise by default, from -1000 to 1000.
        attributes: DICOM attributes; a list has one value for each slice, a tuple is one multi-value.
    """
    random = np.random.default_rng(0)
    names = random.permutation(len(positions))
    row, column = ([float(f"{value:.6f}") for value in direction] for direction in directions)
    folder.mkdir(parents=True, exist_ok=True)
    values = {}
    for number, position in enumerate(positions):
        noise = random.integers(-1000, 1000, shape).astype(np.int16)
        stored = noise if pixels is None else pixels(number)
        defaults: dict[str, Any] = {
            "SOPClassUID": CTImageStorage if modality == "CT" else MRImageStorage,
            "SOPInstanceUID": f"{STUDY_UID}.7.{number}",
            "SeriesInstanceUID": f"{STUDY_UID}.7",
            "SeriesNumber": 7,
            "Modality": modality,
            "InstanceNumber": number + 1,
            "ImageType": ("ORIGINAL", "PRIMARY", "AXIAL"),
            "ImagePositionPatient": tuple(float(f"{value:.4f}") for value in position),
            "ImageOrientationPatient": (*row, *column),
            "PixelSpacing": spacing,
            "SliceThickness": 2.0,
            "FrameOfReferenceUID": f"{STUDY_UID}.8",
            "RescaleSlope": 1,
            "RescaleIntercept": 0,
            "StudyDate": "20260102",
        }
        of_slice = {
            name: value[number] if isinstance(value, list) else list(value) if isinstance(value, tuple) else value
            for name, value in (defaults | attributes).items()
        }
        path = folder / f"{names[number]:04}.dcm"
        dicom(stored, **of_slice).save_as(path, enforce_file_format=True)
        values[path] = stored
    return SliceFiles(folder, values)


@dataclass(frozen=True)
class JudgedVolume:
    """A volume as another program reads it."""

    values: NDArray[np.float64]
    """[columns, rows, slices], and times if there are several."""
    affine: NDArray[np.float64]
    """[4,4] from (column, row, slice, 1) to the coordinates of DICOM."""


def simpleitk_volume(folder: Path, *, sheared: bool = True) -> JudgedVolume:
    """Return the volume that SimpleITK makes of the only series of a folder, ordered by GDCM.

    Args:
        folder: Folder of the series.
        sheared: Let the third axis follow the positions of the slices (ForceOrthogonalDirectionOff).
    """
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    reader.SetOutputPixelType(SimpleITK.sitkFloat64)  # values of integers are rounded otherwise
    reader.SetForceOrthogonalDirection(not sheared)
    reader.SetGlobalWarningDisplay(False)
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return JudgedVolume(SimpleITK.GetArrayFromImage(image).T, affine)


def dcm2niix_volumes(folder: Path) -> dict[str, JudgedVolume]:
    """Return the volumes that dcm2niix makes of a folder, by the ends of their names, such as "_Tilt_1"."""
    output = folder.with_name(f"{folder.name}-nifti")
    output.mkdir()
    options = ["-b", "n", "-z", "n", "-f", "volume", "-o", str(output)]
    dcm2niix.main([*options, str(folder)], check=True, capture_output=True)
    volumes = {}
    for path in sorted(output.glob("*.nii")):
        image = nibabel.load(path)
        volumes[path.stem.removeprefix("volume")] = JudgedVolume(image.get_fdata(), RAS @ image.affine)
    return volumes


def assert_same_volume(
    values: NDArray[Any], affine: NDArray[np.float64], judge: JudgedVolume, *, tolerance: float = 1e-3
) -> None:
    """Assert that a volume has the voxels of another at the same places of the patient, whatever their order is.

    Args:
        values: [S,H,W].
        affine: [4,4] from (column, row, slice, 1) to the coordinates of DICOM.
        judge: The other volume.
        tolerance: Largest difference of places, in voxels.
    """
    mapping = np.linalg.inv(judge.affine) @ affine
    whole = np.rint(mapping)
    corners = np.array([(x, y, z, 1) for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * (*(values.T.shape), 1)
    np.testing.assert_allclose(corners @ mapping.T, corners @ whole.T, atol=tolerance)
    indices = np.indices(values.T.shape).reshape(3, -1)
    places = (whole @ np.vstack([indices, np.ones(indices.shape[1])]))[:3].astype(int)
    assert (places >= 0).all()
    assert judge.values.shape == tuple(places.max(axis=1) + 1)
    np.testing.assert_array_equal(judge.values[tuple(places)].astype(np.float32), values.T.ravel())
