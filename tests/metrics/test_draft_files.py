"""Drafts of `report-gen draft` as predictions: their banner, notices and model are no text of the report."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import KeyObjectSelectionDocumentStorage

from report_gen import read_study
from report_gen.errors import CorpusError
from report_gen.metrics.draft_files import strip_draft
from report_gen.metrics.joining import join_files
from report_gen.metrics.report_files import read_reports
from report_gen.outputs import DraftDocument, get_format
from report_gen.outputs.json import format_json
from report_gen.outputs.text import format_text
from report_gen.records import Provenance, Report, parse_report
from tests.dicom_files import write_dicom
from tests.sr_files import code, content
from tests.sr_files import document as structured_report

TEXT = "The heart is enlarged. No effusion."


def draft(text: str = "FINDINGS: The heart is enlarged. IMPRESSION: No effusion.") -> Report:
    provenance = Provenance(
        model_name="Drafted by hand, weights light",
        weights_sha256="0123456789abcdef" * 4,
        program_version="1",
        created="2026-01-01T00:00:00Z",
        study_instance_uid=None,
        inputs=(),
        decoding={},
    )
    return Report(sections=parse_report(text), findings=(), notices=("blank", "No edema."), provenance=provenance)


def test_a_folder_of_drafts_gives_the_texts_of_their_sections(tmp_path: Path) -> None:
    (tmp_path / "1.2.3.txt").write_text(format_text(draft()))
    (tmp_path / "1.2.4.json").write_text(format_json(draft()))
    (tmp_path / "1.2.4.txt").write_text("ignored")
    (tmp_path / "plain.txt").write_text("Clear lungs.\nNormal.\n")
    (tmp_path / "empty.txt").write_text(format_text(draft("")))
    (tmp_path / "heat.png").write_bytes(b"x")
    assert read_reports(tmp_path, role="prediction") == {
        "1.2.4": TEXT,
        "1.2.3": TEXT,
        "plain": "Clear lungs.\nNormal.",
        "empty": "",
    }


@pytest.mark.parametrize("suffix", [".json", ".fhir.json", ".hl7", ".sr.dcm"])
def test_drafts_are_found_by_the_study_in_them(tmp_path: Path, suffix: str) -> None:
    """The files have the names of folders, the table has Study Instance UIDs."""
    folder = tmp_path / "drafts"
    folder.mkdir()
    (name,) = (name for name in ("json", "fhir", "hl7", "dicom-sr") if get_format(name).suffix == suffix)
    for number, text in ((1, "FINDINGS: Clear lungs."), (2, "FINDINGS: Large heart.")):
        study = read_study(write_dicom(tmp_path / f"{number}.dcm", StudyInstanceUID=f"1.2.{number}"))
        report = draft(text)
        report = replace(report, provenance=replace(report.provenance, study_instance_uid=f"1.2.{number}"))
        (folder / f"patient {number}{suffix}").write_bytes(
            get_format(name).render(DraftDocument(report=report, study=study))
        )
    table = tmp_path / "references.csv"
    table.write_text("study_id,report\n1.2.2,Enlarged heart.\n1.2.1,Clear.\n")
    joined = join_files(folder, table)
    assert (joined.ids, joined.predictions) == (("1.2.2", "1.2.1"), ("Large heart.", "Clear lungs."))
    assert joined.notices == (f"{folder}: drafts were found by the Study Instance UID in them, not by their names",)


def test_drafts_are_found_by_the_names_of_image_files(tmp_path: Path) -> None:
    folder = tmp_path / "drafts"
    folder.mkdir()
    (folder / "chest.txt").write_text(format_text(draft()))
    (folder / "hand.v1.txt").write_text(format_text(draft("FINDINGS: Fracture.")))
    table = tmp_path / "references.csv"
    table.write_text("filename,report\nb/hand.v1.PNG,Broken.\na\\chest.nii.gz,Clear.\n")
    joined = join_files(folder, table)
    assert joined.predictions == ("Fracture.", TEXT)
    assert joined.notices == (f"{folder}: ids were compared without folders and suffixes of images",)
    table.write_text("filename,report\na/chest.png,Clear.\nb/chest.png,Clear.\n")  # two references for one draft
    with pytest.raises(CorpusError, match="no id in common"):
        join_files(folder, table)


def test_drafts_without_a_common_id_end_with_the_remedy(tmp_path: Path) -> None:
    folder = tmp_path / "drafts"
    folder.mkdir()
    (folder / "1.2.3.txt").write_text(format_text(draft()))
    table = tmp_path / "references.csv"
    table.write_text("accession,report,draft\nA1,Clear.,1.2.3\n")
    with pytest.raises(
        CorpusError, match=r"\('1.2.3' here, 'A1' there\); the id of a draft is its file name without suf"
    ):
        join_files(folder, table)
    assert join_files(folder, table, id_column="draft").predictions == (TEXT,)


def test_drafts_that_were_pasted_into_a_table_are_stripped(tmp_path: Path) -> None:
    with (tmp_path / "x.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["id", "report"], ["a", format_text(draft())], ["b", TEXT]])
    assert read_reports(tmp_path / "x.csv") == {"a": TEXT, "b": TEXT}
    assert strip_draft(" ".join(format_text(draft()).split())) == TEXT


@pytest.mark.parametrize("suffix", [".txt", ".json", ".fhir.json", ".hl7"])
def test_the_section_comparison_is_not_scored(tmp_path: Path, suffix: str) -> None:
    study = read_study(write_dicom(tmp_path / "images" / "a.dcm"))
    with_prior = draft(
        "COMPARISON: Chest radiograph, 12 days earlier. FINDINGS: The heart is enlarged. IMPRESSION: No effusion."
    )
    (format_name,) = (name for name in ("txt", "json", "fhir", "hl7") if get_format(name).suffix == suffix)
    content = get_format(format_name).render(DraftDocument(report=with_prior, study=study))
    assert b"12 days earlier" in content
    (tmp_path / f"x{suffix}").write_bytes(content)
    assert read_reports(tmp_path) == {"x": TEXT}


def test_a_draft_in_a_file_of_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("Clear.\n" + format_text(draft()))
    with pytest.raises(CorpusError, match="line 2 begins a draft, but this format has one text per line; give the fol"):
        read_reports(tmp_path / "x.txt")


@pytest.mark.parametrize("content", ["[]", "{}", "1", '{"sections": [1]}', "{", '{"sections": 5}'])
def test_other_json_in_a_folder_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(CorpusError, match=r"x\.json: not a draft of `report-gen draft`"):
        read_reports(tmp_path)


def test_a_folder_without_drafts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="contains no drafts"):
        read_reports(tmp_path)


def test_a_folder_of_drafts_and_reports_in_clinical_formats(tmp_path: Path) -> None:
    study = read_study(write_dicom(tmp_path / "images" / "a.dcm"))
    document = DraftDocument(report=draft(), study=study)
    for name, suffix in (("fhir", ".fhir.json"), ("hl7", ".hl7")):
        (tmp_path / f"1.2.{name}{suffix}").write_bytes(get_format(name).render(document))
    findings = content("CONTAINER", code("121070", "DCM"), content("TEXT", code("121071", "DCM"), text=TEXT))
    structured_report(tmp_path / "1.2.sr.sr.dcm", findings)
    structured_report(tmp_path / "other.dcm", findings)
    structured_report(tmp_path / "key.dcm", kind=KeyObjectSelectionDocumentStorage)
    assert read_reports(tmp_path) == dict.fromkeys(("1.2.fhir", "1.2.hl7", "1.2.sr", "other"), TEXT)
    for name in ("1.2.fhir.fhir.json", "1.2.hl7.hl7", "1.2.sr.sr.dcm"):
        assert list(read_reports(tmp_path / name).values()) == [TEXT]
    with pytest.raises(CorpusError, match=r"key\.dcm: a DICOM object without the text of a report"):
        read_reports(tmp_path / "key.dcm")


def test_the_newest_version_of_a_study_counts(tmp_path: Path) -> None:
    """The names are those of `draft --revises`. Versions are numbers: 10 is newer than 9."""
    study = read_study(write_dicom(tmp_path / "images" / "a.dcm"))
    (tmp_path / "a.json").write_text(format_json(draft("FINDINGS: First.")))
    for version in (2, 9, 10):
        document = DraftDocument(report=draft(f"FINDINGS: Version {version}."), study=study)
        (tmp_path / f"a-v{version}.fhir.json").write_bytes(get_format("fhir").render(document))
    (tmp_path / "b.json").write_text(format_json(draft("FINDINGS: Only.")))
    (tmp_path / "c-v2.json").write_text(format_json(draft("FINDINGS: The name of a study.")))
    expected = {"a": "Version 10.", "b": "Only.", "c-v2": "The name of a study."}
    structured_report(tmp_path / "a-v11.sc.dcm", kind=KeyObjectSelectionDocumentStorage)
    assert read_reports(tmp_path) == expected
    with (tmp_path / "references.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "report"], *expected.items()])
    joined = join_files(tmp_path, tmp_path / "references.csv")
    assert joined.predictions == joined.references == tuple(expected.values())
    assert joined.notices == (
        f"{tmp_path}: studies with several versions: 1; the newest counts, such as a-v10.fhir.json",
    )


def test_a_damaged_report_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.hl7").write_text("MSH|")
    for path in (tmp_path, tmp_path / "x.hl7"):
        with pytest.raises(CorpusError, match=r"x\.hl7: not a draft .*the message does not begin with an MSH segment"):
            read_reports(path)
