"""Find the image files that a table names: by relative or absolute paths, of Windows too, or by file names alone."""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from report_gen.corpora.examples import is_file
from report_gen.errors import CorpusError
from report_gen.files import IMAGE_SUFFIXES, write_atomically

IMAGES = "images"
LISTED_IMAGE_SUFFIXES = IMAGE_SUFFIXES | {".bmp", ".ima"}

_MOST_FILES = 2_000_000
"""Largest number of files that are indexed below the folder of a table."""
_WINDOWS_ROOT = re.compile(r"[A-Za-z]:/+|//+")
_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"II*\0": ".tif", b"MM\0*": ".tif"}


class ImageFinder:
    """Turns the image names of a table into paths of files.

    A name is tried as it is, relative to the folder of the table, and with the separators of Windows. An absolute path
    of another computer is matched by its last parts. A relative name that does not exist is looked up among all files
    below the folder: exactly one file must end in this name, with or without its suffix.

    Args:
        folder: Folder of the table.
        store: Folder for images that are embedded in the table.
    """

    def __init__(self, folder: Path, store: Path | None = None) -> None:
        self._folder, self._store = folder, store
        self._claimed: dict[str, str] = {}

    def find(self, image: Any, location: str) -> str:
        """Return the absolute path of an image, which is missing if no file fits. Embedded images are stored.

        Args:
            image: Name, or bytes, or a dictionary of `datasets` with bytes or path.
            location: Table and row, for error messages.

        Raises:
            CorpusError: The image is embedded and there is no store, two paths may be the same file, or a name may be
                that of several files.
        """
        data = image.get("bytes") if isinstance(image, dict) else image
        if isinstance(data, bytes):
            return self._save(data, location)
        name = str(image.get("path") if isinstance(image, dict) else image)
        if is_file(path := self._folder / name):
            return str(path)
        portable = name.removeprefix("file://").replace("\\", "/")
        root = _WINDOWS_ROOT.match(portable)
        if root or portable.startswith("/"):
            return self._find_by_tail(portable[root.end() if root else 1 :], name, location) or str(path)
        portable = portable.removeprefix("./")
        if is_file(path := self._folder / portable):
            return str(path)
        found = [file for file in self._index.get(_key(portable), ()) if _ends_in(file, portable)]
        if len(found) > 1:
            raise CorpusError(
                f"{location}: the image {name!r} may be {' or '.join(map(repr, found[:3]))}; write its folder as well"
            )
        return str(self._folder / found[0]) if found else str(path)

    def name_of(self, image: Any, location: str) -> str:
        """Return the path of an image relative to the folder of the table, without suffix; empty if it is embedded."""
        if not isinstance(image, str):
            return ""
        path = Path(self.find(image, location))
        path = path.relative_to(self._folder) if path.is_relative_to(self._folder) else path
        return path.with_suffix("").as_posix() if path.suffix.lower() in LISTED_IMAGE_SUFFIXES else path.as_posix()

    def _find_by_tail(self, portable: str, name: str, location: str) -> str:
        """Return the file below the folder that has the most last parts of an absolute path; empty if there is none."""
        parts = [part for part in portable.split("/") if part]
        for start in range(len(parts)):
            path = str(self._folder.joinpath(*parts[start:]))
            if is_file(path):
                if self._claimed.setdefault(path, name) != name:
                    raise CorpusError(
                        f"{location}: neither {name!r} nor {self._claimed[path]!r} exists, and both match {path}; "
                        "write the paths relative to the folder of the table"
                    )
                return path
        return ""

    @cached_property
    def _index(self) -> dict[str, list[str]]:
        """Image files below the folder, as relative paths, by name without suffix."""
        index: dict[str, list[str]] = defaultdict(list)
        for number, file in enumerate(_walk(self._folder)):
            if number >= _MOST_FILES:
                break
            index[_key(file)].append(file)
        return index

    def _save(self, data: bytes, location: str) -> str:
        if self._store is None:
            raise CorpusError(f"{location}: the images are embedded and need a folder to be written to; give a store")
        suffix = next((suffix for head, suffix in _SUFFIXES.items() if data.startswith(head)), ".dcm")
        file = self._store.resolve() / IMAGES / f"{hashlib.sha256(data).hexdigest()}{suffix}"
        if not file.exists():
            write_atomically(file, data)
        return str(file)


def has_image_suffix(name: str) -> bool:
    """Return whether a file name ends like that of an image."""
    return PurePosixPath(name).suffix.lower() in LISTED_IMAGE_SUFFIXES


def _walk(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name).relative_to(root).as_posix()
            if has_image_suffix(name) or not PurePosixPath(name).suffix:
                yield path


def _key(name: str) -> str:
    """Return the last part of a name without the suffix of an image and without case."""
    path = PurePosixPath(name)
    return (path.stem if has_image_suffix(name) else path.name).casefold()


def _ends_in(file: str, name: str) -> bool:
    """Return whether a relative path ends in a name. A name without the suffix of an image fits any suffix."""
    path = file if has_image_suffix(name) else str(PurePosixPath(file).with_suffix(""))
    return f"/{path}".casefold().endswith(f"/{name}".casefold())
