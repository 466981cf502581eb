"""DICOM pixels against values computed by hand from PS3.3, and the ways in which a file may be malformed."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.utils import compress
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    UID,
    BasicTextSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    RTStructureSetStorage,
)

from report_gen.errors import NotAnImageError, StudyError
from report_gen.imaging.dicom import describe_dicom, read_dicom_image
from report_gen.imaging.limits import MAX_PIXELS
from report_gen.records import Image, Laterality, Study, ViewPosition
from tests.dicom_files import coded, dicom, look_up_table, write_dicom


def read_pixels(path: Path) -> Any:
    return read_dicom_image(path).pixels


RAMP = np.array([[0, 50, 100, 150, 200, 255]], dtype=np.uint8)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "image.dcm"


def intensities(path: Path, pixels: Any = RAMP, **attributes: Any) -> list[float]:
    """Return the intensity of each pixel of a file with these attributes."""
    return [round(float(value), 4) for value in read_pixels(write_dicom(path, pixels, **attributes)).ravel()]


def study(path: Path, **attributes: Any) -> Study:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of values that are wrong on purpose
        write_dicom(path, **attributes)
    return describe_dicom(path, "digest")


def image(path: Path, **attributes: Any) -> Image:
    return study(path, **attributes).images[0]


# ---- from stored values to intensities ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "center", "width", "expected"),
    [
        # C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5), clipped
        ("LINEAR", 128, 256, [0, 50 / 255, 100 / 255, 150 / 255, 200 / 255, 1]),
        (None, 100, 101, [0, 0.005, 0.505, 1, 1, 1]),
        ("LINEAR", 100.5, 1, [0, 0, 0, 1, 1, 1]),
        # C.11.2.1.3.2: (x - c) / w + 0.5, clipped
        ("LINEAR_EXACT", 100, 100, [0, 0, 0.5, 1, 1, 1]),
        ("LINEAR_EXACT", 127.5, 255, [0, 50 / 255, 100 / 255, 150 / 255, 200 / 255, 1]),
        ("LINEAR_EXACT", 100, 0.5, [0, 0, 0.5, 1, 1, 1]),
        # C.11.2.1.3.1: 1 / (1 + exp(-4 (x - c) / w))
        ("SIGMOID", 100, 200, [1 / (1 + np.exp(2)), 1 / (1 + np.e), 0.5, 1 / (1 + np.exp(-1)), 0.8808, 0.957]),
        ("SIGMOID", 100, 0.01, [0, 0, 0.5, 1, 1, 1]),
        # the first of several windows; an empty function means LINEAR
        ("", [128, 10], [256, 20], [0, 50 / 255, 100 / 255, 150 / 255, 200 / 255, 1]),
    ],
)
def test_windows(file: Path, function: str | None, center: Any, width: Any, expected: list[float]) -> None:
    result = intensities(file, WindowCenter=center, WindowWidth=width, VOILUTFunction=function)
    assert result == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("center", "width"), [(128, 0), (128, 0.5), (128, -3), (None, 100), (128, None), ("", "")])
def test_without_a_usable_window_the_range_of_values_is_scaled(file: Path, center: Any, width: Any) -> None:
    pixels = np.array([[10, 20, 30, 60]], dtype=np.uint8)
    assert intensities(file, pixels, WindowCenter=center, WindowWidth=width) == [0, 0.2, 0.4, 1]


def test_rescale_comes_before_the_window(file: Path) -> None:
    pixels = np.array([[0, 1024, 2048, 4095]], dtype=np.uint16)
    result = intensities(
        file, pixels, BitsStored=12, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=1048.5, WindowWidth=4097
    )
    assert result == pytest.approx([0, 0.5, 1, 1], abs=1e-4)  # values -1000, 1048, 3096, 7190


def test_a_negative_slope_inverts_the_values(file: Path) -> None:
    # A CR of an Agfa device has slope -10 and intercept 3000 and is MONOCHROME2.
    assert intensities(file, RAMP, RescaleSlope=-10, RescaleIntercept=3000) == intensities(file, 255 - RAMP)
    windowed = {"WindowCenter": -127, "WindowWidth": 256}
    result = intensities(file, RAMP, RescaleSlope=-1, RescaleIntercept=0, **windowed)
    assert result == pytest.approx([1 - value / 255 for value in RAMP[0]], abs=1e-4)


def test_one_gray_level_is_black(file: Path) -> None:
    assert set(intensities(file, np.full((2, 3), 7, np.uint8), RescaleSlope=1, RescaleIntercept=5)) == {0.0}


def test_signed_values(file: Path) -> None:
    pixels = np.array([[-1024, 0, 1024]], dtype=np.int16)
    assert intensities(file, pixels) == [0, 0.5, 1]
    # Signed 12 in 16 bits with other bits above the sign: by C.7.6.3.1.1 only Bits Stored count.
    dirty = (pixels.astype(np.int32) & 0x0FFF | 0x5000).astype(np.uint16)
    assert intensities(file, dirty, PixelRepresentation=1, BitsStored=12) == [0, 0.5, 1]


def test_bits_above_the_bits_stored_are_ignored(file: Path) -> None:
    pixels = np.array([[0xF000, 0xF800, 0xFFFF]], dtype=np.uint16)
    assert intensities(file, pixels, BitsStored=12) == pytest.approx([0, 2048 / 4095, 1], abs=1e-4)


def test_thirty_two_bits(file: Path) -> None:
    assert intensities(file, np.array([[0, 100_000, 400_000]], dtype=np.uint32)) == [0, 0.25, 1]


def test_monochrome1_displays_the_negative_equally(file: Path) -> None:
    for extra in ({}, {"WindowCenter": 120, "WindowWidth": 100}, {"RescaleSlope": 3, "RescaleIntercept": 0}):
        mirrored = {**extra, "WindowCenter": 256 - 120} if "WindowCenter" in extra else extra
        upright = intensities(file, RAMP, **extra)
        assert intensities(file, 255 - RAMP, PhotometricInterpretation="MONOCHROME1", **mirrored) == pytest.approx(
            upright, abs=1e-4
        )


@pytest.mark.parametrize(
    ("interpretation", "shape", "inverted"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True),
    ],
)
def test_polarity_is_inverted_once(file: Path, interpretation: str, shape: str | None, inverted: bool) -> None:
    result = intensities(file, RAMP, PhotometricInterpretation=interpretation, PresentationLUTShape=shape)
    plain = [value / 255 for value in RAMP[0].tolist()]
    assert result == pytest.approx([1 - value for value in plain] if inverted else plain, abs=1e-4)


def test_presentation_lut_gives_p_values_that_are_not_inverted(file: Path) -> None:
    table = look_up_table([255, 200, 100, 0], 0, 8)
    pixels = np.array([[0, 1, 2, 3]], dtype=np.uint8)
    result = intensities(file, pixels, PhotometricInterpretation="MONOCHROME1", PresentationLUTSequence=table)
    assert result == pytest.approx([1, 200 / 255, 100 / 255, 0], abs=1e-4)


def test_presentation_and_voi_lut_of_65536_entries(file: Path) -> None:
    inverse = list(range(65535, -1, -1))
    pixels = np.array([[0, 13107, 65535]], dtype=np.uint16)
    for sequence in ("PresentationLUTSequence", "VOILUTSequence"):
        result = intensities(file, pixels, **{sequence: look_up_table(inverse, 0, 16)})
        assert result == pytest.approx([1, 0.8, 0], abs=1e-4)


def test_modality_lut(file: Path) -> None:
    table = look_up_table([0, 1000, 3000, 4000], 10, 16)
    pixels = np.array([[0, 10, 11, 12, 13, 200]], dtype=np.uint8)
    assert intensities(file, pixels, ModalityLUTSequence=table) == [0, 0, 0.25, 0.75, 1, 1]


@pytest.mark.parametrize(("bits", "peak"), [(8, 255), (12, 4095), (16, 65535)])
def test_voi_lut_takes_precedence_over_the_window(file: Path, bits: int, peak: int) -> None:
    table = look_up_table([0, peak // 5, peak], 100, bits)
    pixels = np.array([[0, 100, 101, 102, 255]], dtype=np.uint8)
    assert intensities(file, pixels, VOILUTSequence=table, WindowCenter=1, WindowWidth=2) == pytest.approx(
        [0, 0, 0.2, 1, 1], abs=1e-3
    )


def test_voi_lut_of_bytes_with_more_than_256_entries(file: Path) -> None:
    table = look_up_table([entry // 16 for entry in range(4096)], 0, 8)
    pixels = np.array([[0, 300, 2048, 4095]], dtype=np.uint16)
    assert intensities(file, pixels, BitsStored=12, VOILUTSequence=table) == pytest.approx(
        [0, 18 / 255, 128 / 255, 1], abs=1e-4
    )


def test_voi_lut_after_rescale(file: Path) -> None:
    table = look_up_table([0, 50, 255], 0, 8)
    result = intensities(
        file, np.array([[10, 11, 12]], np.uint8), RescaleSlope=1, RescaleIntercept=-10, VOILUTSequence=table
    )
    assert result == pytest.approx([0, 50 / 255, 1], abs=1e-4)


def test_padding_is_black_and_excluded_from_the_range(file: Path) -> None:
    pixels = np.array([[0, 0, 100, 150, 200, 255]], dtype=np.uint8)
    assert intensities(file, pixels, PixelPaddingValue=0) == pytest.approx([0, 0, 0, 50 / 155, 100 / 155, 1], abs=1e-4)
    assert intensities(file, pixels, PixelPaddingValue=255, PixelPaddingRangeLimit=200) == pytest.approx(
        [0, 0, 2 / 3, 1, 0, 0], abs=1e-4
    )
    white = intensities(file, pixels, PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1")
    assert white == pytest.approx([0, 0, 1, 105 / 155, 55 / 155, 0], abs=1e-4)
    assert intensities(file, np.zeros((1, 2), np.uint8), PixelPaddingValue=0) == [0, 0]


def test_color_becomes_luma(file: Path) -> None:
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], dtype=np.uint8)
    luma = [0.299, 0.587, 0.114, 1]
    assert intensities(file, rgb) == pytest.approx(luma, abs=1e-4)
    assert intensities(file, rgb.astype(np.uint16) * 257) == pytest.approx(luma, abs=1e-4)
    twelve_bits = rgb.astype(np.uint16) * 16 + 15 * (rgb > 0)
    assert intensities(file, twelve_bits.astype(np.uint16), BitsStored=12) == pytest.approx(luma, abs=1e-4)
    planes = rgb.transpose(2, 0, 1).copy()
    assert intensities(file, rgb, PlanarConfiguration=1, PixelData=planes.tobytes()) == pytest.approx(luma, abs=1e-4)
    ybr = np.array(
        [[[76, 85, 255], [150, 44, 21], [29, 255, 107], [255, 128, 128]]], dtype=np.uint8
    )  # the same colors by T.871
    assert intensities(file, ybr, PhotometricInterpretation="YBR_FULL") == pytest.approx(luma, abs=5e-3)


def test_palette(file: Path) -> None:
    tables: dict[str, Any] = {}
    for name, entries in {"Red": [0, 255, 0, 9], "Green": [0, 0, 255, 9], "Blue": [0, 0, 0, 9]}.items():
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 8]
        tables[f"{name}PaletteColorLookupTableData"] = bytes(entries)
    pixels = np.array([[0, 1, 2]], dtype=np.uint8)
    result = intensities(file, pixels, PhotometricInterpretation="PALETTE COLOR", **tables)
    assert result == pytest.approx([0, 0.299, 0.587], abs=1e-4)


def test_one_bit(file: Path) -> None:
    pixels = np.zeros((2, 4), dtype=np.uint8)
    assert intensities(file, pixels, BitsAllocated=1, BitsStored=1, PixelData=b"\x81\x00") == [1, 0, 0, 0, 0, 0, 0, 1]


# ---- encodings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_lossless_compression_keeps_the_pixels(file: Path, syntax: UID, dtype: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (64, 48)).astype(dtype)
    plain = read_pixels(write_dicom(file, pixels))
    dataset = dicom(pixels)
    compress(dataset, syntax)
    dataset.save_as(file)
    np.testing.assert_array_equal(read_pixels(file), plain)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_byte_orders(file: Path, syntax: UID) -> None:
    pixels = np.array([[0, 256, 1024]], dtype=np.uint16)
    stored = pixels.astype(">u2") if syntax == ExplicitVRBigEndian else pixels
    dicom(pixels, syntax, PixelData=stored.tobytes()).save_as(file)
    assert read_pixels(file).tolist() == [[0, 0.25, 1]]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_files_without_preamble_and_meta(file: Path, syntax: UID) -> None:
    pixels = np.array([[0, 1, 4]], dtype=np.uint8)
    dataset = dicom(pixels, syntax)
    dataset.file_meta, dataset.preamble = FileMetaDataset(), None
    dataset.save_as(file, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    assert read_pixels(file).tolist() == [[0, 0.25, 1]]


def test_bytes_after_the_image_are_ignored(file: Path) -> None:
    pixels = np.array([[0, 1], [2, 4]], dtype=np.uint8)
    write_dicom(file, pixels, PixelData=pixels.tobytes() * 3)
    assert read_pixels(file).tolist() == [[0, 0.25], [0.5, 1]]
    write_dicom(file, pixels)
    file.write_bytes(file.read_bytes() + b"\0" * 64)
    assert read_pixels(file).shape == (2, 2)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("MR_small.dcm", "MR_small_RLE.dcm"),
        ("MR_small.dcm", "MR_small_jp2klossless.dcm"),
        ("MR_small.dcm", "MR_small_jpeg_ls_lossless.dcm"),
        ("MR_small.dcm", "MR_small_bigendian.dcm"),
        ("MR_small.dcm", "MR_small_implicit.dcm"),
        ("MR_small.dcm", "MR_small_padded.dcm"),
        ("SC_rgb_small_odd.dcm", "SC_rgb_small_odd_big_endian.dcm"),
    ],
)
def test_pydicom_samples_of_one_image_in_two_encodings(name: str, other: str) -> None:
    np.testing.assert_array_equal(_pixels_of(name), _pixels_of(other))


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "693_J2KI.dcm",
        "JPEG2000.dcm",
        "JPEGLSNearLossless_16.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
        "SC_rgb_rle.dcm",
        "SC_rgb_jpeg.dcm",
        "examples_palette.dcm",
        "liver_1frame.dcm",
    ],
)
def test_pydicom_samples_are_read(name: str) -> None:
    pixels = _pixels_of(name)
    assert pixels.dtype == np.float32
    assert 0 <= pixels.min() < pixels.max() <= 1


def _pixels_of(name: str) -> Any:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"{name} is not in this pydicom wheel")
    return read_pixels(Path(path))


# ---- refused files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"Rows": 0}, "no rows"),
        ({"Rows": None}, "malformed"),
        ({"Rows": 65535, "Columns": 65535}, str(MAX_PIXELS)),
        ({"SamplesPerPixel": 3}, "Samples per Pixel"),
        ({"PhotometricInterpretation": "RGB"}, "Samples per Pixel"),
        ({"PhotometricInterpretation": "HSV"}, "Photometric Interpretation"),
        ({"BitsAllocated": 13}, "Bits"),
        ({"BitsStored": 40, "HighBit": 15}, "Bits"),
        ({"BitsStored": 0, "HighBit": 0}, "Bits"),
        ({"NumberOfFrames": 2}, "truncated"),
        ({"NumberOfFrames": 2_000_000_000}, "exceed the limit of 32768"),
        ({"NumberOfFrames": -2}, "negative Number of Frames"),
        ({"Rows": 4}, "truncated"),
        ({"RescaleSlope": "NaN", "RescaleIntercept": 0}, "malformed"),
        ({"BitsStored": 12, "HighBit": 10}, "High Bit"),
        ({"BitsStored": 12, "HighBit": 16}, "High Bit"),
        ({"PixelSpacing": [20000, 0.001]}, str(MAX_PIXELS)),
    ],
)
def test_impossible_headers_are_refused(file: Path, attributes: dict[str, Any], reason: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of values that are wrong on purpose
        write_dicom(file, **attributes)
    with pytest.raises(StudyError, match=reason) as caught:
        read_pixels(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (BasicTextSRStorage, "Basic Text SR"),
        (EncapsulatedPDFStorage, "Encapsulated PDF"),
        (RTStructureSetStorage, "RT Structure Set"),
    ],
)
def test_objects_without_pixels_are_named(file: Path, kind: UID, name: str) -> None:
    without = dict.fromkeys(("Rows", "Columns", "PixelData", "BitsStored", "BitsAllocated", "SamplesPerPixel"))
    write_dicom(file, SOPClassUID=kind, HighBit=None, **without)
    with pytest.raises(NotAnImageError, match=name):
        describe_dicom(file, "")


@pytest.mark.parametrize(
    ("syntax", "reason"),
    [
        (MPEG2MPML, "transfer syntax .MPEG2"),
        (UID("1.2.3.4"), "unsupported"),
    ],
)
def test_unsupported_transfer_syntaxes_are_refused(file: Path, syntax: UID, reason: str) -> None:
    if syntax.is_encapsulated if syntax.is_transfer_syntax else False:
        dataset = dicom(syntax=syntax, PixelData=encapsulate([b"\0" * 64]))
        dataset["PixelData"].is_undefined_length = True
    else:
        dataset = dicom(syntax=syntax)
    if syntax.is_private:
        dataset.save_as(file, implicit_vr=False, little_endian=True)
    else:
        dataset.save_as(file)
    with pytest.raises(StudyError, match=reason):
        describe_dicom(file, "")


def test_missing_decoder_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels.decoders import base

    dataset = dicom(np.zeros((64, 64), np.uint8))
    compress(dataset, JPEG2000Lossless)
    dataset.save_as(file)
    monkeypatch.setattr(base.JPEG2000LosslessDecoder, "_available", {})
    monkeypatch.setattr(base.JPEG2000LosslessDecoder, "_unavailable", {"pylibjpeg": ("pylibjpeg-openjpeg>=2.0",)})
    with pytest.raises(StudyError, match="pylibjpeg-openjpeg"):
        describe_dicom(file, "")


def test_a_codestream_of_another_size_is_not_decoded(file: Path) -> None:
    small = dicom(np.zeros((64, 64), np.uint8))
    compress(small, JPEG2000Lossless)
    small.Rows = small.Columns = 16
    small.save_as(file)
    with pytest.raises(StudyError, match="differ in size"):
        read_pixels(file)
    lossy = Path(str(get_testdata_file("SC_rgb_jpeg_dcmtk.dcm", download=False)))
    dataset = dcmread(lossy)
    dataset.Rows += 8
    dataset.save_as(file)
    with pytest.raises(StudyError, match="differ in size"):
        read_pixels(file)


def test_bytes_that_are_not_a_codestream_are_refused(file: Path) -> None:
    dataset = dicom(np.zeros((4, 4), np.uint8), JPEG2000, PixelData=encapsulate([b"not a codestream..."]))
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(file)
    with pytest.raises(StudyError, match="malformed"):
        read_pixels(file)


def test_deeply_nested_sequences_are_malformed(file: Path) -> None:
    level = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    file.write_bytes(b"\x08\x00\x60\x00CS\x02\x00CR" + 2000 * level)
    with pytest.raises(StudyError, match="malformed"):
        describe_dicom(file, "")


@pytest.mark.parametrize("kept", [0, 10, 132, 140, 300, -1])
def test_truncated_files_are_refused(file: Path, kept: int) -> None:
    content = write_dicom(file, np.zeros((8, 8), np.uint8)).read_bytes()
    file.write_bytes(content[:kept])
    with pytest.raises(StudyError):
        read_pixels(file)


@pytest.mark.parametrize("missing", [2, 100, 900])
def test_a_truncated_codestream_is_refused_undecoded(file: Path, missing: int) -> None:
    dataset = dicom(np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8))
    compress(dataset, RLELossless)
    dataset.save_as(file)
    end = len(file.read_bytes()) - 8  # the sequence delimiter
    os.truncate(file, end - missing)
    with pytest.raises(StudyError, match="truncated"):
        describe_dicom(file, "")


def test_damaged_run_lengths_are_refused(file: Path) -> None:
    dataset = dicom(np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint16))
    compress(dataset, RLELossless)
    dataset.save_as(file)
    content = file.read_bytes()
    start = content.index(b"\xfe\xff\x00\xe0", -6000)
    for offset in range(80, 400, 16):  # after the table of segments
        file.write_bytes(content[: start + offset] + b"\x7f" * 64 + content[start + offset + 64 :])
        _assert_pixels_or_study_error(file)


# ---- from attributes to records -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"ViewPosition": "PA"}, ViewPosition.PA),
        ({"ViewPosition": "ap"}, ViewPosition.AP),
        ({"ViewPosition": "LL"}, ViewPosition.LATERAL),
        ({"ViewPosition": "RL"}, ViewPosition.LATERAL),
        ({"ViewPosition": "LLD"}, ViewPosition.DECUBITUS),
        ({"ViewPosition": "RLO"}, ViewPosition.OBLIQUE),
        ({"ViewPosition": "RAO"}, ViewPosition.OBLIQUE),
        ({"ViewPosition": "XYZ"}, ViewPosition.UNKNOWN),
        ({"ViewPosition": "", "ViewCodeSequence": [coded("399348003", "SCT")]}, ViewPosition.AP),
        ({"ViewCodeSequence": [coded("R-10214", "SRT")]}, ViewPosition.PA),
        ({"ViewCodeSequence": [coded("399067008", "SCT")]}, ViewPosition.LATERAL),
        ({"ViewCodeSequence": [coded("0", "99X")], "SeriesDescription": "W Chest LAT"}, ViewPosition.LATERAL),
        ({"SeriesDescription": "CHEST PA"}, ViewPosition.PA),
        ({"SeriesDescription": "view: PA"}, ViewPosition.PA),
        ({"SeriesDescription": "Chest, p.a."}, ViewPosition.PA),
        ({"SeriesDescription": "Thorax antero-posterior"}, ViewPosition.AP),
        ({"ProtocolName": "CHEST_AP_PORTABLE"}, ViewPosition.AP),
        ({"SeriesDescription": "frontal chest"}, ViewPosition.FRONTAL),
        ({"SeriesDescription": "Chest PA and lateral"}, ViewPosition.UNKNOWN),
        ({"SeriesDescription": "PAIN, APICAL, PLATE"}, ViewPosition.UNKNOWN),
        ({"SeriesDescription": "Chest AP/PA"}, ViewPosition.FRONTAL),
        ({"SeriesDescription": "L LATERAL DECUB"}, ViewPosition.DECUBITUS),
        ({"SeriesDescription": "Thorax seitlich"}, ViewPosition.LATERAL),
        ({"SeriesDescription": "Thorax de profil"}, ViewPosition.LATERAL),
        ({"ViewPosition": "LEFT LATERAL"}, ViewPosition.LATERAL),
        ({"ViewPosition": "LLAT"}, ViewPosition.LATERAL),
        ({"AcquisitionDeviceProcessingDescription": "CHEST,LAT"}, ViewPosition.LATERAL),
        ({"PatientOrientation": ["A", "F"]}, ViewPosition.LATERAL),
        ({"PatientOrientation": ["P", "F"]}, ViewPosition.LATERAL),
        ({"PatientOrientation": ["L", "F"]}, ViewPosition.FRONTAL),
        ({"PatientOrientation": ["LA", "F"]}, ViewPosition.UNKNOWN),
        ({"PatientOrientation": ["L", "P"]}, ViewPosition.UNKNOWN),
        ({"PatientOrientation": ""}, ViewPosition.UNKNOWN),
        ({"ViewPosition": "PA", "PatientOrientation": ["P", "F"]}, ViewPosition.PA),
        ({}, ViewPosition.UNKNOWN),
    ],
)
def test_view_position(file: Path, attributes: dict[str, Any], expected: ViewPosition) -> None:
    assert image(file, **attributes).view_position is expected


def test_laterality(file: Path) -> None:
    assert image(file, ImageLaterality="L", Laterality="R").laterality is Laterality.LEFT
    assert image(file, Laterality="R").laterality is Laterality.RIGHT
    assert image(file, ImageLaterality="").laterality is Laterality.UNKNOWN


def test_pixel_spacing_prefers_the_calibrated_one(file: Path) -> None:
    assert image(file, PixelSpacing=[0.2, 0.2], ImagerPixelSpacing=[0.25, 0.25]).pixel_spacing == (0.2, 0.2)
    assert image(file, ImagerPixelSpacing=[0.25, 0.25]).pixel_spacing == (0.25, 0.25)
    assert image(file, PixelSpacing=[0, 0], NominalScannedPixelSpacing=[0.3, 0.3]).pixel_spacing == (0.3, 0.3)
    assert image(file).pixel_spacing is None


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"PatientAge": "065Y"}, 65),
        ({"PatientAge": "006M"}, 0.5),
        ({"PatientAge": "003W"}, 21 / 365.25),
        ({"PatientAge": "010D"}, 10 / 365.25),
        ({"PatientBirthDate": "19600615", "StudyDate": "20200614"}, 59),
        ({"PatientBirthDate": "19600615", "StudyDate": "20200615"}, 60),
        ({"PatientAge": "", "PatientBirthDate": "19600615"}, None),
        ({"PatientBirthDate": "20200615", "StudyDate": "19990101"}, None),
        ({}, None),
    ],
)
def test_age(file: Path, attributes: dict[str, Any], expected: float | None) -> None:
    assert study(file, **attributes).patient_age == pytest.approx(expected)


def test_a_sloppy_age_is_still_read(file: Path) -> None:
    assert study(file, PatientAge="65y").patient_age == 65
    assert study(file, PatientAge="old").patient_age is None


def test_a_malformed_optional_attribute_is_ignored(file: Path) -> None:
    write_dicom(file, SeriesNumber=7777, PixelSpacing=[0.125, 0.125])
    file.write_bytes(file.read_bytes().replace(b"7777", b"77 A").replace(b"0.125\\0.125", b"0.125\\O.125"))
    found = describe_dicom(file, "")
    assert found.series[0].series_number is None
    assert found.images[0].pixel_spacing is None


def test_indication(file: Path) -> None:
    request = Dataset()
    request.ReasonForTheRequestedProcedure = "Cough"
    assert study(file, RequestAttributesSequence=[request], AdditionalPatientHistory="Smoker").indication == "Cough"
    assert study(file, ReasonForTheRequestedProcedure="Fever").indication == "Fever"
    assert study(file, ReasonForStudy="Fall", AdditionalPatientHistory="Smoker").indication == "Fall"
    assert study(file, AdditionalPatientHistory="Smoker").indication == "Smoker"
    assert study(file).indication is None


def test_text_is_decoded_and_loses_control_characters(file: Path) -> None:
    found = study(file, SpecificCharacterSet="ISO_IR 192", StudyDescription="Thörax\x1b[31m  ap\r\n\u202e")
    assert found.series[0].study_description == "Thörax [31m ap"
    assert (
        study(file, SpecificCharacterSet="ISO_IR 100", StudyDescription="Röntgen").series[0].study_description
        == "Röntgen"
    )


def test_the_record(file: Path) -> None:
    write_dicom(
        file, BodyPartExamined="CHEST", PatientSex="F", SeriesNumber=3, InstanceNumber=7, SOPInstanceUID="1.2.3"
    )
    found = describe_dicom(file, "digest")
    assert found.name == "image"
    assert (found.patient_id, found.patient_sex) == ("P1", "F")
    assert (found.series[0].modality, found.series[0].body_part, found.series[0].series_number) == ("CR", "CHEST", 3)
    assert (found.images[0].rows, found.images[0].columns, found.images[0].sha256) == (3, 4, "digest")
    assert (found.images[0].sop_instance_uid, found.images[0].instance_number) == ("1.2.3", 7)
    assert "P1" not in repr(found)


# ---- any input gives pixels in 0..1 or a StudyError ----------------------------------------------------------------

_NUMBERS = st.one_of(st.integers(-3, 70_000), st.none())
_TEXTS = st.sampled_from(["", "LINEAR", "SIGMOID", "LINEAR_EXACT", "MONOCHROME1", "MONOCHROME2", "RGB", "INVERSE", "x"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=st.dictionaries(
        st.sampled_from(["Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "SamplesPerPixel"]),
        st.integers(0, 65535),
        max_size=2,
    ),
    decimals=st.dictionaries(
        st.sampled_from(["WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "NumberOfFrames"]), _NUMBERS
    ),
    texts=st.dictionaries(
        st.sampled_from(["VOILUTFunction", "PhotometricInterpretation", "PresentationLUTShape", "PatientAge"]), _TEXTS
    ),
)
def test_any_header_gives_pixels_or_a_study_error(file: Path, numbers: Any, decimals: Any, texts: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dicom(file, **{"HighBit": 15, **numbers, **decimals, **texts})
    _assert_pixels_or_study_error(file)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_gives_pixels_or_a_study_error(file: Path, data: st.DataObject) -> None:
    content = bytearray(write_dicom(file, WindowCenter=5, WindowWidth=9, PatientAge="065Y").read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    _assert_pixels_or_study_error(file)


def _assert_pixels_or_study_error(file: Path) -> None:
    try:
        describe_dicom(file, "")
        pixels = read_pixels(file)
    except StudyError:
        return
    assert pixels.ndim == 2
    assert pixels.min() >= 0
    assert pixels.max() <= 1
