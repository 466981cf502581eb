"""Read untrusted archives of reports. Headers, members and totals are bounded before they are in memory."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from report_gen.errors import CorpusError

LARGEST_REPORT = 2**20
"""Largest report in an archive, bytes. The largest of the Indiana collection has 8,967."""
LARGEST_ARCHIVE = 2**30
"""Largest size of a compressed tar archive after inflation, bytes. That of the Indiana collection has 30 million."""
MOST_MEMBERS = 100_000
"""Most members of a tar archive. The Indiana collection has 3,955."""

_LARGEST_HEADER = 2**20
"""Most bytes between two members: long names, pax records and maps of sparse files, which `tarfile` reads at once."""
_MOST_READS_AT_END = 10
"""`tarfile` would go on to skip a member of 2^60 bytes in steps of 10 KiB after the end of the file."""
_BLOCK_BYTES = 2**16
_HeaderErrors: Any = tarfile
"""The stubs of `tarfile` lack its exceptions for headers."""
_LARGEST_DIRECTORY = 2**26
"""Largest list of members of a zip archive, bytes. That of the 227,835 reports of MIMIC-CXR has 25 million."""
_DAMAGED = (
    *(EOFError, NotImplementedError, OSError, OverflowError, RuntimeError, TypeError, ValueError),
    *(struct.error, tarfile.TarError, zipfile.BadZipFile, zlib.error),
)
"""Exceptions that `tarfile` and `zipfile` raise on damaged and manipulated archives."""
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""LZMA may ask for four gigabytes of memory for one member."""


def tar_members(archive: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files in a compressed tar archive whose names have this suffix.

    Raises:
        CorpusError: The archive is damaged, or a member, a header or the whole of it is too large.
    """
    try:
        with gzip.open(archive, "rb") as file, _BoundedStream(file, archive) as stream:
            yield from _members(stream, archive, suffix)
    except _DAMAGED as error:
        raise CorpusError(f"{archive}: the .tgz archive is damaged; download it again") from error


def _members(stream: _BoundedStream, archive: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_CheckedHeader) as members:
        stream.allow(_LARGEST_HEADER)
        for count, member in enumerate(members):
            if count >= MOST_MEMBERS:
                raise CorpusError(f"{archive}: has more than {MOST_MEMBERS} files; unpack only the reports")
            if member.isfile() and member.name.endswith(suffix):
                if member.size > LARGEST_REPORT:
                    raise too_large(f"{archive}: {member.name}")
                stream.allow(member.size + _LARGEST_HEADER)
                content = members.extractfile(member)
                yield member.name, b"" if content is None else content.read()
            # What precedes the next member: the rest of this one, and headers.
            stream.allow(max(0, member.size) + _LARGEST_HEADER)
            kept: Any = members
            kept.members.clear()  # `tarfile` keeps every header that it has read
            kept.pax_headers.clear()
    stream.allow(LARGEST_ARCHIVE)
    while stream.read(_BLOCK_BYTES):  # `gzip` compares the checksum at the end of the file
        pass


class _CheckedHeader(tarfile.TarInfo):
    """A header of a tar archive. `tarfile` takes an invalid one for the end of the archive, which loses the rest."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        """Read the next header.

        Raises:
            ReadError: The header is invalid or incomplete.
        """
        try:
            return super().fromtarfile(archive)
        except (_HeaderErrors.InvalidHeaderError, _HeaderErrors.TruncatedHeaderError) as error:
            raise tarfile.ReadError(str(error)) from error


def too_large(location: str) -> CorpusError:
    """Return the error for a member of an archive that is too large to be a report."""
    return CorpusError(f"{location} has more than {LARGEST_REPORT} bytes, so it is not a report; remove it")


class _BoundedStream(io.RawIOBase):
    """The inflated bytes of an archive, of which no more can be read than is allowed."""

    def __init__(self, file: gzip.GzipFile, archive: Path) -> None:
        super().__init__()
        self._file, self._archive = file, archive
        self._total, self._allowed, self._reads_at_end = LARGEST_ARCHIVE, _LARGEST_HEADER, 0

    def allow(self, size: int) -> None:
        """Allow this many bytes from here on."""
        self._allowed = size

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self._reads_at_end += not data
        if self._reads_at_end > _MOST_READS_AT_END:
            raise EOFError("the archive ends within a member")
        self._total -= len(data)
        self._allowed -= len(data)
        if self._allowed < 0:
            raise CorpusError(f"{self._archive}: a header has more than {_LARGEST_HEADER} bytes; download it again")
        if self._total < 0:
            reason = f"inflates to more than {LARGEST_ARCHIVE} bytes, more than reports need; unpack only the reports"
            raise CorpusError(f"{self._archive}: {reason}")
        return data


class ZipReports:
    """Report texts in a zip archive.

    Args:
        archive: The file, which stays open.

    Raises:
        CorpusError: The archive is damaged, or its list of members is too large.
    """

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        try:
            file = _BoundedFile(archive.open("rb", buffering=0), archive)
            weakref.finalize(self, file.close)  # as ZipFile does with a file that it has opened itself
            self._zip = zipfile.ZipFile(file)
        except _DAMAGED as error:
            raise CorpusError(f"{archive}: the .zip archive is damaged; download it again") from error

    def read(self, name: str) -> str:
        """Return the text of a member; empty if there is none.

        Raises:
            CorpusError: The member is damaged, too large, compressed in another way than reports are, or not UTF-8.
        """
        if name not in self._zip.NameToInfo:
            return ""
        location = f"{self._archive}: {name}"
        if self._zip.NameToInfo[name].compress_type not in _COMPRESSIONS:
            raise CorpusError(f"{location} is not compressed by deflate; download the archive again")
        try:
            with self._zip.open(name) as file:
                data = file.read(LARGEST_REPORT + 1)
        except _DAMAGED as error:
            raise CorpusError(f"{location} cannot be decompressed; download the archive again") from error
        if len(data) > LARGEST_REPORT:
            raise too_large(location)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise CorpusError(f"{location} is not UTF-8 text; download the archive again") from error


class _BoundedFile(io.BufferedReader):
    """A zip archive of which `zipfile` reads no larger list of members, whatever size it declares."""

    def __init__(self, raw: io.FileIO, archive: Path) -> None:
        super().__init__(raw)
        self._archive = archive

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _LARGEST_DIRECTORY:
            reason = f"its list of files has more than {_LARGEST_DIRECTORY} bytes; unpack the reports"
            raise CorpusError(f"{self._archive}: {reason}")
        return super().read(size)
