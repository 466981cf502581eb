"""Find out which version of a document a file is, and whether a newer version lies beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from report_gen.errors import StudyError
from report_gen.files import name_key

_VERSION = re.compile(r"-v[1-9]\d*\Z")
"""End of the name of a version without its suffix, see `DraftFile.with_version`."""
_COMPARED_BYTES = 200
"""Bytes of a name that are compared, because a name that is too long is cut, see `file_name`."""


@dataclass(frozen=True)
class DocumentVersion:
    """Which version of which document a file is."""

    document: str
    """Identity that all versions of the document share."""
    order: int
    """Greater for a later version."""


def find_newer(
    path: Path,
    read_version: Callable[[Path], DocumentVersion],
    *,
    folders: Iterable[Path],
    stems: Iterable[str],
    suffix: str,
) -> Path | None:
    """Return the newest version of a document if it is newer than a file.

    Args:
        path: The file.
        read_version: Returns the version of a file, or raises StudyError if the file has none.
        folders: Folders that may have newer versions.
        stems: How the names of newer versions may begin besides the name of the file; other files are not read.
        suffix: Suffix of the format.

    Raises:
        StudyError: The file has no version.
    """
    own, newest = read_version(path), path
    stem = path.name.removesuffix(suffix)
    for candidate in _list_files(folders, (*stems, _VERSION.sub("", stem)), suffix):
        try:
            version = read_version(candidate)
        except StudyError:  # a file that the user or another program wrote
            continue
        if version.document == own.document and version.order > own.order:
            own, newest = version, candidate
    return None if newest is path else newest


def _list_files(folders: Iterable[Path], stems: Iterable[str], suffix: str) -> Iterator[Path]:
    beginnings = tuple(os.fsencode(name_key(stem))[:_COMPARED_BYTES] for stem in stems)
    for folder in {folder.absolute(): folder for folder in folders}.values():
        try:
            paths = sorted(folder.iterdir())
        except OSError:  # the folder cannot be read, or does not exist yet
            continue
        for path in paths:
            key = name_key(path.name)
            if key.endswith(suffix) and os.fsencode(key).startswith(beginnings):
                yield path
