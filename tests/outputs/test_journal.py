"""The journal of a folder of drafts: what it proves after a stop, and what it must not contain."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from report_gen.errors import OutputError, StudyError
from report_gen.outputs import journal as journals
from report_gen.outputs.draft_file import DraftFile
from report_gen.outputs.journal import JOURNAL, DraftState, open_journal
from report_gen.records import Image, Series, Study, ViewPosition

DRAFT = b"DRAFT\nThe lungs are clear.\n"
SETTINGS: dict[str, Any] = {"seed": 0, "overrides": {"Edema": "present"}, "indication": "Cough"}


def study(name: str = "MILLER^JANE", *digests: str, view: ViewPosition = ViewPosition.PA) -> Study:
    images = tuple(
        Image(path=Path(name), sha256=digest, rows=8, columns=8, view_position=view)
        for digest in digests or ("a" * 64,)
    )
    return Study(name=name, series=(Series(images=images),), study_instance_uid="1.2.3", patient_id="MRN-1")


def draft_file(folder: Path, found: Study | None = None, **settings: Any) -> DraftFile:
    return DraftFile.of_study(found or study(), ".txt", folder=folder, settings=SETTINGS | settings)


def state_of(folder: Path, file: DraftFile) -> DraftState:
    with open_journal(folder) as journal:
        return journal.state(file)


def test_a_draft_is_proved_by_its_content_and_its_request(tmp_path: Path) -> None:
    file = draft_file(tmp_path)
    assert state_of(tmp_path, file) is DraftState.ABSENT
    with open_journal(tmp_path) as journal:
        journal.write(file, DRAFT)
    assert (tmp_path / file.name).read_bytes() == DRAFT
    assert state_of(tmp_path, file) is DraftState.CURRENT
    assert state_of(tmp_path, draft_file(tmp_path, seed=1)) is DraftState.OUTDATED
    (tmp_path / file.name).write_bytes(DRAFT + b"Reviewed.\n")
    assert state_of(tmp_path, file) is DraftState.EDITED
    assert state_of(tmp_path, draft_file(tmp_path, seed=1)) is DraftState.CHANGED
    (tmp_path / file.name).unlink()
    assert state_of(tmp_path, file) is DraftState.ABSENT


@pytest.mark.parametrize(
    "other",
    [
        study("MILLER^JANE", "b" * 64),
        study("MILLER^JANE", "a" * 64, "b" * 64),
        study(view=ViewPosition.LATERAL),
    ],
)
def test_a_request_depends_on_every_image_and_its_view(tmp_path: Path, other: Study) -> None:
    assert draft_file(tmp_path).request == draft_file(tmp_path, study()).request
    assert draft_file(tmp_path, other).request != draft_file(tmp_path).request


@pytest.mark.parametrize("changed", [{"seed": 1}, {"overrides": {}}, {"indication": "Fever"}, {"format": "json"}])
def test_a_request_depends_on_every_setting(tmp_path: Path, changed: dict[str, Any]) -> None:
    assert draft_file(tmp_path, **changed).request != draft_file(tmp_path).request


def test_the_order_of_images_is_part_of_a_request(tmp_path: Path) -> None:
    requests = {
        draft_file(tmp_path, study("s", *order)).request for order in (("a" * 64, "b" * 64), ("b" * 64, "a" * 64))
    }
    assert len(requests) == 2


def test_a_journal_has_no_data_of_a_patient(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        journal.write(draft_file(tmp_path), DRAFT)
    content = (tmp_path / JOURNAL).read_text()
    for secret in ("MILLER", "MRN-1", "1.2.3", "Cough", "lungs", "a" * 64):
        assert secret not in content


def test_a_process_that_is_killed_before_the_draft_has_its_name_leaves_no_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is on the disk, the draft is not; below its name an older draft may lie."""
    file, older = draft_file(tmp_path), draft_file(tmp_path, seed=1)
    with open_journal(tmp_path) as journal:
        journal.write(older, DRAFT)

    def killed(*_: object, **__: object) -> None:
        assert (tmp_path / JOURNAL).read_text().count("\n") == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(journals, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt), open_journal(tmp_path) as journal:
        journal.write(file, b"another text")
    assert state_of(tmp_path, file) is DraftState.OUTDATED
    assert state_of(tmp_path, older) is DraftState.CURRENT


@pytest.mark.parametrize(
    ("missing", "second_state"), [(300, DraftState.FOREIGN), (2, DraftState.FOREIGN), (1, DraftState.CURRENT)]
)
def test_a_torn_last_line_costs_its_own_draft_only(tmp_path: Path, missing: int, second_state: DraftState) -> None:
    first, second, third = (draft_file(tmp_path, study(name)) for name in "abc")
    with open_journal(tmp_path) as journal:
        journal.write(first, DRAFT)
        journal.write(second, b"second")
    path = tmp_path / JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:-missing])
    with open_journal(tmp_path) as journal:
        assert [journal.state(file) for file in (first, second)] == [DraftState.CURRENT, second_state]
        journal.write(third, b"third")
    assert [state_of(tmp_path, file) for file in (first, third)] == [DraftState.CURRENT, DraftState.CURRENT]


@pytest.mark.parametrize("line", [b"\xff\0", b"{}", b"[" * 10_000, b'{"draft": 1, "request": "x"}', b"x" * 3_000_000])
def test_lines_that_are_no_entry_are_ignored(tmp_path: Path, line: bytes) -> None:
    file = draft_file(tmp_path)
    (tmp_path / JOURNAL).write_bytes(line + b"\n")
    with open_journal(tmp_path) as journal:
        journal.write(file, DRAFT)
    (tmp_path / JOURNAL).write_bytes((tmp_path / JOURNAL).read_bytes() + line)
    assert state_of(tmp_path, file) is DraftState.CURRENT


def test_a_batch_is_resumed(tmp_path: Path) -> None:
    names = ["absent", "current", "outdated", "edited", "foreign", "folder"]
    files = {name: draft_file(tmp_path, study(name)) for name in names}
    with open_journal(tmp_path) as journal:
        for name in ("current", "edited"):
            journal.write(files[name], name.encode())
        journal.write(draft_file(tmp_path, study("outdated"), seed=1), b"outdated")
    (tmp_path / "edited.txt").write_text("edited by a radiologist")
    (tmp_path / "foreign.txt").write_text("mine")
    (tmp_path / "folder.txt").mkdir()
    with open_journal(tmp_path, resume=True) as journal:
        batch = journal.resume(files.values())
    assert batch.remaining == (files["absent"], files["outdated"])
    assert batch.drafted == 2
    assert batch.edited == (tmp_path / "edited.txt",)
    assert [error.path for error in batch.refused] == [tmp_path / "foreign.txt", tmp_path / "folder.txt"]
    assert "was edited or not written by report-gen, so it is kept; move it away" in str(batch.refused[0])


def test_remaining_drafts_keep_their_order(tmp_path: Path) -> None:
    files = [draft_file(tmp_path, study(name)) for name in "abcd"]
    with open_journal(tmp_path) as journal:
        for file in files[::2]:
            journal.write(replace(file, request="0" * 64), file.name.encode())  # outdated
        assert list(journal.resume(files).remaining) == files


@pytest.mark.parametrize("resume", [False, True])
def test_a_file_that_a_user_wrote_is_never_replaced(tmp_path: Path, resume: bool) -> None:
    file = draft_file(tmp_path)
    (tmp_path / file.name).write_text("mine")
    with open_journal(tmp_path, resume=resume) as journal:
        assert journal.replaceable([file])[0] == ()
        with pytest.raises(StudyError, match="so it is kept; move it away, or choose another folder"):
            journal.write(file, DRAFT)
    assert (tmp_path / file.name).read_text() == "mine"
    (tmp_path / file.name).unlink()
    with open_journal(tmp_path, resume=resume) as journal:
        assert journal.replaceable([file]) == ((file,), ())
        journal.write(file, DRAFT)
    assert (tmp_path / file.name).read_bytes() == DRAFT


def test_processes_may_draft_into_one_folder(tmp_path: Path) -> None:
    """Each sees the drafts of the other, and neither removes the unfinished files of the other."""
    unfinished, named_alike = tmp_path / f".{'ab' * 8}.tmp", tmp_path / ".notes.tmp"
    named_alike.touch()
    file = draft_file(tmp_path)
    with open_journal(tmp_path, resume=True) as one:
        unfinished.touch()
        with open_journal(tmp_path, resume=True) as other:
            other.write(file, DRAFT)
        assert unfinished.exists()
        assert one.state(file) is DraftState.CURRENT
    with open_journal(tmp_path):
        assert unfinished.exists()
    with open_journal(tmp_path, resume=True):
        assert not unfinished.exists()
    assert named_alike.exists()


HOLD = """
import sys
from pathlib import Path
from report_gen.outputs.journal import open_journal
with open_journal(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_the_lock_of_a_killed_process_is_gone(tmp_path: Path) -> None:
    unfinished = tmp_path / f".{'ab' * 8}.tmp"
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        unfinished.touch()
        with open_journal(tmp_path, resume=True):
            assert unfinished.exists()
        process.kill()
    with open_journal(tmp_path, resume=True):
        assert not unfinished.exists()


def test_a_full_disk_leaves_the_earlier_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, write = draft_file(tmp_path), os.write
    with open_journal(tmp_path) as journal:
        journal.write(file, DRAFT)
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
    with (
        open_journal(tmp_path) as journal,
        pytest.raises(OutputError, match=rf"{JOURNAL}: cannot be written \(No space"),
    ):
        journal.write(file, b"later")
    monkeypatch.undo()
    assert state_of(tmp_path, file) is DraftState.CURRENT


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_journal_that_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    (os.mkfifo if kind == "pipe" else os.mkdir)(tmp_path / JOURNAL)
    with pytest.raises(OutputError, match=JOURNAL), open_journal(tmp_path):
        pass


A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def write_all(folder: Path, *studies: Study, resume: bool = False) -> list[str]:
    """Draft studies into a folder, one process. The draft of a study is its first digest. Return the names."""
    with open_journal(folder, resume=resume) as journal:
        files = journal.name_drafts(studies, ".txt", settings=SETTINGS)
        for file in journal.resume(files).remaining if resume else files:
            journal.write(file, file.study.images[0].sha256.encode())
    return [file.name for file in files]


def drafts(folder: Path) -> list[str]:
    return sorted(path.read_text() for path in folder.glob("*.txt"))


@pytest.mark.parametrize("resume", [False, True])
def test_a_draft_of_another_study_with_the_same_name_is_never_replaced(tmp_path: Path, resume: bool) -> None:
    assert write_all(tmp_path, study("cxr", A)) == ["cxr.txt"]
    (name,) = write_all(tmp_path, study("cxr", B), resume=resume)
    assert name != "cxr.txt"
    assert name.startswith("cxr-")
    assert drafts(tmp_path) == [A, B]
    (tmp_path / "cxr.txt").write_text("signed")
    write_all(tmp_path, study("cxr", C), resume=resume)
    assert drafts(tmp_path) == [B, C, "signed"]


@pytest.mark.parametrize("subset", [[B], [B, C], [C, B], [A, C], [A, B, C]])
def test_a_study_keeps_its_name_whatever_other_studies_are_drafted(tmp_path: Path, subset: list[str]) -> None:
    """A batch may be resumed in part, and a study of it may have become unreadable."""
    names = dict(zip((A, B, C), write_all(tmp_path, *(study("cxr", one) for one in (A, B, C))), strict=True))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert write_all(tmp_path, *(study("cxr", one) for one in subset), resume=True) == [names[one] for one in subset]
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_study_keeps_its_name_when_another_of_that_name_is_added(tmp_path: Path) -> None:
    write_all(tmp_path, study("cxr", A))
    names = write_all(tmp_path, study("CXR", B), study("cxr", A), resume=True)
    assert names[1] == "cxr.txt"
    assert drafts(tmp_path) == [A, B]


def test_copies_of_a_study_have_different_names(tmp_path: Path) -> None:
    assert len(set(write_all(tmp_path, study("cxr", A), study("cxr", A)))) == 2


@pytest.mark.parametrize("after_comparison", [False, True])
def test_a_draft_that_another_process_wrote_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after_comparison: bool
) -> None:
    with open_journal(tmp_path) as one, open_journal(tmp_path) as other:
        (first,) = one.name_drafts([study("cxr", A)], ".txt", settings=SETTINGS)
        (second,) = other.name_drafts([study("cxr", B)], ".txt", settings=SETTINGS)
        assert first.name == second.name == "cxr.txt"
        other.write(second, B.encode())
        if after_comparison:  # the file is compared before the other process writes it
            monkeypatch.setattr(one, "state", lambda _: DraftState.ABSENT)
        one.write(first, A.encode())
    assert drafts(tmp_path) == [A, B]
    assert (tmp_path / "cxr.txt").read_text() == B


@pytest.mark.parametrize("edited", [True, False])
def test_a_file_belongs_to_the_study_that_wrote_it_last(tmp_path: Path, edited: bool) -> None:
    """The draft of B was filed elsewhere, and A was drafted under its name, perhaps with the same text."""
    with open_journal(tmp_path) as journal:
        (of_b,) = journal.name_drafts([study("cxr", B)], ".txt", settings=SETTINGS)
        journal.write(of_b, DRAFT)
        (tmp_path / of_b.name).unlink()
        (of_a,) = journal.name_drafts([study("cxr", A)], ".txt", settings=SETTINGS)
        assert of_a.name == of_b.name
        journal.write(of_a, DRAFT)
    if edited:
        (tmp_path / of_a.name).write_text("signed")
    for resume in (True, False):
        assert write_all(tmp_path, study("cxr", B), resume=resume) != [of_a.name]
        assert (tmp_path / of_a.name).read_bytes() == (b"signed" if edited else DRAFT)


def test_names_that_a_file_system_may_not_distinguish_are_one_file(tmp_path: Path) -> None:
    write_all(tmp_path, study("cxr", A))
    (tmp_path / "CXR.txt").hardlink_to(tmp_path / "cxr.txt")  # as a file system looks that ignores case
    assert write_all(tmp_path, study("CXR", B)) != ["CXR.txt"]
    assert (tmp_path / "cxr.txt").read_text() == A
