"""The journal of a folder of drafts: what it proves after a stop, and what it must not contain."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from report_gen.errors import OutputError, StudyError
from report_gen.outputs import journal as journals
from report_gen.outputs.draft_file import DraftFile
from report_gen.outputs.draft_plan import name_drafts, plan_study
from report_gen.outputs.journal import JOURNAL, DraftJournal, DraftState, open_journal
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


@pytest.mark.parametrize(
    "changed", [{"seed": 1}, {"overrides": {}}, {"indication": "Fever"}, {"format": "json"}, {"paper": "Letter"}]
)
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


PLANS = {  # by the state of the file: written, kept as done, or refused
    DraftState.ABSENT: ("write", "write", "write", "write"),
    DraftState.CURRENT: ("write", "keep", "write", "keep"),
    DraftState.OUTDATED: ("write", "write", "write", "write"),
    DraftState.EDITED: ("refuse", "keep", "write", "write"),
    DraftState.CHANGED: ("refuse", "refuse", "write", "write"),
    DraftState.FOREIGN: ("refuse", "refuse", "refuse", "refuse"),
    DraftState.OTHER_STUDY: ("write", "write", "write", "write"),
}
"""Without options, with resume, with overwrite, and with both. Beside a draft of other images the name changes."""


@pytest.mark.parametrize("state", DraftState)
@pytest.mark.parametrize(("resume", "overwrite"), [(False, False), (True, False), (False, True), (True, True)])
def test_the_state_of_a_file_decides_whether_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: DraftState, resume: bool, overwrite: bool
) -> None:
    file = draft_file(tmp_path)
    with open_journal(tmp_path) as journal:
        monkeypatch.setattr(journal, "state", lambda _: state)
        plan = plan_study(journal, [file], resume=resume, overwrite=overwrite)
    expected = PLANS[state][resume + 2 * overwrite]
    assert plan.remaining == ((file,) if expected == "write" else ())
    assert [error.path for error in plan.refused] == ([tmp_path / file.name] if expected == "refuse" else [])
    assert plan.edited == ((tmp_path / file.name,) if state is DraftState.EDITED and expected == "keep" else ())
    assert plan.is_complete is (expected == "keep")


def test_a_folder_is_a_foreign_file(tmp_path: Path) -> None:
    (tmp_path / draft_file(tmp_path).name).mkdir()
    assert state_of(tmp_path, draft_file(tmp_path)) is DraftState.FOREIGN


def test_a_study_is_complete_with_all_its_files_only(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        (files,) = name_drafts(journal, [study()], {".txt": SETTINGS, ".json": SETTINGS, ".sr.dcm": SETTINGS})
        assert [file.name for file in files] == ["MILLER^JANE.txt", "MILLER^JANE.json", "MILLER^JANE.sr.dcm"]
        for number, file in enumerate(files):
            plan = plan_study(journal, files, resume=True)
            assert (plan.remaining, plan.is_complete) == (files[number:], False)
            journal.write(file, DRAFT)
        assert plan_study(journal, files, resume=True).is_complete


@pytest.mark.parametrize("resume", [False, True])
def test_a_file_that_a_user_wrote_is_never_replaced(tmp_path: Path, resume: bool) -> None:
    file = draft_file(tmp_path)
    (tmp_path / file.name).write_text("mine")
    with open_journal(tmp_path, resume=resume) as journal:
        assert plan_study(journal, [file]).remaining == ()
        for overwrite in (False, True):
            with pytest.raises(StudyError, match="so it is kept; move it away, or choose another folder"):
                journal.write(file, DRAFT, overwrite=overwrite)
    assert (tmp_path / file.name).read_text() == "mine"
    (tmp_path / file.name).unlink()
    with open_journal(tmp_path, resume=resume) as journal:
        assert plan_study(journal, [file]).remaining == (file,)
        journal.write(file, DRAFT)
    assert (tmp_path / file.name).read_bytes() == DRAFT


def test_an_edited_draft_is_replaced_on_request_only(tmp_path: Path) -> None:
    file = draft_file(tmp_path)
    with open_journal(tmp_path) as journal:
        journal.write(file, DRAFT)
        (tmp_path / file.name).write_text("signed")
        with pytest.raises(StudyError, match=r"was edited, so it is kept; .* replace it with --overwrite"):
            journal.write(file, b"new")
        assert (tmp_path / file.name).read_text() == "signed"
        assert journal.write(file, b"new", overwrite=True).replaced is DraftState.EDITED
    assert state_of(tmp_path, file) is DraftState.CURRENT


def test_a_version_has_a_new_name_and_replaces_nothing(tmp_path: Path) -> None:
    file = draft_file(tmp_path)
    with open_journal(tmp_path) as journal:
        journal.write(file, b"first")
        (tmp_path / "MILLER^JANE-v2.txt").write_text("mine")
        names = [journal.write_version(file, text).file.name for text in (b"second", b"third")]
    assert names == ["MILLER^JANE-v3.txt", "MILLER^JANE-v4.txt"]
    contents = [path.read_text() for path in sorted(tmp_path.glob("*.txt"))]
    assert contents == ["mine", "second", "third", "first"]


def test_all_files_of_a_study_have_one_stem(tmp_path: Path) -> None:
    """`cxr.txt` of one patient beside `cxr.pdf` of another would be read as one study."""
    write_all(tmp_path, study("cxr", A))
    with open_journal(tmp_path) as journal:
        (files,) = name_drafts(journal, [study("cxr", B)], {".pdf": SETTINGS, ".txt": SETTINGS})
        (alone,) = name_drafts(journal, [study("cxr", B)], {".pdf": SETTINGS}, other_suffixes=[".txt"])
    assert {file.stem for file in (*files, *alone)} == {f"cxr-{files[0].images[:12]}"}


def test_names_that_a_suffix_makes_equal_differ(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        named = name_drafts(journal, [study("a", A), study("a.fhir", B)], {".json": SETTINGS, ".fhir.json": SETTINGS})
    names = [file.name for files in named for file in files]
    assert len(set(names)) == 4


def test_the_longest_suffix_has_room_in_a_name(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        (files,) = name_drafts(journal, [study("L" * 300)], {".txt": SETTINGS, ".findings.dcm": SETTINGS})
        for file in files:
            journal.write(file, DRAFT)
    assert [len(file.name) for file in files] == [246, 255]
    assert files[0].stem == files[1].stem


def test_a_line_that_a_full_disk_tore_costs_no_other_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch goes on after a failure, so the same process appends again."""
    first, second = (draft_file(tmp_path, study(name)) for name in "ab")
    write = os.write
    with open_journal(tmp_path) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
            with pytest.raises(OutputError, match="No space"):
                journal.write(first, DRAFT)
        journal.write(second, DRAFT)
    assert state_of(tmp_path, first) is DraftState.ABSENT
    assert state_of(tmp_path, second) is DraftState.CURRENT


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
from collections.abc import Callable
from pathlib import Path
from report_gen.outputs.journal import open_journal
with open_journal(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_journal_without_entries_is_removed_by_the_last_process_that_has_it_open(tmp_path: Path) -> None:
    with open_journal(tmp_path):
        with open_journal(tmp_path):
            pass
        assert list(tmp_path.iterdir()) == [tmp_path / JOURNAL]
    assert list(tmp_path.iterdir()) == []
    with open_journal(tmp_path) as journal:
        journal.write(draft_file(tmp_path), b"text")
    with open_journal(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {JOURNAL, draft_file(tmp_path).name}


def test_a_journal_that_another_process_removes_meanwhile_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry in a file without a name would be lost, and its draft would be taken for a file of the user."""
    lock, removed = fcntl.flock, list[Path]()

    def remove_first(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_SH and not removed:
            removed.append(tmp_path / JOURNAL)
            removed[0].unlink()
        lock(descriptor, operation)

    monkeypatch.setattr(journals.fcntl, "flock", remove_first)
    with open_journal(tmp_path) as journal:
        journal.write(draft_file(tmp_path), b"text")
    assert removed
    assert state_of(tmp_path, draft_file(tmp_path)) is DraftState.CURRENT


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
        batch = name_drafts(journal, studies, {".txt": SETTINGS})
        for files in batch:
            for file in plan_study(journal, files, resume=True).remaining if resume else files:
                journal.write(file, file.study.images[0].sha256.encode())
    return [file.name for (file,) in batch]


def name_draft(journal: DraftJournal, found: Study) -> DraftFile:
    ((file,),) = name_drafts(journal, [found], {".txt": SETTINGS})
    return file


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
        first = name_draft(one, study("cxr", A))
        second = name_draft(other, study("cxr", B))
        assert first.name == second.name == "cxr.txt"
        other.write(second, B.encode())
        if after_comparison:  # the file is compared before the other process writes it
            monkeypatch.setattr(one, "state", absent_once(one))
        one.write(first, A.encode())
    assert drafts(tmp_path) == [A, B]
    assert (tmp_path / "cxr.txt").read_text() == B


def absent_once(journal: DraftJournal) -> Callable[[DraftFile], DraftState]:
    """Return a function that says once that there is no file, and then the state."""
    answers, state = iter([DraftState.ABSENT]), journal.state
    return lambda file: next(answers, None) or state(file)


def test_two_processes_that_draft_the_same_study_write_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_journal(tmp_path) as one, open_journal(tmp_path) as other:
        first, second = name_draft(one, study("cxr", A)), name_draft(other, study("cxr", A))
        other.write(second, A.encode())
        monkeypatch.setattr(one, "state", absent_once(one))
        assert one.write(first, A.encode()).file.name == "cxr.txt"
    assert drafts(tmp_path) == [A]


@pytest.mark.parametrize("edited", [True, False])
def test_a_file_belongs_to_the_study_that_wrote_it_last(tmp_path: Path, edited: bool) -> None:
    """The draft of B was filed elsewhere, and A was drafted under its name, perhaps with the same text."""
    with open_journal(tmp_path) as journal:
        of_b = name_draft(journal, study("cxr", B))
        journal.write(of_b, DRAFT)
        (tmp_path / of_b.name).unlink()
        of_a = name_draft(journal, study("cxr", A))
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
