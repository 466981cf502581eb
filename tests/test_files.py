"""Atomic writes, and names of output files."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from report_gen.errors import OutputError
from report_gen.files import (
    check_writable,
    check_writable_folder,
    file_name,
    output_error,
    recover_folder,
    remove_temporary_files,
    unique_names,
    write_atomically,
    write_folder,
    write_pieces,
)


def test_text_and_bytes_are_written_and_folders_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "draft.txt"
    write_atomically(path, "Café\n")
    assert path.read_bytes() == b"Caf\xc3\xa9\n"
    write_atomically(path, b"\0\1")
    assert path.read_bytes() == b"\0\1"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", [".", "new", "new/deep/folder"])
def test_a_folder_that_takes_files_is_left_as_it_was(tmp_path: Path, name: str) -> None:
    check_writable_folder(tmp_path / name)
    check_writable(tmp_path / name / "draft.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
@pytest.mark.parametrize("path", ["/proc", "/proc/x", "/proc/x/y"])
def test_a_folder_where_the_system_takes_no_file(path: str) -> None:
    """Linux gives ENOENT there, whatever the permissions are: proc(5) has no files of users."""
    for check in (lambda: check_writable_folder(Path(path)), lambda: check_writable(Path(path, "a.json"))):
        with pytest.raises(OutputError) as refused:
            check()
        assert str(refused.value) == (
            f"{path}: cannot be written, because the system does not allow a new file there; choose another path"
        )


def test_what_a_file_cannot_replace(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for check, path, fault in (
        (check_writable_folder, tmp_path / "file", "because a file has the name of a folder"),
        (check_writable_folder, tmp_path / "file" / "folder", "because a file has the name of a folder"),
        (check_writable, tmp_path, "because it is a folder; give the name of a file"),
        (check_writable, Path(os.devnull), "is a device or a pipe, which a file would replace"),
    ):
        with pytest.raises(OutputError, match=fault):
            check(path)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_the_file_has_the_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_atomically(tmp_path / "draft", "x")
    assert stat.S_IMODE((tmp_path / "draft").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_the_longest_file_name_is_accepted(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("x" * 255), "x")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_after_a_failure_the_earlier_file_is_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "draft.txt"
    path.write_text("earlier")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full_disk)
    with pytest.raises(OutputError, match=r"draft\.txt: cannot be written \(No space left on device\); free disk"):
        write_atomically(path, "later")
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_the_files_that_a_killed_write_leaves_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # as after kill -9
    monkeypatch.setattr(Path, "replace", lambda *_: None)
    write_atomically(tmp_path / "draft.txt", "x")
    monkeypatch.undo()
    (left,) = tmp_path.iterdir()
    for name in ("draft.txt", ".tmp", ".notes.tmp", f"{left.name}.txt"):
        (tmp_path / name).touch()
    remove_temporary_files(tmp_path)
    assert not left.exists()
    assert len(list(tmp_path.iterdir())) == 4


def test_an_interrupt_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "draft.txt", "x")
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OutputError, match=f"{file}/draft: cannot be written, because a file has the name of a folder"):
        write_atomically(file / "draft", "x")
    with pytest.raises(OutputError, match=f"{tmp_path}: cannot be written, because it is a folder"):
        write_atomically(tmp_path, "x")
    assert list(tmp_path.iterdir()) == [file]


def test_pieces_become_one_file_and_an_error_between_them_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write_pieces(path, ["Caf\u00e9\n", b"\0"])
    assert path.read_bytes() == b"Caf\xc3\xa9\n\0"

    def interrupted() -> Iterator[str]:
        yield "half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pieces(path, interrupted())
    assert path.read_bytes() == b"Caf\xc3\xa9\n\0"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_replaces_an_older_one(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    write_folder(folder, {"a": b"1", "b": b"2"})
    write_folder(folder, {"a": lambda: b"3"})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a": b"3"}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_cannot_be_written_leaves_the_older_one(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    write_folder(folder, {"a": b"1"})
    with pytest.raises(OutputError, match="checkpoint: cannot be written"):
        write_folder(folder, {"a": b"2", "absent/b": b"3"})
    assert (folder / "a").read_bytes() == b"1"
    assert list(tmp_path.iterdir()) == [folder]


def test_ctrl_c_between_the_two_renames_leaves_the_older_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "folder", {"a": b"old"})
    rename = Path.rename

    def interrupt(path: Path, target: Path) -> Path:
        if path.suffix == ".tmp":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "folder", {"a": b"new"})
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert (tmp_path / "folder" / "a").read_bytes() == b"old"


def test_a_folder_of_a_killed_process_is_restored(tmp_path: Path) -> None:
    digits = "0123456789abcdef"
    ours, others = (
        [f".checkpoint-{digits}.old", f".checkpoint-{digits}.tmp"],
        [f".other-{digits}.tmp", ".checkpoint-mine.tmp"],
    )
    for name in (*ours, *others):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
    recover_folder(tmp_path / "checkpoint")
    assert (tmp_path / "checkpoint" / "a").read_text() == ours[0]
    assert {path.name for path in tmp_path.iterdir()} == {*others, "checkpoint"}


def test_only_temporary_files_of_this_program_are_removed(tmp_path: Path) -> None:
    ours = [f".{'0' * 16}.tmp", f"cache/files/.{'a1' * 8}.tmp"]
    others = ["notes.tmp", ".mine.tmp", f".{'g' * 16}.tmp", f".{'0' * 16}.tmp.txt", f"cache/{'0' * 16}.tmp"]
    for name in (*ours, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / f".{'1' * 16}.tmp").mkdir()
    remove_temporary_files(tmp_path, subfolders=True)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.tmp*")}
    assert left == {*others, f".{'1' * 16}.tmp"}


def test_names_differ_even_where_case_is_ignored() -> None:
    assert unique_names(["chest", "chest", "CHEST", "chest-2", "knee"]) == [
        "chest",
        "chest-2",
        "CHEST-3",
        "chest-2-2",
        "knee",
    ]


def test_names_differ_even_where_the_composition_of_accents_is_ignored() -> None:
    assert unique_names(["caf\u00e9", "cafe\u0301"]) == ["caf\u00e9", "cafe\u0301-2"]


def test_file_names_replace_only_what_a_terminal_acts_on_or_hides() -> None:
    names = ["esc\x1b[31m", "a\nb", "a\rb", "c\x9b", "rtl\u202e", "zero\u200bwidth", "x/y", "", ".."]
    assert [file_name(name, suffix=".txt") for name in names] == [
        *("esc_[31m", "a_b", "a_b", "c_", "rtl_", "zero_width", "x_y", "study", "__"),
    ]
    kept = ["latin1_\udce9", "ünï códe 放射", "-dash", "a b  ", "q'\"$*?"]
    assert [file_name(name, suffix=".txt") for name in kept] == kept


def test_file_names_fit_into_the_folder(tmp_path: Path) -> None:
    names = ["L" * 250, "L" * 251, "L" * 255, "é" * 127, "\udce9" * 255]
    for suffix in (".txt", ".json", ".seg.dcm"):
        found = [file_name(name, suffix=suffix, folder=tmp_path / "new") for name in names]
        assert len(set(found)) == len(names)
        for name in found:
            write_atomically(tmp_path / "new" / f"{name}{suffix}", "x")
    assert file_name(names[0], suffix=".txt") == names[0]


def test_a_new_file_replaces_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "draft.txt"
    write_atomically(path, "first", replace=False)
    with pytest.raises(FileExistsError):
        write_atomically(path, "second", replace=False)
    monkeypatch.setattr(Path, "hardlink_to", refuse_links)
    with pytest.raises(FileExistsError):
        write_atomically(path, "second", replace=False)
    write_atomically(tmp_path / "other.txt", "second", replace=False)
    assert {found.name: found.read_text() for found in tmp_path.iterdir()} == {
        "draft.txt": "first",
        "other.txt": "second",
    }


def refuse_links(*_: object) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def test_a_file_in_the_place_of_the_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "folder").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_atomically(tmp_path / "folder" / "draft.txt", "x", replace=False)


def test_bytes_of_a_name_that_are_not_utf8_are_escaped_in_text(tmp_path: Path) -> None:
    path = tmp_path / "refused.json"
    write_atomically(path, json.dumps({"path": "latin1_\udce9 é"}, ensure_ascii=False))
    assert json.loads(path.read_text(encoding="utf-8")) == {"path": "latin1_\udce9 é"}
    assert b"latin1_\\udce9 \xc3\xa9" in path.read_bytes()


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.EROFS, "choose another path"), (errno.ENOSPC, "free disk space or choose another path")],
)
def test_the_remedy_depends_on_why_a_path_cannot_be_written(number: int, remedy: str) -> None:
    error = output_error(Path("a.txt"), OSError(number, os.strerror(number)))
    assert str(error) == f"a.txt: cannot be written ({os.strerror(number)}); {remedy}"
