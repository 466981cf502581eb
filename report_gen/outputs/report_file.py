"""Read report files of any origin, up to a size limit."""

from __future__ import annotations

from pathlib import Path

from report_gen.errors import StudyError, describe_missing

BROKEN_DICOM = "malformed DICOM, or cut; copy or export the report again"
"""What is wrong with a report that pydicom cannot read, and what to do, for `raise_study_errors`."""
LARGEST_FILE = 2**25
"""Largest file of a report, bytes. A draft has about ten thousand, with a PDF page a few million."""


def read_report_file(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises:
        StudyError: The file does not exist, is not a regular file, is too large, or cannot be read.
    """
    try:
        if not path.exists():
            raise StudyError(path, describe_missing(path, "there is no such file; check the path"))
        if not path.is_file():  # a pipe or a device may never end
            raise StudyError(path, "not a regular file; give the file of a report")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise StudyError(path, f"cannot be read ({error.strerror}); check the file") from error
    if len(content) > LARGEST_FILE:
        raise StudyError(path, f"larger than {LARGEST_FILE // 2**20} MiB, so it is not a report; give another file")
    return content
