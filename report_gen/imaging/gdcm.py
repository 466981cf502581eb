"""Decode compressed pixels with GDCM in a separate process, because GDCM aborts its process on a damaged JPEG.

GDCM is the only installed decoder of lossless JPEG and of JPEG with 12 bits that has a permissive license. The child
process runs this file as a script, so the file imports nothing of report-gen.
"""

from __future__ import annotations

import io
import subprocess
import sys
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import JPEGExtended12Bit, JPEGLossless

TIMEOUT_SECONDS = 120
"""Limit for one frame. A chest radiograph takes about 0.25 s."""
MEMORY_BYTES = 4 * 2**30
"""Limit on the address space of the child process."""

_NO_MEMORY = (b"bad_alloc", b"MemoryError", b"gdcm: \n")
"""How the child process says that memory is exhausted: GDCM, Python, and pydicom, which quotes a MemoryError as ""."""

_PADDED = b"premature end"
"""Part of the message that libjpeg prints when it invents the pixels that a truncated stream lacks."""

_ATTRIBUTES = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
)
"""The attributes that the decoder needs; the child process receives no others."""


def decode_with_gdcm(dataset: Dataset) -> NDArray[Any]:
    """Decode one frame of compressed pixels to stored values [H,W] or [H,W,3].

    Raises:
        RuntimeError: GDCM failed, crashed or padded a truncated image.
        MemoryError: The memory of the child process, or of this one, does not suffice.
        subprocess.TimeoutExpired: GDCM did not finish in `TIMEOUT_SECONDS`.
    """
    command = [sys.executable, "-P", "-W", "ignore", __file__]
    source = _pixel_module(dataset)
    done = subprocess.run(command, input=source, capture_output=True, timeout=TIMEOUT_SECONDS, check=False)  # noqa: S603 - no shell, own program
    if done.returncode and any(words in done.stderr for words in _NO_MEMORY):
        raise MemoryError("GDCM has not enough memory")
    if done.returncode or _PADDED in done.stderr:
        raise RuntimeError(f"GDCM ended with {done.returncode}")
    return np.asarray(np.load(io.BytesIO(done.stdout), allow_pickle=False))


def _pixel_module(dataset: Dataset) -> bytes:
    """Return a DICOM file with the attributes that the decoder needs."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    module = FileDataset("", Dataset(), preamble=b"\0" * 128, file_meta=meta)
    for keyword in _ATTRIBUTES:
        if keyword in dataset:
            module[keyword] = dataset[keyword]
    buffer = io.BytesIO()
    dcmwrite(buffer, module)
    return buffer.getvalue()


def _main(source: IO[bytes], target: IO[bytes]) -> None:
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)  # under `ulimit -v` it cannot be raised
        limit = MEMORY_BYTES if most == resource.RLIM_INFINITY else min(MEMORY_BYTES, most)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    dataset = dcmread(io.BytesIO(source.read()))
    if dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit:
        # GDCM chooses its JPEG decoder by the codestream. Its decoder of 12 bits gives the same values as DCMTK's, but
        # pydicom refuses to call it under the UID of this process.
        dataset.file_meta.TransferSyntaxUID = JPEGLossless
    np.save(target, pixel_array(dataset, decoding_plugin="gdcm", allow_excess_frames=False, correct_unused_bits=False))


if __name__ == "__main__":
    _main(sys.stdin.buffer, sys.stdout.buffer)
