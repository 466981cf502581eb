"""Orthanc, a PACS, stores the DICOM objects of a draft and lists them under the study of the image."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread

from report_gen.outputs import DraftDocument
from tests.dicom_files import STUDY_UID
from tests.orthanc import AE_TITLE, Orthanc
from tests.outputs.dicom.conftest import Draft

FORMATS = ("dicom-sr", "dicom-sr-findings", "dicom-pdf", "dicom-sc")
_STORESCU = shutil.which("storescu", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
"""Program of DCMTK; pynetdicom installs another one of the same name into the environment."""


def test_orthanc_lists_all_objects_under_the_study_of_the_image(
    orthanc: Orthanc, draft: Draft, written: Callable[[str, DraftDocument], Path]
) -> None:
    if _STORESCU is None:
        pytest.skip("storescu of DCMTK is missing: apt-get install dcmtk")
    document = draft()
    source = document.study.images[0].path
    for path in (source, written("dicom-sr", document), written("dicom-sc", document)):
        command = [_STORESCU, "-R", "-aec", AE_TITLE, "127.0.0.1", str(orthanc.dicom_port), path]
        subprocess.run(command, check=True, timeout=60)
    for name in ("dicom-sr-findings", "dicom-pdf"):
        answer = orthanc.stow(written(name, document))
        assert len(answer["00081199"]["Value"]) == 1
        assert not answer.get("00081198", {}).get("Value")  # Orthanc returns an empty sequence of failures
    assert sorted(orthanc.modalities(STUDY_UID).values()) == ["CR", "DOC", "OT", "SR", "SR"]
    assert len(orthanc.get("/studies")) == 1


def test_orthanc_files_the_objects_of_a_picture_under_one_study(
    orthanc: Orthanc, draft: Draft, written: Callable[[str, DraftDocument], Path]
) -> None:
    document = draft("picture")
    for name in FORMATS:
        assert len(orthanc.stow(written(name, document))["00081199"]["Value"]) == 1
    study_uid = str(document.source.attributes.StudyInstanceUID)
    assert sorted(orthanc.modalities(study_uid).values()) == ["DOC", "OT", "SR", "SR"]
    (patient,) = {one["00100020"]["Value"][0] for one in orthanc.get(f"/dicom-web/studies/{study_uid}/metadata")}
    assert patient == "P9"


def test_orthanc_keeps_a_revision_beside_the_earlier_report(
    orthanc: Orthanc, draft: Draft, written: Callable[[str, DraftDocument], Path], tmp_path: Path
) -> None:
    earlier = written("dicom-sr", draft("picture")).rename(tmp_path / "earlier.dcm")
    later = written("dicom-sr", draft("picture", revises=earlier))
    for path in (earlier, later, later):  # the same draft twice is one object
        orthanc.stow(path)
    study_uid = str(draft("picture").source.attributes.StudyInstanceUID)
    modalities = orthanc.modalities(study_uid)
    for number, path in enumerate((earlier, later), start=1):
        series = str(dcmread(path).SeriesInstanceUID)
        assert modalities[series] == "SR"
        (instance,) = orthanc.get(f"/dicom-web/studies/{study_uid}/series/{series}/instances")
        assert instance["00200013"]["Value"] == [number]
