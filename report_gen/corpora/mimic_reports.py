"""The report texts of MIMIC-CXR, wherever beside the images they were put."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path, PurePosixPath

from report_gen.corpora.text_files import read_text
from report_gen.errors import CorpusError

ARCHIVE = "mimic-cxr-reports.zip"
LARGEST_REPORT = 2**20
"""Bytes of one text in the archive."""

_FOLDERS = ("", "reports", "mimic-cxr-reports")


class ReportTexts:
    """Texts by the place of their study, such as files/p10/p10000032/s50414267."""

    def __init__(self, folder: Path) -> None:
        """Raises CorpusError where the archive is there and damaged."""
        self._folders = [folder / name for name in _FOLDERS if (folder / name).is_dir()]
        self._archive = None
        if (folder / ARCHIVE).is_file():
            self._archive = self._open(folder / ARCHIVE)

    def read(self, place: str) -> str:
        """The text of a study; empty where there is none. Raises CorpusError where it cannot be read."""
        inside = str(PurePosixPath(place) / PurePosixPath(place).name)
        for folder in self._folders:
            for name in (f"{place}.txt", f"{inside}.txt"):
                if (folder / name).is_file():
                    return read_text(folder / name)
        return self._read_packed(f"{place}.txt")

    def _read_packed(self, name: str) -> str:
        if self._archive is None or name not in self._archive.NameToInfo:
            return ""
        try:
            with self._archive.open(name) as file:
                data = file.read(LARGEST_REPORT + 1)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, zlib.error) as error:
            raise CorpusError(f"{self._archive.filename}: cannot be unpacked at {name}; fetch it again.") from error
        if len(data) > LARGEST_REPORT:
            raise CorpusError(
                f"{self._archive.filename}: {name} has more than {LARGEST_REPORT} bytes; it is no report."
            )
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise CorpusError(f"{self._archive.filename}: {name} is not UTF-8 text; fetch it again.") from error

    @staticmethod
    def _open(archive: Path) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(archive)
        except (zipfile.BadZipFile, OSError) as error:
            raise CorpusError(f"{archive}: not a sound .zip archive; fetch it again.") from error
