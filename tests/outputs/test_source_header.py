"""What documents copy from the headers of the images."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from pydicom import dcmread

from report_gen import read_studies, read_study
from report_gen.errors import StudyError
from report_gen.outputs.source_header import derived_uid, read_source_header
from tests.dicom_files import write_dicom


def picture(path: Path, value: int = 7) -> Path:
    Picture.fromarray(np.full((40, 30), value, np.uint8)).save(path)
    return path


def test_patient_and_study_are_those_of_the_header(tmp_path: Path) -> None:
    write_dicom(
        tmp_path / "a.dcm", SpecificCharacterSet="ISO_IR 192", PatientName="Łukasiewicz^Jan", AccessionNumber="A7"
    )
    header, dataset = read_source_header(read_study(tmp_path / "a.dcm")), dcmread(tmp_path / "a.dcm")
    assert str(header.attributes.PatientName) == "Łukasiewicz^Jan"
    assert header.attributes.AccessionNumber == "A7"
    assert header.attributes.StudyInstanceUID == dataset.StudyInstanceUID
    (image,) = header.dicom_images
    assert (image.sop_class_uid, image.sop_instance_uid) == (dataset.SOPClassUID, dataset.SOPInstanceUID)
    assert image.series_instance_uid == dataset.SeriesInstanceUID
    assert image.frames == 1
    assert "PixelData" not in header.attributes


def test_a_picture_has_uids_of_its_content_and_the_identifiers_of_the_user(tmp_path: Path) -> None:
    one, copy, other = (
        read_source_header(read_study(picture(tmp_path / name, value)), patient_id="P1", accession_number="A1")
        for name, value in (("a.png", 7), ("b.png", 7), ("c.png", 8))
    )
    assert (one.attributes.PatientID, one.attributes.AccessionNumber) == ("P1", "A1")
    assert one.attributes.StudyInstanceUID == copy.attributes.StudyInstanceUID != other.attributes.StudyInstanceUID
    assert one.images[0].sop_instance_uid == copy.images[0].sop_instance_uid != other.images[0].sop_instance_uid
    assert one.dicom_images == ()


def test_the_user_does_not_override_a_header(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", PatientID="P7")
    header = read_source_header(read_study(tmp_path / "a.dcm"), patient_id="P1")
    assert header.attributes.PatientID == "P7"


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_a_header_without_uids_is_refused(tmp_path: Path, keyword: str) -> None:
    write_dicom(tmp_path / "a.dcm", **{keyword: ""})
    with pytest.raises(StudyError, match=keyword):
        read_source_header(read_study(tmp_path / "a.dcm"))


def test_a_file_that_has_gone_is_named(tmp_path: Path) -> None:
    study = read_study(picture(tmp_path / "a.png"))
    (tmp_path / "a.png").unlink()
    with pytest.raises(StudyError, match=r"a\.png"):
        read_source_header(study)


@pytest.mark.parametrize("name", ["a.dcm", "a.png"])
def test_a_file_that_changed_since_it_was_read_may_be_of_another_patient(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_dicom(path) if name == "a.dcm" else picture(path)
    study = read_study(path)
    write_dicom(path, PatientID="OTHER") if name == "a.dcm" else picture(path, 8)
    with pytest.raises(StudyError, match="was changed since it was drafted; draft the study again"):
        read_source_header(study)


@pytest.mark.parametrize("value", ["1.2.3\r99999", "1.2_ABC", ["1.2.3", "1.2.4"]])
def test_uids_that_would_break_a_document_are_refused(tmp_path: Path, value: str | list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dicom(tmp_path / "a.dcm", SeriesInstanceUID=value)
    with pytest.raises(StudyError, match="no valid SeriesInstanceUID"):
        read_source_header(read_study(tmp_path / "a.dcm"))


def test_the_patient_is_that_of_a_header_that_names_one(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", PatientID="", PatientName="", InstanceNumber=1)
    write_dicom(tmp_path / "b.dcm", PatientID="P7", PatientName="Doe^Jane", InstanceNumber=2, SOPInstanceUID="1.2.9")
    (study,) = read_studies(tmp_path).studies
    assert len(study.images) == 2
    assert read_source_header(study).attributes.PatientID == "P7"


def test_a_derived_uid_is_valid_and_separates_its_parts() -> None:
    uid = derived_uid("study", "ab", "c")
    assert uid.startswith("2.25.")
    assert len(uid) <= 64
    assert uid == derived_uid("study", "ab", "c") != derived_uid("study", "a", "bc")
