"""Files of drafts that were cut, as by an interrupted copy: they are refused, or nothing of the report is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from report_gen import read_report, read_study
from report_gen.errors import StudyError
from report_gen.outputs import DraftDocument, get_format
from report_gen.records import Report
from tests.dicom_files import write_dicom

_CUTS = 150
"""Places at which each file is cut, spread evenly, and one at each of the last bytes."""


@pytest.mark.parametrize("name", ["json", "txt", "fhir", "hl7", "dicom-sr", "dicom-sr-findings"])
def test_no_part_of_a_report_is_read_as_the_whole(name: str, report: Report, tmp_path: Path) -> None:
    study = read_study(write_dicom(tmp_path / "source.dcm", StudyDate="20250102"))
    content = get_format(name).render(DraftDocument(report=report, study=study))
    path = tmp_path / f"whole{get_format(name).suffix}"
    path.write_bytes(content)
    whole = read_report(path)
    size = len(content)
    accepted = 0
    for end in sorted({*range(0, size, max(1, size // _CUTS)), *range(size - 8, size)}):
        path.write_bytes(content[:end])
        try:
            found = read_report(path)
        except StudyError:
            continue
        accepted += 1
        assert found == whole, f"{end} of {size} bytes"
    assert accepted <= 8
