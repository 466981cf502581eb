"""Read NIfTI files (.nii, .nii.gz): the slices of their volumes as images.

A slice is an image of the third axis of the data, and its rows and columns are those of the data: the first axis runs
along a row. `Image.plane` says where that is in the patient.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from report_gen.errors import StudyError, is_out_of_memory
from report_gen.imaging.limits import MAX_VALUE, MAX_VOLUME_BYTES, too_large_values
from report_gen.imaging.loaded_image import LoadedImage
from report_gen.imaging.memory import format_bytes, image_memory, memory_errors
from report_gen.imaging.memory_need import nifti_memory
from report_gen.imaging.nifti_header import HEADER_BYTES, NiftiLayout, is_compressed, read_layout
from report_gen.imaging.square_pixels import aspect_of, resample_to_square, square_size, square_spacing
from report_gen.records import Acquisition, Image, Series, Study

_DARKEST, _BRIGHTEST = 0.5, 99.5
"""Percentiles of the values of a slice that are displayed black and white, because NIfTI has no window."""

_LARGEST_RATIO = 1032
"""Most bytes that one byte of a deflate stream can stand for (zlib Technical Details)."""
_CHUNK_BYTES = 2**20
_MEMORY_BYTES = 2**26
"""Inflated data up to this size stay in memory. Larger ones lie in a file without a name, which no crash leaves."""


def describe_nifti(path: Path, sha256: str) -> Study:
    """Return the record of one file: a study named after the file, with an image for each slice.

    A compressed file is inflated once, which proves that it is complete.

    Raises:
        StudyError: The file cannot be opened, is malformed or truncated, or its data are not supported.
    """
    with _opened(path) as (file, is_gzip):
        head = file.read(HEADER_BYTES)
        layout = read_layout(head, path)
        if is_gzip:
            _check_inflated(file, layout, path, remaining=layout.end - len(head))
        elif path.stat().st_size < layout.end:
            raise _truncated(path)
    planes = list(layout.planes())
    spacing = layout.spacing
    rows, columns = square_size(layout.rows, layout.columns, aspect_of(spacing))
    images = []
    for frame in range(layout.frames):
        volume, index = divmod(frame, layout.slices)
        images.append(
            Image(
                path=path,
                sha256=sha256,
                rows=rows,
                columns=columns,
                frame=frame if layout.frames > 1 else None,
                pixel_spacing=square_spacing(spacing),
                plane=planes[index].plane,
                plane_problem=planes[index].problem,
                acquisition=_acquisition(layout, volume),
            )
        )
    name = path.name[: -len(".nii.gz")] if path.name.lower().endswith(".nii.gz") else path.stem
    return Study(name=name or path.name, series=(Series(images=tuple(images)),))


@contextmanager
def open_nifti(path: Path) -> Iterator[NiftiFile]:
    """Open a file whose slices are loaded within the block.

    Raises:
        StudyError: See `describe_nifti`.
    """
    with _opened(path) as (stream, is_gzip):
        layout = read_layout(stream.read(HEADER_BYTES), path)
        stream.seek(0)  # the data of NIfTI-1 may begin before the end of what was read
        with NiftiFile(stream, layout, path, is_gzip=is_gzip) as file:
            yield file


class NiftiFile:
    """An open NIfTI file, of which a slice is read when it is loaded.

    A compressed file is read forward. It is inflated into a temporary file once if a slice before the last one that was
    read is loaded.

    Args:
        file: The file, inflated.
        layout: Size and type of its data.
        path: The file, named in errors.
        is_gzip: Whether `file` inflates what it reads.
    """

    def __init__(self, file: BinaryIO, layout: NiftiLayout, path: Path, *, is_gzip: bool) -> None:
        self._file: IO[bytes] = file
        self._layout, self._path, self._is_gzip = layout, path, is_gzip

    def __enter__(self) -> NiftiFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def image(self, frame: int | None) -> LoadedImage:
        """Return the intensities of a slice from the 0.5th to the 99.5th percentile of its values, with square pixels.

        Args:
            frame: Index of the slice among those of all volumes; None for the only one.

        Raises:
            StudyError: There is no such slice, it is damaged, or the memory does not suffice.
        """
        aspect = aspect_of(self._layout.spacing)
        with self._memory(aspect):
            values = self._read(frame)
            is_known = np.isfinite(values)
            known = values[is_known]
            low, high = np.percentile(known, (_DARKEST, _BRIGHTEST)) if known.size else (0.0, 0.0)
            if low == high and known.size:  # nearly all pixels have one value
                low, high = known.min(), known.max()
            if low == high:
                return LoadedImage(resample_to_square(np.zeros(values.shape, np.float32), aspect))
            pixels = np.where(is_known, ((values - low) / (high - low)).clip(0, 1), 0).astype(np.float32)
            return LoadedImage(resample_to_square(pixels, aspect))

    def values(self, frame: int | None) -> NDArray[np.float32]:
        """Return the values [H,W] of a slice after `scl_slope` and `scl_inter`; see `load_values`.

        Args:
            frame: Index of the slice among those of all volumes; None for the only one.

        Raises:
            StudyError: See `image`.
        """
        with self._memory(aspect=1):
            return self._read(frame).astype(np.float32)

    def _memory(self, aspect: float) -> Any:
        layout = self._layout
        need = nifti_memory(layout.rows, layout.columns, layout.dtype.itemsize, aspect)
        return image_memory(self._path, layout.rows, layout.columns, need)

    def _read(self, frame: int | None) -> NDArray[np.float64]:
        layout = self._layout
        if frame is None and layout.frames > 1:
            reason = f"has {layout.frames} slices, and one image is expected; export each slice as a file"
            raise StudyError(self._path, reason)
        if not 0 <= (frame or 0) < layout.frames:
            raise StudyError(self._path, f"has {layout.frames} slices, but not slice {frame}; read the study again")
        start = layout.offset + (frame or 0) * layout.slice_bytes
        if self._is_gzip and start < self._file.tell():
            self._inflate()
        self._file.seek(start)
        data = self._file.read(layout.slice_bytes)
        if len(data) < layout.slice_bytes:
            raise _truncated(self._path)
        values = np.frombuffer(data, layout.dtype).reshape(layout.rows, layout.columns).astype(np.float64)
        is_known = np.isfinite(values)
        if (layout.slope, layout.intercept) != (1, 0):
            with np.errstate(over="ignore", invalid="ignore"):
                values = values * layout.slope + layout.intercept
        low, high = (find(values, initial=0.0, where=is_known) for find in (np.min, np.max))
        if not -MAX_VALUE <= low <= high <= MAX_VALUE:
            raise too_large_values(self._path, "scl_slope and scl_inter, or the stored numbers,")
        return values

    def _inflate(self) -> None:
        """Replace the compressed file by its inflated data, in which every slice can be read at once."""
        compressed = self._file
        inflated: IO[bytes] = SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115 - closed at the exit
        compressed.seek(0)
        remaining = self._layout.end
        while remaining > 0 and (chunk := compressed.read(min(_CHUNK_BYTES, remaining))):
            inflated.write(chunk)
            remaining -= len(chunk)
        compressed.close()
        self._file, self._is_gzip = inflated, False


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, bool]]:
    """Open a file that is inflated while it is read, and whether it is compressed. Exceptions become a StudyError."""
    with memory_errors(path):
        try:
            with path.open("rb") as file:
                is_gzip = is_compressed(file.read(2))
                file.seek(0)
                if is_gzip:
                    with gzip.GzipFile(fileobj=file) as inflated:
                        yield io.BufferedReader(inflated), True
                else:
                    yield file, False
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _truncated(path) from error
        except OSError as error:
            if is_out_of_memory(error):
                raise
            raise StudyError(path, f"cannot be read ({error.strerror}); check the file and the disk") from error


def _check_inflated(file: BinaryIO, layout: NiftiLayout, path: Path, *, remaining: int) -> None:
    """Read the rest of a compressed file."""
    if layout.end > MAX_VOLUME_BYTES:
        reason = f"inflates to {format_bytes(layout.end)}, and the limit is {format_bytes(MAX_VOLUME_BYTES)}"
        raise StudyError(path, f"{reason}; decompress it with gunzip")
    if layout.end > _LARGEST_RATIO * path.stat().st_size:
        raise _truncated(path)
    while remaining > 0:
        chunk = file.read(min(_CHUNK_BYTES, remaining))
        if not chunk:
            raise _truncated(path)
        remaining -= len(chunk)
    file.read(1)  # compares the checksum at the end of the file


def _acquisition(layout: NiftiLayout, volume: int) -> Acquisition | None:
    if layout.volumes == 1:
        return None
    return Acquisition(
        temporal_position=volume + 1, seconds=None if layout.seconds is None else volume * layout.seconds
    )


def _truncated(path: Path) -> StudyError:
    return StudyError(path, "truncated or damaged: the file ends within its data; copy or export it again")
