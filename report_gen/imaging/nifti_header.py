"""Read the header of a NIfTI-1 or NIfTI-2 file: size and type of the data, and the position of each slice.

https://nifti.nimh.nih.gov/nifti-1 describes the fields. nibabel parses them.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from report_gen.errors import StudyError
from report_gen.imaging.limits import MAX_SLICES, check_pixel_count
from report_gen.imaging.planes import FoundPlane, is_position, is_spacing, perpendicular_directions
from report_gen.imaging.square_pixels import aspect_of, square_size
from report_gen.records import SlicePlane

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

HEADER_BYTES = 540
"""Size of the header of NIfTI-2. That of NIfTI-1 is smaller, and data follow it."""

_FIRST_SIZE, _SECOND_SIZE = 348, 540
_GZIP = b"\x1f\x8b"

_TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
"""Supported values of `datatype`. Others are complex numbers, colors and numbers of 128 bits."""

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
"""NIfTI coordinates increase to the right and to the front, those of DICOM to the left and to the back."""

_MILLIMETERS = {1: 1000.0, 2: 1.0, 3: 0.001}
"""Millimeters per unit of length: meter, millimeter and micrometer. Without a unit, millimeters are meant."""
_SECONDS = {8: 1.0, 16: 1e-3, 24: 1e-6}
"""Seconds per unit of time."""


@dataclass(frozen=True, kw_only=True)
class NiftiLayout:
    """What the header of a NIfTI file says about its slices."""

    columns: int
    rows: int
    slices: int
    """Number of slices of one volume, along the third axis of the data."""
    volumes: int
    """Number of volumes, along the fourth axis."""
    dtype: np.dtype[Any]
    offset: int
    """First byte of the data."""
    slope: float
    intercept: float
    affine: NDArray[np.float64] | None
    """[3,4]; maps column, row and slice to the patient coordinates of DICOM, millimeters. None if there is none."""
    affine_problem: str | None
    """Why there is no affine."""
    voxel_spacing: tuple[float, float] | None
    """Distance between rows and between columns by `pixdim`, millimeters."""
    seconds: float | None
    """Time between two volumes."""

    @property
    def frames(self) -> int:
        """Number of slices of all volumes."""
        return self.slices * self.volumes

    @property
    def slice_bytes(self) -> int:
        return self.rows * self.columns * self.dtype.itemsize

    @property
    def end(self) -> int:
        """Size of the file, bytes, if nothing follows the data."""
        return self.offset + self.frames * self.slice_bytes

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Distance between rows and between columns, millimeters."""
        plane = next(self.planes()).plane
        return self.voxel_spacing if plane is None else plane.spacing

    def planes(self) -> Iterator[FoundPlane]:
        """Yield the plane of each slice of a volume, or why it has none."""
        if self.affine is None:
            yield from repeat(FoundPlane(problem=self.affine_problem), self.slices)
            return
        along_row, along_column, between, first = self.affine.T.tolist()
        column_distance, row_distance, thickness = (math.hypot(*step) for step in (along_row, along_column, between))
        spacing = (row_distance, column_distance)
        if not is_spacing(spacing):
            yield from repeat(FoundPlane(problem="the affine of the NIfTI header gives no distances"), self.slices)
            return
        directions = perpendicular_directions(
            [value / column_distance for value in along_row], [value / row_distance for value in along_column]
        )
        for index in range(self.slices):
            position = tuple(start + index * step for start, step in zip(first, between, strict=True))
            if directions is None:
                yield FoundPlane(problem="the affine of the NIfTI header shears the slices")
            elif not is_position(position):
                yield FoundPlane(problem="the affine of the NIfTI header gives no position")
            else:
                plane = SlicePlane(
                    position=position,
                    row_direction=directions[0],
                    column_direction=directions[1],
                    spacing=spacing,
                    thickness=thickness if 0 < thickness < math.inf else None,
                )
                yield FoundPlane(plane)


def inflated_head(head: bytes) -> bytes:
    """Return the first bytes of a file, inflated if they are those of a gzip file."""
    if not head.startswith(_GZIP):
        return head
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, HEADER_BYTES)
    except zlib.error:
        return b""


def is_nifti(head: bytes) -> bool:
    """Return whether a file that begins with these bytes (4096 or more) is a NIfTI file or the header of a pair."""
    return _version(inflated_head(head)) is not None


def is_compressed(head: bytes) -> bool:
    return head.startswith(_GZIP)


def read_layout(head: bytes, path: Path) -> NiftiLayout:
    """Return what the header says about the slices.

    Args:
        head: First bytes of the file, inflated.
        path: The file, named in errors.

    Raises:
        StudyError: The header is that of a pair of files, contradicts itself, or its data are not supported.
    """
    if b"ni" in (head[344:346] if _version(head) == 1 else head[4:6]):
        reason = "is the header of a NIfTI pair (.hdr and .img), which is not supported"
        raise StudyError(path, f"{reason}; convert it to one file (.nii), for example with fslchfiletype NIFTI")
    header = _parse(head)
    dims = [int(size) for size in header["dim"]]
    if not 1 <= dims[0] <= 7 or min(dims[1 : dims[0] + 1]) < 1:
        raise _malformed(path, "impossible dimensions")
    sizes = [*dims[1 : dims[0] + 1], 1, 1, 1][: max(4, dims[0])]
    if math.prod(sizes[4:]) != 1:
        raise StudyError(path, "has more than four dimensions, which is not supported; export each volume as a file")
    columns, rows, slices, volumes = sizes[:4]
    check_pixel_count(rows, columns, path)
    if slices * volumes > MAX_SLICES:
        reason = f"{slices * volumes} slices exceed the limit of {MAX_SLICES}; export fewer volumes in a file"
        raise StudyError(path, reason)
    code = _TYPES.get(int(header["datatype"]))
    if code is None:
        raise StudyError(path, "has colors, complex numbers or numbers of 128 bits; export it as numbers of 16 bits")
    offset = float(header["vox_offset"])
    if not len(header.binaryblock) <= offset < 2**53:
        raise _malformed(path, "the data begin within the header")
    affine, problem = _affine(header)
    layout = NiftiLayout(
        columns=columns,
        rows=rows,
        slices=slices,
        volumes=volumes,
        dtype=np.dtype(code).newbyteorder(header.endianness),
        offset=int(offset),
        slope=_slope(header),
        intercept=_intercept(header, path),
        affine=affine,
        affine_problem=problem,
        voxel_spacing=_voxel_spacing(header),
        seconds=_seconds(header),
    )
    check_pixel_count(*square_size(rows, columns, aspect_of(layout.spacing)), path)
    return layout


def _version(head: bytes) -> int | None:
    if head[344:348] in (b"n+1\0", b"ni1\0") and _FIRST_SIZE in _sizes(head):
        return 1
    if head[4:8] in (b"n+2\0", b"ni2\0") and _SECOND_SIZE in _sizes(head):
        return 2
    return None


def _sizes(head: bytes) -> tuple[int, int]:
    return int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")


def _parse(head: bytes) -> Nifti1Header:
    # nibabel takes 0.2 s to import, and most studies are not NIfTI
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    if _version(head) == 1:
        return Nifti1Header(head[:_FIRST_SIZE], check=False)  # the check would print what it corrects
    return Nifti2Header(head[:_SECOND_SIZE].ljust(_SECOND_SIZE, b"\0"), check=False)


def _affine(header: Nifti1Header) -> tuple[NDArray[np.float64] | None, str | None]:
    """Return the sform, else the qform, in coordinates of DICOM, as nibabel chooses them; or why there is none."""
    header["pixdim"][1:4] = np.abs(header["pixdim"][1:4])
    if header["pixdim"][0] not in (-1, 1):  # the standard takes 0 for 1
        header["pixdim"][0] = 1
    from nibabel.spatialimages import HeaderDataError

    try:
        with np.errstate(all="ignore"):
            found = header.get_sform(coded=True)[0]
            found = header.get_qform(coded=True)[0] if found is None else found
    except (ArithmeticError, HeaderDataError, TypeError, ValueError):
        return None, "the quaternion of the NIfTI header is not a rotation"
    if found is None:
        return None, "the NIfTI header states no orientation (sform_code and qform_code are 0)"
    with np.errstate(all="ignore"):
        affine = _RAS_TO_LPS @ np.asarray(found, dtype=np.float64)[:3] * _length_unit(header)
    if not np.isfinite(affine).all():
        return None, "the affine of the NIfTI header contains NaN or infinity"
    return affine, None


def _voxel_spacing(header: Nifti1Header) -> tuple[float, float] | None:
    width, height = (abs(float(size)) * _length_unit(header) for size in header["pixdim"][1:3])
    spacing = (height, width)
    return spacing if is_spacing(spacing) else None


def _length_unit(header: Nifti1Header) -> float:
    return _MILLIMETERS.get(int(header["xyzt_units"]) & 7, 1.0)


def _seconds(header: Nifti1Header) -> float | None:
    seconds = float(header["pixdim"][4]) * _SECONDS.get(int(header["xyzt_units"]) & 56, math.nan)
    return seconds if 0 < seconds < math.inf else None


def _slope(header: Nifti1Header) -> float:
    slope = float(header["scl_slope"])
    return slope if math.isfinite(slope) and slope != 0 else 1.0


def _intercept(header: Nifti1Header, path: Path) -> float:
    """Return `scl_inter`, which is only used with a slope that is not 0."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not math.isfinite(slope) or slope == 0:
        return 0.0
    if not math.isfinite(intercept):
        raise _malformed(path, "the intercept of the values (scl_inter) is not a number")
    return intercept


def _malformed(path: Path, reason: str) -> StudyError:
    return StudyError(path, f"malformed NIfTI: {reason}; export it again")
