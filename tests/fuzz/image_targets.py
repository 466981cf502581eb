"""Targets of the readers of images: DICOM headers, DICOM pixels of several transfer syntaxes, and pictures."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.utils import compress
from pydicom.uid import (
    JPEG2000,
    UID,
    BasicTextSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from report_gen.imaging import load_image, read_studies, read_study
from report_gen.phantom import write_phantom
from tests.dicom_files import coded, dicom, look_up_table
from tests.fuzz.dicom_elements import FILE, changed_files
from tests.fuzz.example import Example, Target

GRAY = (np.arange(64 * 64) % 253).astype(np.uint8).reshape(64, 64)
DEEP = (np.arange(64 * 64) * 5 % 4096).astype(np.uint16).reshape(64, 64)
COLOR = np.stack([GRAY, GRAY.T.reshape(64, 64), GRAY[::-1]], axis=-1)


def _file(dataset: FileDataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def _dicom(content: bytes) -> Example:
    return Example({FILE: content}, FILE)


def _compressed(pixels: Any, syntax: UID) -> bytes:
    dataset = dicom(pixels)
    compress(dataset, syntax)
    return _file(dataset)


def _encapsulated_jpeg(pixels: Any, syntax: UID = JPEGBaseline8Bit) -> bytes:
    stream = io.BytesIO()
    PIL.Image.fromarray(pixels).save(stream, "JPEG")
    photometric = "YBR_FULL_422" if pixels.ndim == 3 else "MONOCHROME2"
    return _file(
        dicom(pixels, syntax, PhotometricInterpretation=photometric, PixelData=encapsulate([stream.getvalue()]))
    )


def _rich_header() -> dict[str, Any]:
    return {
        "PatientName": "Doe^Jane",
        "StudyDate": "20240131",
        "PatientAge": "045Y",
        "PatientSex": "F",
        "StudyDescription": "Thorax pa/lat",
        "SeriesDescription": "PA",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "PatientOrientation": ["L", "F"],
        "PixelSpacing": [0.2, 0.3],
        "WindowCenter": [100, 120],
        "WindowWidth": [50, 60],
        "RescaleSlope": 2,
        "RescaleIntercept": -5,
        "ShutterShape": ["RECTANGULAR", "POLYGONAL"],
        "ShutterLeftVerticalEdge": 1,
        "ShutterRightVerticalEdge": 20,
        "ShutterUpperHorizontalEdge": 1,
        "ShutterLowerHorizontalEdge": 20,
        "VerticesOfThePolygonalShutter": [1, 1, 1, 9, 9, 9],
        "ViewCodeSequence": [coded("272479007", "SCT")],
        "AnatomicRegionSequence": [coded("51185008", "SCT")],
        "VOILUTSequence": look_up_table(list(range(256)), 0, 16),
    }


def _multi_frame() -> bytes:
    voi, measures, groups = Dataset(), Dataset(), Dataset()
    voi.WindowCenter, voi.WindowWidth = 40, 80
    measures.PixelSpacing = [0.5, 0.5]
    groups.FrameVOILUTSequence, groups.PixelMeasuresSequence = [voi], [measures]
    return _file(dicom(DEEP, NumberOfFrames=1, SharedFunctionalGroupsSequence=[groups], BitsStored=12))


def _palette() -> bytes:
    palette: dict[str, Any] = {}
    for color in ("Red", "Green", "Blue"):
        palette[f"{color}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        palette[f"{color}PaletteColorLookupTableData"] = np.arange(256, dtype="<u2").tobytes()
    return _file(dicom(GRAY, PhotometricInterpretation="PALETTE COLOR", **palette))


def _header_seeds() -> Sequence[Example]:
    plain = _file(dicom(DEEP, BitsStored=12, **_rich_header()))
    without_pixels = dict.fromkeys(("Rows", "Columns", "PixelData", "BitsStored", "BitsAllocated", "SamplesPerPixel"))
    return [
        _dicom(content)
        for content in (
            plain,
            plain[132:],
            _file(dicom(DEEP, ImplicitVRLittleEndian, **_rich_header())),
            _file(dicom(GRAY, ExplicitVRBigEndian, **_rich_header())),
            _file(dicom(GRAY, DeflatedExplicitVRLittleEndian, **_rich_header())),
            _file(dicom(SOPClassUID=BasicTextSRStorage, HighBit=None, **without_pixels)),
            _multi_frame(),
            _palette(),
        )
    ]


def _phantom() -> bytes:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        return write_phantom(folder, rows=64, columns=64).read_bytes()


def _pixel_seeds() -> Sequence[Example]:
    return [
        _dicom(content)
        for content in (
            _phantom(),
            _file(dicom(COLOR)),
            _file(dicom(DEEP.astype(np.int16), ExplicitVRBigEndian)),
            _file(dicom(GRAY, DeflatedExplicitVRLittleEndian)),
            _palette(),
            _compressed(DEEP, RLELossless),
            _compressed(COLOR, RLELossless),
            _compressed(DEEP, JPEG2000Lossless),
            _compressed(GRAY, JPEG2000Lossless),
        )
    ]


def _jpeg_seeds() -> Sequence[Example]:
    gray = _encapsulated_jpeg(GRAY)
    return [
        _dicom(gray),
        _dicom(_encapsulated_jpeg(COLOR)),
        _dicom(_encapsulated_jpeg(GRAY, JPEGLosslessSV1)),  # the wrong codestream, so that GDCM decodes it
        _dicom(_encapsulated_jpeg(GRAY, JPEG2000)),
    ]


def _read_header(path: Path) -> object:
    return read_study(path)


def _read_pixels(path: Path) -> object:
    return [load_image(image).pixels.shape for image in read_study(path).images]


def _picture(name: str, pixels: Any, **options: Any) -> Example:
    buffer = io.BytesIO()
    image = PIL.Image.fromarray(pixels)
    if options.pop("palette", False):
        image = image.convert("P")
    image.save(buffer, **options)
    return Example({name: buffer.getvalue()}, name)


def _picture_seeds() -> Sequence[Example]:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # orientation
    rgba = np.concatenate([COLOR, GRAY[..., None]], axis=-1)
    return [
        _picture("a.png", GRAY, format="PNG"),
        _picture("a.png", DEEP, format="PNG"),
        _picture("a.png", rgba, format="PNG"),
        _picture("a.png", COLOR, format="PNG", palette=True),
        _picture("a.jpg", GRAY, format="JPEG"),
        _picture("a.jpg", COLOR, format="JPEG", progressive=True, exif=exif),
        _picture("a.tif", DEEP, format="TIFF"),
        _picture("a.tif", GRAY, format="TIFF", compression="tiff_lzw", exif=exif),
        _picture("a.tif", COLOR, format="TIFF", compression="tiff_adobe_deflate"),
        _picture("a.tif", GRAY, format="TIFF", compression="jpeg"),
        _picture("a.webp", COLOR, format="WEBP"),
        _picture("a.webp", COLOR, format="WEBP", lossless=True, exif=exif),
    ]


_PNG_CHUNKS = (
    b"IHDR",
    b"PLTE",
    b"IDAT",
    b"tRNS",
    b"iCCP",
    b"gAMA",
    b"tEXt",
    b"zTXt",
    b"iTXt",
    b"eXIf",
    b"acTL",
    b"fcTL",
)
_LENGTHS = st.one_of(st.integers(0, 64), st.sampled_from((2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1)))


@st.composite
def _png_files(draw: st.DrawFn) -> Example:
    """Draw a PNG of valid check sums: a header of odd sizes and depths, then chunks of odd content."""
    sizes = struct.pack(">II", draw(_LENGTHS), draw(_LENGTHS))
    depth, color = draw(st.sampled_from((1, 2, 4, 8, 16, 3))), draw(st.integers(0, 7))
    content = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", sizes + bytes((depth, color, 0, 0, draw(st.integers(0, 2)))))
    for _ in range(draw(st.integers(0, 4))):
        data = draw(st.binary(max_size=60))
        packed = zlib.compress(data * draw(st.sampled_from((1, 40, 4000))))
        content += _chunk(draw(st.sampled_from(_PNG_CHUNKS)), draw(st.sampled_from((data, packed, b"a\0\0" + packed))))
    content += _chunk(b"IDAT", zlib.compress(bytes(draw(st.integers(0, 4000))))) + _chunk(b"IEND", b"")
    return Example({"a.png": content}, "a.png")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@st.composite
def _tiff_files(draw: st.DrawFn) -> Example:
    """Draw a TIFF whose directory has odd entries (TIFF 6.0 section 2)."""
    tags = (256, 257, 258, 259, 262, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 338, 339, 34665)
    entries = {256: (3, 1, 8), 257: (3, 1, 8), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8)}
    entries |= {278: (3, 1, 8), 279: (4, 1, 64)}
    for tag in draw(st.lists(st.sampled_from(tags), max_size=5)):
        entries[tag] = (draw(st.integers(0, 18)), draw(_LENGTHS), draw(_LENGTHS))
    directory = struct.pack("<H", len(entries))
    for tag, (kind, count, value) in sorted(entries.items()):
        directory += struct.pack("<HHII", tag, kind, count, value)
    content = b"II*\0" + struct.pack("<I", 72) + bytes(range(64)) + directory + struct.pack("<I", draw(_LENGTHS) % 100)
    return Example({"a.tif": content}, "a.tif")


def _read_folder(path: Path) -> object:
    """Read the folder of the file, in which a broken file costs only itself."""
    found = read_studies(path.parent)
    if found.refused:
        raise found.refused[0]
    return _read_pixels(path)


TARGETS = (
    Target("dicom-header", _header_seeds, changed_files, _read_header),
    Target("dicom-pixels", _pixel_seeds, changed_files, _read_pixels),
    Target("dicom-jpeg", _jpeg_seeds, changed_files, _read_pixels),
    Target("pictures", _picture_seeds, lambda _seeds: st.one_of(_png_files(), _tiff_files()), _read_folder),
)
