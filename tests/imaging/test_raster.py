"""Pictures of every kind against the brightness that their values mean."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from report_gen.errors import StudyError
from report_gen.imaging.raster import describe_picture, is_picture, read_picture_pixels
from report_gen.records.study import ViewPosition

GREY = np.array([[0, 51, 102], [153, 204, 255]], dtype=np.uint8)


def saved(path: Path, values: Any, mode: str | None = None, **options: Any) -> Path:
    picture = PIL.Image.fromarray(np.asarray(values))
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_eight_bits_are_divided_by_255_and_not_stretched(tmp_path: Path, suffix: str) -> None:
    pixels = read_picture_pixels(saved(tmp_path / f"a.{suffix}", GREY // 2))
    np.testing.assert_allclose(pixels, (GREY // 2) / np.float32(255))
    assert pixels.dtype == np.float32


def test_jpeg(tmp_path: Path) -> None:
    values = np.repeat(np.repeat(GREY, 16, 0), 16, 1)
    np.testing.assert_allclose(
        read_picture_pixels(saved(tmp_path / "a.jpg", values, quality=95)), values / 255, atol=0.03
    )


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(("top", "peak"), [(4096, 65535), (65535, 65535), (4095, 4095), (1000, 4095)])
def test_sixteen_bits(tmp_path: Path, suffix: str, top: int, peak: int) -> None:
    values = np.array([[0, 500, top]], dtype=np.uint16)
    np.testing.assert_allclose(read_picture_pixels(saved(tmp_path / f"a.{suffix}", values)), values / np.float32(peak))


def test_a_tiff_whose_white_is_zero_is_turned(tmp_path: Path) -> None:
    values = np.array([[0, 30000, 65535]], dtype=np.uint16)
    path = saved(tmp_path / "a.tif", values, tiffinfo={262: 0})
    np.testing.assert_allclose(read_picture_pixels(path), 1 - values / np.float32(65535), atol=1e-6)
    path = saved(tmp_path / "b.tif", GREY, tiffinfo={262: 0})
    np.testing.assert_allclose(read_picture_pixels(path), read_picture_pixels(saved(tmp_path / "c.png", _shown(path))))


def _shown(path: Path) -> Any:
    """What Pillow, which turns 8 bits itself, shows of a file."""
    with PIL.Image.open(path) as picture:
        return np.asarray(picture)


def test_colour_becomes_luma(tmp_path: Path) -> None:
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], dtype=np.uint8)
    luma = [[0.299, 0.587, 0.114]]
    np.testing.assert_allclose(read_picture_pixels(saved(tmp_path / "a.png", rgb)), luma, atol=0.003)
    np.testing.assert_allclose(read_picture_pixels(saved(tmp_path / "b.tif", rgb, "CMYK")), luma, atol=0.003)
    palette = PIL.Image.fromarray(rgb).quantize(4)
    palette.save(tmp_path / "c.png")
    np.testing.assert_allclose(read_picture_pixels(tmp_path / "c.png"), luma, atol=0.01)


def test_transparency_lies_on_black(tmp_path: Path) -> None:
    rgba = np.array([[[255, 255, 255, 255], [255, 255, 255, 51], [255, 255, 255, 0]]], dtype=np.uint8)
    np.testing.assert_allclose(read_picture_pixels(saved(tmp_path / "a.png", rgba)), [[1, 0.2, 0]], atol=1e-6)
    np.testing.assert_allclose(read_picture_pixels(saved(tmp_path / "b.png", rgba, "LA")), [[1, 0.2, 0]], atol=1e-6)


def test_one_bit(tmp_path: Path) -> None:
    assert read_picture_pixels(saved(tmp_path / "a.png", GREY > 100, "1")).tolist() == [[0, 0, 1], [1, 1, 1]]


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[274] = 6  # shown after a quarter turn clockwise
    path = saved(tmp_path / "a.png", GREY, exif=exif)
    np.testing.assert_allclose(read_picture_pixels(path), np.rot90(GREY, -1) / np.float32(255))
    image = describe_picture(path, "digest")
    assert (image.rows, image.columns, image.sha256) == (3, 2, "digest")
    assert image.view_position is ViewPosition.UNKNOWN


def test_several_pages_are_refused(tmp_path: Path) -> None:
    pages = [PIL.Image.fromarray(GREY + step) for step in range(2)]
    for name in ("a.tif", "a.png"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        with pytest.raises(StudyError, match="several pages"):
            describe_picture(tmp_path / name, "")


def test_floating_point_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="mode F"):
        describe_picture(saved(tmp_path / "a.tif", GREY.astype(np.float32)), "")


@pytest.mark.parametrize("side", [9000, 40_000])
def test_a_decompression_bomb_is_refused_unread(tmp_path: Path, side: int) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)))
    with pytest.raises(StudyError):
        describe_picture(path, "")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_truncated_pictures_are_refused_and_never_padded(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    path = saved(tmp_path / f"a.{suffix}", noise)
    content = path.read_bytes()
    for kept in (9, 60, len(content) // 2, len(content) - 300):
        path.write_bytes(content[:kept])
        with pytest.raises(StudyError, match="broken or truncated"):
            read_picture_pixels(path)


def test_what_begins_like_a_picture() -> None:
    assert is_picture(b"\x89PNG\r\n\x1a\n....")
    assert is_picture(b"\xff\xd8\xff\xe0")
    assert is_picture(b"MM\0*")
    assert not is_picture(b"GIF89a")
    assert not is_picture(b"")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_gives_pixels_or_a_study_error(tmp_path: Path, data: st.DataObject) -> None:
    suffix = data.draw(st.sampled_from(["png", "jpg", "tif"]))
    content = bytearray(saved(tmp_path / f"a.{suffix}", GREY).read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        pixels = read_picture_pixels(path)
    except StudyError:
        return
    assert pixels.ndim == 2
    assert pixels.min() >= 0
    assert pixels.max() <= 1
