"""The order in which files are sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian

from report_gen.sending import find_objects
from tests.sending.archives import sr_file


def write(path: Path, study: str, number: Any) -> Path:
    sr_file(path, uid=f"1.2.{abs(hash(path.name)) % 10**9 + 1}")
    dataset = dcmread(path)
    dataset.StudyInstanceUID, dataset.InstanceNumber = study, number
    dataset.SeriesInstanceUID = dataset.SOPInstanceUID + ".1"  # each version has a series of its own
    dataset.save_as(path)
    return path


def names(*paths: Path) -> list[str]:
    return [item.path.name for item in find_objects(paths).objects]


def test_an_earlier_version_comes_before_the_one_that_replaces_it(tmp_path: Path) -> None:
    """By their names, versions come before the first document, and the tenth before the second."""
    for number in (1, 2, 10):
        write(tmp_path / f"chest{f'-v{number}' if number > 1 else ''}.sr.dcm", "1.2.3.1", number)
    expected = ["chest.sr.dcm", "chest-v2.sr.dcm", "chest-v10.sr.dcm"]
    assert names(tmp_path) == expected
    assert names(*sorted(tmp_path.iterdir())) == expected
    assert names(*sorted(tmp_path.iterdir(), reverse=True)) == expected


def test_other_studies_keep_their_places(tmp_path: Path) -> None:
    files = [
        write(tmp_path / name, study, number)
        for name, study, number in (
            ("d", "1.1", 3),
            ("c", "1.2", 1),
            ("b", "1.1", 1),
            ("a", "1.3", 9),
            ("e", "1.1", 2),
            ("f", "1.3", 9),
        )
    ]
    assert names(*files) == ["b", "c", "e", "a", "d", "f"]


def test_a_file_whose_header_is_malformed_is_sent_all_the_same(tmp_path: Path) -> None:
    files = [write(tmp_path / name, "1.1", number) for name, number in (("b", 2), ("a", 1))]
    files[1].write_bytes(files[1].read_bytes().replace(b"IS\x02\x001 ", b"IS\x02\x00xy"))
    assert names(*files) == ["b", "a"]
    assert not find_objects(files).refused


PIXELS = b"\xe0\x7f\x10\x00OB\x00\x00\x06\x00\x00\x00abcdef"
"""Pixel Data of six bytes."""
FRAGMENTS = (
    b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"  # undefined length (PS3.5 A.4)
    b"\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\x00\xe0\x04\x00\x00\x00abcd\xfe\xff\xdd\xe0\x00\x00\x00\x00"
)
ITEMS = (
    b"\x08\x00\x99\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    b"\x08\x00\x55\x11UI\x04\x001.2\x00\xfe\xff\x0d\xe0\x00\x00\x00\x00\xfe\xff\xdd\xe0\x00\x00\x00\x00"
)


@pytest.mark.parametrize(
    ("element", "missing"),
    [(PIXELS, 1), (PIXELS, 6), (PIXELS, 8), (FRAGMENTS, 8), (FRAGMENTS, 14), (ITEMS, 8), (ITEMS, 16), (ITEMS, 18)],
)
def test_a_file_that_is_cut_is_not_sent(tmp_path: Path, element: bytes, missing: int) -> None:
    """pydicom shortens the last value, and an archive would keep the rest of the object under its UID."""
    complete = write(tmp_path / "complete.dcm", "1.2", 1)
    complete.write_bytes(complete.read_bytes() + element)
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(complete.read_bytes()[:-missing])
    found = find_objects([cut, complete])
    assert [item.path for item in found.objects] == [complete]
    assert [str(error) for error in found.refused] == [
        f"{cut}: truncated or malformed: the file ends within an attribute; copy or export it again"
    ]


def test_a_deflated_file_that_is_cut_is_not_sent(tmp_path: Path) -> None:
    source = Path(str(get_testdata_file("image_dfl.dcm")))
    assert dcmread(source).file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(source.read_bytes()[:-100])
    found = find_objects([source, cut])
    assert [item.path for item in found.objects] == [source]
    assert "truncated" in str(found.refused[0])
