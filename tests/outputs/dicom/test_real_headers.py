"""DICOM objects of drafts of real radiographs, whose headers are not always valid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from report_gen import read_study
from report_gen.outputs import DraftDocument
from report_gen.records import Report


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["dicom-sr", "dicom-sr-findings", "dicom-pdf", "dicom-sc"])
def test_dciodvfy_finds_no_error(
    name: str,
    shared: Path,
    report: Report,
    written: Callable[[str, DraftDocument], Path],
    dciodvfy: Callable[[Path], list[str]],
) -> None:
    radiographs = sorted((shared / "data" / "dicom").glob("*.dcm"))
    assert len(radiographs) == 6
    for path in radiographs:
        found = dciodvfy(written(name, DraftDocument(report=report, study=read_study(path))))
        assert [line for line in found if "Error" in line] == [], path.name
