"""Unpack ZIP archives of studies into a temporary folder, with limits on what an archive may contain.

The records of a study name its files, which are read again when pixels are loaded. So an archive is not read in place:
its files exist as long as the context of `open_archives`.
"""

from __future__ import annotations

import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from report_gen.errors import NotAnImageError, StudyError, without_traceback
from report_gen.imaging.bounded_file import BoundedFile
from report_gen.imaging.image_files import is_archive
from report_gen.imaging.memory import format_bytes

MAX_MEMBERS = 100_000
"""Most files of an archive. A CT of the whole body has some 2,000."""
MAX_UNPACKED_BYTES = 2**34
"""Largest size of the files of an archive."""

_LARGEST_DIRECTORY = 2**24
"""Largest list of files of an archive, bytes. Its entries have some 100 bytes."""
_LARGEST_RATIO, _ALWAYS_ALLOWED = 200, 2**26
"""Files may have this many times the size of the archive, or this size. Images are compressed to a half or a third, and
black ones to a thousandth."""
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""LZMA may ask for four gigabytes of memory for one file."""
_ENCRYPTED = 0x1
"""Bit of the flags of a file (APPNOTE.TXT 4.4.4)."""
_DAMAGED = (
    *(EOFError, LookupError, NotImplementedError, OverflowError, RuntimeError, TypeError, ValueError),
    *(struct.error, zipfile.BadZipFile, zlib.error),
)
"""Exceptions that `zipfile` raises on damaged and manipulated archives."""


@dataclass(frozen=True)
class UnpackedArchives:
    """Paths of which archives are replaced by the folders of their files."""

    paths: tuple[Path, ...]
    refused: tuple[StudyError, ...]
    """An error for each archive that cannot be unpacked."""
    archives: Mapping[Path, Path]
    """The archive of each folder."""

    def restore_names(self, message: str) -> str:
        """Return a message that names files in archives instead of files in temporary folders."""
        for folder, archive in self.archives.items():
            message = message.replace(str(folder), str(archive))
        return message


@contextmanager
def open_archives(paths: Iterable[Path]) -> Iterator[UnpackedArchives]:
    """Unpack the ZIP archives among paths into a temporary folder, which is removed at the end of the context.

    An archive is recognized by its content. One that cannot be unpacked does not stop the others.

    Args:
        paths: Files and folders. Archives in folders are not unpacked.

    Yields:
        The paths, with a folder in place of each archive.
    """
    with ExitStack() as stack:
        opened: list[Path] = []
        refused: list[StudyError] = []
        archives: dict[Path, Path] = {}
        for path in paths:
            if not is_archive(path):
                opened.append(path)
                continue
            root = stack.enter_context(TemporaryDirectory(prefix="report-gen-"))
            folder = Path(root, path.stem)
            try:
                unpack(path, folder)
            except StudyError as error:
                refused.append(without_traceback(error))
            else:
                opened.append(folder)
                archives[folder] = path
        yield UnpackedArchives(tuple(opened), tuple(refused), archives)


def unpack(path: Path, folder: Path) -> None:
    """Unpack a ZIP archive into a new folder. No file is written outside of it, whatever names the archive has.

    Raises:
        StudyError: The archive is damaged, encrypted or too large, or contains a name twice.
    """
    folder.mkdir(parents=True)
    try:
        with path.open("rb", buffering=0) as raw, BoundedFile(raw, path) as file:
            with file.bounded(_LARGEST_DIRECTORY, problem="its list of files has", remedy="unpack it"):
                archive = zipfile.ZipFile(file)
            with archive:
                members = [member for member in archive.infolist() if not member.filename.endswith("/")]
                _check_members(members, path, folder)
                for member, target in zip(members, _targets(members, path, folder), strict=True):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(member) as source, target.open("xb") as unpacked:
                        shutil.copyfileobj(source, unpacked, 2**20)
    except _DAMAGED as error:
        raise StudyError(path, "the ZIP archive is damaged; copy or export it again") from error
    except OSError as error:
        raise StudyError(path, f"the ZIP archive cannot be unpacked ({error.strerror}); unpack it by hand") from error


def _check_members(members: Sequence[zipfile.ZipInfo], path: Path, folder: Path) -> None:
    """Refuse an archive before a file of it is written. `zipfile` writes no more bytes than a file declares."""
    if not members:
        raise NotAnImageError(path, "is a ZIP archive without files; give an archive of a study")
    if len(members) > MAX_MEMBERS:
        reason = f"the ZIP archive has {len(members)} files, and the limit is {MAX_MEMBERS}"
        raise StudyError(path, f"{reason}; make an archive for each study")
    if any(member.flag_bits & _ENCRYPTED for member in members):
        raise StudyError(path, "the ZIP archive is encrypted; unpack it with its password, and give the folder")
    if any(member.compress_type not in _COMPRESSIONS for member in members):
        raise StudyError(path, "the ZIP archive is not compressed by deflate; unpack it by hand")
    size = sum(member.file_size for member in members)
    largest = min(MAX_UNPACKED_BYTES, max(_ALWAYS_ALLOWED, _LARGEST_RATIO * path.stat().st_size))
    if size > largest:
        reason = f"the ZIP archive contains {format_bytes(size)}, and {format_bytes(largest)} are allowed for its size"
        raise StudyError(path, f"{reason}; unpack it by hand")
    free = shutil.disk_usage(folder).free
    if size > free:
        reason = f"the ZIP archive contains {format_bytes(size)}, and {folder.parents[1]} has {format_bytes(free)} free"
        raise StudyError(path, f"{reason}; set TMPDIR to a folder with more, or unpack it by hand")


def _targets(members: Sequence[zipfile.ZipInfo], path: Path, folder: Path) -> list[Path]:
    """Return where each file is written: below the folder, without the parts of its name that lead out of it."""
    targets = [folder.joinpath(*_parts(member.filename)) for member in members]
    if folder in targets:
        raise StudyError(path, "the ZIP archive contains a file without a name; unpack it by hand")
    if len({str(target).casefold() for target in targets}) < len(targets):
        raise StudyError(path, "the ZIP archive contains a file name twice; unpack it by hand")
    return targets


def _parts(name: str) -> list[str]:
    parts = PurePosixPath(name.replace("\\", "/").replace(":", "_")).parts
    return [part for part in parts if part not in ("/", "//", "..")]
