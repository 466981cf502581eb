"""Find the files of a folder. Symbolic links are followed as far as they stay in it."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from report_gen.errors import StudyError

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""Errors of a link whose target does not exist: a missing file, a file as parent, a link to itself."""


@dataclass(frozen=True)
class FoundFiles:
    """The files at or below a folder."""

    files: tuple[Path, ...]
    unreadable: tuple[StudyError, ...] = ()
    """An error for each folder that cannot be listed."""
    outside: tuple[Path, ...] = ()
    """Symbolic links whose target lies outside of the folder. They are not followed."""
    dangling: tuple[Path, ...] = ()
    """Symbolic links whose target does not exist."""


def find_files(root: Path) -> FoundFiles:
    """Find the regular files at or below a folder, folder by folder in the order of their names.

    Files and folders whose names begin with a dot are hidden and are passed over. A symbolic link is followed if its
    target lies below the root. A target that is not hidden is found under its own path and not a second time through
    the link. A hidden target is found through its links, as in a repository of git-annex: a folder once, and a file
    once in each folder that links to it.

    Args:
        root: A folder, or a link to one.

    Returns:
        The files, and the folders and links that could not be followed.
    """
    walk = _Walk(root)
    files = tuple(walk.files())
    return FoundFiles(files, tuple(walk.unreadable), tuple(walk.outside), tuple(walk.dangling))


@dataclass
class _Walk:
    """One walk through a folder and through the hidden folders that links in it lead to."""

    root: Path
    unreadable: list[StudyError] = field(default_factory=list)
    outside: list[Path] = field(default_factory=list)
    dangling: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._real_root = os.path.realpath(self.root)
        self._tops = deque([self.root])
        self._entered: set[str] = set()
        self._linked_files: set[tuple[str, str]] = set()

    def files(self) -> Iterator[Path]:
        while self._tops:
            for folder, subfolders, names in os.walk(self._tops.popleft(), onerror=self._report):
                real_folder = os.path.realpath(folder)
                if real_folder in self._entered:  # ends a loop of links between hidden folders
                    subfolders.clear()
                    continue
                self._entered.add(real_folder)
                subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
                for name in sorted(names):
                    if not name.startswith(".") and self._is_wanted(Path(folder, name), real_folder):
                        yield Path(folder, name)
                self._tops.extend(Path(folder, name) for name in subfolders if self._leads_to_hidden(folder, name))

    def _report(self, error: OSError) -> None:
        reason = f"cannot be read ({error.strerror}); check its permissions"
        self.unreadable.append(StudyError(Path(error.filename), reason))

    def _is_wanted(self, file: Path, real_folder: str) -> bool:
        """Return False for pipes, devices, and links that are not followed."""
        try:
            if not stat.S_ISLNK(file.lstat().st_mode):
                return stat.S_ISREG(file.lstat().st_mode)
            is_regular = stat.S_ISREG(file.stat().st_mode)
        except OSError as error:
            if file.is_symlink() and error.errno in _ABSENT:
                self.dangling.append(file)
                return False
            return True  # the type is unknown; reading will give the error
        target = self._hidden_target(file)
        if not is_regular or target is None or (real_folder, target) in self._linked_files:
            return False
        self._linked_files.add((real_folder, target))
        return True

    def _leads_to_hidden(self, folder: str, name: str) -> bool:
        link = Path(folder, name)
        return link.is_symlink() and self._hidden_target(link) is not None

    def _hidden_target(self, link: Path) -> str | None:
        """Return the target of a link if it lies below the root and is reached only through links."""
        target = os.path.realpath(link)
        if os.path.commonpath([self._real_root, target]) != self._real_root:
            self.outside.append(link)
            return None
        below_root = Path(target).relative_to(self._real_root).parts
        return target if any(part.startswith(".") for part in below_root) else None
