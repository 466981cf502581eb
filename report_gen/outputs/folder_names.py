"""Look up the file names of a folder that is listed once, because a folder may have the drafts of many studies."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import count, takewhile
from pathlib import Path

from report_gen.outputs.draft_file import DraftFile


class FolderNames:
    """The file names that a folder had when this object was created.

    Args:
        folder: A folder that exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._names = folder, sorted(path.name for path in folder.iterdir())

    def starting_with(self, beginning: str) -> Iterator[str]:
        """Yield the names that start with a text, in their order."""
        for number in range(bisect_left(self._names, beginning), len(self._names)):
            if not self._names[number].startswith(beginning):
                return
            yield self._names[number]

    def version_numbers(self, file: DraftFile) -> list[int]:
        """Return the numbers of the later versions of a document, see `DraftFile.with_version`, the newest one last."""
        if file.with_version(2, self._folder).stem != f"{file.stem}-v2":  # a long name is cut, and its number is lost
            return list(
                takewhile(lambda n: (self._folder / file.with_version(n, self._folder).name).exists(), count(2))
            )
        beginning = f"{file.stem}-v"
        name = re.compile(f"{re.escape(beginning)}([1-9][0-9]*){re.escape(file.suffix)}")
        return sorted(int(found[1]) for one in self.starting_with(beginning) if (found := name.fullmatch(one)))
