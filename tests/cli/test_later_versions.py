"""`report-gen draft -o DIR`: a document that later versions replace is never written again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from report_gen.errors import StudyError
from report_gen.outputs import DraftDocument, formats
from tests.builders import noise_image
from tests.cli.conftest import Command
from tests.cli.test_draft_resume import contents
from tests.dicom_files import write_dicom


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_dicom(tmp_path / "in.dcm", noise_image().astype(np.uint16))


@pytest.fixture
def out(draft: Command, study: Path, tmp_path: Path) -> Path:
    """A folder with three versions of a structured report."""
    out = tmp_path / "out"
    assert draft(study, "-o", out, "--format", "dicom-sr").code == 0
    for revised in ("in.sr.dcm", "in-v2.sr.dcm"):
        assert draft(study, "-o", out, "--revises", out / revised, "--finding", "Edema=absent").code == 0
    return out


@pytest.mark.parametrize("options", [(), ("--seed", 9), ("--seed", 9, "--overwrite"), ("--seed", 9, "--resume")])
def test_the_first_version_is_kept(draft: Command, study: Path, out: Path, options: tuple[object, ...]) -> None:
    before = contents(out)
    answer = draft(study, "-o", out, "--format", "dicom-sr", "--format", "txt", *options)
    newest = out / "in-v3.sr.dcm"
    assert answer.code == StudyError.exit_code
    assert (
        f"report-gen: {out / 'in.sr.dcm'}: was replaced by later versions, of which {newest} is the newest, so it is "
        f"not written again; write the draft as a new version with --revises {newest}, or choose another folder\n"
    ) in answer.err
    after = contents(out)
    assert after.pop("in.txt")  # a format without versions is written
    assert after == before
    (predecessors,) = dcmread(newest).PredecessorDocumentsSequence[-1].ReferencedSeriesSequence[0].ReferencedSOPSequence
    uids = {str(dcmread(path).SOPInstanceUID) for path in out.glob("in*.sr.dcm")}
    assert predecessors.ReferencedSOPInstanceUID in uids


def test_the_remedy_writes_a_version(draft: Command, study: Path, out: Path) -> None:
    newest = out / "in-v3.sr.dcm"
    assert draft(study, "-o", out, "--revises", newest, "--seed", 9).code == 0
    assert dcmread(out / "in-v4.sr.dcm").InstanceNumber == 4


def test_resume_has_the_first_version_as_done(draft: Command, study: Path, out: Path) -> None:
    before = contents(out)
    answer = draft(study, "-o", out, "--format", "dicom-sr", "--resume")
    assert (answer.code, contents(out)) == (0, before)
    assert "1 of 1 studies were drafted before" in answer.err


def test_a_first_version_that_was_edited_or_removed_is_not_written_again(
    draft: Command, study: Path, out: Path
) -> None:
    first = out / "in.sr.dcm"
    found = dcmread(first)
    found.CompletionFlagDescription = "Read by a radiologist"
    found.save_as(first)
    before = contents(out)
    for options in (("--overwrite",), ("--seed", 9, "--resume"), ()):
        assert draft(study, "-o", out, "--format", "dicom-sr", *options).code == StudyError.exit_code
        assert contents(out) == before
    first.unlink()
    assert draft(study, "-o", out, "--format", "dicom-sr", "--seed", 9).code == StudyError.exit_code
    assert not first.exists()


def test_a_version_that_was_written_meanwhile_is_noticed(
    draft: Command, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert draft(study, "-o", out, "--format", "hl7").code == 0
    first = out / "in.hl7"
    before, render = first.read_bytes(), formats._render_hl7
    hl7 = formats.get_format("hl7")

    def revise_first(document: DraftDocument) -> bytes:
        if document.revises is None:  # another process writes a version while this one drafts
            assert draft(study, "-o", out, "--revises", first).code == 0
        return render(document)

    changed = {**formats._FORMATS, "hl7": replace(hl7, render=revise_first)}
    monkeypatch.setattr(formats, "_FORMATS", changed)
    answer = draft(study, "-o", out, "--format", "hl7", "--seed", 9)
    assert (answer.code, first.read_bytes()) == (StudyError.exit_code, before)
    assert f"--revises {out / 'in-v2.hl7'}" in answer.err


def test_the_same_images_with_the_name_of_a_version_are_another_draft(
    draft: Command, study: Path, tmp_path: Path
) -> None:
    """`in-v2.dcm` is a copy of `in.dcm` whose draft, from another seed, is no version of the draft of `in.dcm`."""
    out, copy = tmp_path / "out", study.with_name("in-v2.dcm")
    copy.write_bytes(study.read_bytes())
    assert draft(study, "-o", out, "--format", "dicom-sr").code == 0
    assert draft(copy, "-o", out, "--format", "dicom-sr", "--finding", "Edema=present").code == 0
    assert draft(study, "-o", out, "--format", "dicom-sr", "--finding", "Edema=absent").code == 0
