"""Limit how much a library reads of a file, whatever sizes the file declares."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from report_gen.errors import StudyError

MAX_HEADER_BYTES = 2**26
"""Maximum size of a header, bytes. The header of a radiograph has thousands, with look-up tables a million."""

MAX_HEADER_READS = 2**17
"""Most reads of a header: an element of DICOM takes two or three, and its object takes a kilobyte of memory."""


class BoundedFile(io.BufferedReader):
    """A file for libraries that trust the sizes in its header.

    Args:
        raw: The file.
        path: Its path, named in errors.
    """

    def __init__(self, raw: io.RawIOBase | io.BytesIO, path: Path) -> None:
        super().__init__(raw)
        self.path = path
        """The path, named in errors."""
        self._bytes: int | None = None
        self._reads = 0
        self._problem = self._remedy = ""

    @contextmanager
    def bounded(
        self,
        size: int | None = None,
        reads: int | None = None,
        *,
        problem: str = "the data before and beside the pixels have",
        remedy: str = "export the image without private data",
    ) -> Iterator[None]:
        """Limit what is read within the block. A value of any declared size is not allocated before it is there.

        Args:
            size: Bytes; by default those of a header.
            reads: Number of calls of `read`; by default those of a header.
            problem: Beginning of the message, to which "too many bytes" is added.
            remedy: What to do about it.

        Raises:
            StudyError: More is read; raised by `read`.
        """
        self._bytes = MAX_HEADER_BYTES if size is None else size
        self._reads = MAX_HEADER_READS if reads is None else reads
        self._problem, self._remedy = problem, remedy
        try:
            yield
        finally:
            self._bytes = None

    @property
    def name(self) -> str:
        """The path: pydicom asks for it, and a file in memory has none."""
        return str(self.path)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as a file does, within the limits of `bounded`.

        Raises:
            StudyError: The limits are exceeded.
        """
        if self._bytes is None:
            return super().read(size)
        wanted = self._bytes + 1 if size is None or size < 0 else min(size, self._bytes + 1)
        data = super().read(wanted)
        self._bytes -= len(data)
        self._reads -= 1
        if self._bytes < 0:
            raise self._too_large("bytes")
        if self._reads < 0:
            raise self._too_large("parts")
        return data

    def _too_large(self, unit: str) -> StudyError:
        return StudyError(self.path, f"{self._problem} too many {unit}; {self._remedy}")
