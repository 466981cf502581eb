"""Targets of the readers of volumes: multi-frame DICOM files, NIfTI files and ZIP archives of studies."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    NuclearMedicineImageStorage,
    RLELossless,
    UltrasoundMultiFrameImageStorage,
)

from report_gen.imaging import load_many, open_archives, read_studies, read_study
from report_gen.imaging.functional_groups import MACROS
from tests.dicom_files import dicom
from tests.fuzz.dicom_elements import FILE, ODD_VALUES, encoded, replaced
from tests.fuzz.example import Example, Files, Target
from tests.volume_files import enhanced, item, slices

VOLUME = slices(3, 32, 32)
NIFTI, ARCHIVE = "volume.nii", "study.zip"

_FRAMES_LOADED = 3


def _file(dataset: FileDataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


# ---- multi-frame DICOM --------------------------------------------------------------------------------------------


def _undefined_lengths() -> FileDataset:
    dataset = enhanced(VOLUME)
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        dataset[keyword].is_undefined_length = True
        for group in dataset[keyword].value:
            group.is_undefined_length_sequence_item = True
    return dataset


def _in_fragments(*, has_table: bool) -> FileDataset:
    dataset = enhanced(VOLUME, syntax=JPEG2000Lossless)
    codestreams = list(generate_frames(dataset.PixelData, number_of_frames=len(VOLUME)))
    dataset.PixelData = encapsulate(codestreams, fragments_per_frame=3, has_bot=has_table)
    dataset["PixelData"].is_undefined_length = True
    return dataset


def _cine(frames: Any, **attributes: Any) -> FileDataset:
    values = {"NumberOfFrames": len(frames), "PixelData": frames.tobytes(), "FrameTime": "40", "Modality": "US"}
    return dicom(frames[0], **({"SOPClassUID": UltrasoundMultiFrameImageStorage} | values | attributes))


def _frame_seeds() -> Sequence[Example]:
    color = np.random.default_rng(0).integers(0, 255, (3, 8, 7, 3)).astype(np.uint8)
    gray = color[..., 0].copy()
    detector = item(ImagePositionPatient=[1, 2, 3], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    nuclear = {
        "SOPClassUID": NuclearMedicineImageStorage,
        "Modality": "NM",
        "ImageType": ["DERIVED", "PRIMARY", "RECON TOMO"],
        "DetectorInformationSequence": [detector],
        "SpacingBetweenSlices": 2,
        "SliceVector": [1, 2, 3],
    }
    datasets = (
        enhanced(VOLUME, rescales=[(1, 0), (2, 5), (0.5, -3)]),
        enhanced(VOLUME, syntax=ImplicitVRLittleEndian),
        enhanced(VOLUME.astype(">i2"), syntax=ExplicitVRBigEndian),
        _undefined_lengths(),
        enhanced(VOLUME, syntax=RLELossless),
        _in_fragments(has_table=True),
        _in_fragments(has_table=False),
        _cine(color),
        _cine(gray, FrameTimeVector=["0", "10", "20"], **nuclear),
        _cine(gray, BitsAllocated=1, BitsStored=1, PixelData=np.packbits(gray % 2).tobytes()),
    )
    return [Example({FILE: _file(dataset)}, FILE) for dataset in datasets]


_GROUP_ATTRIBUTES = sorted((macro, attribute) for macro, attributes in MACROS.items() for attribute in attributes)
_PER_FRAME = "PerFrameFunctionalGroupsSequence"


@st.composite
def _groups(draw: st.DrawFn) -> tuple[int, bytes]:
    """Draw the functional groups of the frames, with odd values and odd lengths of items."""
    items = b""
    for _ in range(draw(st.integers(0, 5))):
        macros = {}
        for macro, attribute in draw(st.lists(st.sampled_from(_GROUP_ATTRIBUTES), max_size=4)):
            vr = draw(st.sampled_from((dictionary_VR(attribute)[:2], "DS", "UN", "SQ")))
            content = encoded(attribute, vr, draw(ODD_VALUES))[1]
            macros[int(tag_for_keyword(macro) or 0)] = encoded(macro, "SQ", _item(content, draw(st.booleans())))[1]
        items += _item(b"".join(macros[tag] for tag in sorted(macros)), draw(st.booleans()))
    return encoded(_PER_FRAME, "SQ", items)


def _item(content: bytes, is_defined: bool) -> bytes:
    if is_defined:
        return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content
    return struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + content + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)


def _frame_files(seeds: Sequence[Example]) -> SearchStrategy[Example]:
    """Return files in which the groups of the frames, and up to two other elements, are replaced."""
    numbers = st.sampled_from((b"0", b"1", b"2", b"3", b"4", b"-1", b"65536", b"99999999"))
    others = st.lists(numbers.map(lambda number: encoded("NumberOfFrames", "IS", number)), max_size=1)
    return replaced(seeds, st.tuples(_groups(), others).map(lambda drawn: [drawn[0], *drawn[1]]))


def _read_frames(path: Path) -> object:
    images = read_study(path).images
    chosen = (*images[: _FRAMES_LOADED - 1], images[-1])
    values = [values.shape for values in load_many(chosen)]
    return values, [pixels.shape for pixels in load_many(reversed(chosen), display=True)], images[0].plane


# ---- NIfTI --------------------------------------------------------------------------------------------------------


def _compressed(files: Files) -> Files:
    """Compress the mutated file, so that the mutation gets past the checksum."""
    return {NIFTI: gzip.compress(files[NIFTI], 1)}


def _nifti_seeds() -> Sequence[Example]:
    affine = np.array([[-0.0, -2.4, 0.9, 10], [1.6, 0.0, 0.0, -20], [0.0, 1.8, 1.2, 30], [0, 0, 0, 1]])
    values = np.random.default_rng(0).integers(0, 200, (5, 4, 3))
    images = (
        nibabel.Nifti1Image(values.astype(np.int16), affine),
        nibabel.Nifti1Image(np.stack([values, values], -1).astype(np.float32), affine),
        nibabel.Nifti1Image(values.astype(np.uint8), np.eye(4), header=nibabel.Nifti1Header(endianness=">")),
        nibabel.Nifti2Image(values.astype(np.float64), affine),
    )
    contents = [image.to_bytes() for image in images]
    whole = [Example({NIFTI: gzip.compress(content)}, NIFTI) for content in contents[:2]]
    inner = [Example({NIFTI: content}, NIFTI, _compressed) for content in contents]
    return [*(Example({NIFTI: content}, NIFTI) for content in contents), *whole, *inner]


_SHORTS = st.one_of(st.integers(-2, 6), st.sampled_from((-32768, 255, 256, 1000, 32767)))
_FLOATS = st.one_of(st.floats(-4, 4, width=32), st.sampled_from((0.0, 1e30, -1e30, np.nan, np.inf, 352.0, 1e-30)))
_FIELDS = {"dim": (40, 8), "datatype": (70, 2), "sform_code": (252, 2)}
_FLOAT_FIELDS = {"pixdim": (76, 8), "vox_offset": (108, 3), "quatern": (256, 6), "srow": (280, 12)}


@st.composite
def _nifti_files(draw: st.DrawFn, seeds: Sequence[Example]) -> Example:
    """Draw a NIfTI-1 file with odd fields of its header."""
    seed = draw(st.sampled_from([one for one in seeds if one.files[NIFTI][:2] == b"\x5c\x01"]))
    content = bytearray(seed.files[NIFTI])
    for fields, numbers, code, size in ((_FIELDS, _SHORTS, "h", 2), (_FLOAT_FIELDS, _FLOATS, "f", 4)):
        for start, count in draw(st.lists(st.sampled_from(sorted(fields.values())), max_size=2)):
            place = start + size * draw(st.integers(0, count - 1))
            content[place : place + size] = struct.pack(f"<{code}", draw(numbers))
    return seed.with_content(bytes(content))


# ---- ZIP archives -------------------------------------------------------------------------------------------------


def _archive(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Example:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return Example({ARCHIVE: buffer.getvalue()}, ARCHIVE)


def _archive_seeds() -> Sequence[Example]:
    image = _file(dicom())
    return [
        _archive(
            {"DICOM/IM1": image, "DICOM/IM2": _file(enhanced(VOLUME, SOPInstanceUID="1.2.3")), "README.txt": b"text"}
        ),
        _archive({"a.dcm": image}, zipfile.ZIP_STORED),
        _archive({"s/a.nii": nibabel.Nifti1Image(VOLUME, np.eye(4)).to_bytes()}),
    ]


_NAMES = st.lists(
    st.sampled_from(("..", ".", "", "a", "A", "b.dcm", "\\..", "C:", "é", "x" * 300, " ", "/")), max_size=5
)


def _archive_files(_: Sequence[Example]) -> SearchStrategy[Example]:
    """Return archives of odd names."""
    names = _NAMES.map(lambda parts: "/".join(parts) or "a")
    return st.dictionaries(names, st.binary(max_size=30), min_size=1, max_size=4).map(_archive)


def _read_archive(path: Path) -> object:
    with open_archives([path]) as opened:
        for error in opened.refused:
            raise error
        found = read_studies(*opened.paths)
        for folder in opened.archives:
            assert {folder} == set(folder.parent.iterdir())
        return [[values.shape for values in load_many(study.images[:2])] for study in found.studies]


TARGETS = (
    Target("dicom-frames", _frame_seeds, _frame_files, _read_frames),
    Target("nifti", _nifti_seeds, _nifti_files, _read_frames),
    Target("study-archive", _archive_seeds, _archive_files, _read_archive),
)
