"""Results reach the disk whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from report_gen.errors import OutputError

_TEMPORARY, _OLDER = ".tmp", ".old"


def write_atomically(path: Path, data: str | bytes) -> None:
    """Writes a file, text as UTF-8, through a temporary one beside it; missing folders are made.

    After a failure or a crash an earlier file at `path` is untouched.

    Raises:
        OutputError: naming the file and the remedy; no temporary file is left.
    """
    write_pieces(path, [data])


def write_pieces(path: Path, pieces: Iterable[str | bytes]) -> None:
    """As `write_atomically`, piece after piece, so that a large file is never in memory; raises OutputError.

    What goes wrong while a piece is made leaves an earlier file untouched, too.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, pieces)
        _sync_folder(path.parent)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{path}: cannot be written ({reason}); free the disk or name another place.") from error


def write_folder(folder: Path, contents: Mapping[str, bytes | Callable[[], bytes]]) -> None:
    """Writes a folder of files whole: under a temporary name beside it, which then takes the place of an older folder.

    A process that is killed in the middle may leave the older folder under a name of its own: `recover_folder` finds
    it.

    Args:
        contents: by the file's name; what is called for its content is called in turn, so that the contents of a large
            folder need not be in memory together.

    Raises:
        OutputError: naming the folder and the remedy; the older folder stands as it was.
    """
    temporary = folder.parent / f".{folder.name}-{secrets.token_hex(8)}{_TEMPORARY}"
    older = temporary.with_suffix(_OLDER)
    try:
        temporary.mkdir(parents=True)
        for name, data in contents.items():
            _replace(temporary / name, [data if isinstance(data, bytes) else data()])
        _sync_folder(temporary)
        if folder.exists():
            folder.rename(older)
        temporary.rename(folder)
        _sync_folder(folder.parent)
    except OSError as error:
        if older.exists() and not folder.exists():
            older.rename(folder)
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{folder}: cannot be written ({reason}); free the disk or name another place.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(older, ignore_errors=True)


def recover_folder(folder: Path) -> None:
    """Puts back what a process killed inside `write_folder` had set aside, and removes what it left half written.

    Call it when nobody else writes there.

    Raises:
        OutputError: naming the folder and the remedy.
    """
    try:
        for older in folder.parent.glob(f".{folder.name}-*{_OLDER}"):
            if folder.exists():
                shutil.rmtree(older)
            else:
                older.rename(folder)
        for temporary in folder.parent.glob(f".{folder.name}-*{_TEMPORARY}"):
            shutil.rmtree(temporary)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be put back ({error.strerror}); check who owns the folder.") from error


def unique_names(names: Iterable[str]) -> list[str]:
    """Make names differ, also on a file system that ignores case: a repeated name gets the suffix -2, -3, ..."""
    taken: set[str] = set()
    unique = []
    for name in names:
        candidate, number = name, 1
        while candidate.casefold() in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(candidate.casefold())
        unique.append(candidate)
    return unique


def _replace(path: Path, pieces: Iterable[str | bytes]) -> None:
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with temporary.open("xb") as file:
            for piece in pieces:
                file.write(piece.encode() if isinstance(piece, str) else piece)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Makes the new name last through a power cut, where the system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
