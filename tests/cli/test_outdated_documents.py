"""`report-gen draft -o DIR`: documents of an older draft beside a new one, and folders named like a document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report_gen.cli.document_options import check_folder_name
from report_gen.errors import UsageError
from report_gen.outputs import format_names, get_format
from report_gen.outputs.draft_file import DraftFile
from report_gen.outputs.journal import DraftJournal, WrittenDraft
from tests.builders import noise_image, write_png
from tests.cli.conftest import Command
from tests.cli.test_draft_resume import contents
from tests.dicom_files import write_dicom

OLDER = ": documents of an older draft of "


@pytest.fixture
def studies(tmp_path: Path) -> tuple[Path, Path]:
    """Two studies, of which the first has documents as text and JSON."""
    return write_png(tmp_path / "a.png", noise_image(1)), write_png(tmp_path / "b.png", noise_image(2))


def outdated(err: str) -> list[str]:
    return [line for line in err.splitlines() if OLDER in line]


def test_documents_of_an_older_draft_are_named(draft: Command, studies: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert outdated(draft(studies[0], "-o", out, "--format", "txt", "--format", "json").err) == []
    answer = draft(*studies, "-o", out, "--format", "hl7", "--indication", "Cough.")
    assert outdated(answer.err) == [
        f"report-gen: notice: {out}: documents of an older draft of a study, with other options or another version of "
        "the program: a.txt, a.json; renew with --format txt --format json, or remove"
    ]
    assert outdated(draft(studies[1], "-o", out, "--format", "json", "--indication", "Cough.").err) == []


def test_the_remedy_renews_the_documents(draft: Command, studies: tuple[Path, Path], tmp_path: Path) -> None:
    out, new = tmp_path / "out", ("--indication", "Cough.")
    draft(studies[0], "-o", out, "--format", "txt", "--format", "json")
    with (out / "a.txt").open("a") as file:
        file.write("Read by a radiologist.")
    (line,) = outdated(draft(studies[0], "-o", out, "--format", "hl7", *new).err)
    assert line.endswith(": a.txt, a.json; renew with --format txt --format json --overwrite, or remove")
    answer = draft(studies[0], "-o", out, "--format", "txt", "--format", "json", "--overwrite", *new)
    assert (answer.code, outdated(answer.err)) == (0, [])
    assert outdated(draft(studies[0], "-o", out, "--format", "hl7", *new).err) == []


def test_documents_of_the_same_draft_and_other_files_are_not_outdated(
    draft: Command, studies: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    draft(studies[0], "-o", out, "--format", "json", "--indication", "Cough.")
    (out / "a.hl7").write_text("not written by report-gen")
    assert outdated(draft(studies[0], "-o", out, "--indication", "Cough.").err) == []


def test_a_new_version_makes_the_documents_of_the_earlier_one_outdated(draft: Command, tmp_path: Path) -> None:
    study, out = write_dicom(tmp_path / "chest.dcm", noise_image().astype(np.uint16)), tmp_path / "out"
    assert draft(study, "-o", out, "--format", "hl7", "--format", "txt").code == 0
    (first,) = out.glob("*.hl7")
    same = draft(study, "-o", out, "--revises", first)
    assert (same.code, outdated(same.err)) == (0, [])
    (second,) = out.glob("*-v2.hl7")
    other = draft(study, "-o", out, "--revises", second, "--indication", "Cough.")
    assert other.code == 0
    (line,) = outdated(other.err)
    assert line.endswith(f"{first.stem}.txt; renew with --format txt, or remove")


def test_the_newest_version_counts_and_is_replaced_by_a_version(draft: Command, tmp_path: Path) -> None:
    study, out = write_dicom(tmp_path / "in.dcm", noise_image().astype(np.uint16)), tmp_path / "out"
    assert draft(study, "-o", out, "--format", "dicom-sr", "--basic-text-sr").code == 0
    revise = ("--basic-text-sr", "--indication", "Cough.")
    for revised in ("in.sr.dcm", "in-v2.sr.dcm"):
        assert draft(study, "-o", out, "--revises", out / revised, *revise).code == 0
    assert outdated(draft(study, "-o", out, "--indication", "Cough.").err) == []  # the third version is of this draft
    answer = draft(study, "-o", out, "--seed", 9)
    newest = out / "in-v3.sr.dcm"
    (line,) = [line for line in answer.err.splitlines() if "newest versions" in line]
    assert line == (
        f"report-gen: notice: {out}: newest versions that belong to an older draft of a study, with other options or "
        f"another version of the program: in-v3.sr.dcm; write the next version with --revises {newest} --basic-text-sr"
    )
    assert outdated(answer.err) == []
    assert draft(study, "-o", out, "--revises", newest, "--basic-text-sr", "--seed", 9).code == 0
    assert "older draft" not in draft(study, "-o", out, "--seed", 9).err


@pytest.mark.parametrize("option", [("--paper", "Letter"), ("--fhir-version", "R5"), ("--basic-text-sr",)])
def test_an_option_of_one_format_makes_no_document_older(
    draft: Command, studies: tuple[Path, Path], tmp_path: Path, option: tuple[str, ...]
) -> None:
    study, out = write_dicom(tmp_path / "in.dcm", noise_image().astype(np.uint16)), tmp_path / "out"
    assert draft(study, "-o", out, "--format", "dicom-sr", "--format", "html", *option).code == 0
    assert outdated(draft(study, "-o", out, "--format", "txt", "--format", "json").err) == []
    assert outdated(draft(study, "-o", out, "--format", "hl7", "--basic-text-sr", "--paper", "Letter").err) == []
    before = contents(out)
    answer = draft(study, "-o", out, "--format", "txt", "--format", "hl7", "--resume", *option)
    assert "1 of 1 studies were drafted before" in answer.err
    assert contents(out) == before


def test_the_remedy_names_the_options_of_a_document(draft: Command, tmp_path: Path) -> None:
    study, out = write_dicom(tmp_path / "in.dcm", noise_image().astype(np.uint16)), tmp_path / "out"
    documents = ("--format", "html", "--format", "dicom-sr", "--basic-text-sr", "--paper", "Letter")
    assert draft(study, "-o", out, "--format", "json", *documents).code == 0
    (line,) = outdated(draft(study, "-o", out, "--seed", 9).err)
    assert line.endswith(
        ": in.json, in.html, in.sr.dcm; renew with --format html --paper Letter --format dicom-sr --basic-text-sr "
        "--format json, or remove"
    )


def test_many_documents_are_one_sentence(draft: Command, tmp_path: Path) -> None:
    out, folder = tmp_path / "out", tmp_path / "in"
    for number in range(12):
        write_dicom(
            folder / f"{number:02}" / "a.dcm", noise_image(number).astype(np.uint16), StudyInstanceUID=f"1.{number}"
        )
    chain = [word for name in ("txt", "json", "html", "hl7") for word in ("--format", name)]
    assert draft(folder, "-o", out, *chain).code == 0
    answer = draft(folder, "-o", out, "--format", "dicom-sr", "--seed", 9)
    assert [line for line in answer.err.splitlines() if "older draft" in line] == [
        f"report-gen: notice: {out}: documents of older drafts of 12 studies, with other options or another version of "
        "the program: 1.0.txt, 1.0.json, 1.0.html and 45 more; renew with --format txt --format json --format html and "
        "the other formats, or remove"
    ]


def test_a_further_view_of_a_study_is_noticed(draft: Command, tmp_path: Path) -> None:
    """The draft from the first view lies beside the draft from both views."""
    out, folder = tmp_path / "out", tmp_path / "in"
    pixels = [noise_image(number).astype(np.uint16) for number in range(3)]
    write_dicom(folder / "a.dcm", pixels[0], StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.3.1")
    write_dicom(folder / "other.dcm", pixels[2], StudyInstanceUID="1.2.33", SOPInstanceUID="1.2.33.1")
    first = draft(folder, "-o", out, "--format", "txt", "--format", "json")
    assert (first.code, "other images" in first.err) == (0, False)
    write_dicom(folder / "b.dcm", pixels[1], StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.3.2")
    for _ in range(2):  # also if the new draft is there already
        answer = draft(folder, "-o", out)
        assert answer.code == 0
        assert [line for line in answer.err.splitlines() if "other images" in line] == [
            f"report-gen: notice: {out}: drafts of the same study from other images, such as before a further view "
            "arrived: 1.2.3.json, 1.2.3.txt; remove them, or choose another folder"
        ]
    for name in ("1.2.3.json", "1.2.3.txt"):
        (out / name).unlink()
    assert "other images" not in draft(folder, "-o", out).err


def test_a_mix_of_two_processes_is_noticed_by_the_next_run(
    draft: Command, studies: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process with another indication writes both documents after this one has written the first of them."""
    out, both = tmp_path / "out", ("--format", "txt", "--format", "json")
    write, others = DraftJournal.write, ["Fever."]

    def write_after(journal: DraftJournal, file: DraftFile, *arguments: Any, **options: Any) -> WrittenDraft:
        if file.suffix == ".json" and others:
            assert draft(studies[0], "-o", out, *both, "--indication", others.pop()).code == 0
        return write(journal, file, *arguments, **options)

    monkeypatch.setattr(DraftJournal, "write", write_after)
    assert draft(studies[0], "-o", out, *both, "--indication", "Cough.").code == 0
    assert others == []
    for text, older in (("Cough.", "txt"), ("Fever.", "json")):
        (line,) = outdated(draft(studies[0], "-o", out, "--format", "hl7", "--indication", text).err)
        assert line.endswith(f": a.{older}; renew with --format {older}, or remove")
    assert (
        "0 of 1 studies were drafted" in draft(studies[0], "-o", out, *both, "--indication", "Cough.", "--resume").err
    )
    assert outdated(draft(studies[0], "-o", out, "--format", "hl7", "--indication", "Cough.").err) == []


@pytest.mark.parametrize("name", format_names())
def test_a_folder_with_the_name_of_a_document_is_refused(
    draft: Command, studies: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    suffix = get_format(name).suffix
    output = tmp_path / f"drafts{suffix.upper()}"
    answer = draft(studies[0], "-o", output, "--format", name)
    assert (answer.code, answer.out) == (UsageError.exit_code, "")
    folder = tmp_path / "drafts"
    assert f"write --output {folder} for {folder / 'STUDY'}{suffix}" in answer.err
    assert not output.exists()


def test_other_names_of_folders_and_folders_that_exist_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "old.pdf").mkdir()
    for name in ("old.pdf", "drafts", "drafts.2026", "pdf", "report.d"):
        check_folder_name(tmp_path / name)
    for name in (".pdf", "draft.dcm"):
        with pytest.raises(UsageError, match="is the name of a file, and a folder is expected"):
            check_folder_name(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "formats", "remedy"),
    [
        ("d.dcm", ("html", "txt"), "write --output d for d/STUDY.html and d/STUDY.txt"),
        ("d.pdf", ("pdf",), "write --output d for d/STUDY.pdf"),
        ("d.pdf", (), "write --output d for d/STUDY.txt; add --format pdf for that format"),
    ],
)
def test_the_refusal_of_the_name_of_a_file_names_the_files_that_will_be_written(
    name: str, formats: tuple[str, ...], remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        check_folder_name(Path(name), formats)
    assert str(caught.value).endswith(f"; {remedy}")
