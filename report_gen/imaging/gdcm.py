"""Decode compressed pixels with GDCM in a separate process, because GDCM aborts its process on a damaged JPEG.

GDCM is the only installed decoder of lossless JPEG and of JPEG with 12 bits that has a permissive license. The child
process runs this file as a script, so the file imports nothing of report-gen.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import weakref
from contextlib import suppress
from tempfile import TemporaryFile
from threading import Lock, Timer
from typing import IO, Any, Self, cast

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

_COMMAND = (sys.executable, "-P", "-W", "ignore", __file__)
_SIZE_BYTES = 8
"""Bytes of the number before each request and each answer."""

_PIPE_BYTES = 2**20
"""Size of the pipes, on Linux. The default is 64 KiB, which switches between the processes 16 times as often."""

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


class GdcmProcess:
    """Decodes frames with GDCM in a child process, which is started for the first frame.

    The child ends with the context, or when this object is no longer used. Starting it takes as long as decoding a
    radiograph, so the frames of many files share it. A child that failed is replaced. Threads decode one after the
    other. A copy, or a process that was forked, starts a child of its own.
    """

    def __init__(self) -> None:
        self._child: _Child | None = None
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[GdcmProcess], tuple[()]]:
        return GdcmProcess, ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def decode(self, dataset: Dataset) -> NDArray[Any]:
        """Decode one frame of compressed pixels to stored values [H,W] or [H,W,3].

        Raises:
            RuntimeError: GDCM failed, crashed or padded a truncated image.
            MemoryError: The memory of the child process, or of this one, does not suffice.
            subprocess.TimeoutExpired: GDCM did not finish in `TIMEOUT_SECONDS`.
        """
        request = _pixel_module(dataset)
        with self._lock:
            if self._child is None or self._child.owner != os.getpid():
                self._child = _Child()
            try:
                answer = self._child.ask(request)
            except BaseException:
                self._stop()
                raise
        return np.asarray(np.load(io.BytesIO(answer), allow_pickle=False))

    def _stop(self) -> None:
        if self._child is not None:
            self._child.stop()
        self._child = None


class _Child:
    """A process that runs this file."""

    def __init__(self) -> None:
        self._log = TemporaryFile(buffering=0)  # noqa: SIM115 - closed by stop
        self._process = subprocess.Popen(  # noqa: S603 - no shell, own program
            _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, pipesize=_PIPE_BYTES
        )
        self._requests, self._answers = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        self._is_late = False
        self.owner = os.getpid()
        """The process that started this one, and alone may use it."""
        self.stop = weakref.finalize(self, _end, self._process, self._log, self.owner)
        """Ends the process and waits for it."""

    def ask(self, request: bytes) -> bytes:
        """Return the answer to a request, a file in the format of NumPy; see `GdcmProcess.decode`."""
        timer = Timer(TIMEOUT_SECONDS, self._end_late)
        timer.start()
        try:
            answer = self._exchange(request)
        finally:
            timer.cancel()
        if self._is_late:
            raise subprocess.TimeoutExpired(_COMMAND, TIMEOUT_SECONDS)
        if answer is None:
            self._process.kill()
            code, messages = self._process.wait(), self._read_log()
            if any(words in messages for words in _NO_MEMORY):
                raise MemoryError("GDCM does not have enough memory")
            raise RuntimeError(f"GDCM ended with {code}")
        if _PADDED in self._read_log():
            raise RuntimeError("GDCM padded a truncated image")
        return answer

    def _end_late(self) -> None:
        self._is_late = True
        self._process.kill()

    def _exchange(self, request: bytes) -> bytes | None:
        """Send a request and return the answer; None if the process ended before it was complete."""
        try:
            self._requests.write(len(request).to_bytes(_SIZE_BYTES, "big") + request)
            self._requests.flush()
        except BrokenPipeError:
            return None
        size = int.from_bytes(self._answers.read(_SIZE_BYTES), "big")
        if not 0 < size <= MEMORY_BYTES:
            return None
        answer = self._answers.read(size)
        return answer if len(answer) == size else None

    def _read_log(self) -> bytes:
        """Return what the process has printed since the last frame. It shares the position in the log."""
        self._log.seek(0)
        messages = self._log.read()
        self._log.seek(0)
        self._log.truncate()
        return messages


def _end(process: subprocess.Popen[bytes], log: IO[bytes], owner: int) -> None:
    """End a child process and wait for it, unless this process was forked from the one that started it."""
    if os.getpid() == owner:
        process.kill()
        with suppress(BrokenPipeError), process:  # closes the pipes
            pass
    log.close()


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


def _serve(source: IO[bytes], target: IO[bytes]) -> None:
    """Answer requests until the source ends. Each is a DICOM file behind its size, and so is the answer."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)  # under `ulimit -v` it cannot be raised
        limit = MEMORY_BYTES if most == resource.RLIM_INFINITY else min(MEMORY_BYTES, most)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    while size := int.from_bytes(source.read(_SIZE_BYTES), "big"):
        answer = io.BytesIO()
        np.save(answer, _decode(source.read(size)))
        target.write(answer.tell().to_bytes(_SIZE_BYTES, "big"))
        target.write(answer.getbuffer())
        target.flush()
        del answer  # the process may wait for long


def _decode(request: bytes) -> NDArray[Any]:
    dataset = dcmread(io.BytesIO(request))
    if dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit:
        # GDCM chooses its JPEG decoder by the codestream. Its decoder of 12 bits gives the same values as DCMTK's, but
        # pydicom refuses to call it under the UID of this process.
        dataset.file_meta.TransferSyntaxUID = JPEGLossless
    return pixel_array(dataset, decoding_plugin="gdcm", allow_excess_frames=False, correct_unused_bits=False)


if __name__ == "__main__":
    _serve(sys.stdin.buffer, sys.stdout.buffer)
