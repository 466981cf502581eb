"""`report-gen draft -o DIR`: documents of an older draft beside a new one, and folders named like a document."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from report_gen.cli.document_options import check_folder_name
from report_gen.errors import UsageError
from report_gen.outputs import format_names, get_format
from tests.builders import noise_image, write_png
from tests.cli.conftest import Command
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


@pytest.mark.parametrize("name", format_names())
def test_a_folder_with_the_name_of_a_document_is_refused(
    draft: Command, studies: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    suffix = get_format(name).suffix
    output = tmp_path / f"drafts{suffix.upper()}"
    answer = draft(studies[0], "-o", output, "--format", name)
    assert (answer.code, answer.out) == (UsageError.exit_code, "")
    folder = tmp_path / "drafts"
    assert f"write --output {folder}, and the file is {folder / 'STUDY'}{suffix}" in answer.err
    assert not output.exists()


def test_other_names_of_folders_and_folders_that_exist_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "old.pdf").mkdir()
    for name in ("old.pdf", "drafts", "drafts.2026", "pdf", "report.d"):
        check_folder_name(tmp_path / name)
    for name in (".pdf", "draft.dcm"):
        with pytest.raises(UsageError, match="is the name of a file, and a folder is expected"):
            check_folder_name(tmp_path / name)
