"""Intensities of PNG, JPEG and TIFF files of every pixel format, against values known from the format."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from report_gen.errors import StudyError
from report_gen.imaging.raster import describe_raster, is_raster, read_raster_image
from report_gen.records import ViewPosition

GRAY = np.array([[0, 51, 102], [153, 204, 255]], dtype=np.uint8)


def read_pixels(path: Path) -> Any:
    return read_raster_image(path).pixels


def save(path: Path, values: Any, mode: str | None = None, **options: Any) -> Path:
    image = PIL.Image.fromarray(np.asarray(values))
    (image.convert(mode) if mode else image).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_eight_bits_are_divided_by_255_and_not_stretched(tmp_path: Path, suffix: str) -> None:
    pixels = read_pixels(save(tmp_path / f"a.{suffix}", GRAY // 2))
    np.testing.assert_allclose(pixels, (GRAY // 2) / np.float32(255))
    assert pixels.dtype == np.float32


def test_jpeg(tmp_path: Path) -> None:
    values = np.repeat(np.repeat(GRAY, 16, 0), 16, 1)
    np.testing.assert_allclose(read_pixels(save(tmp_path / "a.jpg", values, quality=95)), values / 255, atol=0.03)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(
    ("top", "bits"), [(65535, 16), (32768, 16), (16383, 14), (4096, 13), (4095, 12), (900, 10), (9, 8)]
)
def test_sixteen_bits_are_scaled_by_the_bits_that_are_used(tmp_path: Path, suffix: str, top: int, bits: int) -> None:
    values = np.array([[0, 5, top]], dtype=np.uint16)
    loaded = read_raster_image(save(tmp_path / f"a.{suffix}", values))
    np.testing.assert_allclose(loaded.pixels, values / np.float32(2**bits - 1))
    if bits == 16:
        assert loaded.notices == ()
    else:
        assert loaded.notices == (f"the 16-bit image uses only {bits} bits and was scaled by their range",)


@pytest.mark.parametrize("marker", [65535, 16384])
def test_a_burned_in_marker_does_not_darken_the_image(tmp_path: Path, marker: int) -> None:
    values = np.linspace(0, 4095, 10000).astype(np.uint16).reshape(100, 100)
    marked = values.copy()
    marked[:5, :8] = marker  # 0.4% of the pixels
    loaded = read_raster_image(save(tmp_path / "a.png", marked))
    expected = values / np.float32(4095)
    expected[:5, :8] = 1
    np.testing.assert_allclose(loaded.pixels, expected, atol=1e-6)
    assert "only 12 bits" in loaded.notices[0]
    assert "a few pixels, such as a burned-in marker, are brighter" in loaded.notices[0]


def test_a_few_bright_pixels_of_the_image_itself_are_no_marker(tmp_path: Path) -> None:
    values = np.full((100, 100), 20000, dtype=np.uint16)
    values[0, :8] = 65535
    loaded = read_raster_image(save(tmp_path / "a.png", values))
    np.testing.assert_allclose(loaded.pixels, values / np.float32(65535))
    assert loaded.notices == ()


def test_a_tiff_of_twelve_bits_is_divided_by_4095(tmp_path: Path) -> None:
    samples = np.array([[0, 1000, 2000, 400]], dtype=np.uint16)
    packed = b"".join(((int(a) << 12) | int(b)).to_bytes(3, "big") for a, b in samples.reshape(-1, 2))
    tags = {256: 4, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: len(packed)}
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in tags)
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + directory + bytes(4))
    loaded = read_raster_image(path)
    np.testing.assert_allclose(loaded.pixels, samples / np.float32(4095))
    assert loaded.notices == ()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda a: a),
        (2, np.fliplr),
        (3, lambda a: np.rot90(a, 2)),
        (4, np.flipud),
        (5, np.transpose),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(np.transpose(a), 2)),
        (8, np.rot90),
    ],
)
def test_orientation_of_a_tiff(tmp_path: Path, dtype: Any, orientation: int, upright: Any) -> None:
    values = (np.arange(35).reshape(5, 7) * (np.iinfo(dtype).max // 34)).astype(dtype)
    path = save(tmp_path / "a.tif", values, tiffinfo={274: orientation})
    np.testing.assert_allclose(read_pixels(path), upright(values) / np.float32(np.iinfo(dtype).max))
    image = describe_raster(path, "")
    assert (image.rows, image.columns) == upright(values).shape


def test_big_tiff_and_webp(tmp_path: Path) -> None:
    np.testing.assert_allclose(read_pixels(save(tmp_path / "a.tif", GRAY, big_tiff=True)), GRAY / np.float32(255))
    np.testing.assert_allclose(read_pixels(save(tmp_path / "a.webp", GRAY, lossless=True)), GRAY / np.float32(255))


def test_a_tiff_whose_white_is_zero_is_inverted(tmp_path: Path) -> None:
    values = np.array([[0, 30000, 65535]], dtype=np.uint16)
    path = save(tmp_path / "a.tif", values, tiffinfo={262: 0})
    np.testing.assert_allclose(read_pixels(path), 1 - values / np.float32(65535), atol=1e-6)
    path = save(tmp_path / "b.tif", GRAY, tiffinfo={262: 0})
    np.testing.assert_allclose(read_pixels(path), read_pixels(save(tmp_path / "c.png", _decode(path))))


def _decode(path: Path) -> Any:
    """Return the values that Pillow decodes; Pillow inverts 8 bits itself."""
    with PIL.Image.open(path) as image:
        return np.asarray(image)


def test_color_becomes_luma(tmp_path: Path) -> None:
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], dtype=np.uint8)
    luma = [[0.299, 0.587, 0.114]]
    np.testing.assert_allclose(read_pixels(save(tmp_path / "a.png", rgb)), luma, atol=0.003)
    np.testing.assert_allclose(read_pixels(save(tmp_path / "b.tif", rgb, "CMYK")), luma, atol=0.003)
    palette = PIL.Image.fromarray(rgb).quantize(4)
    palette.save(tmp_path / "c.png")
    np.testing.assert_allclose(read_pixels(tmp_path / "c.png"), luma, atol=0.01)


def test_transparent_pixels_lie_on_black(tmp_path: Path) -> None:
    rgba = np.array([[[255, 255, 255, 255], [255, 255, 255, 51], [255, 255, 255, 0]]], dtype=np.uint8)
    np.testing.assert_allclose(read_pixels(save(tmp_path / "a.png", rgba)), [[1, 0.2, 0]], atol=1e-6)
    np.testing.assert_allclose(read_pixels(save(tmp_path / "b.png", rgba, "LA")), [[1, 0.2, 0]], atol=1e-6)


def test_one_bit(tmp_path: Path) -> None:
    assert read_pixels(save(tmp_path / "a.png", GRAY > 100, "1")).tolist() == [[0, 0, 1], [1, 1, 1]]


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[274] = 6  # rotate by 90 degrees clockwise to display
    path = save(tmp_path / "a.png", GRAY, exif=exif)
    np.testing.assert_allclose(read_pixels(path), np.rot90(GRAY, -1) / np.float32(255))
    image = describe_raster(path, "digest")
    assert (image.rows, image.columns, image.sha256) == (3, 2, "digest")
    assert image.view_position is ViewPosition.UNKNOWN


def write_color_png(path: Path, values: Any) -> Path:
    """Write a PNG [H,W,3] of 16 bits per sample (PNG 11.2.1), which Pillow cannot write."""
    rows, columns, _ = values.shape
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", columns, rows, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
    )
    return path


@pytest.mark.parametrize(("bits", "notices"), [(16, 0), (15, 1)])
def test_color_of_sixteen_bits_is_scaled_by_the_bits_that_are_used(tmp_path: Path, bits: int, notices: int) -> None:
    gray = np.linspace(0, 2**bits - 1, 64).astype(np.uint16).reshape(8, 8)
    loaded = read_raster_image(write_color_png(tmp_path / "a.png", np.repeat(gray[..., None], 3, axis=2)))
    np.testing.assert_allclose(loaded.pixels, gray / (2**bits - 1), atol=0.01)
    assert loaded.notices == ("the 16-bit image uses only 15 bits and was scaled by their range",)[:notices]


def test_a_big_endian_big_tiff_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"MM\0+\0\x08\0\0" + bytes(64))
    with pytest.raises(StudyError, match=r"big-endian BigTIFF is not supported; convert it with tiffcp -L"):
        describe_raster(tmp_path / "a.tif", "")


def test_several_pages_are_refused(tmp_path: Path) -> None:
    pages = [PIL.Image.fromarray(GRAY + step) for step in range(2)]
    for name in ("a.tif", "a.png", "a.webp"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        with pytest.raises(StudyError, match="several pages"):
            describe_raster(tmp_path / name, "")


def test_floating_point_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="mode F"):
        describe_raster(save(tmp_path / "a.tif", GRAY.astype(np.float32)), "")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize(("color_type", "samples"), [(2, 3), (4, 2), (6, 4)])
def test_color_of_sixteen_bits_is_refused_if_its_high_bytes_are_dark(
    tmp_path: Path, color_type: int, samples: int
) -> None:
    def write(top: int) -> Path:
        pixels = np.full((1, 2, samples), 65535, dtype=">u2")  # alpha is opaque
        pixels[0, 0, : samples - 1 + samples % 2], pixels[0, 1, : samples - 1 + samples % 2] = 0, top
        header = struct.pack(">IIBBBBB", 2, 1, 16, color_type, 0, 0, 0)
        data = zlib.compress(b"\0" + pixels.tobytes())
        chunks = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
        return tmp_path / "a.png"

    np.testing.assert_allclose(read_pixels(write(65535)), [[0, 1]])
    with pytest.raises(StudyError, match="16-bit color"):
        read_pixels(write(4095))


@pytest.mark.parametrize("side", [9000, 40_000])
def test_a_decompression_bomb_is_refused_undecoded(tmp_path: Path, side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)))
    with pytest.raises(StudyError):
        describe_raster(path, "")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize("padded_by_another_library", [False, True])
def test_truncated_images_are_refused_and_never_padded(
    tmp_path: Path, suffix: str, padded_by_another_library: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WeasyPrint, which writes the format pdf, has Pillow pad truncated images in the whole process."""
    monkeypatch.setattr(PIL.ImageFile, "LOAD_TRUNCATED_IMAGES", padded_by_another_library)
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    path = save(tmp_path / f"a.{suffix}", noise)
    content = path.read_bytes()
    for kept in (9, 60, len(content) // 2, len(content) - 300):
        path.write_bytes(content[:kept])
        with pytest.raises(StudyError, match="broken or truncated"):
            read_pixels(path)


def test_signatures_of_image_files() -> None:
    assert is_raster(b"\x89PNG\r\n\x1a\n....")
    assert is_raster(b"\xff\xd8\xff\xe0")
    assert is_raster(b"MM\0*")
    assert is_raster(b"II+\0\x08\0\0\0")
    assert is_raster(b"RIFF\x24\0\0\0WEBPVP8L")
    assert not is_raster(b"RIFF\x24\0\0\0WAVEfmt ")
    assert not is_raster(b"GIF89a")
    assert not is_raster(b"")


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_gives_pixels_or_a_study_error(tmp_path: Path, data: st.DataObject) -> None:
    suffix = data.draw(st.sampled_from(["png", "jpg", "tif"]))
    content = bytearray(save(tmp_path / f"a.{suffix}", GRAY).read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        pixels = read_pixels(path)
    except StudyError:
        return
    assert pixels.ndim == 2
    assert pixels.min() >= 0
    assert pixels.max() <= 1
