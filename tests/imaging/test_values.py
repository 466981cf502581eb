"""Values after the modality transformation: Hounsfield units, compared with SimpleITK (GDCM) and by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from report_gen.imaging import load_many, load_pixels, load_values, read_study
from tests.builders import write_png
from tests.dicom_files import look_up_table, write_dicom
from tests.volume_files import AXIAL, OBLIQUE, slices, write_slices

sitk = pytest.importorskip("SimpleITK")

SYNTAXES = (
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian),
    *(RLELossless, JPEGLSLossless, JPEG2000Lossless),
)


def values_of(path: Path) -> NDArray[np.float32]:
    return load_values(read_study(path).images[0])


def judged(path: Path) -> NDArray[Any]:
    """Return the values of SimpleITK."""
    return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(path), sitk.sitkFloat64))[0])


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.uint8])
def test_values_are_those_of_simpleitk(tmp_path: Path, syntax: UID, dtype: Any) -> None:
    stored = slices(1, dtype=dtype, top=min(3000, np.iinfo(dtype).max))
    if syntax == ExplicitVRBigEndian:
        stored = stored.astype(stored.dtype.newbyteorder(">"))
    (path,) = write_slices(tmp_path, stored, syntax=syntax, RescaleSlope="1.5", RescaleIntercept=-1024)
    found = values_of(path)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, judged(path), rtol=1e-6)
    np.testing.assert_allclose(found, stored[0] * 1.5 - 1024, rtol=1e-6)


def test_each_slice_has_its_own_rescale_and_stays_on_its_grid(tmp_path: Path) -> None:
    """A PET series. The pixels are not square, and `load_pixels` resamples them."""
    stored = slices(4, dtype=np.uint16)
    rescales = [{"RescaleSlope": f"{0.5 + number / 7:.6f}", "RescaleIntercept": 0} for number in range(4)]
    write_slices(tmp_path, stored, per_slice=rescales, spacing=(2, 4), Modality="PT", orientation=OBLIQUE)
    study = read_study(tmp_path)
    found = list(load_many(study.images))
    assert [one.shape for one in found] == [stored.shape[1:]] * 4
    for values, image, pixels, rescale in zip(found, study.images, stored, rescales, strict=True):
        np.testing.assert_allclose(values, judged(image.path), rtol=1e-6)
        np.testing.assert_allclose(values, pixels * float(rescale["RescaleSlope"]), rtol=1e-6)
        assert (image.rows, image.columns) == load_pixels(image).shape == (40, 72)


@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
def test_a_series_lies_where_the_series_reader_of_simpleitk_has_it(
    tmp_path: Path, orientation: tuple[float, ...]
) -> None:
    """The files are not in the order of the slices, and each slice has a rescale of its own."""
    stored = slices(5)
    rescales = [{"RescaleSlope": 1 + number, "RescaleIntercept": -100 * number} for number in range(5)]
    paths = write_slices(
        tmp_path / "written", stored, per_slice=rescales, orientation=orientation, spacing=(0.7, 0.9), step=2.5
    )
    for number, path in enumerate(paths):
        path.rename(tmp_path / f"{(3 * number) % 5}.dcm")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    reader.SetOutputPixelType(sitk.sitkFloat64)
    judge = reader.Execute()
    planes = {image: image.plane for image in read_study(tmp_path).images}
    normal = np.array(judge.GetDirection()).reshape(3, 3)[:, 2]
    ordered = sorted(planes, key=lambda image: np.dot(normal, planes[image].position if planes[image] else (0, 0, 0)))
    np.testing.assert_allclose(list(load_many(ordered)), sitk.GetArrayFromImage(judge), rtol=1e-6)
    for index, image in enumerate(ordered):
        plane = image.plane
        assert plane is not None
        assert plane.spacing == pytest.approx(judge.GetSpacing()[1::-1])
        np.testing.assert_allclose(plane.position, judge.TransformIndexToPhysicalPoint((0, 0, index)), atol=1e-5)
        np.testing.assert_allclose(
            [*plane.row_direction, *plane.column_direction, *plane.normal],
            np.array(judge.GetDirection()).reshape(3, 3).T.ravel(),
            atol=1e-6,
        )


def test_overlay_bits_and_unused_bits_do_not_belong_to_the_values(tmp_path: Path) -> None:
    stored = slices(1, dtype=np.uint16, top=4096)[0]
    overlay = stored | (np.arange(stored.size).reshape(stored.shape) % 7 == 0) * np.uint16(0x8000)
    write_dicom(tmp_path / "overlay.dcm", overlay.astype(np.uint16), BitsStored=12, Modality="CT")
    np.testing.assert_array_equal(values_of(tmp_path / "overlay.dcm"), stored)
    np.testing.assert_array_equal(values_of(tmp_path / "overlay.dcm"), judged(tmp_path / "overlay.dcm"))
    signed = (stored.astype(np.int16) - 2048) & 0x0FFF
    write_dicom(tmp_path / "signed.dcm", signed.astype(np.uint16), BitsStored=12, PixelRepresentation=1)
    np.testing.assert_array_equal(values_of(tmp_path / "signed.dcm"), stored.astype(np.int32) - 2048)
    np.testing.assert_array_equal(values_of(tmp_path / "signed.dcm"), judged(tmp_path / "signed.dcm"))


def test_polarity_and_window_do_not_change_values(tmp_path: Path) -> None:
    stored = slices(1, dtype=np.uint16)[0]
    for number, photometric in enumerate(("MONOCHROME1", "MONOCHROME2")):
        path = write_dicom(
            tmp_path / f"{number}.dcm", stored, PhotometricInterpretation=photometric, WindowCenter=40, WindowWidth=80
        )
        np.testing.assert_array_equal(values_of(path), stored)


def test_padding_is_nan_and_other_pixels_are_those_of_simpleitk(tmp_path: Path) -> None:
    stored = slices(1)[0]
    stored[:5] = -2000
    (path,) = write_slices(tmp_path, stored[None], RescaleIntercept=-24, PixelPaddingValue=-2000)
    found = values_of(path)
    assert np.isnan(found[:5]).all()
    np.testing.assert_allclose(found[5:], judged(path)[5:])
    assert not np.isnan(load_pixels(read_study(path).images[0])).any()


def test_floating_point_pixels_and_tables(tmp_path: Path) -> None:
    values = np.linspace(-3, 5, 12, dtype=np.float32).reshape(3, 4)
    values[0, 0] = np.inf
    write_dicom(tmp_path / "f.dcm", values, PixelData=None, FloatPixelData=values.tobytes(), BitsStored=None)
    found = values_of(tmp_path / "f.dcm")
    assert np.isnan(found[0, 0])
    np.testing.assert_array_equal(found.ravel()[1:], values.ravel()[1:])
    indices = np.arange(4, dtype=np.uint8).reshape(2, 2)
    write_dicom(tmp_path / "lut.dcm", indices, ModalityLUTSequence=look_up_table([5, 70, 800, 9000], 0, 16))
    assert values_of(tmp_path / "lut.dcm").tolist() == [[5, 70], [800, 9000]]


def test_pictures_and_color_have_their_intensities(tmp_path: Path) -> None:
    gray = np.arange(64, dtype=np.uint8).reshape(8, 8)
    np.testing.assert_array_equal(values_of(write_png(tmp_path / "a.png", gray)), gray / np.float32(255))
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    assert values_of(write_dicom(tmp_path / "red.dcm", red)) == pytest.approx(np.full((2, 2), 0.299))


@pytest.mark.parametrize(
    ("rescale", "slope", "intercept"),
    [
        ({"RescaleSlope": "2.5", "RescaleIntercept": None}, 2.5, 0),
        ({"RescaleSlope": None, "RescaleIntercept": -1024}, 1, -1024),
        ({"RescaleSlope": "", "RescaleIntercept": -1024}, 1, -1024),
    ],
)
def test_a_rescale_of_which_a_part_is_missing_is_that_of_simpleitk(
    tmp_path: Path, rescale: dict[str, Any], slope: float, intercept: float
) -> None:
    stored = slices(1)
    (path,) = write_slices(tmp_path, stored, **rescale)
    np.testing.assert_allclose(values_of(path), stored[0] * slope + intercept)
    np.testing.assert_allclose(values_of(path), judged(path))


def test_padding_of_signed_values_may_be_written_as_an_unsigned_number(tmp_path: Path) -> None:
    """Devices write -2000 as 63536, with the value representation US."""
    stored = slices(1)[0]
    stored[:5] = -2000
    (path,) = write_slices(tmp_path, stored[None])
    dataset = dcmread(path)
    dataset.add_new("PixelPaddingValue", "US", 63536)
    dataset.save_as(path)
    assert dcmread(path).PixelPaddingValue == 63536
    found = values_of(path)
    assert np.isnan(found[:5]).all()
    np.testing.assert_array_equal(found[5:], stored[5:])
