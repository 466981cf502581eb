"""Stacks of DICOM series are compared with the volumes of SimpleITK (GDCM) and dcm2niix.

Where they differ: for tilted slices dcm2niix writes a matrix without the displacement of the slices, so SimpleITK is
followed, which takes it from the positions. With missing slices SimpleITK spreads the others evenly, so dcm2niix is
followed. Both stack several echoes or phases of a place on top of each other, or drop some, unless they are told apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from report_gen.imaging import load_many, read_study
from report_gen.imaging.volumes import SliceStack, find_stacks
from report_gen.records import Vector
from tests.slice_files import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    assert_same_volume,
    dcm2niix_volumes,
    simpleitk_volume,
    write_slices,
)

TILT = np.radians(15)
TILTED: tuple[Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, float(np.cos(TILT)), float(np.sin(TILT))))
FEET_UP: tuple[Vector, Vector] = ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
"""Axial slices of a patient who lies with the feet first on the back, as some devices write them."""


def _oblique() -> tuple[Vector, Vector]:
    row = np.array([0.9, 0.1, 0.2]) / np.linalg.norm([0.9, 0.1, 0.2])
    column = np.array([0.1, 0.2, -0.9])
    column -= (column @ row) * row
    first, second = (tuple(map(float, vector)) for vector in (row, column / np.linalg.norm(column)))
    return first, second  # type: ignore[return-value]


def _along_normal(directions: tuple[Vector, Vector], distances: Sequence[float]) -> list[NDArray[np.float64]]:
    normal = np.cross(*directions)
    return [np.array([-10.0, -20.0, 5.0]) + distance * normal for distance in distances]


def _values(stack: SliceStack) -> NDArray[np.float32]:
    return np.stack(list(load_many(stack.images)))


@pytest.mark.parametrize(
    ("name", "directions", "plane", "axis"),
    [
        ("axial", AXIAL, "axial", 2),
        ("feet-first", FEET_UP, "axial", 2),
        ("coronal", CORONAL, "coronal", 1),
        ("sagittal", SAGITTAL, "sagittal", 0),
        ("oblique", _oblique(), "coronal", 1),
    ],
)
@pytest.mark.parametrize("backwards", [False, True])
def test_order_matrix_and_values_are_those_of_both_judges(
    tmp_path: Path, name: str, directions: tuple[Vector, Vector], plane: str, axis: int, backwards: bool
) -> None:
    distances = [3.0 * number for number in range(8)]
    write_slices(tmp_path / name, _along_normal(directions, distances[:: -1 if backwards else 1]), directions)
    (stack,) = find_stacks(read_study(tmp_path / name)).stacks
    assert (stack.plane, stack.notices) == (plane, ())
    assert stack.affine is not None
    assert stack.affine[axis, 2] > 0
    assert stack.spacing == pytest.approx(3)
    assert_same_volume(_values(stack), stack.affine, simpleitk_volume(tmp_path / name))
    (judge,) = dcm2niix_volumes(tmp_path / name).values()
    assert_same_volume(_values(stack), stack.affine, judge)


def test_the_order_of_instance_numbers_does_not_matter(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    numbers = [int(number) for number in random.permutation(9)]
    write_slices(tmp_path / "a", [(0, 0, 2.5 * number) for number in range(9)], InstanceNumber=numbers)
    (stack,) = find_stacks(read_study(tmp_path / "a")).stacks
    assert [image.instance_number for image in stack.images] == numbers
    assert stack.affine is not None
    assert_same_volume(_values(stack), stack.affine, simpleitk_volume(tmp_path / "a"))


def test_values_with_a_rescale_of_each_slice_are_those_of_both_judges(tmp_path: Path) -> None:
    slopes = [1.0, 1.5, 2.0, 0.5, 1.0]
    positions = [(0, 0, 2.0 * number) for number in range(5)]
    write_slices(tmp_path / "a", positions, RescaleSlope=slopes, RescaleIntercept=-1024)
    (stack,) = find_stacks(read_study(tmp_path / "a")).stacks
    assert stack.affine is not None
    assert_same_volume(_values(stack), stack.affine, simpleitk_volume(tmp_path / "a"))
    (judge,) = dcm2niix_volumes(tmp_path / "a").values()
    assert_same_volume(_values(stack), stack.affine, judge)


def test_tilted_slices_have_the_sheared_matrix_of_simpleitk(tmp_path: Path) -> None:
    positions = [(-10, -20, 5 + 2.5 * number) for number in range(8)]
    write_slices(tmp_path / "a", positions, TILTED, GantryDetectorTilt=15)
    (stack,) = find_stacks(read_study(tmp_path / "a")).stacks
    assert stack.affine is not None
    assert stack.tilt == pytest.approx(15, abs=0.01)
    assert stack.spacing == pytest.approx(2.5 * np.cos(TILT), abs=1e-4)
    assert stack.notices == (
        "the gantry was tilted by 15.0 degrees: each slice is displaced within its plane against the one before",
    )
    assert_same_volume(_values(stack), stack.affine, simpleitk_volume(tmp_path / "a"))
    tilted = dcm2niix_volumes(tmp_path / "a")
    assert set(tilted) == {"", "_Tilt_1"}
    np.testing.assert_allclose(tilted[""].values.T, _values(stack)[:, ::-1])  # its rows are ordered from the back
    assert tilted[""].affine[1, 2] == 0  # without the displacement, which would be a slice at another place
    with pytest.raises(AssertionError):
        assert_same_volume(_values(stack), stack.affine, simpleitk_volume(tmp_path / "a", sheared=False))


def test_slices_around_a_gap_have_the_places_of_dcm2niix(tmp_path: Path) -> None:
    locations = [2.5 * number for number in range(12) if number not in (5, 6)]
    write_slices(tmp_path / "a", [(0, 0, z) for z in locations])
    (stack,) = find_stacks(read_study(tmp_path / "a")).stacks
    assert stack.affine is not None
    assert stack.spacing == pytest.approx(2.5)
    assert stack.notices == (
        "2 slices are missing between slices 5 and 6 (at 10 and 17.5 mm): neighbors are up to 7.5 mm apart, and 2.5 mm "
        "elsewhere",
    )
    np.testing.assert_allclose(stack.positions, locations)
    assert_same_volume(_values(stack), stack.affine, dcm2niix_volumes(tmp_path / "a")[""])
    assert simpleitk_volume(tmp_path / "a").affine[2, 2] == pytest.approx(27.5 / 9)  # of a slice that is missing


def test_echoes_are_the_volumes_of_dcm2niix(tmp_path: Path) -> None:
    positions = [(0, 0, 2.5 * number) for number in range(6)]
    echoes = {"EchoTime": [10.0] * 6 + [20.0] * 6, "EchoNumbers": [1] * 6 + [2] * 6}
    write_slices(tmp_path / "a", positions * 2, modality="MR", **echoes)
    stacks = find_stacks(read_study(tmp_path / "a")).stacks
    assert [stack.part for stack in stacks] == ["echo time 10 ms", "echo time 20 ms"]
    judges = dcm2niix_volumes(tmp_path / "a")
    for stack, judge in zip(stacks, ("_e1", "_e2"), strict=True):
        assert stack.affine is not None
        assert stack.notices == ()
        assert_same_volume(_values(stack), stack.affine, judges[judge])


@pytest.mark.parametrize("slice_by_slice", [False, True])
def test_temporal_positions_are_the_times_of_dcm2niix(tmp_path: Path, slice_by_slice: bool) -> None:
    by_slice = list(itertools.product(range(6), range(4)))
    pairs = by_slice if slice_by_slice else sorted(by_slice, key=lambda pair: pair[1])
    phases: dict[str, Any] = {"TemporalPositionIdentifier": [time + 1 for _, time in pairs]}
    positions = [(0, 0, 2.5 * number) for number, _ in pairs]
    write_slices(tmp_path / "a", positions, modality="MR", NumberOfTemporalPositions=4, **phases)
    stacks = find_stacks(read_study(tmp_path / "a")).stacks
    assert [stack.part for stack in stacks] == [f"temporal position {number}" for number in (1, 2, 3, 4)]
    (judge,) = dcm2niix_volumes(tmp_path / "a").values()
    values = np.stack([_values(stack) for stack in stacks])
    np.testing.assert_array_equal(judge.values.T, values[:, :, ::-1])  # its rows are ordered from the back


def test_a_localizer_within_the_series_is_set_aside(tmp_path: Path) -> None:
    write_slices(tmp_path / "a", [(0, 0, 2.5 * number) for number in range(6)])
    localizer = {"ImageType": ("ORIGINAL", "PRIMARY", "LOCALIZER"), "SOPInstanceUID": "1.2.3"}
    scout = write_slices(tmp_path / "b", [(-10, 0, 50)], SAGITTAL, **localizer)
    judge = simpleitk_volume(tmp_path / "a")
    (path,) = scout.values
    path.rename(tmp_path / "a" / "scout.dcm")
    found = find_stacks(read_study(tmp_path / "a"))
    (stack,) = found.stacks
    assert list(map(str, found.set_aside)) == ["1 image: localizer"]
    assert stack.affine is not None
    assert_same_volume(_values(stack), stack.affine, judge)
