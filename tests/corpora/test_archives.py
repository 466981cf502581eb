"""Hostile archives of reports: bounded memory, one sentence."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from report_gen.corpora import archives, mimic_tables
from report_gen.corpora.archives import ZipReports, tar_members
from report_gen.errors import CorpusError

LARGE = 2**26


def header(name: str, size: int, kind: bytes) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def sparse_map() -> Iterator[bytes]:
    """Yield an old GNU sparse file whose map goes on and on."""
    block = bytearray(header("a.xml", 0, tarfile.GNUTYPE_SPARSE))
    block[482] = 1
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    yield bytes(block)
    entry = b"00000000001\0" * 2
    yield (entry * 21 + b"\1" + bytes(7)) * 100_000


def write(path: Path, *pieces: bytes) -> Path:
    with gzip.open(path, "wb") as file:
        for piece in pieces:
            file.write(piece)
    return path


def test_members_of_a_tar_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.tgz"
    long_name = "folder/" + "n" * 300 + ".xml"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT, pax_headers={"comment": "c"}) as target:
        for name, content in ((long_name, b"<a/>"), ("b.txt", b"text"), ("empty.xml", b""), ("c.xml", b"<c/>")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file = tmp_path / "member"
            file.write_bytes(content)
            with file.open("rb") as opened:
                target.addfile(member, opened)
    assert list(tar_members(path, ".xml")) == [(long_name, b"<a/>"), ("empty.xml", b""), ("c.xml", b"<c/>")]


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ((header("a", LARGE, tarfile.GNUTYPE_LONGNAME), bytes(LARGE)), "a header has more than 1048576 bytes"),
        ((header("a", LARGE, tarfile.GNUTYPE_LONGLINK), bytes(LARGE)), "a header has more than 1048576 bytes"),
        ((header("a", LARGE, tarfile.XHDTYPE), bytes(LARGE)), "a header has more than 1048576 bytes"),
        ((header("a", LARGE, tarfile.XGLTYPE), bytes(LARGE)), "a header has more than 1048576 bytes"),
        (tuple(sparse_map()), "a header has more than 1048576 bytes"),
        ((header("a.xml", LARGE, tarfile.REGTYPE), bytes(LARGE)), "a.xml has more than 1048576 bytes"),
        (((header("a", 1, tarfile.GNUTYPE_LONGNAME) + b"a" + bytes(511)) * 3000,), "is damaged"),
    ],
    ids=["long name", "long link", "pax", "global pax", "sparse map", "member", "chain of headers"],
)
def test_a_giant_header_or_member_is_refused_before_it_is_read(
    tmp_path: Path, pieces: tuple[bytes, ...], reason: str
) -> None:
    path = write(tmp_path / "a.tgz", *pieces)
    del pieces
    tracemalloc.start()
    with pytest.raises(CorpusError, match=reason):
        list(tar_members(path, ".xml"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_too_many_members_and_a_giant_total_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.tgz", header("a.txt", 0, tarfile.REGTYPE) * 50, bytes(1024))
    monkeypatch.setattr(archives, "MOST_MEMBERS", 49)
    with pytest.raises(CorpusError, match="has more than 49 files"):
        list(tar_members(path, ".xml"))
    monkeypatch.setattr(archives, "LARGEST_ARCHIVE", 2**22)
    path = write(tmp_path / "b.tgz", header("a.bin", 2**24, tarfile.REGTYPE), bytes(2**24), bytes(1024))
    with pytest.raises(CorpusError, match="inflates to more than 4194304 bytes"):
        list(tar_members(path, ".xml"))


def test_a_zip_archive_with_a_giant_list_of_members_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    size = 2**31
    with path.open("wb") as file:
        file.seek(size)  # a hole
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, 0, 0))
    with pytest.raises(CorpusError, match="its list of files has more than 67108864 bytes"):
        ZipReports(path)


def test_members_of_a_zip_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("a.txt", "Lungs are clear.", zipfile.ZIP_DEFLATED)
        target.writestr("lzma.txt", "Lungs are clear.", zipfile.ZIP_LZMA)
        target.writestr("bomb.txt", bytes(30_000_000), zipfile.ZIP_DEFLATED)
    reports = ZipReports(path)
    assert reports.read("a.txt") == "Lungs are clear."
    assert reports.read("b.txt") == ""
    with pytest.raises(CorpusError, match=r"lzma\.txt is not compressed by deflate"):
        reports.read("lzma.txt")
    with pytest.raises(CorpusError, match=r"bomb\.txt has more than 1048576 bytes"):
        reports.read("bomb.txt")


def test_a_compressed_table_of_countless_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = b"".join(b"10000032,50414267,a%d\n" % number for number in range(1000))
    path = write(tmp_path / "cxr-record-list.csv.gz", b"subject_id,study_id,dicom_id\n", rows)
    records = mimic_tables.read_records(tmp_path, ("record-list",), ())
    assert sum(1 for _ in records) == 1000
    monkeypatch.setattr(mimic_tables, "_MOST_ROWS", 999)
    with pytest.raises(CorpusError, match=rf"{path.name}: has more than 999 rows"):
        list(mimic_tables.read_records(tmp_path, ("record-list",), ()))


def damage_header(content: bytes) -> bytes:
    """Insert a block that is no header before the last member."""
    plain = gzip.decompress(content)
    return gzip.compress(plain[:2048] + b"Q" * 512 + plain[2048:])


def damage_checksum(content: bytes) -> bytes:
    return content[:-8] + bytes([content[-8] ^ 1]) + content[-7:]


@pytest.mark.parametrize("damage", [damage_header, damage_checksum, lambda content: content[:-20]])
def test_a_damaged_archive_is_not_read_as_a_shorter_one(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    archive = tmp_path / "reports.tgz"
    with tarfile.open(archive, "w:gz") as file:
        for number in range(3):
            info = tarfile.TarInfo(f"{number}.xml")
            info.size = 4
            file.addfile(info, io.BytesIO(b"text"))
    assert [name for name, _ in tar_members(archive, ".xml")] == ["0.xml", "1.xml", "2.xml"]
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(CorpusError, match="archive is damaged; download it again"):
        list(tar_members(archive, ".xml"))
