"""Report texts of MIMIC-CXR, from a folder or from the archive of PhysioNet."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from report_gen.corpora.text_files import read_text
from report_gen.errors import CorpusError

ARCHIVE = "mimic-cxr-reports.zip"
LARGEST_REPORT = 2**20
"""Largest allowed text in the archive, bytes."""

_DAMAGED = (
    *(EOFError, NotImplementedError, OSError, OverflowError, RuntimeError, ValueError),
    *(lzma.LZMAError, struct.error, zipfile.BadZipFile, zlib.error),
)
"""Exceptions that `zipfile` raises on damaged and manipulated archives."""

_FOLDERS = ("", "reports", "mimic-cxr-reports")


class ReportTexts:
    """Report texts by the path of their study, such as files/p10/p10000032/s50414267.

    Args:
        folder: Folder of the corpus.

    Raises:
        CorpusError: The archive is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folders = [folder / name for name in _FOLDERS if (folder / name).is_dir()]
        self._archive = None
        if (folder / ARCHIVE).is_file():
            self._archive = self._open(folder / ARCHIVE)

    def read(self, study: str) -> str:
        """Return the text of a study; empty if there is none.

        Raises:
            CorpusError: The text cannot be read.
        """
        inside = str(PurePosixPath(study) / PurePosixPath(study).name)
        for folder in self._folders:
            for name in (f"{study}.txt", f"{inside}.txt"):
                if (folder / name).is_file():
                    return read_text(folder / name)
        return self._read_archived(f"{study}.txt")

    def _read_archived(self, name: str) -> str:
        if self._archive is None or name not in self._archive.NameToInfo:
            return ""
        try:
            with self._archive.open(name) as file:
                data = file.read(LARGEST_REPORT + 1)
        except _DAMAGED as error:
            raise CorpusError(
                f"{self._archive.filename}: {name} cannot be decompressed; download the archive again"
            ) from error
        if len(data) > LARGEST_REPORT:
            raise CorpusError(
                f"{self._archive.filename}: {name} has more than {LARGEST_REPORT} bytes, so it is no report; remove it"
            )
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{self._archive.filename}: {name} is not UTF-8 text; download the archive again"
            ) from error

    @staticmethod
    def _open(archive: Path) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(archive)
        except _DAMAGED as error:
            raise CorpusError(f"{archive}: the .zip archive is damaged; download it again") from error
