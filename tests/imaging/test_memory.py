"""Memory of reading: bounded by headers before pixels are decoded, flat over files, and told when it is exhausted."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.utils import compress
from pydicom.uid import JPEG2000Lossless, RLELossless

from report_gen.errors import StudyError, is_out_of_memory, without_traceback
from report_gen.imaging import bounded_file, limit_memory, load_pixels, memory_errors, read_studies, read_study
from report_gen.imaging import memory as memory_module
from report_gen.imaging.memory import available_memory
from tests.dicom_files import dicom, write_dicom

GIANT = 3_700_000_000
PIXELS = (np.arange(4096) % 251).astype(np.uint8).reshape(64, 64)
ITEM, ITEM_END, SEQUENCE_END = (struct.pack("<HHI", 0xFFFE, tag, 0) for tag in (0xE000, 0xE00D, 0xE0DD))
OPEN_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
EMPTY_PRIVATE = struct.pack("<HH2sH", 0x7001, 0x1001, b"LO", 0)
TOO_MUCH = "the data before and beside the pixels have too many"

READ = """
import resource, sys
from report_gen.imaging import load_pixels, read_studies
room = int(sys.argv[2])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + room, used + room))
found = read_studies(sys.argv[1])
for error in found.refused:
    print("refused", error)
for study in found.studies:
    try:
        print(study.name, load_pixels(study.images[0]).shape)
    except Exception as error:
        print(type(error).__name__, error)
"""


def read_with(path: Path, room: int) -> str:
    """Read a file or folder in a process that can take only this much memory more than at its start."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", READ, str(path), str(room)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def element(group: int, number: int, vr: bytes, length: int) -> bytes:
    return struct.pack("<HH2sHI", group, number, vr, 0, length)


def halves(dataset: Any, tag: bytes = b"\xe0\x7f\x10\x00") -> tuple[bytes, bytes]:
    """Return the file before the element with this tag, and the rest."""
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    start = buffer.getvalue().index(tag)
    return buffer.getvalue()[:start], buffer.getvalue()[start:]


def write(path: Path, *parts: bytes | int) -> Path:
    """Write a file; a number is a hole of so many bytes."""
    with path.open("wb") as file:
        for part in parts:
            file.seek(part, os.SEEK_CUR) if isinstance(part, int) else file.write(part)
        file.truncate()
    return path


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(path: Path, *chunks: bytes, size: tuple[int, int] = (64, 64)) -> Path:
    """Write a PNG with further chunks before the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0))
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in PIXELS))
    return write(path, b"\x89PNG\r\n\x1a\n", header, *chunks, chunk(b"IDAT", data), chunk(b"IEND", b""))


def test_a_giant_file_with_a_small_image_is_read_by_offset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("report_gen.imaging.image_files._sha256", lambda _: "")  # hashing 15 GB takes a minute
    head, pixels = halves(dicom(PIXELS))
    compressed = dicom(PIXELS)
    compress(compressed, RLELossless)
    rle_head, rle_pixels = halves(compressed)
    padded = element(0x7FE0, 0x10, b"OW", GIANT)
    private = element(0x7001, 0x1001, b"OB", GIANT)
    after = element(0x7FE1, 0x1001, b"UN", 0xFFFFFFFF) + OPEN_ITEM + element(0x7FE1, 0x1002, b"OB", GIANT)
    expected = PIXELS / np.float32(250)
    for number, parts in enumerate(
        (
            (head, padded, PIXELS.tobytes(), GIANT - PIXELS.size),
            (head, private, GIANT, pixels),
            (head, pixels, after, GIANT),
            (rle_head, rle_pixels, after, GIANT),
        )
    ):
        path = write(tmp_path / f"{number}.dcm", *parts)
        peak = measured(lambda path=path: np.testing.assert_allclose(load_pixels(read_study(path).images[0]), expected))
        assert peak < 50e6


def measured(function: Any) -> int:
    """Return the most memory that Python and NumPy held at once, bytes."""
    import tracemalloc

    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def hostile_dicom() -> dict[str, tuple[tuple[bytes | int, ...], str]]:
    head, pixels = halves(dicom(PIXELS))
    _, data_set = halves(dicom(PIXELS), b"\x08\x00\x16\x00")
    syntax = struct.pack("<HH2sH", 2, 0x10, b"UI", 20) + b"1.2.840.10008.1.2.1\0"
    before, rest = halves(dicom(PIXELS), b"\x20\x00\x0d\x00")
    private_sequence = element(0x7001, 0x1001, b"UN", 0xFFFFFFFF)
    lut = element(0x28, 0x3010, b"SQ", 0xFFFFFFFF)
    group = ITEM[:4] + struct.pack("<I", GIANT + 12) + element(0x5200, 0x1001, b"OB", GIANT)
    many = element(0x0020, 0x9113, b"SQ", 8 * 100_000) + ITEM * 100_000
    items_in_a_group = ITEM[:4] + struct.pack("<I", len(many)) + many
    frames = (halves(dicom(PIXELS, NumberOfFrames=1_000_000))[0],)
    compressed = dicom(PIXELS)
    compress(compressed, RLELossless)
    rle_head, rle = halves(compressed)
    giant_item = struct.pack("<HHI", 0xFFFE, 0xE000, GIANT)
    meta = b"\0" * 128 + b"DICM" + syntax
    return {
        "element in a private sequence": (
            (head, private_sequence, OPEN_ITEM, element(0x7001, 0x1002, b"OB", GIANT), GIANT, pixels),
            TOO_MUCH,
        ),
        "private fragments": ((head, element(0x7001, 0x1001, b"OB", 0xFFFFFFFF), giant_item, GIANT), TOO_MUCH),
        "element that is read": ((before, element(0x10, 0x21B0, b"UT", GIANT), GIANT, rest), TOO_MUCH),
        "meta information": ((meta, element(2, 0x102, b"OB", GIANT), GIANT, data_set), TOO_MUCH),
        "command group": ((meta, struct.pack("<HHI", 0, 0x9999, GIANT), GIANT, data_set), TOO_MUCH),
        "elements": ((head, EMPTY_PRIVATE * 20_000, pixels), TOO_MUCH),
        "private items": ((head, private_sequence, ITEM * 20_000, SEQUENCE_END, pixels), TOO_MUCH),
        "items of defined length": (
            (head, element(0x28, 0x3010, b"SQ", 8 * 300_000), ITEM * 300_000, pixels),
            "the sequences of the header have more than 16384 items",
        ),
        "nested items of defined length": (
            (
                head,
                lut,
                OPEN_ITEM,
                element(0x28, 0x3010, b"SQ", 8 * 300_000),
                ITEM * 300_000,
                ITEM_END,
                SEQUENCE_END,
                pixels,
            ),
            "the sequences of the header have more than 16384 items",
        ),
        "groups of defined length": (
            (head, element(0x5200, 0x9230, b"SQ", 8 * 300_000), ITEM * 300_000, pixels),
            "malformed DICOM",
        ),
        "groups of undefined length": (
            (head, element(0x5200, 0x9230, b"SQ", 0xFFFFFFFF), (OPEN_ITEM + ITEM_END) * 300_000, SEQUENCE_END, pixels),
            "malformed DICOM",
        ),
        "giant group": (
            (head, element(0x5200, 0x9230, b"SQ", 0xFFFFFFFF), group, GIANT, SEQUENCE_END, pixels),
            "too many bytes",
        ),
        "items in a group": (
            (head, element(0x5200, 0x9230, b"SQ", 0xFFFFFFFF), items_in_a_group, SEQUENCE_END, pixels),
            "the sequences of the header have more than 16384 items",
        ),
        "frames": ((*frames, pixels), "1000000 frames exceed the limit of 32768"),
        "look-up tables": ((head, lut, ITEM * 20_000, SEQUENCE_END, pixels), TOO_MUCH),
        "fragment": (
            (rle_head, rle[:12], ITEM, giant_item, GIANT, SEQUENCE_END),
            "3.7 GB of compressed pixels for 64 x 64 pixels",
        ),
        "fragments": ((rle_head, rle[:12], ITEM * 70_000, rle[20:]), "more than 65536 fragments"),
        "declared length": ((before, element(0x10, 0x21B0, b"UT", GIANT), rest), "truncated"),
    }


@pytest.mark.parametrize("fault", hostile_dicom())
def test_giant_and_countless_parts_of_a_dicom_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(bounded_file, "MAX_HEADER_READS", 10_000)
    parts, reason = hostile_dicom()[fault]
    path = write(tmp_path / "hostile.dcm", *parts)
    write_dicom(tmp_path / "other.dcm", PIXELS)

    def read() -> None:
        found = read_studies(tmp_path)
        (error,) = found.refused
        assert error.path == path
        assert reason in error.reason
        assert [study.name for study in found.studies]

    assert measured(read) < 250e6


def test_thousands_of_components_of_jpeg_2000_are_refused_before_decoding(tmp_path: Path) -> None:
    dataset = dicom(PIXELS)
    compress(dataset, JPEG2000Lossless)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    size = frame.index(b"\xff\x51")
    end = size + 2 + int.from_bytes(frame[size + 2 : size + 4], "big")
    count = 16384
    many = b"\xff\x51" + struct.pack(">H", 38 + 3 * count) + frame[size + 4 : size + 38] + struct.pack(">H", count)
    dataset.PixelData = encapsulate([frame[:size] + many + frame[size + 40 : size + 43] * count + frame[end:]])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(tmp_path / "a.dcm")
    with pytest.raises(StudyError, match="header and compressed pixels differ in samples"):
        load_pixels(read_study(tmp_path / "a.dcm").images[0])


def tiff(tags: list[tuple[int, int, int, int]], data: bytes, pages: int = 1) -> bytes:
    """Return a TIFF of these tags (tag, type, count, value) and data from byte 8 on."""
    size = 2 + 12 * len(tags) + 4
    start = 8 + len(data)
    links = [start + number * size for number in range(1, pages)] + [0]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    folders = (struct.pack("<H", len(tags)) + entries + struct.pack("<I", link) for link in links)
    return b"II*\0" + struct.pack("<I", start) + data + b"".join(folders)


GRAY_TAGS = [(256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)]
STRIP_TAGS = [*GRAY_TAGS[:3], (259, 3, 1, 1), GRAY_TAGS[3], (273, 4, 1, 8), GRAY_TAGS[4], (278, 4, 1, 64)]


def hostile_pictures(folder: Path) -> dict[Path, str]:
    bomb = zlib.compress(bytes(30_000_000), 9)
    jpeg = io.BytesIO()
    PIL.Image.fromarray(PIXELS).save(jpeg, "JPEG")
    frame = jpeg.getvalue().index(b"\xff\xc0") + 5
    wide_jpeg = jpeg.getvalue()[:frame] + struct.pack(">HH", 65000, 65000) + jpeg.getvalue()[frame + 4 :]
    tile = [*GRAY_TAGS[:3], (259, 3, 1, 8), *GRAY_TAGS[3:], *((tag, 4, 1, 30000) for tag in (322, 323))]
    offsets = [tag if tag[0] != 273 else (273, 4, 20_000_000, 8) for tag in STRIP_TAGS]
    pages = [*STRIP_TAGS, (279, 4, 1, 4096)]
    zipped = zlib.compress(PIXELS.tobytes())
    return {
        png(folder / "declared.png", size=(60000, 60000)): "exceed the limit of 67108864",
        write(folder / "declared.jpg", wide_jpeg): "exceed the limit of 67108864",
        png(folder / "ztxt.png", chunk(b"zTXt", b"Comment\0\0" + bomb)): "texts or color profiles",
        png(folder / "itxt.png", chunk(b"iTXt", b"Comment\0\1\0\0\0" + bomb)): "texts or color profiles",
        png(folder / "iccp.png", chunk(b"iCCP", b"icc\0\0" + bomb)): "texts or color profiles",
        png(folder / "chunk.png", chunk(b"prVt", bytes(80_000_000))): TOO_MUCH,
        png(folder / "chunks.png", chunk(b"prVt", b"") * 20_000): TOO_MUCH,
        write(folder / "giant.png", b"\x89PNG\r\n\x1a\n", 2**31): "has more than 536870912 bytes",
        write(folder / "pages.tif", tiff(pages, PIXELS.tobytes(), 5_000)): "several pages",
        write(
            folder / "tile.tif", tiff([*tile, (324, 4, 1, 8), (325, 4, 1, len(zipped))], zipped)
        ): "30000 x 30000 pixels exceed",
        write(folder / "offsets.tif", tiff([*offsets, (279, 4, 1, 4096)], bytes(80_000_000))): TOO_MUCH,
    }


def test_hostile_pictures_are_refused_with_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_file, "MAX_HEADER_READS", 10_000)
    expected = hostile_pictures(tmp_path)
    PIL.Image.fromarray(PIXELS).save(tmp_path / "good.png")

    def read() -> None:
        found = read_studies(tmp_path)
        assert [image.path.name for study in found.studies for image in study.images] == ["good.png"]
        assert {error.path for error in found.refused} == set(expected)
        for error in found.refused:
            assert expected[error.path] in error.reason, error

    assert measured(read) < 250e6


@pytest.mark.skipif(sys.platform != "linux", reason="/proc and RLIMIT_AS")
def test_exhausted_memory_is_told_and_other_studies_are_read(tmp_path: Path) -> None:
    values = np.tile(np.arange(4000, dtype=np.uint16), (3000, 1))
    write_dicom(tmp_path / "gray" / "large.dcm", values, StudyInstanceUID="1.2.3", BitsStored=12)
    compressed = dicom(values, StudyInstanceUID="1.2.4", BitsStored=12)
    compress(compressed, JPEG2000Lossless)
    compressed.save_as(tmp_path / "j2k.dcm")
    PIL.Image.fromarray(values).save(tmp_path / "large.png")
    write_dicom(tmp_path / "small.dcm", PIXELS, StudyInstanceUID="1.2.5")
    lines = read_with(tmp_path, 100_000_000).splitlines()
    large = [line for line in lines if "1.2.5" not in line]
    assert "1.2.5 (64, 64)" in lines
    assert len(large) == 3
    for line in large:
        assert "not enough memory: 3000 x 4000 pixels need " in line, lines
        assert " MB" in line
        assert "malformed" not in line
        assert "broken" not in line


def test_the_limit_refuses_an_image_before_it_is_decoded(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", np.zeros((1000, 1000), np.uint16))
    PIL.Image.fromarray(np.zeros((1000, 1000), np.uint8)).save(tmp_path / "b.png")
    image = read_study(path).images[0]
    with limit_memory(20_000_000):
        with pytest.raises(StudyError, match=r"1000 x 1000 pixels need 28\.0 MB, and one image may take 20\.0 MB"):
            load_pixels(image)
        assert read_study(tmp_path / "b.png").images
    with limit_memory(10_000_000), pytest.raises(StudyError, match=r"need 16\.0 MB, and one image may take 10\.0 MB"):
        read_study(tmp_path / "b.png")
    assert load_pixels(image).shape == (1000, 1000)


def test_the_default_limit_is_half_of_the_memory_at_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    available = [40_000_000]
    monkeypatch.setattr(memory_module, "available_memory", lambda: available[0])
    path = write_dicom(tmp_path / "a.dcm", np.zeros((1000, 1000), np.uint16))  # needs 28 MB
    image = read_study(path).images[0]
    with limit_memory():
        available[0] = 10**9
        with pytest.raises(StudyError, match=r"one image may take 20\.0 MB"):
            load_pixels(image)
    assert load_pixels(image).any() == np.False_


def test_available_memory_respects_a_control_group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "memory.stat").write_text("anon 7\ninactive_file 2000\n")
    (tmp_path / "memory.current").write_text("5000\n")
    (tmp_path / "memory.max").write_text("max\n")
    files = memory_module._CGROUP_FILES[""][1:]
    assert list(memory_module._cgroup_room(tmp_path, *files)) == []
    (tmp_path / "memory.max").write_text("104000\n")
    assert list(memory_module._cgroup_room(tmp_path, *files)) == [101_000]
    monkeypatch.setattr(memory_module, "_cgroup_rooms", lambda: iter([101_000]))
    assert available_memory() == 101_000


def test_the_memory_of_broken_images_is_freed(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.tile(np.arange(2000, dtype=np.uint16), (2000, 1))).save(buffer, "PNG")
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(buffer.getvalue()[:-200])
    found = read_studies(tmp_path)
    assert len(found.refused) == 3
    for error in found.refused:  # frames of a traceback would keep the pixels
        assert error.__traceback__ is None
        assert error.__context__ is None
        assert error.__cause__ is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (RuntimeError("gdcm: Unable to allocate 128. MiB for an array"), True),
        (OSError("image file is truncated"), False),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_exceptions_say_that_memory_is_exhausted(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
    with pytest.raises(StudyError if expected else type(error)), memory_errors(Path("a.dcm")):
        raise error


def test_an_error_without_traceback_keeps_its_message() -> None:
    error = StudyError(Path("a.dcm"), "is broken")
    assert str(without_traceback(error)) == "a.dcm: is broken"
