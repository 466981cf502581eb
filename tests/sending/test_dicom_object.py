"""The order in which files are sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

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


@pytest.mark.parametrize("damage", [b"IS\x02\x00xy", b"XX\x02\x00\xff\xff"])
def test_a_file_whose_header_is_malformed_is_sent_all_the_same(tmp_path: Path, damage: bytes) -> None:
    files = [write(tmp_path / name, "1.1", number) for name, number in (("b", 2), ("a", 1))]
    files[1].write_bytes(files[1].read_bytes().replace(b"IS\x02\x001 ", damage))
    assert names(*files) == ["b", "a"]
    assert not find_objects(files).refused
