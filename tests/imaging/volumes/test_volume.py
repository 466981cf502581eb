"""Values of stacks: loaded when they are needed, and resampled to cubic voxels at the right places."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from nibabel.processing import resample_to_output
from numpy.typing import NDArray

from report_gen.errors import StudyError
from report_gen.imaging import limit_memory, load_many, read_study
from report_gen.imaging.volumes import SliceStack, Volume, find_stacks, resample_isotropic
from report_gen.imaging.volumes.interpolation import interpolation_matrix
from report_gen.records import Image, Vector
from tests.slice_files import (
    AXIAL,
    CORONAL,
    RAS,
    SAGITTAL,
    dcm2niix_volumes,
    slice_image,
    slices_at,
    study_of,
    write_slices,
)

Values = NDArray[np.float32]
TILT = math.radians(15)
TILTED: tuple[Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, math.cos(TILT), math.sin(TILT)))
SHAPE = (12, 10)


def _stack(images: Sequence[Image]) -> SliceStack:
    (stack,) = find_stacks(study_of(images)).stacks
    return stack


def _loader(
    value_of: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> Callable[[Iterable[Image]], Iterator[Values]]:
    """Return a loader of slices whose values are a function of the place [3,H,W] in the patient, millimeters."""

    def load(images: Iterable[Image]) -> Iterator[Values]:
        for image in images:
            plane = image.plane
            assert plane is not None
            rows, columns = np.indices((image.rows, image.columns)).astype(float)
            place = np.array(plane.position)[:, None, None] + (
                np.array(plane.row_direction)[:, None, None] * columns * plane.spacing[1]
                + np.array(plane.column_direction)[:, None, None] * rows * plane.spacing[0]
            )
            yield value_of(place).astype(np.float32)

    return load


def _ramp(place: NDArray[np.float64]) -> NDArray[np.float64]:
    return 3 * place[0] - 2 * place[1] + 5 * place[2] + 7


def _noise(images: Iterable[Image]) -> Iterator[Values]:
    for image in images:
        random = np.random.default_rng(image.instance_number)
        yield random.normal(size=(image.rows, image.columns)).astype(np.float32)


def _places(affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the places [3,S,H,W] of the voxels of a volume, millimeters."""
    slices, rows, columns = np.indices(shape)
    return np.einsum("ij,jabc->iabc", affine, np.stack([columns, rows, slices, np.ones(shape)]))[:3]


# --- loading


def test_only_the_slices_that_are_asked_for_are_loaded() -> None:
    loaded: list[int | None] = []

    def load(images: Iterable[Image]) -> Iterator[Values]:
        for image in images:
            loaded.append(image.instance_number)
            yield np.full(SHAPE, image.instance_number, dtype=np.float32)

    volume = Volume(_stack(slices_at(range(20))), load)
    done: list[int] = []
    values = volume.values([15, 3, 3], progress=done.append)
    assert (loaded, done, len(volume)) == ([16, 4, 4], [1, 2, 3], 20)
    np.testing.assert_array_equal(values[:, 0, 0], [16, 4, 4])
    assert next(volume.slices())[0, 0] == 1
    assert loaded == [16, 4, 4, 1]
    assert volume.values().shape == (20, *SHAPE)
    assert volume.values([]).shape == (0, 0, 0)


@pytest.mark.parametrize("index", [-1, 20])
def test_an_index_outside_of_the_stack_is_an_error(index: int) -> None:
    with pytest.raises(IndexError, match="the stack has 20 slices, and not all indices are from 0 to 19"):
        Volume(_stack(slices_at(range(20))), _noise).values([0, index])


def test_a_slice_of_another_size_is_an_error_that_names_its_file() -> None:
    def load(images: Iterable[Image]) -> Iterator[Values]:
        for image in images:
            yield np.zeros((12, 10 + (image.instance_number == 3)), dtype=np.float32)

    with pytest.raises(StudyError, match=r"^3\.dcm: has 12 x 11 pixels, and other slices of its stack 12 x 10; "):
        Volume(_stack(slices_at(range(5))), load).values()


def test_a_slice_that_cannot_be_read_is_an_error_that_names_its_file() -> None:
    def load(images: Iterable[Image]) -> Iterator[Values]:
        for image in images:
            if image.instance_number == 3:
                raise StudyError(image.path, "the pixels are truncated; copy or export it again")
            yield np.zeros(SHAPE, dtype=np.float32)

    volume = Volume(_stack(slices_at(range(5))), load)
    assert volume.values([0, 1, 4]).shape == (3, *SHAPE)
    with pytest.raises(StudyError, match=r"^3\.dcm: the pixels are truncated"):
        resample_isotropic(volume)


# --- resampling


def _oblique() -> tuple[Vector, Vector]:
    c, s = math.cos(0.4), math.sin(0.4)
    return (c, s, 0.0), (-s * c, c * c, s)


@pytest.mark.parametrize("directions", [AXIAL, CORONAL, SAGITTAL, TILTED, _oblique()])
@pytest.mark.parametrize("spacing", [0.5, 0.75, 1.0, 2.0])
def test_a_ramp_keeps_its_values_at_all_places(directions: tuple[Vector, Vector], spacing: float) -> None:
    """The third slice is missing, and slices lie above each other in the direction of the head, as in a tilted scan."""
    step = np.array([0, 0, 2.5]) if directions is TILTED else 2.5 * np.cross(*directions)
    images = [
        slice_image(n, np.array([3, -4, 6]) + n * step, directions, rows=30, columns=26) for n in range(9) if n != 2
    ]
    resampled = resample_isotropic(Volume(_stack(images), _loader(_ramp)), spacing)
    axes = resampled.affine[:3, :3]
    np.testing.assert_allclose(axes.T @ axes, spacing**2 * np.eye(3), atol=1e-9)
    known = np.isfinite(resampled.values)
    assert known.mean() > (0.7 if directions is TILTED else 0.999)
    expected = _ramp(_places(resampled.affine, resampled.values.shape))
    border = 2.0  # averages at the border of the field are those of the part inside
    inside = known & _is_inside(resampled.affine, resampled.values.shape, images, border)
    assert inside.mean() > 0.2
    np.testing.assert_allclose(resampled.values[inside], expected[inside], atol=2e-3)


def _is_inside(
    affine: NDArray[np.float64], shape: tuple[int, ...], images: Sequence[Image], border: float
) -> NDArray[np.bool_]:
    """Return which voxels lie in the fields of the slices at both sides, by a distance from all borders."""
    planes = [image.plane for image in images if image.plane]
    normal = np.cross(planes[0].row_direction, planes[0].column_direction)
    places = _places(affine, shape)
    heights = np.einsum("i,iabc->abc", normal, places)
    ends = [plane.location_along(tuple(normal)) for plane in planes]
    inside = (heights > min(ends) + border) & (heights < max(ends) - border)
    for plane in planes:
        near = np.abs(heights - plane.location_along(tuple(normal))) < 5.1
        for direction, extent in ((plane.row_direction, 25 * 0.8), (plane.column_direction, 29 * 0.7)):
            along = np.einsum("i,iabc->abc", direction, places) - np.dot(direction, plane.position)
            inside &= ~near | ((along > border) & (along < extent - border))
    return inside


def test_equal_voxels_keep_all_values() -> None:
    volume = Volume(_stack(slices_at([0, 0.7, 1.4], spacing=(0.7, 0.7))), _noise)
    resampled = resample_isotropic(volume, 0.7)
    np.testing.assert_allclose(resampled.values, volume.values(), rtol=1e-5)
    np.testing.assert_allclose(resampled.affine, volume.stack.affine)


@pytest.mark.parametrize("spacing", [0.3, 0.65])
def test_finer_voxels_are_those_of_simpleitk_and_nibabel(spacing: float) -> None:
    volume = Volume(_stack(slices_at([2.0 * number for number in range(6)])), _noise)
    resampled = resample_isotropic(volume, spacing)
    image = SimpleITK.GetImageFromArray(volume.values().astype(np.float64))
    image.SetSpacing((0.8, 0.7, 2.0))
    reference = SimpleITK.Image(*resampled.values.shape[::-1], SimpleITK.sitkFloat64)
    reference.SetSpacing((spacing,) * 3)
    judge = SimpleITK.Resample(image, reference, SimpleITK.Transform(), SimpleITK.sitkLinear)
    np.testing.assert_allclose(resampled.values, SimpleITK.GetArrayFromImage(judge), atol=1e-5)
    nifti = nibabel.Nifti1Image(volume.values().T, RAS @ volume.stack.affine)
    judge_shape = resample_to_output(nifti, (spacing,) * 3, order=1).shape[::-1]  # contains the last sample always
    assert all(ours - 1 <= theirs - 1 <= ours for ours, theirs in zip(resampled.values.shape, judge_shape, strict=True))


def test_tilted_slices_are_sheared_as_dcm2niix_shears_them(tmp_path: Path) -> None:
    """Each slice is displaced by one pixel and 4 pixels away from the last, so that no value is interpolated.

    The places are not compared: dcm2niix shears around the middle of the scan, and its matrix is some slices off.
    """
    angle, step = math.atan(1 / 4), math.sqrt(17)
    tilted: tuple[Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, math.cos(angle), math.sin(angle)))
    positions = [(-10, -20, step * number) for number in range(9)]
    write_slices(
        tmp_path / "a", positions, tilted, spacing=(1, 1), shape=(20, 16), GantryDetectorTilt=math.degrees(angle)
    )
    (stack,) = find_stacks(read_study(tmp_path / "a")).stacks
    resampled = resample_isotropic(Volume(stack, load_many), 1.0)
    judge = dcm2niix_volumes(tmp_path / "a")["_Tilt_1"]
    assert resampled.values.shape == (33, 28, 16)
    theirs = judge.values.T[:, ::-1]
    padding = theirs.min()
    for number, plane in enumerate(resampled.values[::4]):
        known = np.isfinite(plane).all(axis=1)
        assert known.sum() == 20
        (rows,) = np.nonzero((theirs[number] != padding).any(axis=1))
        np.testing.assert_allclose(plane[known], theirs[number][rows[0] : rows[0] + 20], atol=1)
        assert (
            int(np.argmax(known)) - rows[0]
            == int(np.argmax(np.isfinite(resampled.values[0]).all(axis=1)))
            - (np.nonzero((theirs[0] != padding).any(axis=1))[0][0])
        )


def test_missing_slices_are_interpolated_as_dcm2niix_interpolates_them(tmp_path: Path) -> None:
    locations = [2.0 * number for number in range(12) if number not in (5, 6)]
    write_slices(tmp_path / "a", [(0, 0, z) for z in locations], spacing=(2, 2))
    (stack,) = find_stacks(read_study(tmp_path / "a")).stacks
    resampled = resample_isotropic(Volume(stack, load_many), 2.0)
    judge = dcm2niix_volumes(tmp_path / "a")["_Eq_1"]
    np.testing.assert_allclose(resampled.values[:, ::-1], judge.values.T, atol=1)  # dcm2niix rounds to integers


@pytest.mark.parametrize("spacing", [1.0, 2.0, 3.0])
def test_a_sphere_keeps_its_volume_and_its_center(spacing: float) -> None:
    center, radius = np.array([7.3, -4.1, 12.7]), 9.0

    def sphere(place: NDArray[np.float64]) -> NDArray[np.float64]:
        return (np.linalg.norm(place - center[:, None, None], axis=0) < radius).astype(float)

    images = [
        slice_image(n, (-8, -20, -2 + 1.5 * n / math.cos(TILT)), TILTED, spacing=(0.5, 0.5), rows=70, columns=62)
        for n in range(24)
    ]
    resampled = resample_isotropic(Volume(_stack(images), _loader(sphere)), spacing)
    shares = np.nan_to_num(resampled.values)
    places = _places(resampled.affine, shares.shape)
    assert shares.sum() * spacing**3 == pytest.approx(4 / 3 * math.pi * radius**3, rel=0.02)
    np.testing.assert_allclose((places * shares).sum(axis=(1, 2, 3)) / shares.sum(), center, atol=0.1)


def test_coarser_voxels_do_not_alias() -> None:
    """A pattern of the shortest wavelength, of which single pixels are -1 or 1, becomes gray."""

    def stripes(images: Iterable[Image]) -> Iterator[Values]:
        for image in images:
            rows, columns = np.indices((image.rows, image.columns))
            yield (2.0 * ((rows + columns + (image.instance_number or 0)) % 2) - 1).astype(np.float32)

    images = slices_at([0.5 * n for n in range(40)], spacing=(0.5, 0.5), rows=40, columns=40)
    resampled = resample_isotropic(Volume(_stack(images), stripes), 2.0)
    assert np.abs(resampled.values[1:-1, 1:-1, 1:-1]).max() < 0.01


def test_padding_stays_padding_and_does_not_grow() -> None:
    def padded(images: Iterable[Image]) -> Iterator[Values]:
        for _ in images:
            values = np.full((20, 20), 40, dtype=np.float32)
            values[:, :6] = np.nan
            yield values

    images = slices_at([0, 1, 2], spacing=(1.0, 1.0), rows=20, columns=20)
    values = resample_isotropic(Volume(_stack(images), padded), 0.5).values
    np.testing.assert_array_equal(np.isnan(values[2, 3]), np.arange(39) * 0.5 < 5.5)
    assert set(values[np.isfinite(values)]) == {40}


@pytest.mark.parametrize("spacing", [0.0, -1.0, math.nan, math.inf])
def test_a_spacing_that_is_no_length_is_an_error(spacing: float) -> None:
    with pytest.raises(ValueError, match=r"is not a length; give millimeters above 0"):
        resample_isotropic(Volume(_stack(slices_at(range(3))), _noise), spacing)


@pytest.mark.parametrize(
    ("images", "why"),
    [
        (slices_at([3]), "one slice was given"),
        ([slice_image(n, (0, 0, 3)) for n in range(3)], "all 3 images show one place"),
        ([slice_image(n, None) for n in range(3)], "no image has a usable position"),
        ([slice_image(n, None, path=Path("a.dcm"), frame=n) for n in range(3)], "its images have no position"),
    ],
)
def test_images_that_are_no_volume_are_not_resampled(images: list[Image], why: str) -> None:
    with pytest.raises(StudyError, match=rf"the images are not a volume: {why}.*; use the slices as they are$"):
        resample_isotropic(Volume(_stack(images), _noise))


def test_a_result_that_needs_too_much_memory_is_refused_before_it_is_read() -> None:
    volume = Volume(_stack(slices_at(range(100))), _noise)
    reason = (
        "not enough memory: 991 x 78 x 73 voxels of 0.1 mm need 22.6 MB, and one image may take 1.0 MB; choose larger"
    )
    with limit_memory(10**6), pytest.raises(StudyError, match=reason):
        resample_isotropic(volume, 0.1)


# --- interpolation matrices


@given(
    st.lists(st.floats(0.05, 4), min_size=2, max_size=12),
    st.lists(st.floats(0, 1), min_size=1, max_size=8),
    st.floats(0.05, 6),
)
def test_rows_sum_to_one_and_the_mean_of_a_line_is_its_value_in_the_middle(
    distances: list[float], shares: list[float], spacing: float
) -> None:
    nodes = np.concatenate([[0], np.cumsum(distances)])
    centers = np.sort(np.array(shares)) * nodes[-1]
    matrix = interpolation_matrix(nodes, centers, spacing=spacing)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-5)
    assert matrix.data.min() > -1e-6
    whole = (centers > spacing / 2) & (centers < nodes[-1] - spacing / 2)
    np.testing.assert_allclose((matrix @ (3 * nodes - 1))[whole], 3 * centers[whole] - 1, rtol=1e-4, atol=1e-4)


def test_a_mean_is_the_integral_of_the_interpolated_line() -> None:
    nodes, samples = np.array([0.0, 1, 2.5, 3, 4.2, 6]), np.array([2.0, -1, 4, 4, 0, 3])
    width = math.sqrt(2**2 - np.median(np.diff(nodes)) ** 2)
    fine = np.linspace(3 - width / 2, 3 + width / 2, 200_001)
    expected = np.interp(fine, nodes, samples).mean()
    assert (interpolation_matrix(nodes, np.array([3.0]), spacing=2) @ samples)[0] == pytest.approx(expected, abs=1e-4)


def test_places_outside_have_no_weight() -> None:
    matrix = interpolation_matrix(np.array([0.0, 1, 2]), np.array([-0.6, -0.5, 0, 2.5, 2.6]), spacing=1, margin=0.5)
    np.testing.assert_array_equal(matrix.sum(axis=1), [0, 1, 1, 1, 0])
