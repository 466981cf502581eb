"""write_atomically: whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from report_gen.errors import OutputError
from report_gen.files import write_atomically, write_pieces


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


def test_the_longest_name_is_no_trouble(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("x" * 255), "x")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_after_a_failure_the_earlier_file_stands_alone(
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


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OutputError, match=f"{file}/draft: cannot be written"):
        write_atomically(file / "draft", "x")
    with pytest.raises(OutputError, match=f"{tmp_path}: cannot be written"):
        write_atomically(tmp_path, "x")
    assert list(tmp_path.iterdir()) == [file]


def test_pieces_are_one_file_and_a_fault_while_they_are_made_leaves_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    write_pieces(path, ["Caf\u00e9\n", b"\0"])
    assert path.read_bytes() == b"Caf\xc3\xa9\n\0"

    def interrupted():
        yield "half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pieces(path, interrupted())
    assert path.read_bytes() == b"Caf\xc3\xa9\n\0"
    assert list(tmp_path.iterdir()) == [path]
