"""ZIP archives of studies: what they contain is read, and hostile ones are refused before a file is written."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report_gen.errors import NotAnImageError, StudyError
from report_gen.imaging import archive, load_values, open_archives, read_studies
from report_gen.imaging.archive import unpack
from tests.dicom_files import dicom, write_dicom
from tests.volume_files import slices, write_slices


def zipped(path: Path, files: dict[str, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **{"compression": zipfile.ZIP_DEFLATED} | options) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return path


def one_file() -> bytes:
    buffer = io.BytesIO()
    dicom().save_as(buffer)
    return buffer.getvalue()


def refusal(path: Path) -> str:
    with open_archives([path]) as opened:
        assert opened.paths == ()
        (error,) = opened.refused
        assert error.path == path
        return error.reason


def test_the_studies_of_an_archive_exist_within_the_context(tmp_path: Path) -> None:
    paths = write_slices(tmp_path / "series", slices(3))
    path = zipped(tmp_path / "study.zip", {f"DICOM/IM{n}": file.read_bytes() for n, file in enumerate(paths)})
    other = write_dicom(tmp_path / "other.dcm")
    with open_archives([other, path.rename(tmp_path / "study")]) as opened:  # recognized by its content
        assert opened.refused == ()
        assert opened.paths[0] == other
        folder = opened.paths[1]
        (study,) = read_studies(folder).studies
        assert len(study.images) == 3
        np.testing.assert_array_equal(load_values(study.images[1]), slices(3)[1])
        assert opened.restore_names(f"{folder}/DICOM/IM1: broken") == f"{tmp_path}/study/DICOM/IM1: broken"
    assert not folder.exists()
    assert not folder.parent.exists()


def test_no_file_is_written_outside_of_the_folder(tmp_path: Path) -> None:
    names = [
        "../../evil.dcm",
        "/absolute/a.dcm",
        "a/../../b.dcm",
        "..\\..\\windows.dcm",
        "C:\\drive.dcm",
        "./c/./d.dcm",
    ]
    path = zipped(tmp_path / "evil.zip", dict.fromkeys(names, b"x"))
    unpack(path, tmp_path / "out" / "inner")
    found = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file())
    inside = ["C_/drive.dcm", "a/b.dcm", "absolute/a.dcm", "c/d.dcm", "evil.dcm", "windows.dcm"]
    assert found == ["evil.zip", *(f"out/inner/{name}" for name in inside)]


def test_a_link_in_an_archive_becomes_a_file_of_text(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.dcm")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        target.writestr(link, "/etc/passwd")
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out" / "link.dcm").is_symlink()
    assert (tmp_path / "out" / "link.dcm").read_text() == "/etc/passwd"


@pytest.mark.parametrize("names", [("a/b", "A/B"), ("a", "../a"), ("a/b", "a\\b")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    assert "contains a file name twice" in refusal(zipped(tmp_path / "a.zip", dict.fromkeys(names, b"x")))


def test_a_file_that_is_a_folder_as_well_is_refused(tmp_path: Path) -> None:
    assert "cannot be unpacked" in refusal(zipped(tmp_path / "a.zip", {"a": b"x", "a/b": b"x"}))


def test_names_that_no_file_can_have_are_refused(tmp_path: Path) -> None:
    assert "cannot be unpacked (File name too long)" in refusal(zipped(tmp_path / "a.zip", {"a" * 300: b"x"}))
    for number, name in enumerate((b"../.", b"\0abc")):  # zipfile ends a name at NUL
        path = zipped(tmp_path / f"{number}.zip", {"name": b"x"})
        path.write_bytes(path.read_bytes().replace(b"name", name))
        assert "a file without a name" in refusal(path)


def test_archives_that_inflate_are_refused_before_a_file_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = zipped(tmp_path / "bomb.zip", {"a.dcm": bytes(70_000_000)})
    assert "contains 70.0 MB, and 67.1 MB are allowed for its size" in refusal(bomb)
    black = zipped(tmp_path / "black.zip", {"a.dcm": bytes(60_000_000)})
    with open_archives([black]) as opened:
        assert opened.refused == ()
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 1000)
    assert "and 1.0 KB are allowed" in refusal(black)


def test_files_that_overlap_count_each(tmp_path: Path) -> None:
    """Many entries of the list name one file, so that a small archive contains terabytes (Fifield, WOOT 2019)."""
    content = zipped(tmp_path / "a.zip", {"0000": bytes(1_000_000)}).read_bytes()
    directory = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    entry, count = content[directory:end], 5000
    entries = b"".join(entry.replace(b"0000", f"{number:04}".encode()) for number in range(count))
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(entries), directory, 0)
    (tmp_path / "a.zip").write_bytes(content[:directory] + entries + tail)
    assert "contains 5.0 GB, and 67.1 MB are allowed" in refusal(tmp_path / "a.zip")


def test_a_full_disk_is_noticed_before_it_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(100, 90, 10))
    reason = refusal(zipped(tmp_path / "a.zip", {"a.dcm": bytes(1000)}))
    assert "contains 1.0 KB, and " in reason
    assert "has 10 B free; set TMPDIR" in reason


def test_countless_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "a.zip", {str(number): b"" for number in range(300)})
    monkeypatch.setattr(archive, "MAX_MEMBERS", 299)
    assert "has 300 files, and the limit is 299" in refusal(path)
    monkeypatch.setattr(archive, "_LARGEST_DIRECTORY", 5000)
    assert refusal(path) == "its list of files has too many bytes; unpack it"


def test_damaged_encrypted_and_unusual_archives_are_refused(tmp_path: Path) -> None:
    content = zipped(tmp_path / "a.zip", {"a.dcm": os.urandom(1000)}).read_bytes()
    for kept in (30, 500, len(content) - 3):
        (tmp_path / "b.zip").write_bytes(content[:kept])
        assert refusal(tmp_path / "b.zip") == "the ZIP archive is damaged; copy or export it again"
    damaged = bytearray(content)
    damaged[100] ^= 1
    (tmp_path / "b.zip").write_bytes(damaged)
    assert refusal(tmp_path / "b.zip") == "the ZIP archive is damaged; copy or export it again"
    encrypted = bytearray(content)
    encrypted[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "b.zip").write_bytes(encrypted)
    assert "is encrypted; unpack it with its password" in refusal(tmp_path / "b.zip")
    lzma = zipped(tmp_path / "c.zip", {"a.dcm": b"x"}, compression=zipfile.ZIP_LZMA)
    assert "is not compressed by deflate" in refusal(lzma)
    assert "without files" in refusal(zipped(tmp_path / "d.zip", {}))


def test_what_is_no_archive_is_passed_on(tmp_path: Path) -> None:
    polyglot = tmp_path / "a.dcm"
    polyglot.write_bytes(b"PK\x03\x04" + one_file()[4:])
    paths = (polyglot, tmp_path / "absent", tmp_path)
    with open_archives(paths) as opened:
        assert (opened.paths, opened.refused) == (paths, ())
    assert read_studies(polyglot).studies


def test_an_archive_is_not_read_in_place(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    path = zipped(tmp_path / "s" / "a.zip", {"a": one_file()})
    (error,) = read_studies(path).refused
    assert isinstance(error, NotAnImageError)
    assert "is a ZIP archive, which is not unpacked here; open it with open_archives" in error.reason
    write_dicom(tmp_path / "s" / "b.dcm")
    found = read_studies(tmp_path / "s")
    assert (len(found.studies), found.refused) == (1, ())
    assert "1 of another kind, such as" in found.notices[0]


def test_a_broken_archive_does_not_stop_others(tmp_path: Path) -> None:
    good, bad = zipped(tmp_path / "good.zip", {"a.dcm": one_file()}), tmp_path / "bad.zip"
    bad.write_bytes(b"PK\x03\x04" + bytes(50))
    with open_archives([bad, good]) as opened:
        assert [type(error) for error in opened.refused] == [StudyError]
        assert opened.refused[0].__traceback__ is None
        assert len(read_studies(*opened.paths).studies) == 1
