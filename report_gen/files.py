"""Write files and folders atomically, name output files, and recognize image files by their suffixes.

An interrupted write leaves the earlier file as it was. Functions that write raise OutputError with path and remedy.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from report_gen.errors import OutputError, url_of

IMAGE_SUFFIXES = frozenset({".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"})
"""Suffixes of the image files that are read, in lower case."""

_TEMPORARY, _PREVIOUS = ".tmp", ".old"
_RANDOM = "[0-9a-f]" * 16
"""Glob pattern of the random part of a temporary name; a name of the user that only looks similar is left alone."""
_NAME_BYTES = 255
"""Longest file name where the file system does not specify it, bytes."""
_HASH_DIGITS = 12
_REPLACED = ("Cc", "Cf", "Zl", "Zp")
"""Unicode categories of characters that a file name does not get: control, format, line and paragraph separator."""


def write_atomically(path: Path, data: str | bytes, *, replace: bool = True) -> None:
    """Write a file under a temporary name, then rename it. Missing folders are created; text is written as UTF-8.

    Bytes of a file name that are not UTF-8 stand in a text as the surrogates U+DC80 to U+DCFF (PEP 383). They are
    written as escapes, for example \\udce9, which JSON reads as the same surrogate.

    After a failure or a crash an earlier file at `path` is unchanged.

    Args:
        path: The file.
        data: Its content.
        replace: Replace an earlier file at `path`.

    Raises:
        FileExistsError: `replace` is False, and there is a file at `path`.
        OutputError: The file cannot be written; no temporary file is left.
    """
    write_pieces(path, [data], replace=replace)


def write_pieces(path: Path, pieces: Iterable[str | bytes], *, replace: bool = True) -> None:
    """Write a file piece by piece, so that a large file is never in memory; otherwise as `write_atomically`.

    An error raised while a piece is produced also leaves an earlier file unchanged.

    Raises:
        FileExistsError: `replace` is False, and there is a file at `path`.
        OutputError: The file cannot be written; no temporary file is left.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, pieces, replace=replace)
        _sync_folder(path.parent)
    except OSError as error:
        if isinstance(error, FileExistsError) and not replace and path.parent.is_dir():
            raise
        raise output_error(path, error) from error


def check_writable(path: Path) -> None:
    """Check that a file can be written at a path, before work of hours is done for it. Nothing is left on the disk.

    Raises:
        OutputError: The path is a folder or a device, or no file can be written there.
    """
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises if a folder above may not be entered
        raise output_error(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
    if os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113
        raise OutputError(f"{path}: is a device or a pipe, which a file would replace; give the name of a file")
    check_writable_folder(path.parent)


def check_writable_folder(folder: Path) -> None:
    """Check that a folder can be created and takes files. Nothing is left on the disk.

    Raises:
        OutputError: No file can be written to the folder, or to the nearest folder above it that exists.
    """
    if url := url_of(folder):
        raise OutputError(f"{url}: cannot be written, because it is a URL; choose a folder on this computer")
    existing = next((one for one in (folder, *folder.absolute().parents) if os.path.lexists(one)), folder)
    temporary = existing / f".{secrets.token_hex(8)}{_TEMPORARY}"
    try:
        temporary.touch(exist_ok=False)
        temporary.unlink()
    except OSError as error:
        raise output_error(folder, error) from error


def write_folder(folder: Path, contents: Mapping[str, bytes | Callable[[], bytes]]) -> None:
    """Write a folder of files under a temporary name, then rename it in place of an older folder.

    A process that is killed between the two renames leaves the older folder under a temporary name, from which
    `recover_folder` restores it.

    Args:
        folder: The folder to write.
        contents: File content by file name. A function is called when its file is written, so that not all contents
            have to be in memory together.

    Raises:
        OutputError: The folder cannot be written; an older folder is unchanged.
    """
    temporary = folder.parent / f".{folder.name}-{secrets.token_hex(8)}{_TEMPORARY}"
    previous = temporary.with_suffix(_PREVIOUS)
    try:
        temporary.mkdir(parents=True)
        for name, data in contents.items():
            _write(temporary / name, [data if isinstance(data, bytes) else data()])
        _sync_folder(temporary)
        if folder.exists():
            folder.rename(previous)
        temporary.rename(folder)
        _sync_folder(folder.parent)
    except BaseException as error:  # also Ctrl-C
        if previous.exists() and not folder.exists():
            previous.rename(folder)
        if isinstance(error, OSError):
            raise output_error(folder, error) from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(previous, ignore_errors=True)


def recover_folder(folder: Path) -> None:
    """Restore the older folder that a killed `write_folder` had renamed, and remove its unfinished files.

    No other process may write to the folder meanwhile.

    Raises:
        OutputError: The folder cannot be restored.
    """
    try:
        for previous in folder.parent.glob(f".{folder.name}-{_RANDOM}{_PREVIOUS}"):
            if folder.exists():
                shutil.rmtree(previous)
            else:
                previous.rename(folder)
        for temporary in folder.parent.glob(f".{folder.name}-{_RANDOM}{_TEMPORARY}"):
            shutil.rmtree(temporary)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be restored ({error.strerror}); check its permissions") from error


def remove_temporary_files(folder: Path, *, subfolders: bool = False) -> None:
    """Remove the files that a killed `write_atomically` or `write_pieces` left in a folder.

    No other process may write there meanwhile.

    Args:
        folder: The folder.
        subfolders: Whether to search its subfolders as well.

    Raises:
        OutputError: A file cannot be removed.
    """
    try:
        pattern = f".{_RANDOM}{_TEMPORARY}"
        for path in folder.rglob(pattern) if subfolders else folder.glob(pattern):
            if path.is_file():
                path.unlink()
    except OSError as error:
        raise output_error(folder, error) from error


def output_error(path: Path, error: OSError) -> OutputError:
    """Return the error that says why a path cannot be written, and what to do."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return OutputError(f"{path}: cannot be written, because a file has the name of a folder; choose another path")
    is_folder = os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises if a folder above may not be entered
    if is_folder and error.errno in (errno.EISDIR, errno.EBUSY):
        return OutputError(f"{path}: cannot be written, because it is a folder; give the name of a file")
    if error.errno == errno.ENOENT:  # such as below /proc; folders that are missing are created
        return OutputError(
            f"{path}: cannot be written, because the system does not allow a new file there; choose another path"
        )
    reason = error.strerror or type(error).__name__
    is_forbidden = error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)
    remedy = "choose another path" if is_forbidden else "free disk space or choose another path"
    return OutputError(f"{path}: cannot be written ({reason}); {remedy}")


def unique_names(names: Iterable[str]) -> list[str]:
    """Make names differ: a repeated name gets the suffix -2, -3, ...

    Names also differ on a file system that ignores case or the composition of accents (Unicode normalization).
    """
    taken: set[str] = set()
    unique = []
    for name in names:
        candidate, number = name, 1
        while name_key(candidate) in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(name_key(candidate))
        unique.append(candidate)
    return unique


def file_name(name: str, *, suffix: str, folder: Path | None = None) -> str:
    """Return the file name, without the suffix, for any name.

    - A slash, a control character, a line or paragraph separator and an invisible character (Unicode categories Cc,
      Cf, Zl and Zp) become "_". Every other character is kept, and so are bytes that are not valid UTF-8.
    - A name without characters becomes "study", and the names "." and ".." become "_" and "__".
    - A name that is too long with its suffix is cut, and ends with "-" and 12 digits of the SHA-256 of the whole name.

    Args:
        name: Name of a study.
        suffix: Suffix of the file, with the dot.
        folder: Folder of the file, whose file system limits the length; it need not exist. Default: 255 bytes.
    """
    return _shorten(_clean(name), _longest_name(folder) - len(os.fsencode(suffix)))


def name_key(name: str) -> str:
    """Return a key that is equal for names that a file system may treat as the same file."""
    return unicodedata.normalize("NFC", name.casefold())


def _clean(name: str) -> str:
    cleaned = "".join("_" if c == "/" or unicodedata.category(c) in _REPLACED else c for c in name)
    return cleaned.replace(".", "_") if cleaned in (".", "..") else cleaned or "study"


def _shorten(name: str, limit: int) -> str:
    encoded = os.fsencode(name)
    if len(encoded) <= limit:
        return name
    ending = f"-{hashlib.sha256(encoded).hexdigest()[:_HASH_DIGITS]}"
    while len(os.fsencode(name)) > limit - len(ending):
        name = name[:-1]
    return name + ending


def _longest_name(folder: Path | None) -> int:
    """Return the longest name that a folder, or the nearest parent that exists, can hold, bytes."""
    for existing in () if folder is None else (folder, *folder.absolute().parents):
        try:
            return os.pathconf(existing, "PC_NAME_MAX")
        except (OSError, ValueError):
            continue
    return _NAME_BYTES


def _write(path: Path, pieces: Iterable[str | bytes], *, replace: bool = True) -> None:
    temporary = path.parent / f".{secrets.token_hex(8)}{_TEMPORARY}"
    try:
        with temporary.open("xb") as file:
            for piece in pieces:
                file.write(piece.encode(errors="backslashreplace") if isinstance(piece, str) else piece)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            _rename_to_new(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _rename_to_new(temporary: Path, path: Path) -> None:
    """Give a file its final name; raise FileExistsError if the name is taken, also if another process takes it now."""
    try:
        path.hardlink_to(temporary)  # unlike a rename, a link never replaces a file
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.rename(path)


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder survive a power failure, where the system supports it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
