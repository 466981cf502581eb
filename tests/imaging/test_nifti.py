"""NIfTI files: positions and values compared with nibabel and SimpleITK, and headers that contradict themselves."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from report_gen.errors import StudyError
from report_gen.imaging import load_many, load_pixels, load_values, nifti, read_pixels, read_studies, read_study
from tests.builders import write_png

ROTATED = np.array([[-0.0, -2.4, 0.9, 10], [1.6, 0.0, 0.0, -20], [0.0, 1.8, 1.2, 30], [0, 0, 0, 1]])
"""Affine of oblique slices; voxels of 1.6 x 3 x 1.5 mm."""
MAGIC, SCL_SLOPE, PIXDIM, DATATYPE, DIM, VOX_OFFSET, SROW = 344, 112, 76, 70, 40, 108, 280


def data(*shape: int, dtype: Any = np.int16) -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def write(path: Path, values: NDArray[Any], affine: Any = ROTATED, *, version: int = 1, **fields: Any) -> Path:
    """Write a file with nibabel. Fields replace those of the header of a file that is not compressed."""
    kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
    path.parent.mkdir(parents=True, exist_ok=True)
    kind(values, affine, dtype=values.dtype).to_filename(path)
    return changed(path, lambda header: [header.__setitem__(*field) for field in fields.items()]) if fields else path


def changed(path: Path, change: Callable[[Any], Any]) -> Path:
    """Change the header of a NIfTI-1 file. nibabel would correct it while it writes the file."""
    header = nibabel.load(path).header
    change(header)
    header["vox_offset"] = 352
    return patched(path, (0, header.binaryblock))


def patched(path: Path, *changes: tuple[int, bytes]) -> Path:
    """Overwrite bytes of a file that is not compressed."""
    content = bytearray(path.read_bytes())
    for offset, value in changes:
        content[offset : offset + len(value)] = value
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_values_are_those_of_nibabel(tmp_path: Path, suffix: str, version: int, dtype: Any) -> None:
    path = write(tmp_path / f"a{suffix}", data(5, 4, 3, dtype=dtype), version=version)
    judge = nibabel.load(path).get_fdata()
    images = read_study(path).images
    found = list(load_many(images))
    assert [one.dtype for one in found] == [np.float32] * 3
    np.testing.assert_array_equal(found, judge.T)
    np.testing.assert_array_equal(load_values(images[1]), judge.T[1])


@pytest.mark.parametrize(
    "affine", [ROTATED, np.diag([-2.0, 2, 3, 1]), nibabel.affines.from_matvec(np.eye(3)[[2, 0, 1]], [4, 5, 6])]
)
@pytest.mark.parametrize("fields", [{}, {"sform_code": 0, "qform_code": 1}])
def test_corners_of_slices_lie_where_nibabel_has_them(tmp_path: Path, affine: Any, fields: dict[str, int]) -> None:
    """NIfTI coordinates increase to the right and to the front, those of DICOM to the left and to the back."""
    path = write(tmp_path / "a.nii", data(5, 4, 3), affine, **fields)
    judge = nibabel.load(path)
    for index, image in enumerate(read_study(path).images):
        plane = image.plane
        assert plane is not None
        for row, column in ((0, 0), (0, 4), (3, 0), (3, 4)):
            along_row, along_column = np.array(plane.row_direction), np.array(plane.column_direction)
            corner = plane.position + column * plane.spacing[1] * along_row + row * plane.spacing[0] * along_column
            expected = nibabel.affines.apply_affine(judge.affine, (column, row, index)) * (-1, -1, 1)
            np.testing.assert_allclose(corner, expected, atol=1e-4)
        assert plane.thickness == pytest.approx(judge.header.get_zooms()[2])


def test_the_closest_canonical_orientation_of_nibabel_is_that_of_the_planes(tmp_path: Path) -> None:
    """A voxel that is not symmetric is found by its patient coordinates in both."""
    values = np.zeros((5, 4, 3), np.int16)
    values[4, 1, 2] = 100
    path = write(tmp_path / "a.nii.gz", values)
    canonical = nibabel.as_closest_canonical(nibabel.load(path))
    place = nibabel.affines.apply_affine(canonical.affine, np.argwhere(canonical.get_fdata() == 100)[0]) * (-1, -1, 1)
    images = read_study(path).images
    (index,) = (number for number, values in enumerate(load_many(images)) if values.max() == 100)
    (row, column), plane = np.argwhere(load_values(images[index]) == 100)[0], images[index].plane
    assert plane is not None
    along_row, along_column = np.array(plane.row_direction), np.array(plane.column_direction)
    found = plane.position + column * plane.spacing[1] * along_row + row * plane.spacing[0] * along_column
    np.testing.assert_allclose(found, place, atol=1e-4)


@pytest.mark.parametrize("unit", ["mm", "meter", "micron"])
def test_geometry_is_that_of_simpleitk(tmp_path: Path, unit: str) -> None:
    """ITK converts to the coordinates of DICOM and to millimeters."""
    sitk = pytest.importorskip("SimpleITK")
    image = nibabel.Nifti1Image(data(5, 4, 3), ROTATED)
    image.header.set_xyzt_units(unit, "sec")
    image.to_filename(tmp_path / "a.nii")
    judge = sitk.ReadImage(str(tmp_path / "a.nii"))
    scale = {"mm": 1.0, "meter": 1e3, "micron": 1e-3}[unit]
    for index, found in enumerate(read_study(tmp_path / "a.nii").images):
        assert found.plane is not None
        np.testing.assert_allclose(found.plane.spacing, np.array([3, 1.6]) * scale, rtol=1e-5)
        position = judge.TransformIndexToPhysicalPoint((0, 0, index))
        np.testing.assert_allclose(found.plane.position, position, atol=1e-4 * scale)


@pytest.mark.parametrize(("slope", "intercept"), [(2.5, -1024), (1, 0), (0, 7), (np.nan, 7), (0.001, 3)])
def test_slope_and_intercept(tmp_path: Path, slope: float, intercept: float) -> None:
    """A slope of 0 or NaN means none, and the intercept is then ignored, as nibabel does."""
    path = patched(write(tmp_path / "a.nii", data(5, 4, 3)), (SCL_SLOPE, struct.pack("<2f", slope, intercept)))
    judge = nibabel.load(path).get_fdata()
    np.testing.assert_allclose(list(load_many(read_study(path).images)), judge.T, rtol=1e-6)


def test_big_endian_files(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(data(5, 4, 3), ROTATED, header=nibabel.Nifti1Header(endianness=">"))
    image.to_filename(tmp_path / "a.nii")
    assert (tmp_path / "a.nii").read_bytes()[:4] == b"\0\0\x01\x5c"
    images = read_study(tmp_path / "a.nii").images
    np.testing.assert_array_equal(list(load_many(images)), data(5, 4, 3).T)
    assert images[0].plane is not None


def test_volumes_of_the_fourth_axis_are_temporal_positions(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(data(5, 4, 3, 2), ROTATED)
    image.header.set_zooms((1.6, 3, 1.5, 2.2))
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(tmp_path / "a.nii.gz")
    images = read_study(tmp_path / "a.nii.gz").images
    acquisitions = [one.acquisition for one in images]
    assert [one and one.temporal_position for one in acquisitions] == [1, 1, 1, 2, 2, 2]
    assert [one.seconds for one in acquisitions if one] == pytest.approx([0, 0, 0, 2.2, 2.2, 2.2])
    assert [one.plane for one in images[:3]] == [one.plane for one in images[3:]]
    np.testing.assert_array_equal(list(load_many(images)), data(5, 4, 3, 2).T.reshape(6, 4, 5))


def test_a_file_of_one_slice_is_a_single_image(tmp_path: Path) -> None:
    for number, shape in enumerate(((5, 4), (5, 4, 1))):
        path = write(tmp_path / f"{number}.nii", data(*shape))
        (image,) = read_study(path).images
        assert (image.frame, image.acquisition) == (None, None)
        np.testing.assert_array_equal(load_values(image), data(*shape).reshape(5, 4).T)
        assert read_pixels(path).shape == (8, 5)  # the pixels are 1.6 x 3 mm


def test_intensities_are_scaled_between_percentiles(tmp_path: Path) -> None:
    """One pixel of ten thousand is much brighter; NaN is black, and voxels become square."""
    values = np.linspace(100, 200, 10_000, dtype=np.float32).reshape(100, 100, 1)
    values[50, 50], values[0, 0] = 1e6, np.nan
    (image,) = read_study(write(tmp_path / "a.nii", values, np.eye(4))).images
    pixels = load_pixels(image)
    assert pixels[50, 50] == 1
    assert pixels[0, 0] == 0
    assert pixels[49, 50] == pytest.approx(0.5, abs=0.02)
    wide = read_study(write(tmp_path / "b.nii", values, np.diag([1, 2, 1, 1]))).images[0]
    assert load_pixels(wide).shape == (wide.rows, wide.columns) == (200, 100)
    assert wide.pixel_spacing == (1, 1)
    flat = read_study(write(tmp_path / "c.nii", np.full((5, 4, 1), 7, np.int16))).images[0]
    assert not load_pixels(flat).any()
    sparse = np.zeros((100, 100, 1), np.int16)
    sparse[0, 0] = 5
    dot = load_pixels(read_study(write(tmp_path / "d.nii", sparse, np.eye(4))).images[0])
    assert (dot[0, 0], dot.sum()) == (1, 1)


# ---- studies ------------------------------------------------------------------------------------------------------


def test_each_file_is_a_study_that_is_recognized_by_its_content(tmp_path: Path) -> None:
    write(tmp_path / "s" / "t1.nii.gz", data(5, 4, 3))
    write(tmp_path / "s" / "flair.nii", data(5, 4, 2))
    (tmp_path / "s" / "flair.nii").rename(tmp_path / "s" / "flair")
    write_png(tmp_path / "s" / "a.png", np.arange(64, dtype=np.uint8).reshape(8, 8))
    found = read_studies(tmp_path)
    assert (found.refused, found.notices) == ((), ())
    assert [(study.name, len(study.images)) for study in found.studies] == [("s", 1), ("flair", 2), ("t1", 3)]
    assert found.studies[2].path == tmp_path / "s" / "t1.nii.gz"


def test_files_of_one_patient_may_be_joined(tmp_path: Path) -> None:
    write(tmp_path / "s" / "t1.nii.gz", data(5, 4, 3))
    write(tmp_path / "s" / "flair.nii", data(5, 4, 2))
    study = read_study(tmp_path / "s", as_study=True)
    assert (study.name, [len(series.images) for series in study.series]) == ("s", [2, 3])


# ---- headers that contradict themselves ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda header: header.set_sform(None, 0) or header.set_qform(None, 0), "states no orientation"),
        (lambda header: header["srow_x"].fill(np.nan), "NaN or infinity"),
        (lambda header: header["srow_x"].fill(0) or header["srow_y"].fill(0), "gives no distances"),
        (lambda header: header["srow_x"].__setitem__(3, 1e30), "gives no position"),
        (lambda header: header["srow_x"].__setitem__(0, 2.0), "shears the slices"),
    ],
)
def test_a_volume_without_an_orientation_has_no_planes(
    tmp_path: Path, change: Callable[[Any], Any], problem: str
) -> None:
    path = changed(write(tmp_path / "a.nii", data(5, 4, 3)), change)
    images = read_study(path).images
    assert {image.plane for image in images} == {None}
    assert problem in str(images[0].plane_problem)
    np.testing.assert_array_equal(list(load_many(images)), data(5, 4, 3).T)
    assert load_pixels(images[0]).shape == (images[0].rows, images[0].columns)


@pytest.mark.parametrize("size", [0.0, np.nan, np.inf])
def test_sizes_of_voxels_that_are_no_sizes_give_no_plane(tmp_path: Path, size: float) -> None:
    path = write(tmp_path / "a.nii", data(5, 4, 3), sform_code=0, qform_code=1)
    patched(path, (PIXDIM + 4, struct.pack("<2f", size, 2)))
    image = read_study(path).images[0]
    assert (image.plane, image.pixel_spacing) == (None, None)
    assert image.plane_problem is not None
    assert load_pixels(image).shape == (4, 5)


def test_a_quaternion_that_is_no_rotation_gives_no_plane(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii", data(5, 4, 3), sform_code=0, qform_code=1, quatern_b=0.9, quatern_c=0.9)
    assert read_study(path).images[0].plane_problem == "the quaternion of the NIfTI header is not a rotation"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ([(MAGIC, b"ni1\0")], r"the header of a NIfTI pair \(\.hdr and \.img\).*fslchfiletype"),
        ([(DATATYPE, struct.pack("<h", 32))], "colors, complex numbers"),
        ([(DATATYPE, struct.pack("<h", 99))], "colors, complex numbers"),
        ([(DIM, struct.pack("<h", 0))], "impossible dimensions"),
        ([(DIM + 2, struct.pack("<h", -5))], "impossible dimensions"),
        ([(DIM, struct.pack("<6h", 5, 5, 4, 3, 1, 2))], "more than four dimensions"),
        ([(DIM, struct.pack("<4h", 3, 20000, 20000, 3))], "exceed the limit of 67108864"),
        ([(DIM, struct.pack("<5h", 4, 5, 4, 30000, 30000))], "900000000 slices exceed the limit of 131072"),
        ([(DIM, struct.pack("<4h", 3, 5, 4, 4))], "truncated or damaged"),
        ([(VOX_OFFSET, struct.pack("<f", 0))], "begin within the header"),
        ([(VOX_OFFSET, struct.pack("<f", np.nan))], "begin within the header"),
        ([(SCL_SLOPE, struct.pack("<2f", 1, np.inf))], "scl_inter"),
    ],
)
def test_impossible_headers_are_refused(tmp_path: Path, changes: list[tuple[int, bytes]], reason: str) -> None:
    path = patched(write(tmp_path / "a.nii", data(5, 4, 3)), *changes)
    with pytest.raises(StudyError, match=reason):
        read_study(path)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(StudyError, match=reason):
        read_study(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("kept", [20, 200, 400, -9, -1])
def test_a_truncated_or_damaged_compressed_file_is_refused(tmp_path: Path, kept: int) -> None:
    content = write(tmp_path / "a.nii.gz", data(9, 9, 9)).read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(content[:kept])
    with pytest.raises(StudyError, match=r"truncated or damaged|has the name of an image"):
        read_study(tmp_path / "a.nii.gz")
    damaged = bytearray(content)
    damaged[-8] ^= 1  # of the checksum
    (tmp_path / "a.nii.gz").write_bytes(damaged)
    with pytest.raises(StudyError, match="truncated or damaged"):
        read_study(tmp_path / "a.nii.gz")


def test_a_small_compressed_file_cannot_claim_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = patched(write(tmp_path / "a.nii", data(5, 4, 3)), (DIM, struct.pack("<4h", 3, 4000, 4000, 240)))
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(StudyError, match="truncated or damaged"):
        read_study(tmp_path / "a.nii.gz")
    monkeypatch.setattr(nifti, "MAX_VOLUME_BYTES", 100)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(StudyError, match=r"inflates to 7\.7 GB, and the limit is 100 B; decompress it with gunzip"):
        read_study(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_file_with_the_name_of_a_nifti_is_reported_as_broken(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not a volume")
    with pytest.raises(StudyError, match="has the name of an image but is not one; give a DICOM, NIfTI, PNG"):
        read_study(tmp_path / name)
    (tmp_path / name).write_bytes(gzip.compress(b"a;b\n1;2\n"))
    with pytest.raises(StudyError, match="has the name of an image but is not one"):
        read_study(tmp_path / name)


def test_several_slices_are_no_single_image(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii", data(5, 4, 3))
    with pytest.raises(StudyError, match="has 3 slices, and one image is expected"):
        read_pixels(path)


# ---- time and memory ----------------------------------------------------------------------------------------------


def test_a_compressed_file_is_inflated_once_and_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = data(256, 256, 120)
    path = write(tmp_path / "a.nii.gz", values)
    images = read_study(path).images
    inflations: list[int] = []
    inflate = nifti.NiftiFile._inflate
    monkeypatch.setattr(nifti.NiftiFile, "_inflate", lambda file: inflations.append(1) or inflate(file))
    monkeypatch.setattr(nifti, "_MEMORY_BYTES", 2**20)
    for order, count in ((images, 0), (images[::-1], 1)):
        tracemalloc.start()
        for found, image in zip(load_many(order), order, strict=True):
            assert image.frame is not None
            assert found[3, 5] == values[5, 3, image.frame]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(inflations) == count
        assert peak < 12e6  # the volume has 16 MB
