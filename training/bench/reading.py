"""What reading a DICOM file costs, from the file to the input of the encoder, beside decoding its pixels alone."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydicom import FileDataset, dcmread
from pydicom.pixels.utils import pixel_array

from report_gen.errors import ReportGenError
from report_gen.files import write_atomically
from report_gen.imaging import GdcmProcess, decoder_plugins, limit_memory, load_image, read_study
from report_gen.imaging.transform import ImageTransform
from report_gen.phantom import write_phantom
from report_gen.records import Image
from report_gen.terminal import blocked_signals, ignore_signals

from .pairs import Case, Clock

SIZES = ((512, 512), (1024, 1024), (2500, 2048))
"""Rows and columns of the drawn radiographs, which have 12 bits in 16."""
_SYNTAXES = {
    "not compressed": None,
    "JPEG lossless": "JPEGLosslessProcess14_1",
    "JPEG-LS": "JPEGLSLossless",
    "JPEG 2000": "JPEG2000Lossless",
    "RLE": "RLELossless",
}
"""The transfer syntaxes by their names in GDCM. No installed library encodes HTJ2K."""
_OWN_PROCESS = "gdcm"
"""The decoder that report-gen runs in a process of its own, whose time the clock `cpu` does not see."""
_IMAGES = 4
"""Files that are read in one round, one after the other or by two processes."""
_NO_LIMIT = 2**40
"""Bytes of one image. `draft` computes its limit once for all studies."""
_TRANSFORM = ImageTransform(size=224, channels=1, mean=0.5, std=0.25)

Size = tuple[int, int]
_Read = Callable[[Path], Size]


class _Files(NamedTuple):
    name: str
    paths: list[Path]


def reading_cases(folder: Path, *, sizes: Sequence[Size] = SIZES, clock: Clock) -> Iterator[Case]:
    """Yield a case of one process, and one of two processes, for each transfer syntax and size.

    The other way is the decoder alone: `pixel_array` of pydicom with the plugin that report-gen chooses, on a data set
    in memory.

    Args:
        folder: Folder for the files.
        sizes: Rows and columns of the images.
        clock: With `cpu` there are no cases of two processes, and none of a decoder in a process of its own.

    Raises:
        ReportGenError: A compressed file gives the encoder another input than the file that is not compressed.
    """
    for size in sizes:
        for files in _write(folder, size):
            if clock == "cpu" and _plugin(files.paths[0]) == _OWN_PROCESS:
                continue
            yield _case(files, size, map, "one process")
            if clock == "wall":
                with _two_processes() as each:
                    yield _case(files, size, each, "two processes")


def case_count(clock: Clock) -> int:
    """Return the number of cases of `reading_cases`."""
    return len(SIZES) * (2 * len(_SYNTAXES) if clock == "wall" else len(_SYNTAXES) - 1)


def _write(folder: Path, size: Size) -> Iterator[_Files]:
    """Draw radiographs, and yield their files in each transfer syntax."""
    plain = write_phantom(folder, rows=size[0], columns=size[1])
    _, expected = _input(plain)
    for name, syntax in _SYNTAXES.items():
        path = plain if syntax is None else _compress(plain, syntax)
        if not torch.equal(_input(path)[1], expected):
            raise ReportGenError(f"{name}: the input of the encoder is not that of the file without compression")
        yield _Files(name, [path] * _IMAGES)


def _compress(plain: Path, syntax: str) -> Path:
    """Write a file with compressed pixels beside a file. GDCM encodes every syntax.

    Raises:
        OutputError: The file cannot be written.
        ReportGenError: GDCM cannot encode the syntax, or cannot write the file for a reason of its own.
    """
    gdcm: Any = importlib.import_module("gdcm")  # it has no types
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    path = plain.with_name(f"{syntax}-{plain.name}")
    reader.SetFileName(str(plain))
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    is_read = reader.Read()
    change.SetInput(reader.GetImage())
    is_changed = is_read and change.Change()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    if not is_changed:
        raise ReportGenError(f"GDCM does not encode {syntax}; report the version of python-gdcm")
    if not writer.Write():
        # GDCM gives no reason. Writing the same path again raises the cause, such as a full disk.
        write_atomically(path, plain.read_bytes())
        raise ReportGenError(f"{path}: GDCM cannot write this file; report the version of python-gdcm")
    return path


def _case(files: _Files, size: Size, each: Callable[[_Read, list[Path]], Iterator[Size]], workers: str) -> Case:
    rows, columns = size
    return Case(
        name=f"{files.name}, {rows} x {columns}, {workers}",
        units=len(files.paths),
        unit="image",
        ours=lambda: list(each(_read, files.paths)),
        theirs=lambda: list(each(_decode, files.paths)),
    )


@contextmanager
def _two_processes() -> Iterator[Callable[[_Read, list[Path]], Iterator[Size]]]:
    """Yield a function like `map` that two new processes of one thread each compute."""
    pool = ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=_start_worker)

    def each(read: _Read, paths: list[Path]) -> Iterator[Size]:
        with blocked_signals():  # the first call starts the processes; the end of one would print a traceback
            return pool.map(read, paths)

    try:
        yield each
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Compute with one thread, and leave signals to the first process."""
    ignore_signals()
    torch.set_num_threads(1)


def _read(path: Path) -> Size:
    """Read a file as `report-gen draft` does, to the input of the encoder. Return rows and columns."""
    image, _ = _input(path)
    return image.rows, image.columns


def _input(path: Path) -> tuple[Image, torch.Tensor]:
    """Return the record of the image of a file, and the input of an encoder [1,size,size]."""
    image = read_study(path).images[0]
    with limit_memory(_NO_LIMIT):
        square, _ = _TRANSFORM.fit(load_image(image, _gdcm()).pixels)
    return image, _TRANSFORM.normalize(square)


def _decode(path: Path) -> Size:
    """Decode the pixels of a file in memory. Return rows and columns."""
    pixels = pixel_array(_in_memory(path), decoding_plugin=_plugin(path))
    return int(pixels.shape[0]), int(pixels.shape[1])


@cache
def _gdcm() -> GdcmProcess:
    """Return the process that decodes for this one, as a drafter has one for all studies."""
    return GdcmProcess()


@cache
def _in_memory(path: Path) -> FileDataset:
    dataset = dcmread(path)
    dataset.PixelData  # noqa: B018 - pydicom parses an attribute on first access
    return dataset


def _plugin(path: Path) -> str:
    dataset = _in_memory(path)
    return decoder_plugins(dataset.file_meta.TransferSyntaxUID, bits_stored=dataset.BitsStored)[0]
