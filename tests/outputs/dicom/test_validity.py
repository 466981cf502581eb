"""Independent programs judge the DICOM objects of a draft."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from report_gen.outputs import DocumentOptions, DraftDocument
from report_gen.records import BANNER, Report, Section, SectionName, Sentence
from tests.outputs.dicom.conftest import Draft

FORMATS = ("dicom-sr", "dicom-sr-findings", "dicom-pdf", "dicom-sc")

DEVICE_UID = [
    "Warning - Attribute is not present in standard DICOM IOD - (0x0018,0x1002) UI Device UID",
    "Warning - Dicom dataset contains attributes not present in standard DICOM IOD - this is a Standard Extended "
    "SOP Class",
]
"""The validator does not know Device UID in Contributing Equipment Sequence, where PS3.3 C.12.1 has it (type 3)."""

UNKNOWN_STUDY = [
    f"Warning - Missing attribute or value that would be needed to build DICOMDIR - {name}"
    for name in ("Study Date", "Study Time", "Study ID")
]
"""A picture does not state them. They may be empty (type 2), but removable media need them."""

Write = Callable[[str, DraftDocument], Path]


@pytest.mark.parametrize("name", FORMATS)
def test_dciodvfy_finds_no_fault_in_the_objects_of_a_radiograph(
    name: str, draft: Draft, written: Write, dciodvfy: Callable[[Path], list[str]]
) -> None:
    assert dciodvfy(written(name, draft())) == DEVICE_UID


@pytest.mark.parametrize("name", FORMATS)
def test_dciodvfy_finds_no_fault_in_the_objects_of_a_picture(
    name: str, draft: Draft, written: Write, dciodvfy: Callable[[Path], list[str]]
) -> None:
    assert dciodvfy(written(name, draft("picture"))) == UNKNOWN_STUDY + DEVICE_UID


@pytest.mark.parametrize("name", FORMATS)
def test_dciodvfy_finds_no_fault_in_a_revision(
    name: str, draft: Draft, written: Write, dciodvfy: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    earlier = written(name, draft()).rename(tmp_path / "earlier.dcm")
    assert dciodvfy(written(name, draft(revises=earlier))) == DEVICE_UID


def test_dciodvfy_finds_no_fault_in_basic_text(
    draft: Draft, written: Write, dciodvfy: Callable[[Path], list[str]]
) -> None:
    assert dciodvfy(written("dicom-sr", draft(options=DocumentOptions(basic_text_sr=True)))) == DEVICE_UID


@pytest.mark.parametrize("name", ["dicom-sr", "dicom-sr-findings"])
def test_dciodvfy_finds_no_fault_in_a_draft_without_findings_and_impression(
    name: str, draft: Draft, written: Write, dciodvfy: Callable[[Path], list[str]]
) -> None:
    sections = (Section(SectionName.FINDINGS, ()),)
    assert dciodvfy(written(name, draft(findings=(), notices=(), sections=sections))) == DEVICE_UID


def test_dsrdump_shows_every_sentence(draft: Draft, written: Write, report: Report) -> None:
    if shutil.which("dsrdump") is None:
        pytest.skip("dsrdump is missing: apt-get install dcmtk")
    sentences = [f"Sentence {number} of a long report, <b>näher</b> & “größer” ^|~\\ ." for number in range(200)]
    sentences += ["Word " * 500 + ".", "肺は正常です。", "x" * 3000]
    section = Section(SectionName.FINDINGS, tuple(map(Sentence, sentences)))
    changed = replace(report, sections=(section, *report.sections[1:]))
    path = written("dicom-sr", draft(sections=changed.sections))
    run = subprocess.run(["dsrdump", "+Pl", path], capture_output=True, text=True, check=True)
    assert BANNER in run.stdout
    assert "Łukasiewicz^Jan" in run.stdout
    for sentence in [*sentences, "Normal.", "Lateral view only."]:
        assert f'="{sentence.strip()}"' in run.stdout
