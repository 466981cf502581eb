"""Folders of DICOM studies with a text file or a structured report beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import BasicTextSRStorage, EnhancedSRStorage, ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage

from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError
from tests.dicom_files import STUDY_UID, write_dicom

REPORT = "FINDINGS: Clear.\nIMPRESSION: Normal.\n"


def radiograph(path: Path, study: str = "1", number: int = 1, **attributes: Any) -> Path:
    uid = f"{STUDY_UID}.{study}"
    values = {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1", "SOPInstanceUID": f"{uid}.1.{number}"}
    return write_dicom(path, **{**values, "InstanceNumber": number, "ViewPosition": "PA", **attributes})


def code(value: str, scheme: str, meaning: str = "x") -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return [item]


def content(kind: str, concept: list[Dataset], *children: Dataset, text: str = "", how: str = "CONTAINS") -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence = how, kind, concept
    if text:
        item.TextValue = text
    if children:
        item.ContentSequence = list(children)
    return item


def document(
    path: Path, *children: Dataset, study: str = "1", kind: str = BasicTextSRStorage, **attributes: Any
) -> Path:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, f"{STUDY_UID}.{study}.9"
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = kind, f"{STUDY_UID}.{study}.9", "SR"
    dataset.StudyInstanceUID, dataset.PatientName = f"{STUDY_UID}.{study}", "Doe^Jane"
    dataset.ValueType, dataset.ConceptNameCodeSequence = "CONTAINER", code("18748-4", "LN", "Diagnostic Imaging Report")
    dataset.ContentDate, dataset.ContentTime = "20240101", "120000"
    dataset.ContentSequence = list(children)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path)
    return path


TID_2000 = (
    content("PNAME", code("121008", "DCM"), how="HAS OBS CONTEXT"),
    content("TEXT", code("121008", "DCM"), text="Jane Doe", how="HAS OBS CONTEXT"),
    content("CONTAINER", code("121060", "DCM"), content("TEXT", code("121060", "DCM"), text="Cough.")),
    content(
        "CONTAINER",
        code("121070", "DCM"),
        content("TEXT", code("121071", "DCM"), text="Clear\nlungs."),
        content("TEXT", code("121071", "DCM"), text="Normal heart."),
    ),
    content("CONTAINER", code("19005-8", "LN"), content("TEXT", code("121073", "DCM"), text="Normal.")),
    content("CONTAINER", code("121074", "DCM"), content("TEXT", code("121075", "DCM"), text="None needed.")),
)


def test_a_text_beside_the_images_of_a_study(tmp_path: Path) -> None:
    radiograph(tmp_path / "a" / "2.dcm", number=2, ViewPosition="LL")
    radiograph(tmp_path / "a" / "1.dcm", ReasonForTheRequestedProcedure="Fever.")
    radiograph(tmp_path / "b" / "1.dcm", study="2", PatientID="P2")
    (tmp_path / "a" / "report.txt").write_text(REPORT)
    first, second = read_corpus(tmp_path)
    assert (first["study_id"], first["patient_id"], first["split"]) == (f"{STUDY_UID}.1", "P1", "train")
    assert first["images"] == [str(tmp_path / "a" / "1.dcm"), str(tmp_path / "a" / "2.dcm")]
    assert first["view_positions"] == ["PA", "LATERAL"]
    assert (first["indication"], first["findings"], first["impression"]) == ("Fever.", "Clear.", "Normal.")
    assert (second["findings"], second["patient_id"]) == ("", "P2")


@pytest.mark.parametrize("kind", [BasicTextSRStorage, EnhancedSRStorage])
@pytest.mark.parametrize("place", ["images/sr.dcm", "elsewhere/sr.dcm"])
def test_a_structured_report_is_assigned_by_study_uid_in_any_folder(tmp_path: Path, kind: str, place: str) -> None:
    radiograph(tmp_path / "images" / "1.dcm")
    document(tmp_path / place, *TID_2000, kind=kind)
    (study,) = read_corpus(tmp_path)
    assert (study["indication"], study["findings"]) == ("Cough.", "Clear lungs. Normal heart.")
    assert (study["impression"], study["comparison"]) == ("Normal.", "")


def test_a_structured_report_of_another_study_is_assigned_by_folder(tmp_path: Path) -> None:
    radiograph(tmp_path / "a" / "1.dcm")
    radiograph(tmp_path / "b" / "1.dcm", study="2")
    document(tmp_path / "b" / "sr", *TID_2000, study="77")
    assert read_corpus(tmp_path)["impression"][:] == ["", "Normal."]


def test_the_latest_structured_report_counts(tmp_path: Path) -> None:
    radiograph(tmp_path / "1.dcm")
    for name, when, text in (("a", "130000", "Late."), ("b", "110000", "Early.")):
        item = content("TEXT", code("121073", "DCM"), text=text)
        document(tmp_path / name, item, ContentTime=when, SOPInstanceUID=f"{STUDY_UID}.{when}")
    assert read_corpus(tmp_path)["impression"][:] == ["Late."]


def test_a_structured_report_without_sections_is_split_by_its_text(tmp_path: Path) -> None:
    radiograph(tmp_path / "1.dcm")
    document(tmp_path / "sr.dcm", content("TEXT", code("1", "99LOCAL", "Report"), text=REPORT))
    (study,) = read_corpus(tmp_path)
    assert (study["findings"], study["impression"]) == ("Clear.", "Normal.")


def test_a_private_code_is_read_by_its_meaning(tmp_path: Path) -> None:
    radiograph(tmp_path / "1.dcm")
    document(tmp_path / "sr.dcm", content("TEXT", code("1", "99LOCAL", "Findings"), text="Clear."))
    assert read_corpus(tmp_path)["findings"][:] == ["Clear."]


@pytest.mark.parametrize("name", ["s1.txt", "s1/series/report.txt", "s1/report.txt"])
def test_a_text_beside_or_above_the_folder_of_a_study(tmp_path: Path, name: str) -> None:
    radiograph(tmp_path / "s1" / "series" / "1.dcm")
    radiograph(tmp_path / "s2" / "series" / "1.dcm", study="2")
    (tmp_path / "README.txt").write_text("FINDINGS: None of this is a report.")
    (tmp_path / name).write_text(REPORT)
    assert read_corpus(tmp_path)["findings"][:] == ["Clear.", ""]


def test_studies_in_one_folder_have_texts_named_like_an_image_or_the_study(tmp_path: Path) -> None:
    radiograph(tmp_path / "one.dcm")
    radiograph(tmp_path / "two.dcm", study="2")
    radiograph(tmp_path / "three.dcm", study="3")
    (tmp_path / "one.txt").write_text("FINDINGS: First.")
    (tmp_path / f"{STUDY_UID}.2.txt").write_text("FINDINGS: Second.")
    (tmp_path / "report.txt").write_text("FINDINGS: Nobody's.")
    assert read_corpus(tmp_path)["findings"][:] == ["First.", "Second.", ""]


def test_two_texts_for_one_study_are_refused(tmp_path: Path) -> None:
    radiograph(tmp_path / "a" / "1.dcm")
    for name in ("one.txt", "two.txt"):
        (tmp_path / "a" / name).write_text(REPORT)
    with pytest.raises(CorpusError, match="a: contains 2 text files for one study; keep only the report"):
        read_corpus(tmp_path)


def test_a_folder_without_reports_is_refused(tmp_path: Path) -> None:
    radiograph(tmp_path / "1.dcm")
    document(tmp_path / "ko.dcm", *TID_2000, kind=KeyObjectSelectionDocumentStorage)
    with pytest.raises(CorpusError, match=r"no study has a report; put a \.txt file or a text SR"):
        read_corpus(tmp_path)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.txt").write_text(REPORT)
    with pytest.raises(CorpusError, match="no studies found"):
        read_corpus(tmp_path, layout="dicom")


def test_broken_files_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_text(REPORT)
    for number in (1, 2):
        file = radiograph(tmp_path / f"{number}.dcm", study=str(number))
        file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(CorpusError, match=r"1\.dcm: truncated.* the first of 2 broken files"):
        read_corpus(tmp_path)


def test_a_broken_structured_report_is_named_without_its_text(tmp_path: Path) -> None:
    radiograph(tmp_path / "1.dcm")
    report = document(tmp_path / "sr.dcm", content("TEXT", code("121071", "DCM"), text="Quokka."))
    report.write_bytes(report.read_bytes().replace(b"\x40\x00\x60\xa1UT", b"\x40\x00\x60\xa1U\xff"))  # (0040,A160)
    with pytest.raises(CorpusError, match=r"sr\.dcm: malformed DICOM") as caught:
        read_corpus(tmp_path)
    assert "Quokka" not in str(caught.value)


def test_any_other_layout_takes_precedence(tmp_path: Path) -> None:
    radiograph(tmp_path / "1.dcm")
    (tmp_path / "manifest.csv").write_text("id,findings,image\n1,From the manifest.,1.dcm\n")
    assert read_corpus(tmp_path)["findings"][:] == ["From the manifest."]


def test_modality_and_body_part_come_from_the_header(tmp_path: Path) -> None:
    radiograph(tmp_path / "a" / "1.dcm", Modality="CT", BodyPartExamined="BRAIN")
    (tmp_path / "a" / "report.txt").write_text(REPORT, encoding="utf-8")
    (row,) = read_corpus(tmp_path, layout="dicom")
    assert (row["modality"], row["plane"], row["body_part"]) == ("CT", "", "head")
