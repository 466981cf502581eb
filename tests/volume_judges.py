"""Compare the stacks of series with SimpleITK and dcm2niix, and print the differences as a table.

    python -m tests.volume_judges [VOLUME ...] > table.md

The series are written by the tests. A VOLUME is a NIfTI file or a project of InVesalius (.inv3, with a CT); it is
written as a series of DICOM files as well, so that real voxels are judged.
"""

from __future__ import annotations

import plistlib
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK
from numpy.typing import NDArray

from report_gen.imaging import load_many, read_study
from report_gen.imaging.volumes import SliceStack, find_stacks
from report_gen.records import Vector
from tests.slice_files import RAS, JudgedVolume, dcm2niix_volumes, simpleitk_volume, write_slices
from tests.volume_files import enhanced, slices

TILTED: tuple[Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, float(np.cos(0.25)), float(np.sin(0.25))))
"""A gantry that is tilted by a quarter radian, 14 degrees."""


@dataclass(frozen=True)
class Difference:
    """Largest differences of a stack from the volume of a judge."""

    value: float
    """Of voxel values, in the unit of the values."""
    place: float
    """Of the positions of voxels, millimeters."""
    angle: float
    """Of the directions of rows and columns, degrees."""


def _heights(count: int = 12, step: float = 2.5) -> list[Vector]:
    return [(-10.0, 20.0, 5.0 + step * number) for number in range(count)]


def _shuffled(folder: Path) -> None:
    numbers = np.random.default_rng(1).permutation(12).tolist()
    write_slices(folder, _heights(), InstanceNumber=numbers)


def _duplicate(folder: Path) -> None:
    write_slices(folder, [*_heights(), _heights()[4]])


def _gap(folder: Path) -> None:
    write_slices(folder, [place for number, place in enumerate(_heights()) if number not in (5, 6)])


def _tilted(folder: Path) -> None:
    write_slices(folder, _heights(), TILTED, GantryDetectorTilt=14.3)


def _multiframe(folder: Path) -> None:
    folder.mkdir(parents=True)
    enhanced(slices(12)).save_as(folder / "frames.dcm", enforce_file_format=True)


def _shuffled_frames(folder: Path) -> None:
    order = np.random.default_rng(2).permutation(12).tolist()
    rescales = [(1 + number / 4, -1000.0 + number) for number in range(12)]
    folder.mkdir(parents=True)
    enhanced(slices(12), order=order, rescales=rescales).save_as(folder / "frames.dcm", enforce_file_format=True)


def _signed(folder: Path) -> None:
    """Write 12 bits with a sign, of which the unused ones are 0."""
    values = slices(12, 12, 10, top=2000)
    write_slices(
        folder,
        _heights(),
        pixels=lambda number: values[number].astype(np.int16).view(np.uint16) & np.uint16(0x0FFF),
        BitsStored=12,
        HighBit=11,
        PixelRepresentation=1,
    )


def _rescaled(folder: Path) -> None:
    slopes = [1 + number / 8 for number in range(12)]
    write_slices(folder, _heights(), RescaleSlope=slopes, RescaleIntercept=-1024)


SERIES: Mapping[str, Callable[[Path], None]] = {
    "shuffled instance numbers": _shuffled,
    "a duplicate": _duplicate,
    "a gap of two slices": _gap,
    "tilted gantry": _tilted,
    "multi-frame": _multiframe,
    "multi-frame, shuffled, a rescale of each frame": _shuffled_frames,
    "signed values of 12 bits": _signed,
    "rescale of each slice": _rescaled,
}
"""Series that the tests write, by what is unusual about them."""


def compare(stack: SliceStack, judge: JudgedVolume) -> Difference | str:
    """Return the differences from a judge's volume, or why the two cannot be compared.

    The order of the axes and their directions may differ.
    """
    assert stack.affine is not None
    values = np.stack(list(load_many(stack.images))).T  # [columns, rows, slices]
    matrices = (stack.affine[:3, :3], judge.affine[:3, :3])
    axes, judged_axes = (matrix / np.linalg.norm(matrix, axis=0) for matrix in matrices)
    cosines = axes.T @ judged_axes
    order = np.abs(cosines).argmax(axis=1)
    shape = tuple(judge.values.shape[axis] for axis in order)
    if judge.values.ndim != 3 or sorted(order) != [0, 1, 2] or shape != values.shape:
        return " x ".join(map(str, judge.values.shape)) + " voxels"
    signs = np.sign(cosines[range(3), order])
    turned = judge.values.transpose(order)[tuple(slice(None, None, int(sign)) for sign in signs)]
    angles = np.degrees(np.arccos(np.abs(cosines[range(2), order[:2]]).clip(0, 1)))
    corners = np.array([(x, y, z) for x in (0, shape[0] - 1) for y in (0, shape[1] - 1) for z in range(shape[2])])
    judged = np.zeros_like(corners)
    judged[:, order] = np.where(signs > 0, corners, np.array(shape) - 1 - corners)
    distances = np.linalg.norm(
        _places(stack, corners) - (judged @ judge.affine[:3, :3].T + judge.affine[:3, 3]), axis=1
    )
    return Difference(float(np.abs(turned - values).max()), float(distances.max()), float(angles.max()))


def _places(stack: SliceStack, voxels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the positions [N,3] of voxels [N,3] (column, row, slice) by the plane of each slice."""
    places = []
    for column, row, number in voxels.tolist():
        plane = stack.images[number].plane
        assert plane is not None
        along_row = np.multiply(plane.row_direction, column * plane.spacing[1])
        places.append(plane.position + along_row + np.multiply(plane.column_direction, row * plane.spacing[0]))
    return np.array(places)


def judge_series(folder: Path) -> tuple[int, Difference | str, Difference | str]:
    """Return the number of slices of the only stack of a folder, and its differences from SimpleITK and dcm2niix."""
    (stack,) = find_stacks(read_study(folder)).stacks
    others: list[Difference | str] = []
    for judge in (_simpleitk, _dcm2niix):
        try:
            others.append(compare(stack, judge(folder)))
        except RuntimeError as error:
            others.append(f"refused ({str(error).splitlines()[0][:60]})")
    return len(stack.images), others[0], others[1]


def _simpleitk(folder: Path) -> JudgedVolume:
    paths = list(folder.iterdir())
    if len(paths) > 1:
        return simpleitk_volume(folder)
    image = SimpleITK.ReadImage(str(paths[0]), SimpleITK.sitkFloat64)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return JudgedVolume(SimpleITK.GetArrayFromImage(image).T, affine)


def _dcm2niix(folder: Path) -> JudgedVolume:
    return dcm2niix_volumes(folder)[""]


def write_real(path: Path, folder: Path) -> None:
    """Write the voxels of a NIfTI file or an InVesalius project as a series of axial slices."""
    if path.suffix == ".inv3":
        with tarfile.open(path) as project:
            files = {Path(one.name).name: one for one in project.getmembers()}
            main = plistlib.loads(_content(project, files["main.plist"]))
            values = np.frombuffer(_content(project, files["matrix.dat"]), np.int16).reshape(main["matrix"]["shape"])
        columns, rows, step = main["spacing"]
        modality, affine = "CT", np.diag([columns, rows, step, 1.0])
    else:
        image = nibabel.as_closest_canonical(nibabel.load(path))
        values = np.asarray(image.dataobj).T.astype(np.int16)  # [S,H,W]
        modality, affine = "MR", RAS @ image.affine
    steps, shape = np.diag(affine)[:3], np.array(values.T.shape)
    turned = values[:, :: int(np.sign(steps[1])), :: int(np.sign(steps[0]))]  # rows to the left, columns to the back
    x, y, z = (affine[:3, 3] + np.where(steps < 0, steps * (shape - 1), 0)).tolist()
    write_slices(
        folder,
        [(x, y, z + float(steps[2]) * number) for number in range(len(values))],
        shape=turned.shape[1:],
        spacing=(float(abs(steps[1])), float(abs(steps[0]))),
        modality=modality,
        pixels=turned.__getitem__,
    )


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None
    return file.read()


def _cell(found: Difference | str) -> str:
    if isinstance(found, str):
        return f"{found} | |"
    return f"{found.value:.3g} | {found.place:.3g} | {found.angle:.2g}"


def table(*paths: str) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| series | slices | SimpleITK: value | place, mm | angle, degrees | dcm2niix: value | place, mm | angle |"
    yield "|---|---|---|---|---|---|---|---|"
    named: dict[str, Callable[[Path], Any]] = {**SERIES}
    named |= {Path(path).name: lambda folder, path=path: write_real(Path(path), folder) for path in paths}
    for number, (name, write) in enumerate(named.items()):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place, f"series-{number}")
            write(folder)
            count, *others = judge_series(folder)
        yield f"| {name} | {count} | {' | '.join(map(_cell, others))} |"


if __name__ == "__main__":
    for line in table(*sys.argv[1:]):
        print(line)  # noqa: T201 - the result of the command
