"""Report texts of MIMIC-CXR, from a folder or from the archive of PhysioNet."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from report_gen.corpora.archives import ZipReports
from report_gen.corpora.text_files import read_text

ARCHIVE = "mimic-cxr-reports.zip"

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
            self._archive = ZipReports(folder / ARCHIVE)

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
        return "" if self._archive is None else self._archive.read(f"{study}.txt")
