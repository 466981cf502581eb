"""Atomic writes, and names of output files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from report_gen.errors import OutputError
from report_gen.files import recover_folder, unique_names, write_atomically, write_folder, write_pieces


def test_text_and_bytes_are_written_and_folders_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "draft.txt"
    write_atomically(path, "Café\n")
    assert path.read_bytes() == b"Caf\xc3\xa9\n"
    write_atomically(path, b"\0\1")
    assert path.read_bytes() == b"\0\1"
    assert list(path.parent.iterdir()) == [path]


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
    with pytest.raises(OutputError, match=f"{file}/draft: cannot be written"):
        write_atomically(file / "draft", "x")
    with pytest.raises(OutputError, match=f"{tmp_path}: cannot be written"):
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


def test_a_folder_of_a_killed_process_is_restored(tmp_path: Path) -> None:
    for name in (".checkpoint-0.old", ".checkpoint-1.tmp", ".other-2.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
    recover_folder(tmp_path / "checkpoint")
    assert (tmp_path / "checkpoint" / "a").read_text() == ".checkpoint-0.old"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other-2.tmp", "checkpoint"]


def test_names_differ_even_where_case_is_ignored() -> None:
    assert unique_names(["chest", "chest", "CHEST", "chest-2", "knee"]) == [
        "chest",
        "chest-2",
        "CHEST-3",
        "chest-2-2",
        "knee",
    ]
