"""Contradictory and unusual display attributes: rescale, windows, look-up tables, padding, polarity, floating point."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian, ParametricMapStorage

from report_gen.errors import StudyError
from report_gen.imaging import load_values, read_study
from report_gen.imaging.dicom import read_dicom_image
from report_gen.imaging.loaded_image import LoadedImage
from tests.dicom_files import dicom, look_up_table, write_dicom

TWELVE_BITS = np.array([[0, 1000, 2000, 4095]], dtype=np.uint16)
FULL_WINDOW = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}
SCALED = [value / 4095 for value in TWELVE_BITS[0].tolist()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "image.dcm"


def load(file: Path, pixels: NDArray[Any] = TWELVE_BITS, **attributes: Any) -> LoadedImage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of values that are wrong on purpose
        write_dicom(file, pixels, **attributes)
    return read_dicom_image(file)


def shown(loaded: LoadedImage) -> list[float]:
    return [float(value) for value in loaded.pixels.ravel()]


# ---- modality -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("intercept", [0, 5, -1000])
def test_a_slope_of_zero_is_ignored_with_a_notice(file: Path, intercept: int) -> None:
    loaded = load(file, RescaleSlope=0, RescaleIntercept=intercept, **FULL_WINDOW)
    assert shown(loaded) == pytest.approx(SCALED, abs=1e-6)  # as DCMTK
    assert loaded.notices == ("Rescale Slope is 0 and was ignored",)
    assert shown(load(file, RescaleSlope=0, RescaleIntercept=intercept, BitsStored=12)) == pytest.approx(SCALED)


@pytest.mark.parametrize(
    ("slope", "intercept"),
    [("1e308", "1e308"), ("1e300", "0"), ("-1e300", "1e300"), ("1", "1e19"), ("1e308", "-1e308")],
)
@pytest.mark.filterwarnings("error")
def test_a_rescale_beyond_any_unit_is_refused_by_the_name_of_the_file(file: Path, slope: str, intercept: str) -> None:
    """The products overflow in double precision, or the values are infinite in single precision."""
    with pytest.raises(StudyError, match=r"image\.dcm: malformed: Rescale Slope and .* beyond 1e\+18; correct them or"):
        load(file, RescaleSlope=slope, RescaleIntercept=intercept, **FULL_WINDOW)
    with pytest.raises(StudyError, match=r"image\.dcm: malformed: Rescale Slope and .* beyond 1e\+18; correct them or"):
        load_values(read_study(file).images[0])


@pytest.mark.filterwarnings("error")
def test_only_the_values_of_visible_pixels_count_for_the_limit(file: Path) -> None:
    pixels = np.array([[0, 1, 2, 60000]], np.uint16)
    loaded = load(file, pixels, PixelPaddingValue=60000, RescaleSlope="1e14", RescaleIntercept=0)
    assert shown(loaded) == [0, 0.5, 1, 0]
    values = load_values(read_study(file).images[0])
    np.testing.assert_allclose(values, [[0, 1e14, 2e14, np.nan]], rtol=1e-6)


def test_an_empty_rescale_is_none(file: Path) -> None:
    loaded = load(file, RescaleSlope="", RescaleIntercept="", **FULL_WINDOW)
    assert shown(loaded) == pytest.approx(SCALED, abs=1e-6)
    assert loaded.notices == ()


def test_a_modality_lut_of_twelve_bits(file: Path) -> None:
    table = look_up_table([4095 - entry for entry in range(4096)], 0, 12)
    loaded = load(file, ModalityLUTSequence=table, **FULL_WINDOW)
    assert shown(loaded) == pytest.approx([1 - value for value in SCALED], abs=1e-6)


# ---- VOI ----------------------------------------------------------------------------------------------------------


def test_each_window_has_its_own_function(file: Path) -> None:
    windows = {"BitsStored": 12, "WindowCenter": [2048, 100], "WindowWidth": [4096, 50]}
    assert shown(load(file, VOILUTFunction=["LINEAR", "SIGMOID"], **windows)) == pytest.approx(SCALED, abs=1e-6)
    sigmoid = shown(load(file, VOILUTFunction=["SIGMOID", "LINEAR"], **windows))
    assert sigmoid == pytest.approx([1 / (1 + np.exp(-4 * (x - 2048) / 4096)) for x in TWELVE_BITS[0].astype(float)])


def test_the_first_usable_window_is_applied(file: Path) -> None:
    windows = {"WindowCenter": [100, 2048], "WindowWidth": [0, 4096], "VOILUTFunction": ["SIGMOID", "LINEAR"]}
    assert shown(load(file, BitsStored=12, **windows)) == pytest.approx(SCALED, abs=1e-6)


def test_an_unknown_function_is_linear_with_a_notice(file: Path) -> None:
    loaded = load(file, VOILUTFunction="SAMPLED_SIGMOID", **FULL_WINDOW)
    assert shown(loaded) == pytest.approx(SCALED, abs=1e-6)
    assert loaded.notices == (
        "the VOI LUT Function of the header is not known to DICOM; the window was applied as LINEAR",
    )


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 300, "WindowWidth": 200},  # wholly below the values
        {"WindowCenter": 60000, "WindowWidth": 200},  # wholly above
        {"WindowCenter": 300, "WindowWidth": 200, "VOILUTFunction": "LINEAR_EXACT"},
        {"VOILUTSequence": look_up_table([0, 128, 255], 0, 8)},  # all entries lie below the values
    ],
)
def test_a_window_outside_the_values_is_replaced_by_their_range(file: Path, window: dict[str, Any]) -> None:
    loaded = load(file, TWELVE_BITS + np.uint16(20000), **window)
    assert shown(loaded) == pytest.approx(SCALED, abs=1e-6)
    assert loaded.notices == (
        "the window of the header shows the whole image black or white; the range of the values is shown instead",
    )


def test_a_window_that_shows_one_hot_pixel_alone_is_replaced_as_well(file: Path) -> None:
    pixels = np.tile(TWELVE_BITS + np.uint16(20000), (1000, 1))
    pixels[0, 0] = 0
    loaded = load(file, pixels, WindowCenter=300, WindowWidth=200)
    assert len(loaded.notices) == 1
    assert loaded.pixels[1:].std() > 0.05


def test_a_threshold_and_an_image_of_two_levels_are_no_saturated_windows(file: Path) -> None:
    assert shown(load(file, BitsStored=12, WindowCenter=2000.5, WindowWidth=1)) == [0, 0, 0, 1]
    dark = np.zeros((100, 100), np.uint8)
    dark[0, 0] = 200
    loaded = load(file, dark, WindowCenter=128, WindowWidth=256)
    assert loaded.notices == ()
    assert loaded.pixels.max() == pytest.approx(200 / 255)


def test_a_window_narrower_than_one_is_usable_if_values_are_fractions(file: Path) -> None:
    window = {"WindowCenter": "0.2048", "WindowWidth": "0.4096"}
    loaded = load(file, RescaleSlope="0.0001", RescaleIntercept=0, BitsStored=12, **window)
    assert shown(loaded) == pytest.approx([value / 4096 for value in TWELVE_BITS[0].tolist()], abs=1e-6)


def test_a_malformed_window_is_ignored_with_a_notice(file: Path) -> None:
    write_dicom(file, TWELVE_BITS, BitsStored=12, WindowCenter="2048.0", WindowWidth="4096.0")
    file.write_bytes(file.read_bytes().replace(b"2048.0", b"2048,0").replace(b"4096.0", b"4096,0"))
    loaded = read_dicom_image(file)
    assert shown(loaded) == pytest.approx(SCALED)
    assert loaded.notices == ("the window of the header is malformed and was ignored",)


def test_empty_look_up_tables_are_none(file: Path) -> None:
    empty = Dataset()
    empty.add_new("LUTDescriptor", "US", None)
    empty.add_new("LUTData", "OW", None)
    sequences = {f"{stage}LUTSequence": [empty] for stage in ("Modality", "VOI", "Presentation")}
    assert shown(load(file, **FULL_WINDOW, **sequences)) == pytest.approx(SCALED, abs=1e-6)
    inverse = look_up_table(list(range(4095, -1, -1)), 0, 12)[0]
    table_after_an_empty_item = {"VOILUTSequence": [empty, inverse]}
    assert shown(load(file, BitsStored=12, **table_after_an_empty_item)) == pytest.approx([1 - v for v in SCALED])


@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence", "PresentationLUTSequence"])
def test_tables_of_words_in_a_big_endian_file(file: Path, keyword: str) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 16])
    item.add_new("LUTData", "OW", np.rint(np.linspace(0, 65535, 4096)).astype(">u2").tobytes())
    pixels = TWELVE_BITS.astype(">u2")
    dataset = dicom(TWELVE_BITS, ExplicitVRBigEndian, BitsStored=12, **{keyword: [item]})
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(file)
    assert shown(read_dicom_image(file)) == pytest.approx(SCALED, abs=1e-4)


def test_a_table_of_bytes_in_words(file: Path) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [256, 0, 8])
    item.add_new("LUTData", "OW", bytes(range(255, -1, -1)))
    pixels = np.array([[0, 51, 255]], dtype=np.uint8)
    assert shown(load(file, pixels, VOILUTSequence=[item])) == pytest.approx([1, 0.8, 0])


@pytest.mark.parametrize(("entries", "bits"), [(5000, 12), (4096, 0), (4096, 17)])
def test_a_table_that_contradicts_its_descriptor_is_refused(file: Path, entries: int, bits: int) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [entries, 0, bits])
    item.add_new("LUTData", "US", list(range(4096)))
    with pytest.raises(StudyError, match="malformed"):
        load(file, BitsStored=12, VOILUTSequence=[item])


# ---- functional groups --------------------------------------------------------------------------------------------


def functional_group(**macros: dict[str, Any]) -> list[Dataset]:
    group = Dataset()
    for macro, attributes in macros.items():
        item = Dataset()
        for keyword, value in attributes.items():
            setattr(item, keyword, value)
        setattr(group, macro, [item])
    return [group]


WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}
OTHER_WINDOW = {"WindowCenter": 9, "WindowWidth": 3}
RESCALE = {"RescaleSlope": 2, "RescaleIntercept": 0}


@pytest.mark.parametrize(
    ("shared", "frame"),
    [
        ({"FrameVOILUTSequence": WINDOW}, {}),
        ({}, {"FrameVOILUTSequence": WINDOW}),
        ({"FrameVOILUTSequence": OTHER_WINDOW}, {"FrameVOILUTSequence": WINDOW}),
    ],
)
def test_windows_of_functional_groups(file: Path, shared: Any, frame: Any) -> None:
    groups = {
        "SharedFunctionalGroupsSequence": functional_group(**shared),
        "PerFrameFunctionalGroupsSequence": functional_group(**frame),
    }
    pixels = np.append(TWELVE_BITS, [[65535]], axis=1).astype(np.uint16)
    assert shown(load(file, pixels, NumberOfFrames=1, **groups)) == pytest.approx([*SCALED, 1], abs=1e-6)


def test_rescale_of_functional_groups_replaces_the_one_at_the_top(file: Path) -> None:
    shared = functional_group(PixelValueTransformationSequence=RESCALE, FrameVOILUTSequence=WINDOW)
    top = {"RescaleSlope": 1, "RescaleIntercept": 999}
    loaded = load(file, BitsStored=12, SharedFunctionalGroupsSequence=shared, **top)
    assert shown(loaded) == pytest.approx([0, 2000 / 4095, 4000 / 4095, 1], abs=1e-4)


# ---- padding ------------------------------------------------------------------------------------------------------


def test_padding_of_unsigned_values_that_is_written_as_a_negative_number(file: Path) -> None:
    pixels = np.append(TWELVE_BITS, [[63536]], axis=1).astype(np.uint16)
    dataset = dicom(pixels)
    dataset.add_new("PixelPaddingValue", "SS", -2000)
    dataset.save_as(file)
    assert shown(read_dicom_image(file)) == pytest.approx([*SCALED, 0])


def test_padding_above_the_bits_stored(file: Path) -> None:
    pixels = np.append(TWELVE_BITS, [[63536]], axis=1).astype(np.uint16)  # its 12 stored bits are 2096
    assert shown(load(file, pixels, BitsStored=12, PixelPaddingValue=63536)) == pytest.approx([*SCALED, 0])


# ---- polarity -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interpretation", "shape", "contradicts"),
    [
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", "INVERSE", False),
        ("MONOCHROME1", "LIN OD", False),
        ("MONOCHROME1", None, False),
    ],
)
def test_contradicting_polarity_is_noticed(
    file: Path, interpretation: str, shape: str | None, contradicts: bool
) -> None:
    loaded = load(file, PhotometricInterpretation=interpretation, PresentationLUTShape=shape, BitsStored=12)
    assert any("polarity" in notice for notice in loaded.notices) is contradicts


# ---- floating point -----------------------------------------------------------------------------------------------


def write_float(file: Path, pixels: NDArray[Any], **attributes: Any) -> None:
    keyword = "FloatPixelData" if pixels.itemsize == 4 else "DoubleFloatPixelData"
    without = {"PixelData": None, "BitsStored": None, "PixelRepresentation": None, "SOPClassUID": ParametricMapStorage}
    write_dicom(file, pixels, **without, **{keyword: pixels.tobytes()}, **attributes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floating_point_pixels(file: Path, dtype: Any) -> None:
    pixels = np.array([[-1.5, 0, 0.5, 2.5]], dtype=dtype)
    write_float(file, pixels)
    assert shown(read_dicom_image(file)) == pytest.approx([0, 0.375, 0.5, 1])
    write_float(file, pixels, WindowCenter=0.5, WindowWidth=2, VOILUTFunction="LINEAR_EXACT")
    assert shown(read_dicom_image(file)) == pytest.approx([0, 0.25, 0.5, 1])
    write_float(file, pixels, WindowCenter=0.5, WindowWidth=0.5)  # LINEAR_EXACT is meant
    assert shown(read_dicom_image(file)) == pytest.approx([0, 0, 0.5, 1])


def test_values_that_are_no_numbers_are_black_and_excluded_from_the_range(file: Path) -> None:
    write_float(file, np.array([[np.nan, np.inf, -9999, 0, 1, 2]], np.float32), FloatPixelPaddingValue=-9999.0)
    assert shown(read_dicom_image(file)) == pytest.approx([0, 0, 0, 0, 0.5, 1])


def test_a_header_that_contradicts_floating_point_pixels_is_refused(file: Path) -> None:
    write_float(file, np.ones((1, 2), np.float32), BitsAllocated=64)
    with pytest.raises(StudyError, match="contradicts the floating-point"):
        read_dicom_image(file)
