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
    accepted, reasons = 0, set[str]()
    for end in sorted({*range(0, size, max(1, size // _CUTS)), *range(size - 8, size)}):
        path.write_bytes(content[:end])
        try:
            found = read_report(path)
        except StudyError as error:
            reasons.add(error.reason)
            continue
        accepted += 1
        assert found == whole, f"{end} of {size} bytes"
    assert accepted <= 8
    # Neither a viewer nor dcmconv restores what was cut, and the images of the study are whole.
    assert not [reason for reason in reasons if "dcmconv" in reason or "export the study" in reason]


@pytest.mark.parametrize(("name", "kind"), [("dicom-pdf", "Encapsulated PDF"), ("dicom-sc", "Secondary Capture Image")])
def test_a_draft_without_readable_text_is_named_whether_cut_or_whole(
    name: str, kind: str, report: Report, tmp_path: Path
) -> None:
    study = read_study(write_dicom(tmp_path / "source.dcm", StudyDate="20250102"))
    content = get_format(name).render(DraftDocument(report=report, study=study))
    for size in (len(content), len(content) - 100):
        (tmp_path / "draft.dcm").write_bytes(content[:size])
        with pytest.raises(StudyError, match=f"not a DICOM SR with text, but an object of the class {kind} Storage"):
            read_report(tmp_path / "draft.dcm")
