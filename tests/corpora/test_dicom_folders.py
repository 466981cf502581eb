"""Folders of DICOM studies with a text file or a structured report beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import BasicTextSRStorage, EnhancedSRStorage, KeyObjectSelectionDocumentStorage

from report_gen import read_study
from report_gen.corpora import dicom_folders, read_corpus
from report_gen.errors import CorpusError
from report_gen.outputs import DraftDocument, get_format
from report_gen.records import Provenance, Report, ViewOffset, parse_report
from tests.builders import noise_image, write_png
from tests.dicom_files import STUDY_UID, write_dicom
from tests.sr_files import code, content, document

REPORT = "FINDINGS: Clear.\nIMPRESSION: Normal.\n"


def radiograph(path: Path, study: str = "1", number: int = 1, **attributes: Any) -> Path:
    uid = f"{STUDY_UID}.{study}"
    values = {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1", "SOPInstanceUID": f"{uid}.1.{number}"}
    return write_dicom(path, **{**values, "InstanceNumber": number, "ViewPosition": "PA", **attributes})


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


def test_the_offsets_of_the_headers_are_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    radiograph(tmp_path / "a" / "1.dcm")
    radiograph(tmp_path / "a" / "2.dcm", number=2)
    (tmp_path / "a" / "report.txt").write_text(REPORT)
    offsets = (ViewOffset(), ViewOffset(seconds=31.5))
    monkeypatch.setattr(dicom_folders, "view_offsets", lambda images: offsets[: len(images)])
    (study,) = read_corpus(tmp_path)
    assert (study["offsets_mm"], study["offsets_seconds"], study["offsets_days"]) == ([], [None, 31.5], [])


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


def write_draft(path: Path, *, format_name: str, images: Path) -> None:
    provenance = Provenance(
        model_name="tiny",
        weights_sha256="0" * 64,
        program_version="1",
        created="2026-01-01T00:00:00+00:00",
        study_instance_uid=None,
        inputs=(),
        decoding={},
    )
    draft = Report(sections=parse_report(REPORT), findings=(), notices=("Blank.",), provenance=provenance)
    path.write_bytes(get_format(format_name).render(DraftDocument(report=draft, study=read_study(images))))


@pytest.mark.parametrize("name", ["txt", "json", "fhir", "hl7"])
@pytest.mark.parametrize("place", ["a/report", "a"])
def test_a_draft_beside_the_images_of_a_study(tmp_path: Path, name: str, place: str) -> None:
    image = radiograph(tmp_path / "a" / "1.dcm")
    (tmp_path / "a" / "sidecar.json").write_text("{}")
    write_draft(tmp_path / f"{place}{get_format(name).suffix}", format_name=name, images=image)
    radiograph(tmp_path / "b" / "1.dcm", study="2")
    first, second = read_corpus(tmp_path)
    assert (first["findings"], first["impression"]) == ("Clear.", "Normal.")
    assert second["findings"] == ""


def test_a_damaged_message_beside_the_images_is_named(tmp_path: Path) -> None:
    radiograph(tmp_path / "a" / "1.dcm")
    (tmp_path / "a" / "x.hl7").write_text("MSH|")
    with pytest.raises(CorpusError, match=r"x\.hl7: not a report, or damaged"):
        read_corpus(tmp_path)


@pytest.mark.parametrize("name", ["txt", "json", "fhir", "hl7"])
def test_a_draft_with_the_name_of_a_picture(tmp_path: Path, name: str) -> None:
    image = write_png(tmp_path / "a.png", noise_image())
    (tmp_path / "b.json").write_text("{}")
    write_png(tmp_path / "b.png", noise_image(1))
    write_draft(tmp_path / f"a{get_format(name).suffix}", format_name=name, images=image)
    first, second = read_corpus(tmp_path, layout="image-text")
    assert (first["study_id"], first["findings"], first["impression"]) == ("a", "Clear.", "Normal.")
    assert second["findings"] == ""
